"""SDDMM: scores on the entries of a pattern; `autograd` makes it differentiable."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sharpap.kernels.csr import Pattern
from sharpap.kernels.prefetch import AHEAD, prefetch

Array = np.ndarray[Any, np.dtype[Any]]


@numba.njit(parallel=True, fastmath={"reassoc", "contract", "nsz"}, cache=True, nogil=True)
def _sddmm(bounds: Array, indptr: Array, indices: Array, U: Array, V: Array, out: Array) -> None:
    """Four entries at a time, their rows of V asked for ahead."""
    d, last = U.shape[1], len(indices) - 1
    for chunk in numba.prange(len(bounds) - 1):
        for row in range(bounds[chunk], bounds[chunk + 1]):
            u = U[row]
            whole = indptr[row] + (indptr[row + 1] - indptr[row]) // 4 * 4
            for e in range(indptr[row], whole, 4):
                for i in range(AHEAD, AHEAD + 4):
                    prefetch(V, indices[min(e + i, last)])
                v, w, x, y = V[indices[e]], V[indices[e + 1]], V[indices[e + 2]], V[indices[e + 3]]
                a = b = c = f = U.dtype.type(0)
                for k in range(d):
                    a += u[k] * v[k]
                    b += u[k] * w[k]
                    c += u[k] * x[k]
                    f += u[k] * y[k]
                out[e], out[e + 1], out[e + 2], out[e + 3] = a, b, c, f
            for e in range(whole, indptr[row + 1]):
                v = V[indices[e]]
                s = U.dtype.type(0)
                for k in range(d):
                    s += u[k] * v[k]
                out[e] = s


def _gather(rows: Tensor, columns: Tensor, U: Tensor, V: Tensor, out: Tensor, block: int = 1 << 20) -> None:
    """Any device: gather both sides in blocks of entries, so that no (nnz, d) array exists."""
    for start in range(0, len(out), block):
        part = slice(start, start + block)
        out[part] = (U.index_select(0, rows[part]) * V.index_select(0, columns[part])).sum(1)


@cache
def _on_gpu() -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], None]:
    """The Triton kernel where it can be compiled (Triton, and a C compiler), or `_gather`, thirteen times slower."""
    try:
        from sharpap.kernels import gpu

        place, one = torch.zeros(1, dtype=torch.int32, device="cuda"), torch.ones(1, 1, device="cuda")
        gpu.sddmm(place, place, one, one, torch.empty(1, device="cuda"))
    except Exception:  # Triton raises whatever its compilers do
        return _gather
    return gpu.sddmm


def forward(pattern: Pattern, U: Tensor, V: Tensor) -> Tensor:
    """`sddmm` without autograd."""
    out = torch.empty(pattern.nnz, dtype=U.dtype, device=U.device)
    if U.device.type != "cpu":
        if pattern.nnz:
            _on_gpu()(pattern.rows, pattern.indices, U.contiguous(), V.contiguous(), out)
        return out
    _sddmm(
        pattern.chunks, pattern.indptr.numpy(), pattern.indices.numpy(),
        U.contiguous().numpy(), V.contiguous().numpy(), out.numpy(),
    )  # fmt: skip
    return out
