"""How visible fake profiles are: an unsupervised detector's ranking of all users, and how good it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, svds
from scipy.stats import rankdata

from sharpap.seeds import rng

Array = np.ndarray[Any, np.dtype[Any]]


def suspicion(profiles: csr_array, *, components: int = 3, seed: int = 0) -> Array:
    """How much each user looks like one of a group of fakes, (num_users,); higher is more suspicious.

    Each user's row is brought to mean 0 and deviation 1 over the catalogue. Users of an attack agree with one another
    and with nobody else, so that they contribute little to the leading directions of the whole population: minus the
    squared loadings of a user on the first `components` principal components. Users without interactions get -inf.

    Args:
        profiles: (num_users, num_items) binary CSR.
        components: principal components, at most min(shape) - 1.
        seed: of the iterative solver's start.

    Source: Mehta and Nejdl 2009, *Unsupervised strategies for shilling detection* (PCA-VarSelect). Deviations: for binary
    feedback; centred implicitly, so that O(nnz) memory and O(nnz) time a component suffice.
    """
    num_items = profiles.shape[1]
    sizes = np.diff(profiles.indptr).astype(np.float64)
    share = sizes / num_items
    spread = np.sqrt(share * (1 - share))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    matrix = profiles.astype(np.float64)

    def forward(items: Array) -> Array:
        items = items.ravel()
        return scale * (matrix @ items - share * items.sum())

    def back(users: Array) -> Array:
        users = users.ravel() * scale
        return matrix.T @ users - (share @ users)

    count = max(1, min(components, min(profiles.shape) - 1))
    operator: Any = LinearOperator(profiles.shape, matvec=forward, rmatvec=back, dtype=np.float64)
    start: Any = rng(seed, "suspicion").standard_normal(min(profiles.shape))
    loadings = svds(operator, k=count, v0=start, return_singular_vectors="u")[0]
    found = -(loadings**2).sum(1)
    found[sizes == 0] = -np.inf
    return found


def detection_auc(scores: Array, fake: Array) -> float:
    """Chance that a random fake user scores above a random genuine one, ties half: 0.5 is guessing; NaN without either.

    Args:
        scores: (num_users,) suspicion.
        fake: (num_users,) bool.
    """
    known = np.isfinite(scores)
    scores, fake = scores[known], fake[known]
    count = int(fake.sum())
    if count in (0, len(fake)):
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[fake].sum() - count * (count + 1) / 2) / (count * (len(fake) - count)))
