"""The fused gradient of the pairwise ranking loss over all interactions, one negative each.

The negative of a pair (u, i) in a step is a hash of the step's key, u and i: uniform over all items but i, independent from
pair to pair, and known for absent pairs too, without being stored. Each user's interactions are visited once; what they add to
items is summed in `SHARES` private arrays, whose number is fixed, so that results do not depend on the number of threads.
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
from sharpap.kernels.csr import SHARES, Pattern
from sharpap.kernels.prefetch import AHEAD, prefetch

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


@numba.njit(inline="always", cache=True)
def _draw(key: Any, user: Any, items: Array, count: int, out: Array) -> None:
    """Negatives of one user's items. They are drawn before they are used, so that their rows can be asked for."""
    for e in range(len(items)):
        out[e] = _negative(key, user, items[e], count)


@cache
def _kernels(d: int) -> tuple[Any, Any]:
    """Gradient and Hessian-vector product on rows of `d` columns."""

    @numba.njit(parallel=True, cache=True, nogil=True)
    def gradient(
        bounds: Array,
        indptr: Array,
        indices: Array,
        key: Any,
        longest: int,
        P: Array,
        Q: Array,
        GP: Array,
        shares: Array,
    ) -> None:
        m = Q.shape[0]
        for share in numba.prange(len(bounds) - 1):
            GQ, negatives = shares[share], np.empty(longest, np.int64)
            for u in range(bounds[share], bounds[share + 1]):
                own = indices[indptr[u] : indptr[u + 1]]
                last = len(own) - 1
                _draw(key, u, own, m, negatives)
                p, g = lanes.load(P, u, 0, d), lanes.zeros(P, d)
                for e in range(-AHEAD, len(own)):
                    if e + AHEAD <= last:
                        i, j = own[e + AHEAD], negatives[e + AHEAD]
                        prefetch(Q, i)
                        prefetch(Q, j)
                        prefetch(GQ, i)
                        prefetch(GQ, j)
                    if e < 0:
                        continue
                    i, j = own[e], negatives[e]
                    gap = lanes.sub(lanes.load(Q, i, 0, d), lanes.load(Q, j, 0, d))
                    c = -1.0 / (1.0 + np.exp(lanes.dot(p, gap)))
                    g = lanes.scaled(g, c, gap)
                    lanes.store(GQ, i, 0, lanes.scaled(lanes.load(GQ, i, 0, d), c, p))
                    lanes.store(GQ, j, 0, lanes.scaled(lanes.load(GQ, j, 0, d), -c, p))
                lanes.store(GP, u, 0, g)

    @numba.njit(parallel=True, cache=True, nogil=True)
    def hvp(
        bounds: Array, indptr: Array, indices: Array, key: Any, longest: int, P: Array, Q: Array, VP: Array, VQ: Array,
        HP: Array, shares: Array,
    ) -> None:  # fmt: skip
        m = Q.shape[0]
        for share in numba.prange(len(bounds) - 1):
            HQ, negatives = shares[share], np.empty(longest, np.int64)
            for u in range(bounds[share], bounds[share + 1]):
                own = indices[indptr[u] : indptr[u + 1]]
                last = len(own) - 1
                _draw(key, u, own, m, negatives)
                p, vp, h = lanes.load(P, u, 0, d), lanes.load(VP, u, 0, d), lanes.zeros(P, d)
                for e in range(-AHEAD, len(own)):
                    if e + AHEAD <= last:
                        i, j = own[e + AHEAD], negatives[e + AHEAD]
                        prefetch(Q, i)
                        prefetch(Q, j)
                        prefetch(VQ, i)
                        prefetch(VQ, j)
                        prefetch(HQ, i)
                        prefetch(HQ, j)
                    if e < 0:
                        continue
                    i, j = own[e], negatives[e]
                    gap = lanes.sub(lanes.load(Q, i, 0, d), lanes.load(Q, j, 0, d))
                    way = lanes.sub(lanes.load(VQ, i, 0, d), lanes.load(VQ, j, 0, d))
                    c = -1.0 / (1.0 + np.exp(lanes.dot(p, gap)))
                    t = -c * (1.0 + c) * (lanes.dot(vp, gap) + lanes.dot(p, way))
                    h = lanes.scaled(lanes.scaled(h, t, gap), c, way)
                    change = lanes.scaled(lanes.scaled(lanes.zeros(P, d), t, p), c, vp)
                    lanes.store(HQ, i, 0, lanes.add(lanes.load(HQ, i, 0, d), change))
                    lanes.store(HQ, j, 0, lanes.sub(lanes.load(HQ, j, 0, d), change))
                lanes.store(HP, u, 0, h)

    return gradient, hvp


@numba.njit(cache=True, nogil=True)
def _of(key: Any, users: Array, items: Array, count: int, out: Array) -> None:
    for e in range(len(users)):
        out[e] = _negative(key, users[e], items[e], count)


def _torch_of(key: np.uint64, users: Tensor, items: Tensor, count: int) -> Tensor:
    """`_negative` of int64 tensors on any device: int64 products wrap as uint64's do, a logical shift is a masked one."""
    mix, low = _signed(_MIX), 0xFFFFFFFF
    x = _signed(int(key)) + users * _signed(_USER) + items * _signed(_ITEM)
    for _ in range(2):
        x = (x ^ ((x >> 32) & low)) * mix
    at = items + 1 + ((((x >> 32) & low) * (count - 1)) >> 32)
    return torch.where(at >= count, at - count, at)


def _signed(number: int) -> int:
    """The int64 with the bits of a uint64."""
    return number - (1 << 64) if number >= 1 << 63 else number


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
        return cls(pattern, np.uint64(generator.integers(0, 2**63)))

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
        Gradients of the shapes of P and Q. O(nnz d) time, O(m d) memory.
    """
    if P.device.type != "cpu":
        return _torch_gradient(negatives, P, Q)
    d = P.shape[1]
    users, items = lanes.padded(P), lanes.padded(Q)
    GP, shares = torch.empty_like(users), Q.new_zeros(SHARES, *items.shape)
    gradient, _ = _kernels(users.shape[1])
    gradient(*_work(negatives), users.numpy(), items.numpy(), GP.numpy(), shares.numpy())
    return GP[:, :d].contiguous(), shares.sum(0)[:, :d].contiguous()


def bpr_hvp(negatives: Negatives, P: Tensor, Q: Tensor, VP: Tensor, VQ: Tensor) -> tuple[Tensor, Tensor]:
    """Hessian of the loss of `bpr_gradient` times the direction (VP, VQ); same shapes, same cost twice over."""
    if P.device.type != "cpu":
        return _torch_hvp(negatives, P, Q, VP, VQ)
    d = P.shape[1]
    users, items, user_way, item_way = (lanes.padded(part) for part in (P, Q, VP, VQ))
    HP, shares = torch.empty_like(users), Q.new_zeros(SHARES, *items.shape)
    _, hvp = _kernels(users.shape[1])
    hvp(*_work(negatives), users.numpy(), items.numpy(), user_way.numpy(), item_way.numpy(), HP.numpy(), shares.numpy())
    return HP[:, :d].contiguous(), shares.sum(0)[:, :d].contiguous()


def _work(negatives: Negatives) -> tuple[Array, Array, Array, np.uint64, int]:
    """What every pass goes over: bounds of the runs of users, the pattern, the key, and the most items of a user."""
    pattern = negatives.pattern
    longest = int(pattern.indptr.diff().max()) if pattern.shape[0] else 0
    return pattern.shares, pattern.indptr.numpy(), pattern.indices.numpy(), negatives.key, longest


def _torch_gradient(negatives: Negatives, P: Tensor, Q: Tensor, block: int = 1 << 20) -> tuple[Tensor, Tensor]:
    """Any device, by gathers and scatters in blocks of interactions."""
    pattern = negatives.pattern
    GP, GQ = torch.zeros_like(P), torch.zeros_like(Q)
    for start in range(0, pattern.nnz, block):
        part = slice(start, start + block)
        u, i = pattern.rows[part].long(), pattern.indices[part].long()
        j = _torch_of(negatives.key, u, i, pattern.shape[1])
        p, gap = P[u], Q[i] - Q[j]
        slope = -torch.sigmoid(-(p * gap).sum(1, keepdim=True))
        GP.index_add_(0, u, slope * gap)
        GQ.index_add_(0, i, slope * p).index_add_(0, j, slope * p, alpha=-1)
    return GP, GQ


def _torch_hvp(
    negatives: Negatives, P: Tensor, Q: Tensor, VP: Tensor, VQ: Tensor, block: int = 1 << 20
) -> tuple[Tensor, Tensor]:
    """Any device; see `_torch_gradient`."""
    pattern = negatives.pattern
    HP, HQ = torch.zeros_like(P), torch.zeros_like(Q)
    for start in range(0, pattern.nnz, block):
        part = slice(start, start + block)
        u, i = pattern.rows[part].long(), pattern.indices[part].long()
        j = _torch_of(negatives.key, u, i, pattern.shape[1])
        p, gap, way, gap_way = P[u], Q[i] - Q[j], VP[u], VQ[i] - VQ[j]
        slope = -torch.sigmoid(-(p * gap).sum(1, keepdim=True))
        bend = -slope * (1 + slope) * (way * gap + p * gap_way).sum(1, keepdim=True)
        HP.index_add_(0, u, bend * gap + slope * gap_way)
        change = bend * p + slope * way
        HQ.index_add_(0, i, change).index_add_(0, j, change, alpha=-1)
    return HP, HQ
