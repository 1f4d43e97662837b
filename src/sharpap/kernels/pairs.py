"""Pairs of items inside profiles: partner lists of items, and the best pairs of each user."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@numba.njit(cache=True, nogil=True)
def leading(indptr: Array, indices: Array, values: Array, partners: Array, worth: Array, start: int) -> None:
    """Keep the entries of highest positive value of each row, in descending order; the row's own column is none of them.

    Args:
        indptr, indices, values: CSR of a block of rows that begins with row `start`.
        partners, worth: (m, count) columns and values kept, filled with -1 and 0; changed in place.
    """
    count = partners.shape[1]
    for row in range(len(indptr) - 1):
        for e in range(indptr[row], indptr[row + 1]):
            column, value = indices[e], values[e]
            if column == start + row or value <= worth[start + row, count - 1]:
                continue
            j = count - 1
            while j > 0 and worth[start + row, j - 1] < value:
                worth[start + row, j] = worth[start + row, j - 1]
                partners[start + row, j] = partners[start + row, j - 1]
                j -= 1
            worth[start + row, j] = value
            partners[start + row, j] = column


@numba.njit(cache=True, nogil=True)
def best_pairs(indptr: Array, indices: Array, partners: Array, worth: Array, pairs: int) -> Array:
    """(n,) mean worth of the best pairs of items in each row; missing pairs count as 0. O(nnz x partners)."""
    n = len(indptr) - 1
    held = np.full(len(partners), -1)
    best = np.empty(pairs)
    found = np.zeros(n)
    for row in range(n):
        for e in range(indptr[row], indptr[row + 1]):
            held[indices[e]] = row
        best[:] = 0
        for e in range(indptr[row], indptr[row + 1]):
            item = indices[e]
            for p in range(partners.shape[1]):
                other, value = partners[item, p], worth[item, p]
                if other < 0 or value <= best[pairs - 1]:
                    break
                if held[other] != row:
                    continue
                # a pair that stands in both lists is taken once, from the lower item
                if other < item and _listed(partners[other], item):
                    continue
                j = pairs - 1
                while j > 0 and best[j - 1] < value:
                    best[j] = best[j - 1]
                    j -= 1
                best[j] = value
        found[row] = best.mean()
    return found


@numba.njit(cache=True, nogil=True)
def _listed(partners: Array, item: int) -> bool:
    for other in partners:  # noqa: SIM110 - numba knows no generators
        if other == item:
            return True
    return False
