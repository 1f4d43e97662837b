"""Fused kernels of the weighted least-squares loss: gradient, Hessian-vector product.

The loss over all (user, item) pairs, positives weighted `w1` and the rest `w0`, is exactly

    L(P, Q) = w0 <P'P, Q'Q> + sum_{positives} [ w1 (1 - s)^2 - w0 s^2 ],      s = p_u . q_i

(the sums over all pairs collapse into two Gram matrices), so that one pass over the positives and three
d x d products give what a dense implementation needs the users x items matrix for. The passes below read each
positive twice: once by row, where scores and the users' part are made, once by column for the items' part.
Nothing is scattered, so results do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sharpap.kernels.csr import Pattern
from sharpap.kernels.sddmm import sddmm
from sharpap.kernels.spmm import spmm, spmm_ordered, spmm_t

Array = np.ndarray[Any, np.dtype[Any]]
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _gradient_rows(
    bounds: Array,
    indptr: Array,
    indices: Array,
    P: Array,
    Q: Array,
    w1: float,
    w0: float,
    out: Array,
    coef: Array,
) -> None:
    d = P.shape[1]
    two_w1, two_sum = P.dtype.type(2.0 * w1), P.dtype.type(2.0 * (w1 - w0))
    for chunk in numba.prange(len(bounds) - 1):
        for u in range(bounds[chunk], bounds[chunk + 1]):
            p, g = P[u], out[u]
            for e in range(indptr[u], indptr[u + 1]):
                q = Q[indices[e]]
                s = P.dtype.type(0)
                for k in range(d):
                    s += p[k] * q[k]
                c = two_sum * s - two_w1
                coef[e] = c
                for k in range(d):
                    g[k] += c * q[k]


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _hvp_rows(
    bounds: Array, indptr: Array, indices: Array, P: Array, Q: Array, VP: Array, VQ: Array,
    w1: float, w0: float, out: Array, coef: Array, tangent: Array,
) -> None:  # fmt: skip
    d = P.shape[1]
    two_w1, two_sum = P.dtype.type(2.0 * w1), P.dtype.type(2.0 * (w1 - w0))
    for chunk in numba.prange(len(bounds) - 1):
        for u in range(bounds[chunk], bounds[chunk + 1]):
            p, vp, h = P[u], VP[u], out[u]
            for e in range(indptr[u], indptr[u + 1]):
                q, vq = Q[indices[e]], VQ[indices[e]]
                s = P.dtype.type(0)
                t = P.dtype.type(0)
                for k in range(d):
                    s += p[k] * q[k]
                    t += vp[k] * q[k] + p[k] * vq[k]
                c, t = two_sum * s - two_w1, two_sum * t
                coef[e] = c
                tangent[e] = t
                for k in range(d):
                    h[k] += t * q[k] + c * vq[k]


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _hvp_columns(
    bounds: Array, indptr: Array, rows: Array, order: Array, P: Array, VP: Array,
    coef: Array, tangent: Array, out: Array,
) -> None:  # fmt: skip
    d = P.shape[1]
    for chunk in numba.prange(len(bounds) - 1):
        for i in range(bounds[chunk], bounds[chunk + 1]):
            h = out[i]
            for e in range(indptr[i], indptr[i + 1]):
                c, t, p, vp = coef[order[e]], tangent[order[e]], P[rows[e]], VP[rows[e]]
                for k in range(d):
                    h[k] += t * p[k] + c * vp[k]


def _split(pattern: Pattern) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array, Array]]:
    by_column = pattern.transpose
    return (
        (pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy()),
        (by_column.chunks, by_column.indptr.numpy(), by_column.indices.numpy(), pattern.order.numpy()),
    )


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
    by_row, by_column = _split(pattern)
    coef = np.empty(pattern.nnz, P.numpy().dtype)
    _gradient_rows(*by_row, P.numpy(), Q.numpy(), w1, w0, GP.numpy(), coef)
    spmm_ordered(*by_column, coef, P.numpy(), GQ.numpy())
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
    by_row, by_column = _split(pattern)
    coef = np.empty(pattern.nnz, P.numpy().dtype)
    tangent = np.empty_like(coef)
    dense = (P.numpy(), Q.numpy(), VP.contiguous().numpy(), VQ.contiguous().numpy())
    _hvp_rows(*by_row, *dense, w1, w0, HP.numpy(), coef, tangent)
    _hvp_columns(*by_column, dense[0], dense[2], coef, tangent, HQ.numpy())
    return HP, HQ
