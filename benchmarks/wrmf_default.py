"""WRMF's default beside the best of a grid of sizes, weights and regularisations, on validation interactions.

    python benchmarks/wrmf_default.py ml-100k lastfm ml-1m
    python benchmarks/wrmf_default.py amazon-books-small gowalla amazon-book --weights 20,40,80 --regs 10,30

One seed, early stopping; a file or folder of the user's own may stand for a name.
"""

from __future__ import annotations

import argparse
import itertools

from sharpap.data import load
from sharpap.recommenders import WRMF
from sharpap.recommenders.calls import fit
from sharpap.recommenders.wrmf import size_for, weight_for


def numbers(text: str) -> list[float]:
    """A list given as 1,2,3."""
    return [float(each) for each in text.split(",")]


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+")
    parser.add_argument("--sizes", type=numbers, default="64,128")
    parser.add_argument("--weights", type=numbers, default="2,5,10,20,40")
    parser.add_argument("--regs", type=numbers, default="5,20,40,80")
    args = parser.parse_args()
    print(
        "| data | density | default d, weight | NDCG@20 | best of the grid | at d, weight, reg | default behind "
        "| best of the first d | (64, 20, 20) behind |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for source in args.data:
        dataset = load(source)
        train, valid = dataset.train.matrix, dataset.valid.matrix

        def reached(model: WRMF, train=train, valid=valid) -> float:
            return fit(model, train, valid, seed=0).log["valid_ndcg"]

        own = reached(WRMF())
        before = reached(WRMF(embedding_size=64, positive_weight=20.0, reg=20.0))
        found = {
            (int(size), weight, reg): reached(WRMF(embedding_size=int(size), positive_weight=weight, reg=reg))
            for size, weight, reg in itertools.product(args.sizes, args.weights, args.regs)
        }
        at, best = max(found.items(), key=lambda each: each[1])
        narrow = max(value for (size, _, _), value in found.items() if size == args.sizes[0])
        weight = weight_for(train)
        print(
            f"| {dataset.name} | {(0.8 / weight) ** 2:.2%} | {size_for(train)}, {weight:.1f} | {own:.4f} | {best:.4f} | "
            f"{at[0]}, {at[1]:g}, {at[2]:g} | {1 - own / best:.1%} | {narrow:.4f} | {1 - before / best:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
