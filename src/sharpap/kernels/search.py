"""The best items by inner product, without making all scores: long item vectors first, and no further than they can matter."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.errors import ContractError
from sharpap.kernels.product import inner_products
from sharpap.kernels.topk import block_rows, empty_lists, enter_row, mask_tile

Array = np.ndarray[Any, np.dtype[Any]]
USERS, ITEMS = 4096, 1024  # of a block of scores: 16 MiB in float32


def topk(
    U: Array | Tensor,
    V: Array | Tensor,
    k: int,
    *,
    exclude: csr_array | None = None,
    users: Array | None = None,
    without: Array | None = None,
) -> tuple[Array, Array]:
    """The k best items by inner product, exactly; ties go to the lower item number.

    Items are looked at in the order of their length. No score exceeds |u| |v|, so that a user is done as soon as the next
    item is too short for the k-th best score so far (the rounding of a score is allowed for). O(n m d) time at worst, where
    all items are about as long; O(block + n k + m d) memory.

    Args:
        U: (n, d) user factors, numpy or torch; the blocks are worked on where they lie, CPU or GPU.
        V: (m, d) item factors, alike.
        k: at most m.
        exclude: (>= n, m) CSR of items to leave out, usually the training data.
        users: which rows of U and `exclude`; None: all.
        without: items to leave out for everybody.

    Returns:
        (len(users), k) items and scores as `topk_scores` returns them, numpy.

    Source: Teflioudi, Gemulla and Mykytiuk 2015 (LEMP), its bound by length, over blocks of users.
    """
    U, V = (part if isinstance(part, Tensor) else torch.from_numpy(part) for part in (U, V))
    if not 1 <= k <= V.shape[0]:
        raise ContractError(f"k={k} must lie between 1 and the {V.shape[0]} items.")
    chosen = np.arange(U.shape[0]) if users is None else np.asarray(users)
    if U.device.type != "cpu":
        return _topk_torch(U, V, k, exclude, chosen, without)
    lengths = torch.linalg.vector_norm(V, dim=1)
    order = torch.argsort(lengths, descending=True, stable=True)
    if without is not None:
        order = order[~torch.isin(order, torch.from_numpy(np.asarray(without)))]
    by_length, lengths, item_of = V[order], lengths[order].numpy(), order.int().numpy()
    place = np.full(V.shape[0], len(order))
    place[item_of] = np.arange(len(order))
    indptr, indices = (np.zeros(U.shape[0] + 1, np.int32), np.empty(0, np.int32))
    if exclude is not None:
        indptr, indices = exclude.indptr, exclude.indices
    slack = 1 + 4 * (V.shape[1] + 4) * torch.finfo(V.dtype).eps
    buffer = torch.empty(min(USERS, len(chosen)) * min(ITEMS, len(order)), dtype=V.dtype)
    items, values = empty_lists(len(chosen), k, lengths.dtype)
    for start in range(0, len(chosen), USERS):
        part = chosen[start : start + USERS]
        vectors = U[torch.from_numpy(part)]
        reach = torch.linalg.vector_norm(vectors, dim=1).numpy() * slack
        found, best = items[start : start + USERS], values[start : start + USERS]
        open_rows = np.arange(len(part))
        for first in range(0, len(order), ITEMS):
            open_rows = open_rows[~(reach[open_rows] * lengths[first] < best[open_rows, -1])]
            if not len(open_rows):
                break
            block = by_length[first : first + ITEMS]
            rows = vectors if len(open_rows) == len(part) else vectors[torch.from_numpy(open_rows)]
            scores = buffer[: len(rows) * len(block)].view(len(rows), len(block))
            inner_products(rows, block, scores)
            mask_tile(scores.numpy(), first, place, part[open_rows], indptr, indices)
            _enter_block(scores.numpy(), open_rows, item_of[first : first + ITEMS], found, best)
    return items, values


@numba.njit(parallel=True, cache=True, nogil=True)
def _enter_block(scores: Array, rows: Array, item_of: Array, items: Array, values: Array) -> None:
    """Let a block of scores, rows by the items that `item_of` names, enter the sorted lists of its rows."""
    for r in numba.prange(len(rows)):
        enter_row(scores[r], item_of, values[rows[r]], items[rows[r]])


def _topk_torch(
    U: Tensor, V: Tensor, k: int, exclude: csr_array | None, users: Array, without: Array | None = None
) -> tuple[Array, Array]:
    """`topk` by torch on any device. A stable sort, because torch.topk breaks ties as it likes."""
    step = block_rows(V.shape[0], itemsize=V.element_size())
    items, values = [], []
    for start in range(0, len(users), step):
        part = users[start : start + step]
        scores = U[torch.from_numpy(part).to(U.device)] @ V.T
        if exclude is not None:
            own = exclude[part]
            rows = torch.from_numpy(np.repeat(np.arange(len(part)), np.diff(own.indptr)))
            scores[rows.to(U.device), torch.from_numpy(own.indices.astype(np.int64)).to(U.device)] = -torch.inf
        if without is not None:
            scores[:, torch.from_numpy(np.asarray(without)).to(U.device)] = -torch.inf
        best, order = torch.sort(scores, dim=1, descending=True, stable=True)
        found = torch.where(torch.isfinite(best[:, :k]), order[:, :k], -1)
        items.append(found.int().cpu().numpy())
        values.append(best[:, :k].cpu().numpy())
    return np.concatenate(items), np.concatenate(values)
