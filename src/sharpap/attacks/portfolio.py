"""Portfolio: the profiles of several attacks, tried on models the attacker trains, and the best of them."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap import checkpoints, progress
from sharpap.attacks.base import Attack
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import from_lists, kept_rows
from sharpap.attacks.revadv import RevAdv
from sharpap.attacks.scan import scan_scores
from sharpap.attacks.worst_case import SharpnessAware
from sharpap.data.reading.matrix import fits_together
from sharpap.errors import ConfigError
from sharpap.recommenders import BPRMF, WRMF, LightGCN, Recommender, Scorer, SimGCL
from sharpap.recommenders.calls import fit, score_blocks
from sharpap.seeds import derive_seed
from sharpap.settings import Settings
from sharpap.threat import Budget, Goal


def default_attacks() -> tuple[Attack, ...]:
    """SharpAP."""
    return (RevAdv(worst_case=SharpnessAware(), epochs=40),)


def default_judges() -> tuple[Recommender, ...]:
    """One of each family, for a fixed number of steps. A contrastive one shows hits only when it is trained past the point
    where its accuracy settles, and not at a decaying rate (docs/recommenders.md).
    """
    short = {"epochs": 100, "learning_rate": 0.1, "decay": True}
    return WRMF(), BPRMF(**short), LightGCN(**short), SimGCL(epochs=150, learning_rate=0.04)


@dataclass(frozen=True, kw_only=True)
class Portfolio(Settings):
    """Crafts with every attack from several starts, trains every judge on each result, and keeps the best profiles.

    It is the paper's outer problem, max over profiles of the worst hits over possible victims, solved over a finite set of
    either: candidates that gradients found instead of all profiles, trained models of several families instead of a ball
    around one. A candidate's score is the mean (or the least) over judges of its H@k as a share of the best
    candidate's on that judge, so that no judge outvotes the others by its scale. Costs the attacks, and
    candidates x judges x judge_seeds trainings.

    Attributes:
        attacks: what makes candidates.
        restarts: starts of each: other profiles to begin with, other surrogates.
        judges: recommenders that are trained on genuine and fake rows, without validation data.
        judge_seeds: trainings of each.
        k: list length of the score.
        by: "mean" or "least" over judges.

    Source: this project; docs/attacks.md.
    """

    attacks: tuple[Attack, ...] = field(default_factory=default_attacks)
    restarts: int = 6
    judges: tuple[Recommender, ...] = field(default_factory=default_judges)
    judge_seeds: int = 2
    k: int = 20
    by: Literal["mean", "least"] = "mean"
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("restarts", "judge_seeds", "k"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        if not self.attacks or not self.judges:
            raise ConfigError("A portfolio needs at least one attack and one judge.")
        if self.by not in ("mean", "least"):
            raise ConfigError(f"by={self.by!r} is neither mean nor least.")

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""
        start = time.perf_counter()
        place = f"portfolio {seed} {hashlib.sha256(repr(self).encode()).hexdigest()[:16]}"
        kept = checkpoints.load(place) or {"found": [], "seconds": 0.0}
        found, candidates = kept["found"], [_candidate(kept, number, goal) for number in range(len(kept["found"]))]
        spent = kept["seconds"]
        plan = [(attack, trial) for attack in self.attacks for trial in range(self.restarts)]
        with progress.task("Portfolio: candidates", len(plan)) as task:
            task.advance(len(found))
            for attack, trial in plan[len(found) :]:
                own = seed if trial == 0 else derive_seed(seed, "restart", trial)
                candidates.append(attack.poison(train, goal, budget, seed=own))
                found.append(self._tried(candidates[-1], train, goal, seed))
                task.advance(note=f"H@{self.k} {np.mean(found[-1]):.4f}")
                seconds = spent + time.perf_counter() - start
                checkpoints.save(place, {"found": found, "seconds": seconds} | _state(candidates))
        hits = np.array(found)
        share = hits / np.maximum(hits.max(0), 1e-12) * (1 if goal.direction == "promote" else -1)
        scores = share.mean(1) if self.by == "mean" else share.min(1)
        chosen = int(np.argmax(scores))
        return Poison(
            profiles=candidates[chosen].profiles,
            goal=goal,
            attack="portfolio",
            settings=asdict(self),
            seed=seed,
            seconds=spent + time.perf_counter() - start,
            history=candidates[chosen].history,
            notes={"chosen": chosen, "scores": scores.tolist(), "judge_hit_ratios": hits.tolist(), "k": self.k},
        )

    def _tried(self, candidate: Poison, train: csr_array, goal: Goal, seed: int) -> list[float]:
        """H@k on each judge, mean over its trainings; all candidates meet the same seeds."""
        poisoned = candidate.inject(train)
        return [
            float(
                np.mean(
                    [
                        self._hits(fit(judge, poisoned, seed=own), train, goal)
                        for own in (derive_seed(seed, "judge", trial) for trial in range(self.judge_seeds))
                    ]
                )
            )
            for judge in self.judges
        ]

    def _hits(self, model: Scorer, train: csr_array, goal: Goal) -> float:
        users = goal.audience(train)
        blocks = score_blocks(model, users, train.shape[1])
        return scan_scores(blocks, users, train, goal, k=self.k, rivals=self.k, dtype=torch.float32).hit_ratio


def _state(candidates: list[Poison]) -> checkpoints.State:
    """What is used of candidates: profiles and histories."""
    state: checkpoints.State = {"items": candidates[0].profiles.shape[1]}
    for number, each in enumerate(candidates):
        state |= {f"indices {number}": each.profiles.indices, f"indptr {number}": each.profiles.indptr}
        state |= {f"history {number}": each.history}
    return state


def _candidate(kept: checkpoints.State, number: int, goal: Goal) -> Poison:
    indices, indptr = kept_rows(kept[f"indices {number}"], (), kept["items"]), kept[f"indptr {number}"]
    if not fits_together(indptr, indices, (len(indptr) - 1, kept["items"])):
        raise ValueError("The saved state of an attack holds no valid profiles.")
    profiles = from_lists(indices, indptr, kept["items"])
    return Poison(profiles=profiles, goal=goal, attack="candidate", history=tuple(kept[f"history {number}"]))
