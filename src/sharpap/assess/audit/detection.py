"""Detectors against known fakes: how visible the profiles of a run are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.attacks import Poison
from sharpap.config import REGISTRY, build
from sharpap.config.registry import name_of
from sharpap.data import Dataset
from sharpap.defenses.remove import without
from sharpap.detectors import Detector, Simulating, most_suspicious, suspicion
from sharpap.detectors.base import Array, installed
from sharpap.errors import ConfigError
from sharpap.metrics import (
    Interval,
    detection_auc,
    detection_average_precision,
    detection_precision,
    evaluate,
    hit_ratio,
    interval,
)
from sharpap.recommenders import Recommender, capabilities_of
from sharpap.recommenders.calls import fit
from sharpap.seeds import derive_seed, rng


def detectors() -> dict[str, Detector]:
    """An audit's: all of SharpAP's own whose packages are installed, with their default settings, but those that simulate
    attacks, whose removals would have learnt from the attack that they are to help against.
    """
    made = {name: build("detector", name) for name in usable()}
    return {name: each for name, each in made.items() if not isinstance(each, Simulating)}


def usable() -> list[str]:
    """Names of SharpAP's own detectors; one that needs a package which is not installed is left out (`needs`)."""
    return [name for name, (cls, _) in REGISTRY["detector"].items() if installed(cls)]


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What a victim does for genuine users when it is trained without some users.

    Attributes:
        hits: share of genuine users with a target among their best k (`hit_ratio`), a mean over targets.
        ndcg: NDCG@k on held-out interactions, over genuine users, those who were left out included; NaN without a test set.
    """

    hits: float
    ndcg: float


# Trains without some rows: attack, target draw, (r,) row numbers.
Retrain = Callable[[str, int, Array], Aftermath]


@dataclass(frozen=True, kw_only=True)
class Detection:
    """What one detector makes of one attack, over target draws, and what it costs to leave out its suspects.

    There are as many suspects as fakes: the most suspicious users, ties broken by chance.

    Attributes:
        attack, detector: which.
        auc: chance that it ranks a fake user above a genuine one; 0.5 is guessing, and below 0.5 it takes genuine users for
            fakes.
        average_precision: precision where each fake is found, from the most suspicious down, as a mean; guessing gives
            `guessing`.
        precision: share of fakes among the suspects.
        guessing: the precision of guessing: the share of fakes among all users.
        lost: genuine users among the suspects.
        lost_size: how many items they hold, over what genuine users hold on average; NaN where there are none.
        hits, ndcg: see `Aftermath`; None where nothing was trained.
        told: how many fakes the detector was told, which AUC and both precisions leave out; they are the first suspects.
    """

    attack: str
    detector: str
    auc: Interval
    average_precision: Interval
    precision: Interval
    guessing: float
    lost: float
    lost_size: float
    hits: Interval | None = None
    ndcg: Interval | None = None
    told: int = 0

    @property
    def label(self) -> str:
        """The detector's name in tables, which say what it was told."""
        return f"{self.detector} (told {self.told} fakes)" if self.told else self.detector


def detect(
    train: csr_array, poisons: Mapping[str, Mapping[int, Poison]], chosen: Mapping[str, Detector], *, seed: int = 0,
    retrain: Retrain | None = None, tell: bool = True,
) -> list[Detection]:  # fmt: skip
    """Every detector on every attack. A detector sees the training data alone, in an order that says nothing (`suspicion`).

    One that learns from simulated fakes simulates all of its attacks but the one that it is tested on (`unseen`).

    Args:
        train: (num_users, num_items) genuine training data; users without interactions are not judged.
        poisons: attack to its profiles, by target draw.
        chosen: name to detector (see `detectors`).
        seed: of detectors with chance in them, the same for all attacks of a draw.
        retrain: what a victim does without the suspects (see `retraining`); None: nothing is trained.
        tell: a detector that asks for known fakes (`FAP.told`) gets some, at most half of them.

    Raises:
        ContractError: a detector returned something of the wrong form.
        ConfigError: one simulates nothing but the attack that it is tested on.
    """
    found = []
    with progress.task("Detection", sum(map(len, poisons.values())) * len(chosen)) as task:
        for attack, made in poisons.items():
            everyone = {draw: poison.inject(train) for draw, poison in made.items()}
            for name, listed in chosen.items():
                detector, seen = unseen(listed, next(iter(made.values())).attack), []
                for draw, matrix in everyone.items():
                    own = derive_seed(seed, "detector", draw)
                    told = _told(detector, train.shape[0], matrix.shape[0], own) if tell else np.arange(0)
                    again = retrain and partial(retrain, attack, draw)
                    seen.append(_look(detector, matrix, train.shape[0], told, own, again))
                    task.advance(note=f"{attack}, {name}")
                found.append(Detection(attack=attack, detector=name, **_over_draws(seen)))
    return found


def unseen(detector: Detector, attack: str) -> Detector:
    """The detector without this attack among those that it simulates (`Simulating`); raises `ConfigError` if none is left."""
    if not isinstance(detector, Simulating):
        return detector
    left = tuple(each for each in detector.attacks if name_of("attack", each) != attack)
    if not left:
        raise ConfigError(
            f"{type(detector).__name__} simulates only {attack}, the attack it is tested on.",
            hint="Simulate others, too: detectors are tested on attacks that they have not learnt from.",
        )
    return replace(detector, attacks=left)


def retraining(
    dataset: Dataset, victim: Recommender, poisons: Mapping[str, Mapping[int, Poison]], *, k: int = 10, seed: int = 0
) -> Retrain:
    """Trains a victim on the genuine users and the fakes of one attack, without the rows that it is told to leave out.

    Rows that are left out become empty and keep their numbers, as in the defence that removes (`RemoveSuspicious`).
    """

    def retrain(attack: str, draw: int, out: Array) -> Aftermath:
        poison, valid = poisons[attack][draw], dataset.valid.matrix
        matrix = without(poison.inject(dataset.train.matrix), out)
        model = fit(victim, matrix, without(valid, out), seed=derive_seed(seed, "victim", draw))
        seen = evaluate(
            model, dataset.train.matrix, targets=poison.goal.targets, held_out=dataset.test.matrix, ks=(k,),
            capabilities=capabilities_of(victim, model),
        )  # fmt: skip
        return Aftermath(hits=float(np.nanmean(hit_ratio(seen.ranks, k))), ndcg=next(iter(seen.ndcg.values()), np.nan))

    return retrain


def references(
    train: csr_array, poisons: Mapping[str, Mapping[int, Poison]], retrain: Retrain
) -> dict[str, dict[str, dict[str, Interval]]]:
    """Attack to what stands beside every removal: hits and NDCG with nobody left out, and with the fakes and nobody else."""
    found: dict[str, dict[str, dict[str, Interval]]] = {}
    for attack, made in poisons.items():
        fakes = {draw: train.shape[0] + np.arange(poison.num_fake) for draw, poison in made.items()}
        cases = {"nobody": dict.fromkeys(made, np.arange(0)), "the fakes": fakes}
        found[attack] = {
            who: _intervals([asdict(retrain(attack, draw, rows)) for draw, rows in outs.items()])
            for who, outs in cases.items()
        }
    return found


def _told(detector: Detector, genuine: int, users: int, seed: int) -> Array:
    """Row numbers of the fakes that a detector is told, if it asks for some."""
    asked = min(getattr(detector, "told", 0), (users - genuine) // 2)
    return genuine + rng(seed, "told").choice(users - genuine, asked, replace=False)


def _look(
    detector: Detector, matrix: csr_array, genuine: int, told: Array, seed: int,
    retrain: Callable[[Array], Aftermath] | None,
) -> dict[str, float]:  # fmt: skip
    """The figures of one draw; only here is it known that fakes stand last."""
    scores = suspicion(detector, matrix, seed=seed, known=told if len(told) else None)
    scores[told] = np.inf
    fake = np.arange(matrix.shape[0]) >= genuine
    out = most_suspicious(scores, matrix, seed=derive_seed(seed, "ties"))[: int(fake.sum())]
    sizes = np.diff(matrix.indptr)
    active, lost = sizes > 0, out[out < genuine]
    asked, is_fake = np.delete(scores, told), np.delete(fake, told)
    seen = {
        "auc": detection_auc(asked, is_fake),
        "average_precision": detection_average_precision(asked, is_fake),
        "precision": detection_precision(asked, is_fake),
        "guessing": float(is_fake.sum() / (active.sum() - len(told))),
        "lost": float(len(lost)),
        "lost_size": float(sizes[lost].mean() / sizes[active & ~fake].mean()) if len(lost) else float("nan"),
        "told": len(told),
    }
    return seen if retrain is None else seen | asdict(retrain(out))


PLAIN = ("guessing", "lost", "lost_size", "told")


def _over_draws(seen: list[dict[str, float]]) -> dict[str, Any]:
    found: dict[str, Any] = _intervals([{key: each[key] for key in each if key not in PLAIN} for each in seen])
    for key in PLAIN:
        values = np.array([each[key] for each in seen])
        found[key] = float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else float("nan")
    found["told"] = round(found["told"])
    return found


def _intervals(seen: list[dict[str, float]]) -> dict[str, Interval]:
    return {key: interval(np.array([each[key] for each in seen])) for key in seen[0]}
