"""What detectors with seeds or simulated labels see, on MovieLens-100K with 5 % fakes: the table in docs/defences.md.

    python benchmarks/trained_detectors.py [ATTACK ...]

AUC, average precision and precision among as many suspects as fakes, means over two draws of five targets from the less
popular half of the items with users. A detector never simulates the attack of its column. `aush`, `leg-up`, `feo` and
`sharpap` take minutes to craft.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from sharpap.assess.audit.detection import detect
from sharpap.attacks import Poison
from sharpap.config import build
from sharpap.data import load
from sharpap.threat import Budget, Goal

ATTACKS = ("random", "average", "bandwagon", "copy", "aush", "leg-up", "feo", "sharpap")
DETECTORS = {
    "random": "random",
    "rdma": "rdma",
    "pca-varselect": "pca-varselect",
    "fap": "fap",
    "fap, told 5": {"name": "fap", "told": 5},
    "degree-sad": "degree-sad",
    "profile-classifier": "profile-classifier",
    "semi-sad": "semi-sad",
    "codetector": "codetector",
}


def crafted(attack: str, draw: int) -> Poison:
    """The profiles of one draw."""
    train = load("ml-100k").train.matrix
    count = np.bincount(train.indices, minlength=train.shape[1])
    few = np.flatnonzero((count > 0) & (count <= np.quantile(count[count > 0], 0.5)))
    targets = np.random.default_rng(draw).choice(few, 5, replace=False)
    goal = Goal(targets=tuple(map(int, targets)))
    return build("attack", attack).poison(train, goal, Budget(fake_users=0.05), seed=draw)


def main(attacks: Sequence[str]) -> None:
    """Print the table, a row a detector."""
    train = load("ml-100k").train.matrix
    chosen = {name: build("detector", table) for name, table in DETECTORS.items()}
    poisons = {attack: {draw: crafted(attack, draw) for draw in (0, 1)} for attack in attacks}
    found = {(each.detector, each.attack): each for each in detect(train, poisons, chosen)}
    print("| detector | " + " | ".join(attacks) + " |\n|---|" + "---:|" * len(attacks))
    for name in chosen:
        cells = [found[name, attack] for attack in attacks]
        shown = [f"{x.auc.mean:.2f} / {x.average_precision.mean:.2f} / {x.precision.mean:.2f}" for x in cells]
        print(f"| `{name}` | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ATTACKS)
