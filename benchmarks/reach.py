"""Reach by share of fakes, for several regularisations: the table of docs/reach.md.

    python benchmarks/reach.py --data ml-100k [--draws 3]

One training each, seed 0; targets of the unpopular pool. Shares are means over targets, K = 10 and 50.
"""

from __future__ import annotations

import argparse

import numpy as np

from sharpap.assess.experiment import Experiment
from sharpap.attacks import RandomAttack
from sharpap.data import TargetPool, load
from sharpap.metrics import evaluate, reach
from sharpap.recommenders import EASE, WRMF, Recommender
from sharpap.recommenders.calls import fit

SHARES = (0.005, 0.01, 0.02, 0.05, 0.1)
MODELS: dict[str, Recommender] = {
    "WRMF, weight 20, reg 20": WRMF(positive_weight=20.0, reg=20.0),
    "WRMF, weight 20, reg 100": WRMF(positive_weight=20.0, reg=100.0),
    "WRMF, weight 10, reg 50": WRMF(positive_weight=10.0, reg=50.0),
    "WRMF, weight 2, reg 20, d 32": WRMF(positive_weight=2.0, reg=20.0, embedding_size=32),
    "WRMF, the default": WRMF(),
    "EASE": EASE(),
}


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--draws", type=int, default=3)
    args = parser.parse_args()
    dataset = load(args.data)
    train = dataset.train.matrix
    plan = Experiment(
        dataset=dataset, attacks={"random": RandomAttack()}, victims=MODELS, targets=TargetPool(draws=args.draws)
    )
    targets = np.array(sorted({target for goal in plan.goals() for target in goal.targets}))
    active = int(np.count_nonzero(np.diff(train.indptr)))
    numbers = tuple(max(1, round(share * active)) for share in SHARES)
    heads = " | ".join(f"{100 * share:g} %" for share in SHARES)
    print(f"| {args.data} | NDCG@10 | K | {heads} |\n|---|---:|---:|{'---:|' * len(SHARES)}")
    for name, recommender in MODELS.items():
        model = fit(recommender, train, dataset.valid.matrix, seed=plan.victim_seed(0))
        found = evaluate(model, train, targets=targets, held_out=dataset.test.matrix, ks=(10, 50))
        bound = reach(recommender, model, train, found.ranks, targets, ks=(10, 50), fakes=numbers)
        for row, k in enumerate((10, 50)):
            shares = (
                " | ".join(f"{100 * np.nanmean(bound.most[row, at]):.1f}" for at in range(len(SHARES))) if bound else ""
            )
            first = f"{name} | {found.ndcg[10]:.4f}" if row == 0 else " | "
            print(f"| {first} | {k} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
