"""Popularity: the floor every recommender has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from sharpap.recommenders.base import FactorModel


@dataclass(frozen=True, kw_only=True)
class Popularity:
    """Scores every item by its number of training interactions, the same for everyone."""

    def fit(self, train: csr_array, *, seed: int) -> FactorModel:
        """See `Recommender`; nothing is random."""
        counts = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float32)
        return FactorModel(user_factors=np.ones((train.shape[0], 1), np.float32), item_factors=counts[:, None], log={})
