"""FAP: who acts on the same items as known fakes, and on the items of those who do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array

from sharpap.detectors.base import Array, Detector, suspicion
from sharpap.detectors.statistics import RarityDeviation
from sharpap.errors import ConfigError
from sharpap.seeds import derive_seed
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class FAP(Settings):
    """Fraudulent action propagation: who shares items with seed users, directly or through others (Zhang et al. 2015).

    An item is as suspicious as the users who have it are on average, and a user as the items are. Seeds are at 1 in each round,
    all others begin at 0. With no end everybody would reach 1: what counts is who rises early.

    **It needs seeds**, and there are two ways to have some. Known fakes, from moderation, say, are handed to `suspicion` as
    `known`. Without them it seeds itself with the users whom a detector without labels suspects most, and is then as blind as
    that one.

    Attributes:
        told: how many known fakes it asks an evaluation for, which knows who is fake (`sharpap detect`). They are drawn among
            the fakes, at most half of them, and neither AUC nor precision counts them; tables say how many. 0: none.
        seeds: share of the users that are seeds where no fake is known.
        detector: suspects those.
        tolerance: ends when no user rises by more in a round.
        steps: ends after so many rounds.

    Source: Zhang, Tan, Zhang, Liu, Chua and Ma 2015, *Catch the black sheep: unified framework for shilling attack detection
    based on fraudulent action propagation*; the repository Coder-Yu/SDLib for when to end. Deviations: the weight of an
    interaction is 1, as theirs is (1 plus the deviations of a rating from three means) where all ratings are equal; users
    other than seeds begin at 0 and not at random, so that equal users get equal scores; seeding itself; seeds have scores,
    those before they are set to 1 again.
    """

    told: int = 0
    seeds: float = 0.01
    detector: Detector = field(default_factory=RarityDeviation)
    tolerance: float = 0.01
    steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.seeds < 1:
            raise ConfigError(f"seeds={self.seeds} must lie between 0 and 1.")

    def suspicion(self, train: csr_array, *, seed: int, known: Array | None = None) -> Array:
        """See `Detector`. `known` are rows of fakes; None or empty: it seeds itself, as much by chance as `detector` does."""
        seeds = self._guessed(train, seed) if known is None or not len(known) else known
        held = csr_array((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)
        to_items, to_users = _averages(csr_array(held.T)), _averages(held)
        found = np.zeros(train.shape[0])
        for _ in range(self.steps):
            clamped = found.copy()
            clamped[seeds] = 1
            before, found = found, to_users @ (to_items @ clamped)
            if (found - before).max(initial=0) <= self.tolerance:
                break
        return np.where(np.diff(train.indptr) > 0, found, -np.inf)

    def _guessed(self, train: csr_array, seed: int) -> Array:
        """Rows of the most suspicious users, with all who tie with the last of them."""
        scores = suspicion(self.detector, train, seed=derive_seed(seed, "seeds"))
        judged = np.sort(scores[np.isfinite(scores)])[::-1]
        count = max(1, round(self.seeds * len(judged)))
        return np.flatnonzero(scores >= judged[count - 1]) if len(judged) else np.arange(0)


def _averages(held: csr_array) -> Any:
    """Rows over their sums: times a vector over the columns, the average of each row's own."""
    sums = np.asarray(held.sum(1)).ravel()
    return diags_array(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)) @ held
