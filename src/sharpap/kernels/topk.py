"""Top-k lists and exact ranks over blocks of scores, with ties always broken towards the lower item index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sharpap.errors import ContractError
from sharpap.kernels.product import inner_products

Array = np.ndarray[Any, np.dtype[Any]]
BLOCK_BYTES = 16 << 20
_PART = 1 << 14


@numba.njit(cache=True, nogil=True)
def enter(best: Array, index: Array, x: float, item: int) -> None:
    """Put a score in its place of a sorted list, before equal scores of higher items; the last of the list leaves."""
    j = len(best) - 1
    while j > 0 and (best[j - 1] < x or (best[j - 1] == x and index[j - 1] > item)):
        best[j] = best[j - 1]
        index[j] = index[j - 1]
        j -= 1
    best[j] = x
    index[j] = item


@numba.njit(fastmath={"reassoc", "nsz"}, cache=True, nogil=True)
def counts(scores: Array, x: float) -> tuple[int, int]:
    """How many of at most 2^24 scores are above x, and how many at least x.

    A function of its own, and counts in float32, which are exact: of integers, or in the body of a parallel loop, LLVM does not
    make eight comparisons at a time.
    """
    above, as_high, one, none = np.float32(0), np.float32(0), np.float32(1), np.float32(0)
    for i in range(len(scores)):
        above += one if scores[i] > x else none
        as_high += one if scores[i] >= x else none
    return int(above), int(as_high)


@numba.njit(cache=True, nogil=True)
def enter_row(scores: Array, item_of: Array, best: Array, index: Array) -> None:
    """Let scores enter a sorted list, 128 at a time: most of these hold none that is good enough, and are only counted."""
    last, low = len(best) - 1, scores.dtype.type(-np.inf)
    for start in range(0, len(scores), 128):
        part = scores[start : start + 128]
        if counts(part, best[last])[1] == 0:
            continue
        for i in range(len(part)):
            x, item = part[i], item_of[start + i]
            if x > low and (x > best[last] or (x == best[last] and item < index[last])):
                enter(best, index, x, item)


@numba.njit(parallel=True, cache=True, nogil=True)
def enter_rows(scores: Array, item_of: Array, items: Array, values: Array) -> None:
    """`enter_row` for each row of scores and of lists; `item_of` names the columns."""
    for row in numba.prange(scores.shape[0]):
        enter_row(scores[row], item_of, values[row], items[row])


@numba.njit(parallel=True, cache=True, nogil=True)
def _rank_rows(scores: Array, items: Array, ranks: Array) -> None:
    """In parts that stay in the second cache while all items of a row are counted."""
    m = scores.shape[1]
    for row in numba.prange(scores.shape[0]):
        s, rank = scores[row], ranks[row]
        rank[:] = 0
        for start in range(0, m, _PART):
            part = s[start : start + _PART]
            for t in range(items.shape[1]):
                item = items[row, t]
                above, as_high = counts(part, s[item])
                rank[t] += above
                if as_high > above:
                    for other in range(start, min(start + len(part), item)):
                        rank[t] += s[other] == s[item]


@numba.njit(parallel=True, cache=True, nogil=True)
def mask_rows(scores: Array, users: Array, indptr: Array, indices: Array) -> None:
    """Set the scores of each user's own items to -inf, in place; row r belongs to `users[r]`."""
    low = scores.dtype.type(-np.inf)
    for row in numba.prange(len(users)):
        for e in range(indptr[users[row]], indptr[users[row] + 1]):
            scores[row, indices[e]] = low


@numba.njit(parallel=True, cache=True, nogil=True)
def mask_tile(scores: Array, first: int, place: Array, users: Array, indptr: Array, indices: Array) -> None:
    """Set the scores of each user's own items in a tile of items, from place `first` on, to -inf."""
    low = scores.dtype.type(-np.inf)
    for r in numba.prange(len(users)):
        for e in range(indptr[users[r]], indptr[users[r] + 1]):
            own = place[indices[e]] - first
            if 0 <= own < scores.shape[1]:
                scores[r, own] = low


def topk_scores(scores: Array, k: int) -> tuple[Array, Array]:
    """The k best items of each row of a dense score block.

    Args:
        scores: (b, m) float32 or float64; -inf never enters a list.
        k: at most m.

    Returns:
        (b, k) int32 items, best first, -1 where fewer than k items have a score, and their (b, k) scores, -inf there.
    """
    if not 1 <= k <= scores.shape[1]:
        raise ContractError(f"k={k} must lie between 1 and the {scores.shape[1]} items.")
    items, values = empty_lists(scores.shape[0], k, scores.dtype)
    enter_rows(np.ascontiguousarray(scores), np.arange(scores.shape[1], dtype=np.int32), items, values)
    return items, values


def empty_lists(rows: int, k: int, dtype: Any) -> tuple[Array, Array]:
    """Items and scores of lists that nothing has entered yet."""
    return np.full((rows, k), -1, np.int32), np.full((rows, k), -np.inf, dtype)


def item_ranks(scores: Array, items: Array) -> Array:
    """Exact 0-based ranks of given items in each row.

    Args:
        scores: (b, m); masked items are -inf.
        items: (b, t), or (t,) for the same items in every row.

    Returns:
        (b, t) int64: how many items score higher, or equal at a lower index.
    """
    wanted = np.ascontiguousarray(np.broadcast_to(items, (scores.shape[0], np.shape(items)[-1])), dtype=np.int64)
    ranks = np.empty(wanted.shape, np.int64)
    _rank_rows(np.ascontiguousarray(scores), wanted, ranks)
    return ranks


def block_rows(num_items: int, *, itemsize: int = 4) -> int:
    """How many users' scores make a block of about 16 MiB."""
    return max(16, BLOCK_BYTES // (num_items * itemsize))


def score_blocks(U: Tensor, V: Tensor, users: Array) -> Iterator[tuple[Array, Array]]:
    """Inner products in blocks of users: pairs of user numbers and their (b, m) scores.

    All blocks share one buffer, which is overwritten by the next: fresh ones of this size fragment the heap until it is as
    large as the whole score matrix.
    """
    step = block_rows(V.shape[0], itemsize=V.element_size())
    buffer = torch.empty(min(step, len(users)), V.shape[0], dtype=V.dtype)
    for start in range(0, len(users), step):
        part = users[start : start + step]
        yield part, inner_products(U[torch.from_numpy(part)], V, buffer[: len(part)]).numpy()
