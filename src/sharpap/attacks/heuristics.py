"""Attacks without a model: the shilling baselines of Lam and Riedl (2004) and Mobasher et al. (2007)."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import draw_items, pinned_items, to_csr
from sharpap.errors import ConfigError
from sharpap.seeds import rng
from sharpap.settings import Settings
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, kw_only=True)
class RandomAttack:
    """Targets plus fillers drawn uniformly from the catalogue.

    Source: Lam and Riedl 2004 (RandomBot), for binary feedback. When demoting, targets are left out: in binary data a
    fake profile can only compete with them.
    """

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""
        return _fill("random", self, train, goal, budget, seed, selected_share=0.0, popular_share=0.0)


@dataclass(frozen=True, kw_only=True)
class Bandwagon(Settings):
    """Targets plus popular items, so that fakes look like many genuine users; the rest uniform fillers.

    Attributes:
        selected_share: share of the non-target items drawn from the popular ones.
        popular_share: share of the catalogue, by training count, that counts as popular.

    Source: Mobasher et al. 2007, section 3.2, for binary feedback.
    """

    selected_share: float = 0.5
    popular_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("selected_share", "popular_share"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ConfigError(f"{name}={value} must lie above 0 and at most at 1.")

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""
        return _fill("bandwagon", self, train, goal, budget, seed, self.selected_share, self.popular_share)


def _fill(
    name: str, attack: RandomAttack | Bandwagon, train: csr_array, goal: Goal, budget: Budget, seed: int,
    selected_share: float, popular_share: float,
) -> Poison:  # fmt: skip
    start = time.perf_counter()
    allowance = budget.resolve(train, goal)
    generator = rng(seed, name)
    pinned = pinned_items(goal)
    free = allowance.profile_size - len(pinned)
    anything = np.ones(train.shape[1])
    anything[list(goal.targets)] = 0
    popular = np.zeros(train.shape[1])
    counts = np.bincount(train.indices, minlength=train.shape[1])
    popular[np.argsort(-counts, kind="stable")[: round(popular_share * train.shape[1])]] = 1
    popular[list(goal.targets)] = 0
    rows = []
    for _ in range(allowance.num_fake):
        selected = draw_items(popular, round(selected_share * free), generator)
        fillers = draw_items(anything, free - len(selected), generator, without=selected)
        rows.append(np.concatenate([pinned, selected, fillers]).astype(np.int64))
    return Poison(
        profiles=to_csr(rows, train.shape[1]),
        goal=goal,
        attack=name,
        settings=asdict(attack),
        seed=seed,
        seconds=time.perf_counter() - start,
    )
