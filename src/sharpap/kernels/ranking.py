"""From top-k lists to hits, Recall and NDCG."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from scipy.sparse import csr_array

Array = np.ndarray[Any, np.dtype[Any]]


@numba.njit(parallel=True, cache=True, nogil=True)
def _hits(items: Array, users: Array, indptr: Array, indices: Array, out: Array) -> None:
    for row in numba.prange(items.shape[0]):
        own = indices[indptr[users[row]] : indptr[users[row] + 1]]
        for j in range(items.shape[1]):
            if items[row, j] >= 0:
                place = np.searchsorted(own, items[row, j])
                out[row, j] = place < len(own) and own[place] == items[row, j]


def hits(items: Array, users: Array, held_out: csr_array) -> Array:
    """(b, k) bool: whether each listed item (-1: none) is in the user's row of `held_out` (sorted CSR)."""
    out = np.zeros(items.shape, dtype=np.bool_)
    _hits(items, np.asarray(users, dtype=np.int64), held_out.indptr, held_out.indices, out)
    return out


def recall_ndcg(found: Array, relevant: Array, k: int) -> tuple[Array, Array]:
    """Recall@k and NDCG@k of each list.

    Args:
        found: (b, >= k) bool as `hits` gives it.
        relevant: (b,) held-out items of each user, at least 1.
        k: list length.

    Returns:
        (b,) recall, hits / relevant; (b,) NDCG with binary gains and the ideal list of min(relevant, k) hits.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(relevant, k) - 1]
    top = found[:, :k]
    return top.sum(1) / relevant, top @ discount / ideal
