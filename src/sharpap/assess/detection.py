"""Detectors against known fakes: how visible the profiles of a run are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.attacks import Poison
from sharpap.config import REGISTRY, build
from sharpap.detectors import Detector, suspicion
from sharpap.metrics import Interval, detection_auc, detection_precision, interval
from sharpap.seeds import derive_seed


def detectors() -> dict[str, Detector]:
    """All of SharpAP's own, with their default settings."""
    return {name: build("detector", name) for name in REGISTRY["detector"]}


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What one detector makes of one attack, over target draws.

    Attributes:
        attack, detector: which.
        auc: chance that it ranks a fake user above a genuine one; 0.5 is guessing, and below 0.5 it takes genuine users for
            fakes.
        precision: share of fakes among as many most suspicious users as there are fakes.
        guessing: the precision of guessing: the share of fakes among all users.
    """

    attack: str
    detector: str
    auc: Interval
    precision: Interval
    guessing: float


def detect(
    train: csr_array, poisons: Mapping[str, Mapping[int, Poison]], chosen: Mapping[str, Detector], *, seed: int = 0
) -> list[Detection]:
    """Every detector on every attack.

    Args:
        train: (num_users, num_items) genuine training data; users without interactions are not judged.
        poisons: attack to its profiles, by target draw.
        chosen: name to detector (see `detectors`).
        seed: of detectors with chance in them, the same for all attacks of a draw.

    Raises:
        ContractError: a detector returned something of the wrong form.
    """
    active = int((np.diff(train.indptr) > 0).sum())
    found = []
    with progress.task("Detection", sum(map(len, poisons.values())) * len(chosen)) as task:
        for attack, made in poisons.items():
            everyone = {draw: poison.inject(train) for draw, poison in made.items()}
            for name, detector in chosen.items():
                aucs, precisions = [], []
                for draw, matrix in everyone.items():
                    scores = suspicion(detector, matrix, seed=derive_seed(seed, "detector", draw))
                    fake = np.arange(matrix.shape[0]) >= train.shape[0]
                    aucs.append(detection_auc(scores, fake))
                    precisions.append(detection_precision(scores, fake))
                    task.advance(note=f"{attack}, {name}")
                auc, precision = interval(np.array(aucs)), interval(np.array(precisions))
                guessing = float(np.mean([poison.num_fake / (poison.num_fake + active) for poison in made.values()]))
                found.append(Detection(attack=attack, detector=name, auc=auc, precision=precision, guessing=guessing))
    return found
