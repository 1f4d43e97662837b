"""Accuracy and training time of the recommenders, beside implicit's where it has the same model.

    python benchmarks/recommenders.py --data ml-100k
    python benchmarks/recommenders.py --data gowalla --models lightgcn --full    # the published protocol: no validation part

Recall@20 and NDCG@20 (and NDCG@10) of held-out test interactions, training items masked, full ranking. With --full the
validation interactions go back into training and LightGCN runs a fixed number of epochs, 800 at rate 0.01 by default.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from scipy.sparse import csr_array, csr_matrix

from sharpap.assess.run import fit
from sharpap.config import REGISTRY
from sharpap.data import load
from sharpap.metrics import evaluate
from sharpap.recommenders import BPRMF, WRMF, FactorModel, LightGCN


def by_implicit(model: object, train: csr_array) -> FactorModel:
    """Train one of implicit's factor models."""
    model.fit(csr_matrix(train).copy(), show_progress=False)  # pyright: ignore
    return FactorModel(user_factors=model.user_factors, item_factors=model.item_factors, log={})  # pyright: ignore


def main() -> None:
    """Train and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument(
        "--models",
        default="popularity,wrmf,wrmf-100,bpr-mf,lightgcn,ngcf,sgl,simgcl,xsimgcl,vgcl,biased-mf,neumf,mult-vae,ease,item-knn,item-knn-learnt",
    )
    parser.add_argument("--full", action="store_true", help="train on the validation part as well")
    parser.add_argument("--epochs", type=int, default=800, help="of LightGCN with --full")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate of LightGCN with --full")
    args = parser.parse_args()
    dataset = load(args.data)
    train, valid = dataset.train.matrix, dataset.valid.matrix
    if args.full:
        train, valid = csr_array(train + valid), None
    own: dict[str, Any] = {name: cls(**fixed) for name, (cls, fixed) in REGISTRY["victim"].items()} | {
        "wrmf-100": WRMF(reg=100.0),
        "lightgcn": LightGCN(epochs=args.epochs, learning_rate=args.rate) if args.full else LightGCN(),
    }
    print(
        f"| {args.data} | Recall@20 | NDCG@20 | NDCG@10 | seconds | epochs |\n|---|---:|---:|---:|---:|---:|",
        flush=True,
    )

    def row(name: str, model: Any, seconds: float, epochs: object) -> None:
        found = evaluate(model, train, targets=(), held_out=dataset.test.matrix, ks=(10, 20))
        numbers = f"{found.recall[20]:.4f} | {found.ndcg[20]:.4f} | {found.ndcg[10]:.4f}"
        print(f"| {name} | {numbers} | {seconds:.1f} | {epochs} |", flush=True)

    for name in args.models.split(","):
        model = own[name]
        start = time.perf_counter()
        made = fit(model, train, valid if valid is not None else csr_array(train.shape), seed=0)
        row(name, made, time.perf_counter() - start, made.log.get("epochs", ""))
        theirs = None
        if isinstance(model, WRMF):
            from implicit.als import AlternatingLeastSquares

            theirs = AlternatingLeastSquares(
                factors=64, regularization=model.reg, alpha=model.positive_weight, iterations=15, random_state=0
            )
        elif isinstance(model, BPRMF):
            from implicit.bpr import BayesianPersonalizedRanking

            theirs = BayesianPersonalizedRanking(
                factors=64, learning_rate=0.02, regularization=0.01, iterations=200, random_state=0
            )
        if theirs is not None:
            start = time.perf_counter()
            made = by_implicit(theirs, train)
            row(f"implicit, same as {name}", made, time.perf_counter() - start, theirs.iterations)


if __name__ == "__main__":
    main()
