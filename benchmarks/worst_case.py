"""What the worst case costs: SharpAP beside its base attack, in one run.

    python benchmarks/worst_case.py [--data ml-1m --epochs 12 --rounds 5]

Both attacks run the same outer epochs on the same data, targets and seed, taking turns; the table shows the paired ratio of
their wall times. The final comparison of candidates is the same work for both and is part of the time.
"""

from __future__ import annotations

import argparse
import os

import numpy as np

from sharpap.attacks import RevAdv, SharpnessAware
from sharpap.data import TargetPool, load
from sharpap.threat import Budget, Goal


def main() -> None:
    """Run and print the ratios."""
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
    }
    RevAdv(epochs=1, finalists=1, final_seeds=1).poison(train, goal, Budget(), seed=0)  # compile
    seconds: dict[str, list[float]] = {name: [] for name in attacks}
    for _ in range(args.rounds):
        for name, attack in attacks.items():
            seconds[name].append(attack.poison(train, goal, Budget(), seed=0).seconds)
    base = np.array(seconds["revadv"])
    print(f"{args.data}, {args.epochs} outer epochs, {args.rounds} rounds in turn, {os.cpu_count()} CPUs")
    for name, times in seconds.items():
        ratio = np.array(times) / base
        print(f"  {name:<18}{np.median(times):8.2f} s   {100 * (np.median(ratio) - 1):+6.1f} % "
              f"({100 * (ratio.min() - 1):+.1f} to {100 * (ratio.max() - 1):+.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
