"""WRMF's default beside the best of a grid of weights and regularisations, on validation interactions.

    python benchmarks/wrmf_default.py ml-100k lastfm ml-1m amazon-books-small

One seed, d 64, early stopping; a file or folder of the user's own may stand for a name.
"""

from __future__ import annotations

import argparse
import itertools

from sharpap.data import load
from sharpap.recommenders import WRMF
from sharpap.recommenders.calls import fit
from sharpap.recommenders.wrmf import weight_for

WEIGHTS = (2.0, 5.0, 10.0, 20.0, 40.0)
REGS = (5.0, 20.0, 40.0, 80.0)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    args = parser.parse_args()
    print(
        "| data | density | default weight | NDCG@20 | best of the grid | at weight, reg | default behind | (20, 20) behind |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for source in args.data:
        dataset = load(source)
        train, valid = dataset.train.matrix, dataset.valid.matrix

        def reached(model: WRMF, train=train, valid=valid) -> float:
            return fit(model, train, valid, seed=0).log["valid_ndcg"]

        own = reached(WRMF())
        found = {
            (weight, reg): reached(WRMF(positive_weight=weight, reg=reg))
            for weight, reg in itertools.product(WEIGHTS, REGS)
        }
        at, best = max(found.items(), key=lambda each: each[1])
        weight = weight_for(train)
        print(
            f"| {dataset.name} | {(0.8 / weight) ** 2:.2%} | {weight:.1f} | {own:.4f} | {best:.4f} | {at[0]:g}, {at[1]:g} | "
            f"{1 - own / best:.1%} | {1 - found[20.0, 20.0] / best:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
