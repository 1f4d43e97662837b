"""Half a sweep of weighted alternating least squares: conjugate gradients for every row, warm-started."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sharpap.kernels.csr import Pattern

Array = np.ndarray[Any, np.dtype[Any]]
_FAST = {"reassoc", "contract", "nsz"}


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def _solve_rows(
    bounds: Array, indptr: Array, indices: Array, Q: Array, G: Array, w1: float, extra: float, steps: int, out: Array
) -> None:
    """Sums have loops of their own: beside a store, the order of a compiled sum depends on how near the arrays lie."""
    d = Q.shape[1]
    for chunk in numba.prange(len(bounds) - 1):
        r, p, Ap = np.empty(d, Q.dtype), np.empty(d, Q.dtype), np.empty(d, Q.dtype)
        for row in range(bounds[chunk], bounds[chunk + 1]):
            x = out[row]
            rr = Q.dtype.type(0)
            if indptr[row] == indptr[row + 1]:
                x[:] = 0
                continue
            for step in range(steps + 1):  # step 0 makes the residual b - A x
                v = x if step == 0 else p
                for a in range(d):
                    s = Q.dtype.type(0)
                    for b in range(d):
                        s += G[a, b] * v[b]
                    Ap[a] = s
                if step == 0:
                    for a in range(d):
                        r[a] = -Ap[a]
                for e in range(indptr[row], indptr[row + 1]):
                    q = Q[indices[e]]
                    s = Q.dtype.type(0)
                    for a in range(d):
                        s += q[a] * v[a]
                    c = Q.dtype.type(extra) * s
                    if step == 0:
                        c = Q.dtype.type(w1) - c
                        for a in range(d):
                            r[a] += c * q[a]
                    else:
                        for a in range(d):
                            Ap[a] += c * q[a]
                if step == 0:
                    for a in range(d):
                        p[a] = r[a]
                    for a in range(d):
                        rr += r[a] * r[a]
                else:
                    pAp = Q.dtype.type(0)
                    for a in range(d):
                        pAp += p[a] * Ap[a]
                    alpha = rr / pAp
                    for a in range(d):
                        x[a] += alpha * p[a]
                        r[a] -= alpha * Ap[a]
                    new = Q.dtype.type(0)
                    for a in range(d):
                        new += r[a] * r[a]
                    for a in range(d):
                        p[a] = r[a] + new / rr * p[a]
                    rr = new
                if rr < 1e-20:
                    break


def solve_rows(
    pattern: Pattern, P: Array, Q: Array, *, positive_weight: float, negative_weight: float, reg: float, steps: int
) -> None:
    """Move each row of P, in place, towards its least-squares optimum for fixed Q.

    The row's system is (w0 Q^T Q + (w1 - w0) sum q q^T + reg I) p = w1 sum q over its items; with `steps` = d the
    conjugate gradients are exact up to rounding. Rows without entries become 0, their optimum. O(steps (nnz d + n d^2)).
    """
    gram = (negative_weight * (Q.T @ Q) + reg * np.eye(Q.shape[1])).astype(Q.dtype)
    extra = positive_weight - negative_weight
    _solve_rows(
        pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy(), Q, gram, positive_weight, extra, steps, P
    )
