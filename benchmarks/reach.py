"""Reach by share of fakes, for several recommenders: the tables of docs/reach.md.

    python benchmarks/reach.py --data ml-100k [--draws 3]
    python benchmarks/reach.py --data ml-100k --copies 16

One training each, seed 0; targets of the unpopular pool. Shares are means over targets, K = 10 and 50.

With --copies the fakes are copies of the profile of one user and the targets: the attack that the bound's assumption is weakest
against. It is made for so many users, of all activities, one after the other, and the most that the first target ever got
stands beside its bound.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.sparse import csr_array, vstack

from sharpap.assess.experiment import Experiment
from sharpap.attacks import RandomAttack
from sharpap.data import Dataset, TargetPool, load
from sharpap.metrics import Evaluation, Reach, evaluate, hit_ratio, reach
from sharpap.recommenders import EASE, WRMF, ItemKNN, Recommender
from sharpap.recommenders.base import FloatArray, IntArray
from sharpap.recommenders.calls import fit
from sharpap.threat import SHARES

KS = (10, 50)
MODELS: dict[str, Recommender] = {
    "WRMF, weight 20, reg 20": WRMF(positive_weight=20.0, reg=20.0),
    "WRMF, weight 20, reg 100": WRMF(positive_weight=20.0, reg=100.0),
    "WRMF, weight 10, reg 50": WRMF(positive_weight=10.0, reg=50.0),
    "WRMF, weight 2, reg 20, d 32": WRMF(positive_weight=2.0, reg=20.0, embedding_size=32),
    "WRMF, the default": WRMF(),
    "EASE": EASE(),
    "ItemKNN": ItemKNN(),
}
COPIED = list(MODELS)[3:]


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--copies", type=int, default=0, metavar="USERS")
    args = parser.parse_args()
    dataset = load(args.data)
    plan = Experiment(
        dataset=dataset, attacks={"random": RandomAttack()}, victims=MODELS, targets=TargetPool(draws=args.draws)
    )
    goals = [goal.targets for goal in plan.goals()]
    targets = np.array(sorted(set(goals[0] if args.copies else [target for goal in goals for target in goal])))
    active = int(np.count_nonzero(np.diff(dataset.train.matrix.indptr)))
    numbers = tuple(max(1, round(share * active)) for share in SHARES[: 4 if args.copies else None])
    heads = " | ".join(f"{100 * share:g} %" for share in SHARES[: len(numbers)])
    print(f"| {args.data} | NDCG@10 | K | {heads} |\n|---|---:|---:|{'---:|' * len(numbers)}")
    for name in COPIED if args.copies else MODELS:
        found, bound = measured(dataset, MODELS[name], None, targets, plan.victim_seed(0), numbers)
        assert bound is not None
        cells = [[f"{100 * np.nanmean(most):.1f}" for most in row] for row in bound.most]
        if args.copies:
            most = copied(dataset, MODELS[name], targets, plan.victim_seed(0), numbers, args.copies)
            cells = [
                [f"{100 * b:.2f} of {100 * a:.2f}" for a, b in zip(*pair, strict=True)]
                for pair in zip(bound.most[..., 0], most, strict=True)
            ]
        for row, k in enumerate(KS):
            first = f"{name} | {found.ndcg[10]:.4f}" if row == 0 else " | "
            print(f"| {first} | {k} | {' | '.join(cells[row])} |", flush=True)


def measured(
    dataset: Dataset,
    recommender: Recommender,
    fakes: csr_array | None,
    targets: IntArray,
    seed: int,
    numbers: tuple[int, ...] = (),
) -> tuple[Evaluation, Reach | None]:
    """One training, and without fakes the bound."""
    train = dataset.train.matrix
    everyone = train if fakes is None else csr_array(vstack([train, fakes], format="csr"))
    model = fit(recommender, everyone, dataset.valid.matrix, seed=seed)
    found = evaluate(model, train, targets=targets, held_out=dataset.test.matrix, ks=KS)
    return found, reach(recommender, model, train, found.ranks, targets, ks=KS, fakes=numbers) if numbers else None


def copied(
    dataset: Dataset, recommender: Recommender, targets: IntArray, seed: int, numbers: tuple[int, ...], users: int
) -> FloatArray:
    """(ks, f) the most hits that the first target got from copies of one user."""
    train = dataset.train.matrix
    sizes = np.diff(train.indptr)
    order = np.argsort(sizes, kind="stable")[np.count_nonzero(sizes == 0) :]
    most = np.zeros((len(KS), len(numbers)))
    for user in order[np.linspace(0, len(order) - 1, users).astype(int)]:
        profile = train[[user]].toarray()
        profile[:, targets] = 1
        for column, number in enumerate(numbers):
            found, _ = measured(dataset, recommender, csr_array(np.repeat(profile, number, axis=0)), targets, seed)
            hits = [hit_ratio(found.ranks, k)[0] for k in KS]
            most[:, column] = np.maximum(most[:, column], hits)
    return most


if __name__ == "__main__":
    main()
