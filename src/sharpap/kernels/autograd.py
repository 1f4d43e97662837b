"""`sddmm`, `spmm` and `spmm_t`, each other's derivatives: differentiable as often as one likes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sharpap.errors import ContractError
from sharpap.kernels.csr import Pattern, check_dense
from sharpap.kernels.sddmm import forward as sddmm_forward
from sharpap.kernels.spmm import forward as spmm_forward


class _SDDMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, U: Tensor, V: Tensor) -> Tensor:
        ctx.pattern = pattern
        ctx.save_for_backward(U, V)
        return sddmm_forward(pattern, U.detach(), V.detach())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        U, V = ctx.saved_tensors
        needs = ctx.needs_input_grad
        return (
            None,
            spmm(ctx.pattern, grad, V) if needs[1] else None,
            spmm_t(ctx.pattern, grad, U) if needs[2] else None,
        )


def sddmm(pattern: Pattern, U: Tensor, V: Tensor) -> Tensor:
    """Inner products on a pattern: out[e] = <U[row of e], V[column of e]>.

    Args:
        pattern: of shape (n, m).
        U: (n, d) float32 or float64.
        V: (m, d) of the same type and device.

    Returns:
        (nnz,) in the pattern's entry order. O(nnz d) time, O(nnz) memory.

    Raises:
        ContractError: shapes, types or devices do not fit.
    """
    check_dense("U", U, pattern.shape[0], pattern)
    check_dense("V", V, pattern.shape[1], pattern, like=U)
    return _SDDMM.apply(pattern, U, V)  # pyright: ignore[reportReturnType]


class _SpMM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: Pattern, values: Tensor | None, V: Tensor, transposed: bool) -> Tensor:
        ctx.pattern, ctx.transposed = pattern, transposed
        ctx.save_for_backward(values, V)
        return spmm_forward(pattern, None if values is None else values.detach(), V.detach(), transposed=transposed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        values, V = ctx.saved_tensors
        pattern, transposed = ctx.pattern, ctx.transposed
        values_bar = dense_bar = None
        if ctx.needs_input_grad[1]:
            values_bar = sddmm(pattern, V, grad) if transposed else sddmm(pattern, grad, V)
        if ctx.needs_input_grad[2]:
            dense_bar = _SpMM.apply(pattern, values, grad, not transposed)
        return None, values_bar, dense_bar, None


def _apply(pattern: Pattern, values: Tensor | None, dense: Tensor, *, transposed: bool, name: str) -> Tensor:
    check_dense(name, dense, pattern.shape[0 if transposed else 1], pattern)
    if values is not None and (values.shape != (pattern.nnz,) or values.dtype != dense.dtype):
        raise ContractError(
            f"values must be ({pattern.nnz},) of {dense.dtype}, not {tuple(values.shape)} of {values.dtype}."
        )
    return _SpMM.apply(pattern, values, dense, transposed)  # pyright: ignore[reportReturnType]


def spmm(pattern: Pattern, values: Tensor | None, V: Tensor) -> Tensor:
    """Sparse (n, m) times dense (m, d): out[row] = sum over the row's entries of values[e] V[column].

    Args:
        pattern: of shape (n, m).
        values: (nnz,) in the pattern's entry order; None: all ones.
        V: (m, d) float32 or float64.

    Returns:
        (n, d). O(nnz d) time; no atomics, so the same bytes for any number of threads.

    Raises:
        ContractError: shapes, types or devices do not fit.
    """
    return _apply(pattern, values, V, transposed=False, name="V")


def spmm_t(pattern: Pattern, values: Tensor | None, U: Tensor) -> Tensor:
    """Transposed sparse (m, n) times dense (n, d); see `spmm`. `values` stays in the pattern's own order."""
    return _apply(pattern, values, U, transposed=True, name="U")
