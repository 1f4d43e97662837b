"""Accuracy and training time of the recommenders, beside implicit's where it has the same model.

    python benchmarks/recommenders.py --data ml-100k
    python benchmarks/recommenders.py --data ml-1m --short --seeds 3     # fixed lengths and a decaying rate, as paper/ml-1m has
    python benchmarks/recommenders.py --data gowalla --models lightgcn --full    # the published protocol: no validation part
    python benchmarks/recommenders.py --data amazon-book --models wrmf,bpr-mf,lightgcn --tuned [--full]

Recall@20 and NDCG@20 (and NDCG@10) of held-out test interactions, training items masked, full ranking. With --full the
validation interactions go back into training and LightGCN runs a fixed number of epochs, 800 at rate 0.01 by default. With
--tuned models have the settings of src/sharpap/tuned, and nothing of implicit's stands beside them.
Figures are means over seeds; seconds are processor seconds of one training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from sharpap.config import build
from sharpap.config.recipes import read_recipe
from sharpap.data import load
from sharpap.metrics import evaluate
from sharpap.recommenders import BPRMF, WRMF, FactorModel, LightGCN
from sharpap.recommenders.calls import fit
from sharpap.recommenders.wrmf import size_for
from sharpap.tuned import tuned


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
        default="popularity,wrmf,wrmf-paper,wrmf-100,bpr-mf,lightgcn,ngcf,sgl,simgcl,xsimgcl,vgcl,biased-mf,neumf,mult-vae,ease,item-knn,item-knn-learnt",
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="the victims of recipe paper/ml-1m")
    parser.add_argument(
        "--tuned", action="store_true", help="the settings that were chosen on this data's validation part"
    )
    parser.add_argument("--full", action="store_true", help="train on the validation part as well")
    parser.add_argument("--epochs", type=int, default=800, help="of LightGCN with --full")
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate of LightGCN with --full")
    args = parser.parse_args()
    dataset = load(args.data)
    short = read_recipe("paper/ml-1m")["victims"] if args.short else {}
    if args.tuned:
        short = {name: found.settings for name, found in tuned(args.data).items()}
    train, valid = dataset.train.matrix, dataset.valid.matrix
    if args.full:
        train, valid = csr_array(train + valid), None
    others: dict[str, Any] = {
        "wrmf-100": WRMF(positive_weight=20.0, reg=100.0),
        "lightgcn-full": LightGCN(epochs=args.epochs, learning_rate=args.rate),
    }
    fixed = args.full and not args.tuned
    names = [f"{name}-full" if fixed and name == "lightgcn" else name for name in args.models.split(",")]
    models = {
        name: others[name] if name in others else build("victim", {"name": name} | short.get(name, {}))
        for name in names
    }
    print(
        f"| {args.data} | Recall@20 | NDCG@20 | NDCG@10 | seconds | epochs |\n|---|---:|---:|---:|---:|---:|",
        flush=True,
    )

    def row(name: str, train_one: Callable[[int], FactorModel], epochs: Callable[[FactorModel], Any]) -> None:
        rows = []
        for seed in range(args.seeds):
            start = time.process_time()
            made = train_one(seed)
            seconds = time.process_time() - start
            found = evaluate(made, train, targets=(), held_out=dataset.test.matrix, ks=(10, 20))
            rows.append((found.recall[20], found.ndcg[20], found.ndcg[10], seconds, epochs(made) or np.nan))
        recall, ndcg, ndcg10, seconds, length = np.mean(rows, 0)
        length = "" if np.isnan(length) else f"{length:.0f}"
        print(f"| {name} | {recall:.4f} | {ndcg:.4f} | {ndcg10:.4f} | {seconds:.1f} | {length} |", flush=True)

    held = valid if valid is not None else csr_array(train.shape)
    for name, model in models.items():
        row(name, lambda seed, model=model: fit(model, train, held, seed=seed), lambda made: made.log.get("epochs"))
        theirs = None
        if args.tuned:
            continue
        if isinstance(model, WRMF):
            from implicit.als import AlternatingLeastSquares

            theirs = partial(
                AlternatingLeastSquares,
                factors=model.embedding_size or size_for(train),
                regularization=model.reg,
                alpha=model.least_squares(train).positive_weight,
                iterations=15,
            )
        elif isinstance(model, BPRMF):
            from implicit.bpr import BayesianPersonalizedRanking

            theirs = partial(
                BayesianPersonalizedRanking, factors=64, learning_rate=0.02, regularization=0.01, iterations=200
            )
        if theirs is not None:
            row(
                f"implicit, same as {name}",
                lambda seed, theirs=theirs: by_implicit(theirs(random_state=seed), train),
                lambda _, theirs=theirs: theirs.keywords["iterations"],
            )


if __name__ == "__main__":
    main()
