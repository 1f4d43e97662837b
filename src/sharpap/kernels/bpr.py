"""The gradient of the pairwise ranking loss over all interactions, one negative each.

The negative of a pair (u, i) in a step is a hash of the step's key, u and i: uniform over all items but i, independent from
pair to pair, and known for absent pairs too, without being stored. One pass over the users draws the negatives, sums the
users' part and leaves each interaction's slope; the items' part is then two sparse products, over the interactions and over
the negatives, counted into their columns. Nothing is scattered, so results do not depend on the number of threads.
Negatives that many interactions share cost accuracy: one permutation of the catalogue a step lost BPR-MF a tenth of it
(docs/recommenders.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sharpap.kernels import lanes
from sharpap.kernels.csr import Pattern
from sharpap.kernels.noise import new_key, signed
from sharpap.kernels.prefetch import prefetch
from sharpap.kernels.sddmm import forward as scores
from sharpap.kernels.spmm import forward as product

Array = np.ndarray[Any, np.dtype[Any]]
_USER, _ITEM, _MIX = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0xD6E8FEB86659FD93


@numba.njit(inline="always", cache=True)
def _negative(key: Any, user: Any, item: Any, count: int) -> int:
    """A uniform item other than `item`; a 64-bit hash, its upper half scaled to the catalogue."""
    half = numba.uint64(32)
    x = key + numba.uint64(user) * numba.uint64(_USER) + numba.uint64(item) * numba.uint64(_ITEM)
    x ^= x >> half
    x *= numba.uint64(_MIX)
    x ^= x >> half
    x *= numba.uint64(_MIX)
    at = numba.int64(item) + 1 + numba.int64(((x >> half) * numba.uint64(count - 1)) >> half)
    return at - count if at >= count else at


_BLOCK, _AHEAD = 16, 4  # interactions, each of two rows, or four: both together have to fit the first cache


@cache
def _kernels(d: int) -> tuple[Any, Any]:
    """The users' parts of gradient and Hessian-vector product on rows of `d` columns, and what the items' parts need.

    A call of exp empties the registers: inner products, slopes and sums are made one after the other, over blocks of
    interactions whose rows stay in the first cache.
    """

    @numba.njit(parallel=True, cache=True, nogil=True)
    def gradient(
        bounds: Array,
        indptr: Array,
        indices: Array,
        key: Any,
        P: Array,
        Q: Array,
        GP: Array,
        drawn: Array,
        slopes: Array,
    ) -> None:
        m = Q.shape[0]
        for chunk in numba.prange(len(bounds) - 1):
            for u in range(bounds[chunk], bounds[chunk + 1]):
                first, end = indptr[u], indptr[u + 1]
                for e in range(first, end):
                    drawn[e] = _negative(key, u, indices[e], m)
                p, g = lanes.load(P, u, 0, d), lanes.zeros(P, d)
                for start in range(first, end, _BLOCK):
                    stop = min(start + _BLOCK, end)
                    for e in range(start, stop):
                        soon = min(e + _AHEAD, end - 1)
                        prefetch(Q, indices[soon])
                        prefetch(Q, drawn[soon])
                        gap = lanes.sub(lanes.load(Q, indices[e], 0, d), lanes.load(Q, drawn[e], 0, d))
                        slopes[e] = lanes.dot(p, gap)
                    for e in range(start, stop):
                        slopes[e] = -1.0 / (1.0 + np.exp(slopes[e]))
                    for e in range(start, stop):
                        gap = lanes.sub(lanes.load(Q, indices[e], 0, d), lanes.load(Q, drawn[e], 0, d))
                        g = lanes.scaled(g, slopes[e], gap)
                lanes.store(GP, u, 0, g)

    @numba.njit(parallel=True, cache=True, nogil=True)
    def hvp(
        bounds: Array, indptr: Array, indices: Array, key: Any, P: Array, Q: Array, VP: Array, VQ: Array, HP: Array,
        drawn: Array, slopes: Array, bends: Array,
    ) -> None:  # fmt: skip
        m = Q.shape[0]
        for chunk in numba.prange(len(bounds) - 1):
            for u in range(bounds[chunk], bounds[chunk + 1]):
                first, end = indptr[u], indptr[u + 1]
                for e in range(first, end):
                    drawn[e] = _negative(key, u, indices[e], m)
                p, vp, h = lanes.load(P, u, 0, d), lanes.load(VP, u, 0, d), lanes.zeros(P, d)
                for start in range(first, end, _BLOCK):
                    stop = min(start + _BLOCK, end)
                    for e in range(start, stop):
                        i, j, soon = indices[e], drawn[e], min(e + _AHEAD, end - 1)
                        prefetch(Q, indices[soon])
                        prefetch(Q, drawn[soon])
                        prefetch(VQ, indices[soon])
                        prefetch(VQ, drawn[soon])
                        gap = lanes.sub(lanes.load(Q, i, 0, d), lanes.load(Q, j, 0, d))
                        slopes[e], bends[e] = lanes.dot(p, gap), lanes.dot(vp, gap)
                        bends[e] += lanes.dot(p, lanes.sub(lanes.load(VQ, i, 0, d), lanes.load(VQ, j, 0, d)))
                    for e in range(start, stop):
                        slopes[e] = -1.0 / (1.0 + np.exp(slopes[e]))
                        bends[e] *= -slopes[e] * (1.0 + slopes[e])
                    for e in range(start, stop):
                        i, j = indices[e], drawn[e]
                        h = lanes.scaled(h, bends[e], lanes.sub(lanes.load(Q, i, 0, d), lanes.load(Q, j, 0, d)))
                        h = lanes.scaled(h, slopes[e], lanes.sub(lanes.load(VQ, i, 0, d), lanes.load(VQ, j, 0, d)))
                lanes.store(HP, u, 0, h)

    return gradient, hvp


@numba.njit(cache=True, nogil=True)
def _of(key: Any, users: Array, items: Array, count: int, out: Array) -> None:
    for e in range(len(users)):
        out[e] = _negative(key, users[e], items[e], count)


def _torch_of(key: np.uint64, users: Tensor, items: Tensor, count: int) -> Tensor:
    """`_negative` of int64 tensors on any device: int64 products wrap as uint64's do, a logical shift is a masked one."""
    mix, low = signed(_MIX), 0xFFFFFFFF
    x = signed(int(key)) + users * signed(_USER) + items * signed(_ITEM)
    for _ in range(2):
        x = (x ^ ((x >> 32) & low)) * mix
    at = items + 1 + ((((x >> 32) & low) * (count - 1)) >> 32)
    return torch.where(at >= count, at - count, at)


@dataclass(frozen=True, eq=False)
class Negatives:
    """One negative for each pair of a user and an item.

    Attributes:
        pattern: positives, (n, m), at least two items.
        key: of the hash.
    """

    pattern: Pattern
    key: np.uint64

    @classmethod
    def draw(cls, pattern: Pattern, generator: np.random.Generator) -> Negatives:
        """Fresh negatives."""
        return cls(pattern, new_key(generator))

    def blank(self) -> Pattern:
        """The pattern of users and negatives, in the order of the interactions, for a kernel to fill in."""
        pattern = self.pattern
        return Pattern(pattern.indptr, torch.empty_like(pattern.indices), pattern.shape)

    def of(self, users: Array, items: Array) -> Array:
        """(e,) int64 negatives of the pairs of `users` and `items`, both (e,); interactions or not."""
        out = np.empty(len(users), np.int64)
        _of(self.key, np.asarray(users), np.asarray(items), self.pattern.shape[1], out)
        return out


def bpr_gradient(negatives: Negatives, P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the sum over interactions (u, i) of -log sigmoid(p_u . (q_i - q_j)), j the negative of (u, i).

    Args:
        negatives: of the pattern (n, m).
        P, Q: (n, d) and (m, d).

    Returns:
        Gradients of the shapes of P and Q. O(nnz d) time, O(nnz + (n + m) d) memory.
    """
    if P.device.type != "cpu":
        return _torch_gradient(negatives, P, Q)
    pattern, drawn = negatives.pattern, negatives.blank()
    users, items = lanes.padded(P), lanes.padded(Q)
    GP, slopes = torch.empty_like(users), P.new_empty(pattern.nnz)
    gradient, _ = _kernels(users.shape[1])
    arrays = (part.numpy() for part in (users, items, GP, drawn.indices, slopes))
    gradient(pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy(), negatives.key, *arrays)
    GQ = product(pattern, slopes, users, transposed=True).sub_(product(drawn, slopes, users, transposed=True))
    return GP[:, : P.shape[1]].contiguous(), GQ[:, : P.shape[1]].contiguous()


def bpr_hvp(negatives: Negatives, P: Tensor, Q: Tensor, VP: Tensor, VQ: Tensor) -> tuple[Tensor, Tensor]:
    """Hessian of the loss of `bpr_gradient` times the direction (VP, VQ); same shapes, same cost twice over."""
    if P.device.type != "cpu":
        return _torch_hvp(negatives, P, Q, VP, VQ)
    pattern, drawn = negatives.pattern, negatives.blank()
    users, items, user_way, item_way = (lanes.padded(part) for part in (P, Q, VP, VQ))
    HP, slopes, bends = torch.empty_like(users), P.new_empty(pattern.nnz), P.new_empty(pattern.nnz)
    _, hvp = _kernels(users.shape[1])
    arrays = (part.numpy() for part in (users, items, user_way, item_way, HP, drawn.indices, slopes, bends))
    hvp(pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy(), negatives.key, *arrays)
    HQ = torch.zeros_like(items)
    for values, dense in ((bends, users), (slopes, user_way)):
        HQ.add_(product(pattern, values, dense, transposed=True)).sub_(product(drawn, values, dense, transposed=True))
    return HP[:, : P.shape[1]].contiguous(), HQ[:, : P.shape[1]].contiguous()


def drawn_pattern(negatives: Negatives) -> Pattern:
    """Users and negatives in the order of the interactions, on any device; `Negatives.blank`, filled in."""
    pattern, drawn = negatives.pattern, negatives.blank()
    users, items = pattern.rows.long(), pattern.indices.long()
    drawn.indices.copy_(_torch_of(negatives.key, users, items, pattern.shape[1]))
    drawn.__dict__["rows"] = pattern.rows  # the cached property, filled in
    return drawn


def _torch_gradient(negatives: Negatives, P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """Any device, by products over the interactions and over the negatives: no entry has an array of d numbers."""
    pattern, drawn = negatives.pattern, drawn_pattern(negatives)
    slopes = torch.sigmoid(scores(drawn, P, Q).sub_(scores(pattern, P, Q))).neg_()
    return _torch_sides(pattern, drawn, slopes, P, Q)


def _torch_hvp(negatives: Negatives, P: Tensor, Q: Tensor, VP: Tensor, VQ: Tensor) -> tuple[Tensor, Tensor]:
    """Any device; see `_torch_gradient`."""
    pattern, drawn = negatives.pattern, drawn_pattern(negatives)
    slopes = torch.sigmoid(scores(drawn, P, Q).sub_(scores(pattern, P, Q))).neg_()
    bends = scores(pattern, VP, Q).add_(scores(pattern, P, VQ)).sub_(scores(drawn, VP, Q)).sub_(scores(drawn, P, VQ))
    bends.mul_(slopes + 1).mul_(slopes).neg_()
    HP, HQ = _torch_sides(pattern, drawn, bends, P, Q)
    more_users, more_items = _torch_sides(pattern, drawn, slopes, VP, VQ)
    return HP.add_(more_users), HQ.add_(more_items)


def _torch_sides(pattern: Pattern, drawn: Pattern, values: Tensor, P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted sums of q_i - q_j over each user's interactions, and of p_u over each item's."""
    users, items = (
        product(pattern, values, side, transposed=over).sub_(product(drawn, values, side, transposed=over))
        for side, over in ((Q, False), (P, True))
    )
    return users, items
