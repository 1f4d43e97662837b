"""Half a sweep of weighted alternating least squares: conjugate gradients for every row, warm-started."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from sharpap.kernels import lanes
from sharpap.kernels.csr import Pattern

Array = np.ndarray[Any, np.dtype[Any]]


@cache
def _kernel(d: int) -> Any:
    """Conjugate gradients on rows of `d` columns."""

    @numba.njit(parallel=True, cache=True, nogil=True)
    def solve(
        bounds: Array, indptr: Array, indices: Array, Q: Array, G: Array, regs: Array, w1: float, extra: float,
        steps: int, out: Array,
    ) -> None:  # fmt: skip
        for chunk in numba.prange(len(bounds) - 1):
            v = np.empty((1, d), Q.dtype)  # what A is multiplied with, where its numbers can be had one by one
            for row in range(bounds[chunk], bounds[chunk + 1]):
                if indptr[row] == indptr[row + 1]:
                    out[row] = 0
                    continue
                x = lanes.load(out, row, 0, d)
                lanes.store(v, 0, 0, x)
                reg = regs[row]
                r = lanes.scaled(lanes.zeros(Q, d), -reg, x)
                for a in range(len(G)):
                    r = lanes.scaled(r, -v[0, a], lanes.load(G, a, 0, d))
                for e in range(indptr[row], indptr[row + 1]):
                    q = lanes.load(Q, indices[e], 0, d)
                    r = lanes.scaled(r, w1 - extra * lanes.dot(q, x), q)
                p, rr = r, lanes.dot(r, r)
                for _ in range(steps):
                    if rr < 1e-20:
                        break
                    lanes.store(v, 0, 0, p)
                    Ap = lanes.scaled(lanes.zeros(Q, d), reg, p)
                    for a in range(len(G)):
                        Ap = lanes.scaled(Ap, v[0, a], lanes.load(G, a, 0, d))
                    for e in range(indptr[row], indptr[row + 1]):
                        q = lanes.load(Q, indices[e], 0, d)
                        Ap = lanes.scaled(Ap, extra * lanes.dot(q, p), q)
                    alpha = rr / lanes.dot(p, Ap)
                    x, r = lanes.scaled(x, alpha, p), lanes.scaled(r, -alpha, Ap)
                    new = lanes.dot(r, r)
                    p, rr = lanes.scaled(r, new / rr, p), new
                lanes.store(out, row, 0, x)

    return solve


def solve_rows(
    pattern: Pattern, P: Array, Q: Array,
    *, positive_weight: float, negative_weight: float, reg: float | Array, steps: int,
) -> None:  # fmt: skip
    """Move each row of P, in place, towards its least-squares optimum for fixed Q.

    The row's system is (w0 Q^T Q + (w1 - w0) sum q q^T + reg_row I) p = w1 sum q over its items, `reg` being one number or
    one a row; with `steps` = d the
    conjugate gradients are exact up to rounding. Rows without entries become 0, their optimum. O(steps (nnz d + n d^2)).
    """
    d = Q.shape[1]
    gram = (negative_weight * (Q.T @ Q)).astype(Q.dtype)
    regs = np.broadcast_to(np.asarray(reg, Q.dtype), len(P)).copy()
    weights = Q.dtype.type(positive_weight), Q.dtype.type(positive_weight - negative_weight)
    short = lanes.padded_width(d) - d
    x, q, g = (np.pad(part, ((0, 0), (0, short))) if short else part for part in (P, Q, gram))
    solve = _kernel(d + short)
    solve(pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy(), q, g, regs, *weights, steps, x)
    if short:
        P[:] = x[:, :d]
