"""What an attack is, and the one check every poison passes."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks.poison import Poison
from sharpap.errors import BudgetError
from sharpap.threat import Allowance, Budget, Goal

IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]


@runtime_checkable
class Attack(Protocol):
    """Anything that crafts fake profiles. SharpAP's own attacks are frozen dataclasses of settings.

    One with a true `aims_at_users` looks at the goal's users alone, where it names some (`Goal.audience`). One with a true
    `imitates` makes profiles that look genuine by construction: copies of genuine rows, or rows trained to lie among them.
    """

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """Fake profiles within `budget`; `train` is (num_users, num_items) binary CSR and is not changed."""
        ...


def check_poison(poison: Poison, num_items: int, allowance: Allowance) -> Poison:
    """Return `poison` if it keeps the budget, else raise `BudgetError` naming the first breach.

    Checked: number of profiles, catalogue, profile size, and, for promotion, that some profile holds a target. (`Poison`
    itself makes profiles binary and counts an item that is listed twice once.)
    """
    profiles = poison.profiles
    if profiles.shape != (allowance.num_fake, num_items):
        raise BudgetError(
            f"{poison.attack} made profiles of shape {profiles.shape}; the budget is {(allowance.num_fake, num_items)}."
        )
    sizes = np.diff(profiles.indptr)
    if sizes.max(initial=0) > allowance.profile_size:
        row = int(sizes.argmax())
        raise BudgetError(
            f"{poison.attack} put {sizes[row]} items into fake profile {row}; the budget is {allowance.profile_size}."
        )
    if poison.goal.direction == "promote" and not np.isin(profiles.indices, poison.goal.targets).any():
        raise BudgetError(f"{poison.attack} made profiles without any target item.")
    return poison
