"""Accuracy of `biased-mf` beside Cornac's MF, on the same split, measured in the same way.

    python benchmarks/outside_biased_mf.py --data ml-100k --seeds 3

Cornac's MF (Koren, Bell and Volinsky 2009, SGD) learns from ratings: it is given every interaction as 1 and as many uniform
items for each as 0, drawn once, where ours draws new ones in every epoch. How many, its rate, L2 weight and epochs are those of
`GRID` that are best on the validation part, chosen with seed 0. Means over seeds; seconds are the processor's, of one training.
"""

from __future__ import annotations

import argparse
import time
from itertools import product

import numpy as np
from cornac.data import Dataset
from cornac.models import MF
from scipy.sparse import csr_array

from sharpap.data import load
from sharpap.metrics import evaluate
from sharpap.recommenders import BiasedMF, FactorModel
from sharpap.recommenders.calls import fit
from sharpap.recommenders.training import validation_ndcg
from sharpap.seeds import rng

GRID = tuple(product((4, 8, 16), (0.002,), (0.02, 0.03, 0.04), (160, 320, 640)))  # negatives, rate, L2 weight, epochs


def by_cornac(train: csr_array, seed: int, negatives: int, rate: float, reg: float, epochs: int) -> FactorModel:
    """Cornac's MF as factors; biases stand beside a constant 1."""
    n, m = train.shape
    users = np.repeat(np.arange(n), np.diff(train.indptr))
    drawn = rng(seed, "cornac").integers(0, m, negatives * train.nnz)
    rows, columns = np.concatenate([users, np.tile(users, negatives)]), np.concatenate([train.indices, drawn])
    ratings = np.concatenate([np.ones(train.nnz), np.zeros(len(drawn))]).astype(np.float32)
    numbers = ({u: u for u in range(n)}, {i: i for i in range(m)})
    data = Dataset(n, m, *numbers, (rows, columns, ratings), seed=seed)
    model = MF(
        k=64,
        use_bias=True,
        max_iter=epochs,
        learning_rate=rate,
        lambda_reg=reg,
        early_stop=False,
        num_threads=1,
        seed=seed,
    )
    model.fit(data)
    ones = np.ones((max(n, m), 1), np.float32)
    return FactorModel(
        user_factors=np.concatenate([model.u_factors, model.u_biases[:, None], ones[:n]], 1).astype(np.float32),
        item_factors=np.concatenate([model.i_factors, ones[:m], model.i_biases[:, None]], 1).astype(np.float32),
        log={},
    )


def main() -> None:
    """Choose, train and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    dataset, ours = load(args.data), BiasedMF()
    train, valid = dataset.train.matrix, dataset.valid.matrix
    held = np.flatnonzero(np.diff(valid.indptr))
    found = {setting: validation_ndcg(by_cornac(train, 0, *setting), train, valid, held) for setting in GRID}
    best = max(found, key=found.__getitem__)
    print(
        f"Cornac: {best[0]} negatives, rate {best[1]}, reg {best[2]}, {best[3]} epochs; valid NDCG@20 {found[best]:.4f}",
        flush=True,
    )
    print(f"| {args.data} | Recall@20 | NDCG@20 | NDCG@10 | seconds |\n|---|---:|---:|---:|---:|")
    for name in ("biased-mf", "Cornac"):
        rows = []
        for seed in range(args.seeds):
            start = time.process_time()
            made = fit(ours, train, valid, seed=seed) if name == "biased-mf" else by_cornac(train, seed, *best)
            seconds = time.process_time() - start
            measured = evaluate(made, train, targets=(), held_out=dataset.test.matrix, ks=(10, 20))
            rows.append((measured.recall[20], measured.ndcg[20], measured.ndcg[10], seconds))
        recall, ndcg, ndcg10, seconds = np.mean(rows, 0)
        print(f"| {name} | {recall:.4f} | {ndcg:.4f} | {ndcg10:.4f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
