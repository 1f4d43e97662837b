"""Target pools: which items an assessment attacks, by popularity or by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sharpap.data.interactions import Interactions
from sharpap.errors import ConfigError, DataError
from sharpap.seeds import rng
from sharpap.settings import Settings

Kind = Literal["random", "head", "upper_torso", "lower_torso", "tail", "unpopular"]
# Each pool as two positions in the order of popularity, least popular first.
RANGES: dict[str, tuple[float, float]] = {
    "random": (0.0, 1.0), "head": (0.95, 1.0), "upper_torso": (0.75, 0.95),
    "lower_torso": (0.5, 0.75), "tail": (0.0, 0.5), "unpopular": (0.0, 0.2),
}  # fmt: skip
KINDS = tuple(RANGES)


@dataclass(frozen=True, kw_only=True)
class TargetPool(Settings):
    """Where target items are drawn from.

    Items are ordered by training interactions (ties by item number) and cut by position: head above 95 %, upper torso 75
    to 95, lower torso 50 to 75, tail below 50, unpopular the lowest 20, random anywhere.

    Attributes:
        kind: the pool.
        size: targets in one draw.
        draws: how many draws an assessment makes.
        min_count: items with fewer training interactions are in no pool. The default of 1 leaves out items that nobody
            has: before the attack a recommender knows nothing of them, so there is no clean rank to compare with.
        items: external ids to attack instead of a pool; then there is one draw.
        users: external ids of the users whose lists the attacker cares for; None: everybody's. Attacks that know how to aim
            do (docs/attacks.md), and hits among these users are measured beside those among all.
        fans_of: external item ids: the same for the users who have one of them in training.
    """

    kind: Kind = "unpopular"
    size: int = 5
    draws: int = 3
    min_count: int = 1
    items: tuple[str | int, ...] = ()
    users: tuple[str | int, ...] | None = None
    fans_of: tuple[str | int, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in RANGES:
            raise ConfigError(f"There is no target pool {self.kind!r}.", hint=f"Choose one of {', '.join(RANGES)}.")
        if self.size < 1 or self.draws < 1:
            raise ConfigError(f"size={self.size} and draws={self.draws} must be 1 or more.")
        if self.users is not None and self.fans_of is not None:
            raise ConfigError("users and fans_of both say who is aimed at.", hint="Give one of them.")

    @property
    def num_draws(self) -> int:
        """Draws an assessment makes: one if items are named."""
        return 1 if self.items else self.draws

    def pool(self, train: Interactions) -> np.ndarray:
        """Item numbers of the whole pool, least popular first."""
        counts = train.item_counts
        order = np.argsort(counts, kind="stable")
        order = order[counts[order] >= self.min_count]
        low, high = (round(bound * len(order)) for bound in RANGES[self.kind])
        return order[low:high]

    def audience(self, train: Interactions) -> tuple[int, ...] | None:
        """The user numbers that `users` or `fans_of` stand for, ascending; None where neither is given.

        Raises:
            DataError: an unknown id, or nobody has an item of `fans_of`.
        """
        if self.users is not None:
            return _by_id(train.user_ids, self.users, "Users")
        if self.fans_of is None:
            return None
        rows, columns = train.entries()
        fans = np.unique(rows[np.isin(columns, _by_id(train.item_ids, self.fans_of, "Items"))])
        if not len(fans):
            raise DataError("No user has an item of fans_of in training.", hint="Name items with more interactions.")
        return tuple(fans.tolist())

    def draw(self, train: Interactions, draw: int, *, seed: int) -> tuple[int, ...]:
        """The targets of one draw, ascending. Draws of one seed share no item as long as the pool lasts.

        Raises:
            DataError: a named item is unknown, or the pool is smaller than `size`.
        """
        if self.items:
            return _by_id(train.item_ids, self.items, "Target items")
        pool = self.pool(train)
        if len(pool) < self.size:
            raise DataError(
                f"The pool {self.kind!r} has {len(pool)} items; {self.size} targets do not fit.",
                hint="Choose a larger pool or fewer targets.",
            )
        per_round = len(pool) // self.size
        order = rng(seed, "targets", draw // per_round).permutation(pool)
        start = (draw % per_round) * self.size
        return tuple(sorted(order[start : start + self.size].tolist()))


@dataclass(frozen=True, kw_only=True)
class TuningPool(TargetPool):
    """Draws for choosing settings: from the same pool as the reported ones, counted from its other end.

    The first round of draws cuts one permutation of the pool into parts; an assessment takes them from the front, tuning
    from the back. No target is in both, whatever the seeds of attacks and victims, as long as both fit.

    Attributes:
        root: the assessment's seed, which orders the pool.
        reported: draws of the assessment.
    """

    root: int
    reported: int

    def draw(self, train: Interactions, draw: int, *, seed: int) -> tuple[int, ...]:
        """See `TargetPool.draw`; `seed` plays no part.

        Raises:
            DataError: the pool has no room for tuning and reported draws without a common target.
        """
        parts = len(self.pool(train)) // self.size
        if self.draws + self.reported > parts:
            raise DataError(
                f"The pool {self.kind!r} has room for {parts} draws of {self.size} targets; {self.reported} reported and "
                f"{self.draws} for tuning do not fit without a common target.",
                hint="Choose fewer draws, fewer targets, or a larger pool.",
            )
        return super().draw(train, parts - 1 - draw, seed=self.root)


def _by_id(ids: np.ndarray, wanted: tuple[str | int, ...], what: str) -> tuple[int, ...]:
    number = {str(each): index for index, each in enumerate(ids.tolist())}
    missing = [str(each) for each in wanted if str(each) not in number]
    if missing:
        kind = "User" if what == "Users" else "Item"
        examples = ", ".join(str(each) for each in ids[:3].tolist())
        raise DataError(f"{what} not in the data: {', '.join(missing[:5])}.", hint=f"{kind} ids look like: {examples}.")
    return tuple(sorted({number[str(each)] for each in wanted}))
