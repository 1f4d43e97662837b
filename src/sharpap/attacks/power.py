"""Attacks by influence: profiles of the users, or of the items, that most others have for a neighbour.

They have no loss to differentiate, so no worst case applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks.heuristics import FloatArray, best, check_shares, fill
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import IntArray, copied_profiles, crafted, item_counts
from sharpap.errors import ConfigError
from sharpap.recommenders import ItemKNN
from sharpap.settings import Settings
from sharpap.threat import Allowance, Budget, Goal


@dataclass(frozen=True, kw_only=True)
class Power(Settings):
    """Base of the power attacks: how influence is measured.

    Attributes:
        by: "in-degree": among the nearest neighbours of how many others; "counts": by interactions.
        neighbours: length of the lists of neighbours.
        shrinkage: added to the norm product of the cosine, against chance similarities of those with few interactions.
    """

    by: Literal["in-degree", "counts"] = "in-degree"
    neighbours: int = 50
    shrinkage: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.by not in ("in-degree", "counts"):
            raise ConfigError(f"by={self.by!r} is neither in-degree nor counts.")

    def of_items(self, rows: csr_array) -> IntArray:
        """(columns,) the power of each. O(sum of squared row lengths) time, a block of columns at a time."""
        if self.by == "counts":
            return item_counts(rows)
        lists = ItemKNN(neighbours=self.neighbours, shrinkage=self.shrinkage).fit(rows, seed=0).weights
        return np.diff(csr_array(lists).indptr)  # row = neighbour, column = whose neighbour it is


@dataclass(frozen=True, kw_only=True)
class PowerUser(Power):
    """Targets plus the items of a power user, the most influential first: one user for each fake.

    Attributes:
        by, neighbours, shrinkage: as for `Power`, of users.

    Source: Wilson and Seminario 2013, *When power users attack*: InDegree and NumRatings. Deviations: cosine of binary rows
    for Pearson's correlation, and shrinkage for its weight of significance; a power user has more items than the budget
    allows, so a profile is a sample of them.
    """

    imitates: ClassVar[bool] = True

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""

        def rows(allowance: Allowance, generator: np.random.Generator) -> list[IntArray]:
            first = np.argsort(-self.of_items(csr_array(train.T)), kind="stable")[: allowance.num_fake]
            return copied_profiles(train, goal, allowance, generator, sources=first)

        return crafted("power-user", self, train, goal, budget, seed, rows)


@dataclass(frozen=True, kw_only=True)
class PowerItem(Power):
    """Targets plus fillers drawn from the power items; uniform ones where those are too few.

    Attributes:
        by, neighbours, shrinkage: as for `Power`, of items.
        power_share: share of the catalogue that counts as power items. Each is as likely as the others.

    Source: Seminario and Wilson 2014, *Attacking item-based recommender systems with power items*: InDegree and NumRatings.
    Deviations: as for `PowerUser`; fillers are drawn from the power items, where theirs are the same in every profile.
    """

    power_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "power_share")

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""

        def powerful() -> FloatArray:
            return best(self.of_items(train), self.power_share)

        return fill("power-item", self, train, goal, budget, seed, powerful)
