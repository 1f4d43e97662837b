"""What votes of different sizes certify, on MovieLens-100K: the table in docs/defences.md.

    python benchmarks/certificate.py [--votes 2000x60x3,4000x30x3,2000x30x10] [--fakes 1,2,3,5,9,14]

A vote is models x users in each x items that a model votes for. The base model is WRMF with 16 factors and 4 epochs, trained
once; one training of a vote of 2,000 models takes minutes. Share of the list of ten that is certified, in percent, and in
brackets of how many users something is; below, precision@10 and recall@10 without fakes and what is certified of them.
"""

from __future__ import annotations

import argparse

import numpy as np

from sharpap.data import load
from sharpap.defenses import CertifiedBagging, certify
from sharpap.defenses.certificate import Kind
from sharpap.recommenders import WRMF

KINDS: tuple[Kind, ...] = ("these", "ideal")


def main() -> None:
    """Print a table, two rows a vote."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--votes", default="2000x60x3,4000x30x3,2000x30x10")
    parser.add_argument("--fakes", default="1,2,3,5,9,14")
    args = parser.parse_args()
    dataset, fakes = load(args.data), [int(each) for each in args.fakes.split(",")]
    train, test = dataset.train.matrix, dataset.test.matrix
    print(
        "| models x users, N' | certificate | " + " | ".join(map(str, fakes)) + " |\n|---|---|" + "---:|" * len(fakes)
    )
    accuracy = []
    for vote in args.votes.split(","):
        models, users, listed = map(int, vote.split("x"))
        made = CertifiedBagging(models=models, users=users, listed=listed)
        votes = made.fit(WRMF(embedding_size=16, epochs=4), train, seed=0)
        for kind in KINDS:
            kept = certify(votes, fakes, kind=kind).kept[votes.trials > 0]
            cells = [f"{10 * own.mean():.1f} ({100 * (own > 0).mean():.0f})" for own in kept.T]
            print(f"| {models:,} x {users}, {listed} | {kind} | " + " | ".join(cells) + " |", flush=True)
        hits, wanted = votes.lists(10).multiply(test).sum(1), np.diff(test.indptr)
        asked = wanted > 0
        found = certify(votes, fakes, wanted=test)
        promised = ", ".join(
            f"{p:.3f} and {r:.3f} with {f}" for p, r, f in zip(found.precision, found.recall, fakes, strict=True)
        )
        clean = f"{hits[asked].mean() / 10:.3f} and {(hits[asked] / wanted[asked]).mean():.3f} without fakes"
        accuracy.append(f"{vote}: precision@10 and recall@10 {clean}; of that certified {promised}")
    print("\n" + "\n".join(accuracy))


if __name__ == "__main__":
    main()
