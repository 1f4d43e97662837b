"""PCA-VarSelect: fakes have little part in what genuine users have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, svds

from sharpap.detectors.base import Array
from sharpap.errors import ConfigError
from sharpap.seeds import rng
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class PCAVarSelect(Settings):
    """Little part in the leading principal components of all users (Mehta and Nejdl 2009).

    Each user's row is brought to mean 0 and deviation 1 over the catalogue. Users of an attack agree with one another
    and with nobody else, so that they contribute little to the leading directions of the whole population: minus the
    squared loadings of a user on the first `components` principal components. Users without interactions get -inf.

    Attributes:
        components: principal components, cut to min(shape) - 1.

    Source: Mehta and Nejdl 2009, *Unsupervised strategies for shilling detection and robust collaborative filtering*.
    Deviations: for binary feedback; centred implicitly, so that O(nnz) memory and O(nnz) time a component suffice.
    """

    components: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.components < 1:
            raise ConfigError(f"components={self.components} must be 1 or more.")

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; the seed is that of the iterative solver's start."""
        num_items = train.shape[1]
        sizes = np.diff(train.indptr).astype(np.float64)
        share = sizes / num_items
        spread = np.sqrt(share * (1 - share))
        scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        matrix = train.astype(np.float64)

        def forward(items: Array) -> Array:
            items = items.ravel()
            return scale * (matrix @ items - share * items.sum())

        def back(users: Array) -> Array:
            users = users.ravel() * scale
            return matrix.T @ users - (share @ users)

        count = max(1, min(self.components, min(train.shape) - 1))
        operator: Any = LinearOperator(train.shape, matvec=forward, rmatvec=back, dtype=np.float64)
        start: Any = rng(seed, "suspicion").standard_normal(min(train.shape))
        loadings = svds(operator, k=count, v0=start, return_singular_vectors="u")[0]
        found = -(loadings**2).sum(1)
        found[sizes == 0] = -np.inf
        return found
