"""How few targets and fakes `co-visits` needs, on MovieLens-100K: the table in docs/defences.md.

    python benchmarks/co_visits.py [--draws 5]

Average precision of `co-visits`, of `rdma` and of guessing, by number of targets and share of fakes, for random and copied
profiles: means over target draws.
"""

from __future__ import annotations

import argparse

from sharpap.assess import Experiment
from sharpap.assess.audit.detection import detect
from sharpap.config import build
from sharpap.data import TargetPool, load
from sharpap.recommenders import Popularity
from sharpap.threat import Budget

DETECTORS = ("co-visits", "rdma", "random")
ATTACKS = ("random", "copy")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    dataset = load(args.data)
    train, chosen = dataset.train.matrix, {name: build("detector", name) for name in DETECTORS}
    print("| targets, fakes | " + " | ".join(f"{attack}: `{each}`" for attack in ATTACKS for each in DETECTORS) + " |")
    print("|---|" + "---:|" * (len(ATTACKS) * len(DETECTORS)))
    for size in (5, 2, 1):
        for share in (0.05, 0.01):
            budget = Budget(fake_users=share)
            plan = Experiment(
                dataset=dataset, attacks={}, victims={"none": Popularity()}, budget=budget,
                targets=TargetPool(size=size, draws=args.draws),
            )  # fmt: skip
            poisons = {
                name: {
                    draw: build("attack", name).poison(train, goal, budget, seed=plan.attack_seed(draw))
                    for draw, goal in enumerate(plan.goals())
                }
                for name in ATTACKS
            }
            found = {(each.attack, each.detector): each for each in detect(train, poisons, chosen)}
            cells = [f"{found[attack, each].average_precision.mean:.2f}" for attack in ATTACKS for each in DETECTORS]
            print(f"| {size}, {100 * share:g} % | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
