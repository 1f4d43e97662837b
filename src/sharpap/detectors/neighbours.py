"""DegSim: a user's nearest neighbours are unusually near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array

from sharpap.detectors.base import Array
from sharpap.errors import ConfigError
from sharpap.settings import Settings

BLOCK_ENTRIES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class DegSim(Settings):
    """Mean similarity with the nearest neighbours (Chirita et al. 2005).

    Profiles of one attack hold the same targets and are made by one recipe, so that they resemble one another.

    Attributes:
        neighbours: how many.
        inverse_popularity: weigh an item by the logarithm of users over its popularity, as texts are compared; two users that
            share rare items are then nearer than two that share popular ones. False: cosine of the plain sets.

    Source: Chirita, Nejdl and Zamfir 2005, *Preventing shilling attacks in online recommender systems*. Deviations: cosine
    instead of Pearson's correlation, which binary data has no use for; the weights. Similarities are made in blocks of users:
    O(nnz + block) memory, time O(sum over items of popularity squared).
    """

    neighbours: int = 10
    inverse_popularity: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1:
            raise ConfigError(f"neighbours={self.neighbours} must be 1 or more.")

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; nothing is random."""
        num_users = train.shape[0]
        popularity = np.bincount(train.indices, minlength=train.shape[1])
        weight = np.ones(train.shape[1])
        if self.inverse_popularity:
            weight = np.log(np.maximum(num_users, 2) / np.maximum(popularity, 1))
        rows = csr_array(train.astype(np.float64) @ diags_array(weight))
        norm = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
        rows = csr_array(diags_array(np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)) @ rows)
        columns = csr_array(rows.T)
        count = min(self.neighbours, num_users - 1)
        found = np.full(num_users, -np.inf)
        cost = np.concatenate([[0], np.cumsum(_sums_of(train, popularity))])  # bounds the entries of a block
        start = 0
        while start < num_users:
            end = max(start + 1, int(np.searchsorted(cost, cost[start] + BLOCK_ENTRIES, side="right")) - 1)
            near = csr_array(rows[start:end] @ columns)
            for user in range(start, min(end, num_users)):
                entries = slice(near.indptr[user - start], near.indptr[user - start + 1])
                values = near.data[entries][near.indices[entries] != user]
                if len(values) > count:
                    values = np.partition(values, len(values) - count)[len(values) - count :]
                if norm[user] > 0 and count:
                    found[user] = values.sum() / count  # missing neighbours share nothing: 0
            start = end
        return found


def _sums_of(train: csr_array, popularity: Array) -> Array:
    total = np.concatenate([[0], np.cumsum(popularity[train.indices])])
    return np.diff(total[train.indptr])
