"""Fused kernels of the weighted least-squares loss: gradient, Hessian-vector product.

The loss over all (user, item) pairs, positives weighted `w1` and the rest `w0`, is exactly

    L(P, Q) = w0 <P'P, Q'Q> + sum_{positives} [ w1 (1 - s)^2 - w0 s^2 ],      s = p_u . q_i

(the sums over all pairs collapse into two Gram matrices), so that one pass over the positives and three
d x d products give what a dense implementation needs the users x items matrix for. The loss is symmetric in users and items,
so that one pass serves both sides: over the pattern for the users' part, over its transpose for the items'. Each makes its
own scores: that is arithmetic on rows at hand, where stored ones would have to be fetched from anywhere in an (nnz,) array.
Nothing is scattered, so results do not depend on the number of threads.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sharpap.kernels import lanes
from sharpap.kernels.autograd import sddmm, spmm, spmm_t
from sharpap.kernels.csr import Pattern
from sharpap.kernels.prefetch import AHEAD, prefetch

Array = np.ndarray[Any, np.dtype[Any]]
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _gradient_rows(
    bounds: Array, indptr: Array, indices: Array, P: Array, Q: Array, w1: float, w0: float, out: Array
) -> None:
    """Four entries at a time: their rows of Q are under way together, and `out` is read and written a quarter as often."""
    d, last = P.shape[1], len(indices) - 1
    low, slope = P.dtype.type(2.0 * w1), P.dtype.type(2.0 * (w1 - w0))
    for chunk in numba.prange(len(bounds) - 1):
        for u in range(bounds[chunk], bounds[chunk + 1]):
            p, g = P[u], out[u]
            whole = indptr[u] + (indptr[u + 1] - indptr[u]) // 4 * 4
            for e in range(indptr[u], whole, 4):
                for i in range(AHEAD, AHEAD + 4):
                    prefetch(Q, indices[min(e + i, last)])
                q, r, x, y = Q[indices[e]], Q[indices[e + 1]], Q[indices[e + 2]], Q[indices[e + 3]]
                a = b = c = f = P.dtype.type(0)
                for k in range(d):
                    a += p[k] * q[k]
                    b += p[k] * r[k]
                    c += p[k] * x[k]
                    f += p[k] * y[k]
                a, b, c, f = slope * a - low, slope * b - low, slope * c - low, slope * f - low
                for k in range(d):
                    g[k] += (a * q[k] + b * r[k]) + (c * x[k] + f * y[k])
            for e in range(whole, indptr[u + 1]):
                prefetch(Q, indices[min(e + AHEAD, last)])
                q = Q[indices[e]]
                a = P.dtype.type(0)
                for k in range(d):
                    a += p[k] * q[k]
                a = slope * a - low
                for k in range(d):
                    g[k] += a * q[k]


@cache
def _hvp_kernel(d: int) -> Any:
    """The Hessian product's part of one side, on rows of `d` columns."""

    @numba.njit(parallel=True, cache=True, nogil=True)
    def hvp(
        bounds: Array, indptr: Array, indices: Array, P: Array, Q: Array, VP: Array, VQ: Array,
        w1: float, w0: float, out: Array,
    ) -> None:  # fmt: skip
        last = len(indices) - 1
        low, slope = P.dtype.type(2.0 * w1), P.dtype.type(2.0 * (w1 - w0))
        for chunk in numba.prange(len(bounds) - 1):
            for u in range(bounds[chunk], bounds[chunk + 1]):
                p, vp, h = lanes.load(P, u, 0, d), lanes.load(VP, u, 0, d), lanes.load(out, u, 0, d)
                for e in range(indptr[u], indptr[u + 1]):
                    soon = indices[min(e + AHEAD, last)]
                    prefetch(Q, soon)
                    prefetch(VQ, soon)
                    q, vq = lanes.load(Q, indices[e], 0, d), lanes.load(VQ, indices[e], 0, d)
                    h = lanes.scaled(h, slope * (lanes.dot(vp, q) + lanes.dot(p, vq)), q)
                    h = lanes.scaled(h, slope * lanes.dot(p, q) - low, vq)
                lanes.store(out, u, 0, h)

    return hvp


def _work(pattern: Pattern) -> tuple[Array, Array, Array]:
    return pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy()


def wrmf_loss(
    pattern: Pattern, P: Tensor, Q: Tensor, *, positive_weight: float, negative_weight: float, reg: float
) -> float:
    """L(P, Q) + reg (|P|^2 + |Q|^2), summed in float64. O(nnz d + (n + m) d^2)."""
    scores = sddmm(pattern, P, Q).double()
    everywhere = ((P.T @ P).double() * (Q.T @ Q).double()).sum()
    here = (positive_weight * (1 - scores).square() - negative_weight * scores.square()).sum()
    size = P.double().square().sum() + Q.double().square().sum()
    return float(negative_weight * everywhere + here + reg * size)


def wrmf_gradient(
    pattern: Pattern, P: Tensor, Q: Tensor, *, positive_weight: float, negative_weight: float, reg: float
) -> tuple[Tensor, Tensor]:
    """Gradient of L(P, Q) + reg (|P|^2 + |Q|^2).

    Args:
        pattern: positives, (n, m).
        P, Q: (n, d) and (m, d), contiguous.
        positive_weight, negative_weight: w1 and w0.
        reg: weight of the squared norms.

    Returns:
        Gradients of the shapes of P and Q. O(nnz d + (n + m) d^2) time.
    """
    w1, w0 = positive_weight, negative_weight
    GP = torch.addmm(P, P, Q.T @ Q, beta=2 * reg, alpha=2 * w0)
    GQ = torch.addmm(Q, Q, P.T @ P, beta=2 * reg, alpha=2 * w0)
    if P.device.type != "cpu":
        coef = sddmm(pattern, P, Q).mul_(2 * (w1 - w0)).sub_(2 * w1)
        return GP.add_(spmm(pattern, coef, Q)), GQ.add_(spmm_t(pattern, coef, P))
    _gradient_rows(*_work(pattern), P.numpy(), Q.numpy(), w1, w0, GP.numpy())
    _gradient_rows(*_work(pattern.transpose), Q.numpy(), P.numpy(), w1, w0, GQ.numpy())
    return GP, GQ


def wrmf_hvp(
    pattern: Pattern, P: Tensor, Q: Tensor, VP: Tensor, VQ: Tensor,
    *, positive_weight: float, negative_weight: float, reg: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Hessian of the loss of `wrmf_gradient` times the direction (VP, VQ); same shapes, same cost twice over."""
    w1, w0 = positive_weight, negative_weight
    cross = VQ.T @ Q
    HP = torch.addmm(VP, VP, Q.T @ Q, beta=2 * reg, alpha=2 * w0).addmm_(P, cross + cross.T, alpha=2 * w0)
    cross = VP.T @ P
    HQ = torch.addmm(VQ, VQ, P.T @ P, beta=2 * reg, alpha=2 * w0).addmm_(Q, cross + cross.T, alpha=2 * w0)
    if P.device.type != "cpu":
        coef = sddmm(pattern, P, Q).mul_(2 * (w1 - w0)).sub_(2 * w1)
        tangent = (sddmm(pattern, VP, Q) + sddmm(pattern, P, VQ)).mul_(2 * (w1 - w0))
        HP.add_(spmm(pattern, tangent, Q)).add_(spmm(pattern, coef, VQ))
        HQ.add_(spmm_t(pattern, tangent, P)).add_(spmm_t(pattern, coef, VP))
        return HP, HQ
    users, items, user_way, item_way, HU, HI = (lanes.padded(part).numpy() for part in (P, Q, VP, VQ, HP, HQ))
    hvp = _hvp_kernel(users.shape[1])
    hvp(*_work(pattern), users, items, user_way, item_way, w1, w0, HU)
    hvp(*_work(pattern.transpose), items, users, item_way, user_way, w1, w0, HI)
    d = P.shape[1]
    return torch.from_numpy(HU)[:, :d].contiguous(), torch.from_numpy(HI)[:, :d].contiguous()
