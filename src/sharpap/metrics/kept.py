"""How much of genuine users' lists stays: what a vote of models promises against any fakes, and what one attack left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
CONFIDENCE = 0.999


@dataclass(frozen=True, eq=False, kw_only=True)
class Kept:
    """The lists of a vote of models, and what is certified of them (`defenses.certify`, of these very models).

    Attributes:
        ks: list lengths.
        fakes: (f,) numbers of fakes that something is said of, ascending; none for a vote that was trained with fakes.
        lists: (u, k) items of the evaluated users, best first, for the longest of `ks`; -1 where there is none.
        least: (len(ks), f, u) how many of a user's list stay, at least, with so many fakes or fewer.
    """

    ks: tuple[int, ...]
    fakes: tuple[int, ...]
    lists: Array
    least: Array

    @property
    def known(self) -> Array:
        """(u,) whether a user has a list."""
        return self.lists[:, 0] >= 0

    def certified(self, fakes: int, k: int) -> Array:
        """(u,) how many of the list stay with so many fakes, at least; 0 beyond those that something is said of."""
        place = int(np.searchsorted(self.fakes, fakes))
        return self.least[self.ks.index(k), place] if place < len(self.fakes) else np.zeros(len(self.lists), dtype=int)

    def stayed(self, after: Kept, k: int) -> Array:
        """(u,) how many of these lists are in those of the same vote trained with fakes."""
        mine, theirs = self.lists[:, :k], after.lists[:, :k]
        counts = np.zeros(len(mine), dtype=int)
        for place in range(mine.shape[1]):
            counts += ((theirs == mine[:, [place]]) & (theirs >= 0)).any(1)
        return counts

    def share(self, counts: Array, k: int) -> float:
        """Mean share of the lists, over the users who have one."""
        return float(counts[self.known].mean() / k) if self.known.any() else 0.0
