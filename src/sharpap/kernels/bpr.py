"""The fused gradient of the pairwise ranking loss over all interactions, one negative each, without a scatter.

Users fall into groups, contiguous and of about equal work. In group g the negative of item i is the item that stands
`shift[g]` places further in one random order of the catalogue, so that the inverse is as easy as the map: what an item
receives as a negative is, for each group, a contiguous run of one column of the pattern. Negatives are uniform and never
the item itself, and no two groups share them. With a single group a rare item would now and then be the negative of *all*
interactions of a popular one; with Adam such kicks cost a tenth of the accuracy (docs/recommenders.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sharpap.kernels.csr import Pattern

Array = np.ndarray[Any, np.dtype[Any]]
_FAST = {"reassoc", "contract", "nsz"}


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _rows(
    bounds: Array, indptr: Array, indices: Array, group: Array, order: Array, place: Array, shift: Array,
    P: Array, Q: Array, out: Array, slope: Array,
) -> None:  # fmt: skip
    d, m = P.shape[1], len(order)
    for chunk in numba.prange(len(bounds) - 1):
        for u in range(bounds[chunk], bounds[chunk + 1]):
            p, g, by = P[u], out[u], shift[group[u]]
            for e in range(indptr[u], indptr[u + 1]):
                at = place[indices[e]] + by
                q, r = Q[indices[e]], Q[order[at - m if at >= m else at]]
                s = P.dtype.type(0)
                for k in range(d):
                    s += p[k] * (q[k] - r[k])
                c = P.dtype.type(-1.0 / (1.0 + np.exp(s)))
                slope[e] = c
                for k in range(d):
                    g[k] += c * (q[k] - r[k])


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _columns(
    rows: Array, entry: Array, starts: Array, order: Array, place: Array, shift: Array, P: Array, slope: Array, out: Array,
) -> None:  # fmt: skip
    d, m, groups = P.shape[1], len(order), len(shift)
    for i in numba.prange(m):
        q = out[i]
        for e in range(starts[i, 0], starts[i, groups]):
            c, p = slope[entry[e]], P[rows[e]]
            for k in range(d):
                q[k] += c * p[k]
        for g in range(groups):
            at = place[i] - shift[g]
            j = order[at + m if at < 0 else at]
            for e in range(starts[j, g], starts[j, g + 1]):
                c, p = slope[entry[e]], P[rows[e]]
                for k in range(d):
                    q[k] -= c * p[k]


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _hvp_rows(
    bounds: Array, indptr: Array, indices: Array, group: Array, order: Array, place: Array, shift: Array,
    P: Array, Q: Array, VP: Array, VQ: Array, out: Array, slope: Array, tangent: Array,
) -> None:  # fmt: skip
    d, m = P.shape[1], len(order)
    for chunk in numba.prange(len(bounds) - 1):
        for u in range(bounds[chunk], bounds[chunk + 1]):
            p, vp, h, by = P[u], VP[u], out[u], shift[group[u]]
            for e in range(indptr[u], indptr[u + 1]):
                i = indices[e]
                at = place[i] + by
                j = order[at - m if at >= m else at]
                q, r, vq, vr = Q[i], Q[j], VQ[i], VQ[j]
                s = P.dtype.type(0)
                t = P.dtype.type(0)
                for k in range(d):
                    gap = q[k] - r[k]
                    s += p[k] * gap
                    t += vp[k] * gap + p[k] * (vq[k] - vr[k])
                c = P.dtype.type(-1.0 / (1.0 + np.exp(s)))
                t = -c * (1 + c) * t
                slope[e] = c
                tangent[e] = t
                for k in range(d):
                    h[k] += t * (q[k] - r[k]) + c * (vq[k] - vr[k])


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _hvp_columns(
    rows: Array, entry: Array, starts: Array, order: Array, place: Array, shift: Array,
    P: Array, VP: Array, slope: Array, tangent: Array, out: Array,
) -> None:  # fmt: skip
    d, m, groups = P.shape[1], len(order), len(shift)
    for i in numba.prange(m):
        h = out[i]
        for e in range(starts[i, 0], starts[i, groups]):
            c, t, p, vp = slope[entry[e]], tangent[entry[e]], P[rows[e]], VP[rows[e]]
            for k in range(d):
                h[k] += t * p[k] + c * vp[k]
        for g in range(groups):
            at = place[i] - shift[g]
            j = order[at + m if at < 0 else at]
            for e in range(starts[j, g], starts[j, g + 1]):
                c, t, p, vp = slope[entry[e]], tangent[entry[e]], P[rows[e]], VP[rows[e]]
                for k in range(d):
                    h[k] -= t * p[k] + c * vp[k]


@dataclass(frozen=True, eq=False)
class Groups:
    """Users of a pattern in contiguous groups of about equal work.

    Attributes:
        pattern: positives, (n, m).
        count: most groups; fewer for few users or items.
    """

    pattern: Pattern
    count: int = 64

    @cached_property
    def of_user(self) -> Array:
        """(n,) int32 group of each user."""
        n, m = self.pattern.shape
        indptr = self.pattern.indptr.cpu().numpy()
        count = max(1, min(self.count, n, m - 1))
        return np.minimum(indptr[:-1] * count // max(int(indptr[-1]), 1), count - 1).astype(np.int32)

    @cached_property
    def starts(self) -> Array:
        """(m, groups + 1) where in the transposed pattern each column's entries of each group begin."""
        transpose = self.pattern.transpose
        group = self.of_user[transpose.indices.numpy()]
        groups = int(self.of_user[-1]) + 1
        column = np.repeat(np.arange(transpose.shape[0]), np.diff(transpose.indptr.numpy()))
        counts = np.bincount(column * groups + group, minlength=transpose.shape[0] * groups).reshape(-1, groups)
        starts = np.empty((transpose.shape[0], groups + 1), np.int64)
        starts[:, 0] = transpose.indptr.numpy()[:-1]
        starts[:, 1:] = starts[:, :1] + counts.cumsum(1)
        return starts

    def draw(self, generator: np.random.Generator) -> Negatives:
        """Fresh negatives, at least two items in the catalogue."""
        m = self.pattern.shape[1]
        order = generator.permutation(m).astype(np.int64)
        place = np.empty_like(order)
        place[order] = np.arange(m)
        groups = int(self.of_user[-1]) + 1
        return Negatives(self, order, place, 1 + generator.permutation(m - 1)[:groups])


@dataclass(frozen=True, eq=False)
class Negatives:
    """One negative for each interaction: `of(users, items)`."""

    groups: Groups
    order: Array
    place: Array
    shift: Array

    def of(self, users: Array, items: Array) -> Array:
        """The negatives of interactions, elementwise."""
        return self.order[(self.place[items] + self.shift[self.groups.of_user[users]]) % len(self.order)]


def bpr_gradient(negatives: Negatives, P: Tensor, Q: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of the sum over interactions (u, i) of -log sigmoid(p_u . (q_i - q_j)), j the negative of (u, i).

    Args:
        negatives: of the pattern (n, m).
        P, Q: (n, d) and (m, d).

    Returns:
        Gradients of the shapes of P and Q. O(nnz d) time, O(nnz + m groups) memory.
    """
    pattern = negatives.groups.pattern
    if P.device.type != "cpu":
        return _torch_gradient(pattern, negatives, P, Q)
    slope = np.empty(pattern.nnz, P.numpy().dtype)
    GP, GQ = torch.zeros_like(P), torch.zeros_like(Q)
    users, items = P.contiguous().numpy(), Q.contiguous().numpy()
    maps = (negatives.order, negatives.place, negatives.shift)
    _rows(
        pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy(), negatives.groups.of_user, *maps,
        users, items, GP.numpy(), slope,
    )  # fmt: skip
    _columns(
        pattern.transpose.indices.numpy(),
        pattern.order.numpy(),
        negatives.groups.starts,
        *maps,
        users,
        slope,
        GQ.numpy(),
    )
    return GP, GQ


def bpr_hvp(negatives: Negatives, P: Tensor, Q: Tensor, VP: Tensor, VQ: Tensor) -> tuple[Tensor, Tensor]:
    """Hessian of the loss of `bpr_gradient` times the direction (VP, VQ); same shapes, same cost twice over. CPU only."""
    pattern = negatives.groups.pattern
    slope = np.empty(pattern.nnz, P.numpy().dtype)
    tangent = np.empty_like(slope)
    HP, HQ = torch.zeros_like(P), torch.zeros_like(Q)
    maps = (negatives.order, negatives.place, negatives.shift)
    users, items, user_way, item_way = (part.contiguous().numpy() for part in (P, Q, VP, VQ))
    _hvp_rows(
        pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy(), negatives.groups.of_user, *maps,
        users, items, user_way, item_way, HP.numpy(), slope, tangent,
    )  # fmt: skip
    _hvp_columns(
        pattern.transpose.indices.numpy(), pattern.order.numpy(), negatives.groups.starts, *maps, users, user_way, slope,
        tangent, HQ.numpy(),
    )  # fmt: skip
    return HP, HQ


def _torch_gradient(
    pattern: Pattern, negatives: Negatives, P: Tensor, Q: Tensor, block: int = 1 << 20
) -> tuple[Tensor, Tensor]:
    """Any device, by gathers and scatters in blocks of interactions."""
    GP, GQ = torch.zeros_like(P), torch.zeros_like(Q)
    against = torch.from_numpy(negatives.of(pattern.rows.cpu().numpy(), pattern.indices.cpu().numpy())).to(P.device)
    for start in range(0, pattern.nnz, block):
        part = slice(start, start + block)
        u, i, j = pattern.rows[part].long(), pattern.indices[part].long(), against[part]
        p, gap = P[u], Q[i] - Q[j]
        slope = -torch.sigmoid(-(p * gap).sum(1, keepdim=True))
        GP.index_add_(0, u, slope * gap)
        GQ.index_add_(0, i, slope * p).index_add_(0, j, slope * p, alpha=-1)
    return GP, GQ
