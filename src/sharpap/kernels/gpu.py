"""The one product that torch has no fast operation for on a GPU, in Triton, which comes with torch's CUDA builds on Linux."""

from __future__ import annotations

from typing import Any

import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor, cuda

NUMBERS = 4096  # of either side that a program holds


@triton.jit
def _sddmm(rows, columns, U, V, out, nnz, d, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """`BLOCK` entries of a pattern; rows of U and V are read once each and stay in registers."""
    e = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, WIDTH)
    there = e < nnz
    u = tl.load(rows + e, mask=there, other=0).to(tl.int64)
    v = tl.load(columns + e, mask=there, other=0).to(tl.int64)
    inside = there[:, None] & (k < d)[None, :]
    a = tl.load(U + u[:, None] * d + k[None, :], mask=inside, other=0)
    b = tl.load(V + v[:, None] * d + k[None, :], mask=inside, other=0)
    tl.store(out + e, tl.sum(a * b, 1), mask=there)


def sddmm(rows: Tensor, columns: Tensor, U: Tensor, V: Tensor, out: Tensor) -> None:
    """out[e] = <U[rows[e]], V[columns[e]]>; all on one GPU, U and V contiguous."""
    width = triton.next_power_of_2(U.shape[1])
    block = max(1, NUMBERS // width)
    programs: Any = _sddmm[(triton.cdiv(len(out), block),)]  # pyright: ignore[reportIndexIssue]
    with cuda.device(U.device):
        programs(rows, columns, U, V, out, len(out), U.shape[1], BLOCK=block, WIDTH=width)
