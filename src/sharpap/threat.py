"""The threat: which items the attacker pushes, and what it may spend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sharpap.errors import BudgetError, ConfigError
from sharpap.settings import Settings

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Direction = Literal["promote", "demote"]
# The budgets that tables show: fake users as shares of the genuine ones.
SHARES = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True, kw_only=True)
class Goal(Settings):
    """Target items and what the attacker wants for them.

    Attributes:
        targets: distinct internal item ids (columns of the interaction matrix), ascending.
        direction: "promote" puts targets into top-K lists, "demote" pushes them out.
        users: distinct internal numbers (rows of the matrix) of the genuine users whose lists the attacker cares for,
            ascending; None: everybody's.
    """

    targets: tuple[int, ...]
    direction: Direction = "promote"
    users: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "targets", tuple(sorted({int(t) for t in self.targets})))
        if not self.targets:
            raise BudgetError("The goal has no target item.", hint="Name at least one item.")
        if self.users is not None:
            object.__setattr__(self, "users", tuple(sorted({int(user) for user in self.users})))
            if not self.users:
                raise BudgetError("The goal names an empty group of users.", hint="Name at least one, or none at all.")

    def audience(self, train: csr_array) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The users whose lists count, ascending: those with an interaction, of the goal's own where it names some.

        Raises:
            BudgetError: a user outside the matrix, or none with an interaction.
        """
        active = np.flatnonzero(np.diff(train.indptr))
        if self.users is None:
            return active
        if self.users[0] < 0 or self.users[-1] >= train.shape[0]:
            raise BudgetError(
                f"The goal's users are not all in 0..{train.shape[0] - 1}.",
                hint="Users are rows of the training matrix.",
            )
        found = np.intersect1d(active, self.users)
        if not len(found):
            raise BudgetError("None of the goal's users has an interaction.", hint="Name users of the training part.")
        return found

    def check_promotes(self, attack: str) -> None:
        """Raise `ConfigError` when the goal is to demote, which the attack of this name cannot do."""
        if self.direction != "promote":
            raise ConfigError(f"{attack} can only promote.", hint='Use direction="promote", or RevAdv to demote.')

    def check(self, num_items: int) -> None:
        """Raise `BudgetError` when a target lies outside the catalogue."""
        if self.targets[0] < 0 or self.targets[-1] >= num_items:
            raise BudgetError(
                f"Target items {self.targets} are not all in 0..{num_items - 1}.",
                hint="Targets are columns of the training matrix.",
            )


@dataclass(frozen=True, kw_only=True)
class Budget(Settings):
    """What an attack may spend, the same for every attack.

    Attributes:
        fake_users: a share of the genuine users with an interaction (float below 1) or a number of profiles (int).
        profile_size: items in each fake profile, targets included; None: the mean length of a
            genuine profile, rounded.
    """

    fake_users: float | int = 0.01
    profile_size: int | None = None

    def resolve(self, train: csr_array, goal: Goal) -> Allowance:
        """The budget in whole numbers on this data; raises `BudgetError` when it cannot be met."""
        num_items = train.shape[1]
        goal.check(num_items)
        share = self.fake_users
        if isinstance(share, float) and not 0 < share < 1:
            raise BudgetError(
                f"fake_users={share} is not a share between 0 and 1.",
                hint="Use an int for a number of profiles.",
            )
        active = np.diff(train.indptr)
        active = active[active > 0]
        if active.size == 0:
            raise BudgetError(
                "The training data has no interaction, so there is nothing to attack.",
                hint="Check the data and its split.",
            )
        count = max(1, round(share * active.size)) if isinstance(share, float) else int(share)
        if count < 1:
            raise BudgetError(f"fake_users={share} leaves no fake user.", hint="Allow one or more.")
        size = max(1, round(float(active.mean()))) if self.profile_size is None else int(self.profile_size)
        if self.profile_size is None:
            size = min(max(size, len(goal.targets)), num_items)
        if goal.direction == "promote" and size < len(goal.targets):
            raise BudgetError(
                f"profile_size={size} cannot hold the {len(goal.targets)} targets.",
                hint="Raise profile_size or name fewer targets.",
            )
        if size > num_items:
            raise BudgetError(
                f"profile_size={size} exceeds the catalogue of {num_items} items.", hint="Lower profile_size."
            )
        if size < 1:
            raise BudgetError(f"profile_size={size} leaves empty profiles.", hint="Allow one item or more.")
        return Allowance(num_fake=count, profile_size=size)


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """A `Budget` resolved on one dataset: `num_fake` profiles of at most `profile_size` items each."""

    num_fake: int
    profile_size: int
