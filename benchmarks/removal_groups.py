"""What removal costs each group of genuine users, on MovieLens-100K: the tables in docs/defences.md.

    python benchmarks/removal_groups.py [--attack none] [--seeds 3] [--victim wrmf]

Each detector's most suspicious 5 % of the users are left out of training, as the defence `remove` does. Genuine users stand in
quarters by their number of training items, and in quarters by the mean popularity of these items. In each: how many of the
group are left out (%), and the relative change of its NDCG@10, against the same victim without removal; then NDCG@10 of those
who are left out, before and after. Means over seeds, which are those of detector, victim and attack, and over the target draws
of an attack (5 % fakes), one a seed.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.sparse import csr_array

from sharpap.assess.recipe import with_tuned
from sharpap.config import build
from sharpap.data import TargetPool, load
from sharpap.defenses import RemoveSuspicious
from sharpap.defenses.remove import without
from sharpap.metrics import evaluate
from sharpap.recommenders import Scorer
from sharpap.recommenders.calls import fit
from sharpap.seeds import derive_seed
from sharpap.threat import Budget, Goal
from sharpap.tuned import tuned

DETECTORS = ("random", "rdma", "profile-popularity", "deg-sim", "co-visits")
SHARE, K = 0.05, 10


def main() -> None:
    """Print a table for each of the two groupings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--victim", default="wrmf")
    parser.add_argument("--attack", default="none")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    dataset = load(args.data)
    train, valid, test = dataset.train.matrix, dataset.valid.matrix, dataset.test.matrix
    victim = build("victim", with_tuned(args.victim, tuned(args.data)))
    groupings = {
        "items in the profile": np.diff(train.indptr).astype(float),
        "popularity of the items": _popularity(train),
    }
    quarters = {name: _quarters(values, train) for name, values in groupings.items()}
    found: dict[str, list[dict[str, list[list[float]]]]] = {name: [] for name in DETECTORS}
    for seed in range(args.seeds):
        everyone = train
        if args.attack != "none":
            goal = Goal(targets=TargetPool(draws=args.seeds).draw(dataset.train, seed, seed=0))
            everyone = (
                build("attack", args.attack).poison(train, goal, Budget(fake_users=SHARE), seed=seed).inject(train)
            )
        own = derive_seed(seed, "victim")
        plain = fit(victim, everyone, valid, seed=own)
        for name in DETECTORS:
            out = RemoveSuspicious(detector=build("detector", name), users=SHARE).suspects(everyone, seed=own)
            model = fit(victim, without(everyone, out), without(valid, out), seed=own)
            found[name].append(
                {
                    grouping: [
                        [100 * float(np.isin(rows, out).mean()), *(_ndcg(each, train, test, rows) for each in (plain, model))]
                        for rows in [*groups, np.intersect1d(out, np.flatnonzero(np.diff(train.indptr)))]
                    ]
                    for grouping, groups in quarters.items()
                }
            )  # fmt: skip
    for grouping, groups in quarters.items():
        values = groupings[grouping]
        heads = [f"{values[rows].min():.0f} to {values[rows].max():.0f}" for rows in groups]
        print(
            f"\n| {grouping} | {' | '.join(heads)} | NDCG@{K} of those left out |\n|---|" + "---:|" * (len(heads) + 1)
        )
        for name in DETECTORS:
            means = np.nanmean([each[grouping] for each in found[name]], axis=0)
            cells = [f"{removed:.1f} %, {100 * (after / before - 1):+.1f} %" for removed, before, after in means[:-1]]
            print(f"| `{name}` | {' | '.join(cells)} | {means[-1, 1]:.3f} to {means[-1, 2]:.3f} |")


def _popularity(train: csr_array) -> np.ndarray:
    """Mean number of users of each user's items."""
    counts = np.bincount(train.indices, minlength=train.shape[1]).astype(float)
    return (train @ counts) / np.maximum(np.diff(train.indptr), 1)


def _quarters(values: np.ndarray, train: csr_array) -> list[np.ndarray]:
    users = np.flatnonzero(np.diff(train.indptr))
    return np.array_split(users[np.argsort(values[users], kind="stable")], 4)


def _ndcg(model: Scorer, train: csr_array, test: csr_array, rows: np.ndarray) -> float:
    """Of some users alone; NaN where none of them has test items."""
    held_out = without(test, np.setdiff1d(np.arange(test.shape[0]), rows))
    return evaluate(model, train, targets=(), held_out=held_out, ks=(K,)).ndcg.get(K, float("nan"))


if __name__ == "__main__":
    main()
