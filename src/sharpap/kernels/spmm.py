"""SpMM: a sparse matrix times a dense one, and its transpose, differentiable as often as one likes."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sharpap.kernels import lanes
from sharpap.kernels.csr import Pattern
from sharpap.kernels.prefetch import AHEAD, prefetch

Array = np.ndarray[Any, np.dtype[Any]]
for said in ("Sparse CSR tensor support is in beta", "Sparse invariant checks are implicitly disabled"):
    warnings.filterwarnings("ignore", message=said)


@cache
def _kernel(width: int) -> Any:
    """The product over blocks of `width` columns; entry e weighs 1, `values[e]` or `values[order[e]]`, compiled for each."""

    @numba.njit(parallel=True, cache=True, nogil=True)
    def products(bounds: Array, indptr: Array, indices: Array, order: Any, values: Any, V: Array, out: Array) -> None:
        d, last = V.shape[1], len(indices) - 1
        for chunk in numba.prange(len(bounds) - 1):
            for row in range(bounds[chunk], bounds[chunk + 1]):
                for block in range(0, d, width):
                    at = min(block, d - width)
                    total = lanes.zeros(V, width)
                    for e in range(indptr[row], indptr[row + 1]):
                        soon = min(e + AHEAD, last)
                        prefetch(V, indices[soon])
                        part = lanes.load(V, indices[e], at, width)
                        if values is None:
                            total = lanes.add(total, part)
                        elif order is None:
                            total = lanes.scaled(total, values[e], part)
                        else:
                            prefetch(values, order[soon])
                            total = lanes.scaled(total, values[order[e]], part)
                    lanes.store(out, row, at, total)

    return products


def _torch_spmm(pattern: Pattern, values: Tensor | None, V: Tensor) -> Tensor:
    """Any device: torch's own sparse product, a quarter of the time of one from coordinates."""
    data = torch.ones(pattern.nnz, dtype=V.dtype, device=V.device) if values is None else values
    indptr = pattern.indptr.int()
    return torch.sparse_csr_tensor(indptr, pattern.indices, data, pattern.shape, check_invariants=False) @ V


def forward(pattern: Pattern, values: Tensor | None, V: Tensor, *, transposed: bool) -> Tensor:
    """`spmm` and `spmm_t` without autograd."""
    by_row = pattern.transpose if transposed else pattern
    if V.device.type != "cpu":
        return _torch_spmm(by_row, values[pattern.order] if transposed and values is not None else values, V)
    out = torch.empty(by_row.shape[0], V.shape[1], dtype=V.dtype)
    order = pattern.order.numpy() if transposed and values is not None else None
    weights = None if values is None else values.contiguous().numpy()
    products = _kernel(lanes.width(V.shape[1], V.itemsize))
    arrays = (by_row.indptr.numpy(), by_row.indices.numpy(), order, weights, V.contiguous().numpy(), out.numpy())
    products(by_row.chunks, *arrays)
    return out
