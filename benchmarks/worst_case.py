"""What an outer epoch costs part by part, and what the worst case adds: SharpAP beside its base attack, in one run.

    python benchmarks/worst_case.py [--data ml-1m --epochs 12 --rounds 5]

Both attacks run the same outer epochs on the same data, targets and seed, taking turns; the table shows the paired ratio of
their wall times. The final comparison of candidates is the same work for both and is part of the time.
"""

from __future__ import annotations

import argparse
import os
import time
from functools import partial

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap.attacks import RevAdv, SharpnessAware
from sharpap.attacks.profiles import copied_profiles, to_csr
from sharpap.attacks.scan import scan
from sharpap.data import TargetPool, load
from sharpap.seeds import rng
from sharpap.threat import Budget, Goal


def parts(train: csr_array, goal: Goal, rounds: int) -> dict[str, list[float]]:
    """Seconds of every part of one outer epoch with the default settings, over some epochs."""
    attack = RevAdv(worst_case=SharpnessAware())
    allowance = Budget().resolve(train, goal)
    fake = to_csr(copied_profiles(train, goal, allowance, rng(0, "initial")), train.shape[1])
    count = min(train.shape[0], attack.users_per_epoch or train.shape[0])
    users = np.sort(rng(0, "users").choice(train.shape[0], count, replace=False))
    moving = torch.arange(max(1, allowance.num_fake // 2))
    seconds: dict[str, list[float]] = {}
    clock = time.perf_counter()

    def done(part: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds.setdefault(part, []).append(now - clock)
        clock = now

    for epoch in range(rounds):
        clock = time.perf_counter()
        trained = attack.surrogate.train(train, fake, seed=epoch)
        done("train the surrogate")
        found = scan(trained.embeddings, train, goal, k=attack.k, rivals=attack.rivals, users=users)
        done("scan all scores")
        loss = partial(attack.objective.value_and_grad, scan=found)
        worst = attack.worst_case(trained.embeddings, loss, seed=epoch)
        done("worst case")
        _, grad = loss(worst)
        done("attack loss and gradient")
        gradient = trained.profile_gradient(grad)
        done("back through training")
        for rows in moving.split(64):
            gradient.rows(rows)
        done("gradient of profile entries")
    return seconds


def main() -> None:
    """Run and print the parts and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    dataset = load(args.data)
    train = dataset.train.matrix
    goal = Goal(targets=TargetPool().draw(dataset.train, 0, seed=0))
    attacks = {
        "revadv": RevAdv(epochs=args.epochs),
        "sharpap, 1 step": RevAdv(epochs=args.epochs, worst_case=SharpnessAware()),
        "sharpap, 3 steps": RevAdv(epochs=args.epochs, worst_case=SharpnessAware(steps=3)),
        "sharpap, every 5th unrolled step": RevAdv(epochs=args.epochs, worst_case=SharpnessAware(every_step=5)),
        "sharpap, every unrolled step": RevAdv(epochs=args.epochs, worst_case=SharpnessAware(every_step=1)),
    }
    RevAdv(epochs=1, finalists=1, final_seeds=1).poison(train, goal, Budget(), seed=0)  # compile
    seconds: dict[str, list[float]] = {name: [] for name in attacks}
    for _ in range(args.rounds):
        for name, attack in attacks.items():
            seconds[name].append(attack.poison(train, goal, Budget(), seed=0).seconds)
    base = np.array(seconds["revadv"])
    found = parts(train, goal, args.rounds)
    print(
        f"One outer epoch on {args.data}, {train.shape[0]:,} users, {train.nnz:,} interactions, median of {args.rounds}:"
    )
    for name, times in found.items():
        print(f"  {name:<30}{1000 * np.median(times):9.0f} ms")
    print(f"  {'together':<30}{1000 * np.median(np.sum(list(found.values()), axis=0)):9.0f} ms\n")
    print(f"{args.data}, {args.epochs} outer epochs, {args.rounds} rounds in turn, {os.cpu_count()} CPUs")
    for name, times in seconds.items():
        ratio = np.array(times) / base
        print(f"  {name:<34}{np.median(times):8.2f} s   {100 * (np.median(ratio) - 1):+6.1f} % "
              f"({100 * (ratio.min() - 1):+.1f} to {100 * (ratio.max() - 1):+.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
