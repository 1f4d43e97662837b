"""Ranks of given items and lists of the best for all users of a factor model, from scores that never leave the second cache."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.kernels.product import inner_products
from sharpap.kernels.topk import counts, empty_lists, enter_rows, mask_tile

Array = np.ndarray[Any, np.dtype[Any]]
TILE = 512, 1024  # users and items: 2 MiB of float32, for any number of threads, since a product rounds by its shape


def ranks_and_lists(
    U: Array | Tensor, V: Array | Tensor, items: Array, k: int, *, exclude: csr_array, users: Array
) -> tuple[Array, Array]:
    """Exact 0-based ranks of given items by inner product, and the k best: those of `item_ranks` and `topk_scores`.

    Scores are made in tiles of users and items, and looked at while they are in the second cache: whole rows would be written
    to memory and read from there again, once for each item and for the lists. O(n m d) time, O(tile + n (t + k) + m d) memory.

    Args:
        U: (n, d) user factors on the CPU, numpy or torch.
        V: (m, d) item factors, alike.
        items: (t,) item numbers.
        k: length of the lists, at most m; 0: none.
        exclude: (>= n, m) CSR of items to leave out, usually the training data; the rank of such an item itself means nothing.
        users: which rows of U and `exclude`.

    Returns:
        (len(users), t) int64 ranks, and (len(users), k) int32 items, -1 where fewer than k are left.
    """
    U, V = (part if isinstance(part, Tensor) else torch.from_numpy(part) for part in (U, V))
    wanted, back = np.unique(np.asarray(items, np.int32), return_inverse=True)
    others = np.ones(V.shape[0], dtype=bool)
    others[wanted] = False
    item_of = np.concatenate([wanted, np.flatnonzero(others).astype(np.int32)])  # the wanted in the first tile
    place = np.empty(len(item_of), np.int32)
    place[item_of] = np.arange(len(item_of), dtype=np.int32)
    step, width = TILE[0], max(TILE[1], len(wanted))
    in_order = V[torch.from_numpy(item_of)]
    buffer = torch.empty(min(step, len(users)) * min(width, len(item_of)), dtype=V.dtype)
    ranks = np.zeros((len(users), len(wanted)), np.int64)
    lists, values = empty_lists(len(users), k, in_order.numpy().dtype)
    for start in range(0, len(users), step):
        here = slice(start, start + step)
        part, levels = users[here], np.empty(0)
        vectors = U[torch.from_numpy(part)]
        for first in range(0, len(item_of), width):
            tile, names = in_order[first : first + width], item_of[first : first + width]
            scores = inner_products(vectors, tile, buffer[: len(part) * len(tile)].view(len(part), len(tile))).numpy()
            if first == 0:
                levels = scores[:, : len(wanted)].copy()
            mask_tile(scores, first, place, part, exclude.indptr, exclude.indices)
            _count_tile(scores, names, wanted, levels, ranks[here])
            if k:
                enter_rows(scores, names, lists[here], values[here])
    return np.ascontiguousarray(ranks[:, back]), lists


@numba.njit(parallel=True, cache=True, nogil=True)
def _count_tile(scores: Array, item_of: Array, wanted: Array, levels: Array, ranks: Array) -> None:
    """Add to the ranks what a tile of scores has above the wanted items; `item_of` names its columns."""
    for r in numba.prange(scores.shape[0]):
        s = scores[r]
        for t in range(len(wanted)):
            x = levels[r, t]
            above, as_high = counts(s, x)
            ranks[r, t] += above
            if as_high > above:
                for i in range(len(s)):
                    ranks[r, t] += s[i] == x and item_of[i] < wanted[t]
