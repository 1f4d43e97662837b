"""The checks an attack passes. Each returns what it saw, or raises what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks import Poison, check_poison
from sharpap.errors import ContractError
from sharpap.testing.finding import blamed
from sharpap.testing.trial import example, same_entries
from sharpap.threat import Budget, Direction, Goal


@dataclass(eq=False)
class Siege:
    """An attack, small data and goals.

    Attributes:
        attack: with `poison(train, goal, budget, *, seed)`.
        directions: those it can work in.
        data: (num_users, num_items) training matrix; None: `example()`.
    """

    attack: Any
    directions: tuple[Direction, ...] = ("promote", "demote")
    data: csr_array | None = None

    @cached_property
    def train(self) -> csr_array:
        """Training data."""
        return example() if self.data is None else self.data

    def goal(self, direction: Direction) -> Goal:
        """Three items over the catalogue."""
        m = self.train.shape[1]
        return Goal(targets=(m // 5, m // 2, m - 2), direction=direction)

    def poison(self, goal: Goal, budget: Budget, seed: int, train: csr_array | None = None) -> Poison:
        """Craft; raises `ContractError` for whatever goes wrong."""
        with blamed(f"poison with {budget.fake_users} fakes of {budget.profile_size} items, to {goal.direction},"):
            made = self.attack.poison(self.train if train is None else train, goal, budget, seed=seed)
        if not isinstance(made, Poison):
            raise ContractError(
                f"poison returned {type(made).__name__}.", hint="Return Poison(profiles=..., goal=goal, attack=...)."
            )
        return made


SMALL = Budget(fake_users=4, profile_size=9)


def budget(siege: Siege) -> str:
    """Number, size and values of profiles, for several budgets and directions."""
    for direction in siege.directions:
        goal = siege.goal(direction)
        for each in (Budget(fake_users=1, profile_size=3), SMALL, Budget(fake_users=0.05)):
            made = siege.poison(goal, each, 0)
            check_poison(made, siege.train.shape[1], each.resolve(siege.train, goal))
            if made.goal != goal:
                raise ContractError("The poison has another goal than was given.", hint="Pass goal=goal on.")
    return f"keeps the budget, to {' and to '.join(siege.directions)}"


def targets(siege: Siege) -> str:
    """When promoting, every fake profile of a full budget can hold a target; when demoting, none does."""
    for direction in siege.directions:
        goal = siege.goal(direction)
        profiles = siege.poison(goal, SMALL, 0).profiles
        held = np.isin(profiles.indices, goal.targets)
        if direction == "demote" and held.any():
            raise ContractError("A fake profile holds a target that it should push out of lists.")
        rows = np.repeat(np.arange(profiles.shape[0]), np.diff(profiles.indptr))
        if direction == "promote" and len(np.unique(rows[held])) < profiles.shape[0]:
            raise ContractError("A fake profile holds no target item.", hint="Without one it pushes nothing.")
    return "targets are held when promoted and left out when demoted"


def same_seed(siege: Siege) -> str:
    """One seed, one poison; two seeds may differ."""
    goal = siege.goal(siege.directions[0])
    first, again = (siege.poison(goal, SMALL, 3).profiles for _ in range(2))
    if not same_entries(first, again):
        raise ContractError("Two poisons of the same seed differ.", hint="Draw everything from the seed argument.")
    return "the same seed gives the same profiles"


def training_data_untouched(siege: Siege) -> str:
    """`poison` leaves the matrix as it is."""
    given = siege.train.copy()
    siege.poison(siege.goal(siege.directions[0]), SMALL, 0, given)
    if not same_entries(given, siege.train):
        raise ContractError("Crafting changed the training matrix.", hint="Work on a copy: train.copy().")
    return "the training matrix is not changed"


CHECKS = (budget, targets, same_seed, training_data_untouched)
