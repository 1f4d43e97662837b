"""Detect and remove: the most suspicious users are left out of training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import overload

import numpy as np
from scipy.sparse import csr_array

from sharpap.data.interactions import canonical_csr
from sharpap.detectors import Detector, PCAVarSelect, most_suspicious, suspicion
from sharpap.detectors.base import Array
from sharpap.errors import ConfigError
from sharpap.recommenders import Recommender, Scorer
from sharpap.recommenders.calls import fit
from sharpap.seeds import derive_seed
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class RemoveSuspicious(Settings):
    """Train without the users that a detector suspects most.

    Their rows become empty and keep their numbers. Genuine users among them then get what the recommender gives to somebody
    without a history.

    Attributes:
        detector: who is suspicious.
        users: how many are left out: a share of all users (float below 1) or a number (int).

    Source: Mehta and Nejdl 2009 (section on filtering detected users before training), for their own detector.
    """

    detector: Detector = field(default_factory=PCAVarSelect)
    users: float | int = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.users <= 0 or (isinstance(self.users, float) and self.users >= 1):
            raise ConfigError(f"users={self.users} is neither a share between 0 and 1 nor a number of users.")

    def suspects(self, train: csr_array, *, seed: int) -> Array:
        """Rows that are left out, the most suspicious first; never all."""
        scores = suspicion(self.detector, train, seed=derive_seed(seed, "detector"))
        known = int(np.isfinite(scores).sum())
        count = max(1, round(self.users * known)) if isinstance(self.users, float) else self.users
        return most_suspicious(scores, train, seed=derive_seed(seed, "ties"))[: max(min(count, known - 1), 0)]

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """See `Defense`."""
        out = self.suspects(train, seed=seed)
        return fit(recommender, without(train, out), without(valid, out), seed=seed)


@overload
def without(matrix: csr_array, users: Array) -> csr_array: ...
@overload
def without(matrix: csr_array | None, users: Array) -> csr_array | None: ...
def without(matrix: csr_array | None, users: Array) -> csr_array | None:
    """The matrix with the rows of some users emptied."""
    if matrix is None:
        return None
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    keep = ~np.isin(rows, users)
    return canonical_csr(csr_array((matrix.data[keep], (rows[keep], matrix.indices[keep])), shape=matrix.shape))
