"""SDDMM, SpMM and its transpose: values against dense products, derivatives of first and second order against finite
differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array
from torch.autograd import gradcheck, gradgradcheck

from sharpap.errors import ContractError
from sharpap.kernels import Pattern, sddmm, spmm, spmm_t

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def made(seed: int, n: int = 9, m: int = 7, d: int = 3, device: str = "cpu"):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    matrix = csr_array(random_array((n, m), density=0.4, rng=np.random.default_rng(seed)))
    pattern = Pattern.from_csr(matrix, device=device)
    generator = torch.Generator().manual_seed(seed)
    dense = [
        torch.randn(size, generator=generator, dtype=torch.float64).to(device)
        for size in ((n, d), (m, d), (pattern.nnz,))
    ]
    return matrix, pattern, *dense


def full(matrix: csr_array, values: torch.Tensor) -> torch.Tensor:
    out = torch.zeros(matrix.shape, dtype=values.dtype)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    out[rows, matrix.indices] = values.cpu()
    return out


@pytest.mark.parametrize("device", DEVICES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), m=st.integers(1, 30))
def test_values_match_dense_products(device, seed, n, m):
    matrix, pattern, U, V, values = made(seed, n, m, device=device)
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    torch.testing.assert_close(sddmm(pattern, U, V).cpu(), (U @ V.T).cpu()[rows, matrix.indices])
    torch.testing.assert_close(spmm(pattern, values, V).cpu(), full(matrix, values) @ V.cpu())
    torch.testing.assert_close(spmm_t(pattern, values, U).cpu(), full(matrix, values).T @ U.cpu())
    torch.testing.assert_close(spmm(pattern, None, V).cpu(), full(matrix, torch.ones_like(values)) @ V.cpu())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_first_and_second_derivatives(check, device):
    _, pattern, U, V, values = made(3, device=device)
    for part in (U, V, values):
        part.requires_grad_()
    assert check(lambda u, v: sddmm(pattern, u, v), (U, V))
    assert check(lambda x, v: spmm(pattern, x, v), (values, V))
    assert check(lambda x, u: spmm_t(pattern, x, u), (values, U))


def test_one_thread_gives_the_same_bytes():
    import numba

    rng = np.random.default_rng(0)
    matrix = csr_array(random_array((3000, 2000), density=0.01, rng=rng))
    pattern = Pattern.from_csr(matrix)
    U, V = (torch.from_numpy(rng.standard_normal((rows, 16), dtype=np.float32)) for rows in matrix.shape)
    many = [sddmm(pattern, U, V), spmm(pattern, None, V), spmm_t(pattern, None, U)]
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = [sddmm(pattern, U, V), spmm(pattern, None, V), spmm_t(pattern, None, U)]
    finally:
        numba.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(many, one, strict=True))


def test_misuse_is_named():
    _, pattern, U, V, values = made(0)
    with pytest.raises(ContractError, match="U must have shape"):
        sddmm(pattern, U[:-1], V)
    with pytest.raises(ContractError, match="float32 or float64"):
        sddmm(pattern, U.half(), V.half())
    with pytest.raises(ContractError, match="partner"):
        sddmm(pattern, U.float(), V)
    with pytest.raises(ContractError, match="values must be"):
        spmm(pattern, values[:-1], V)
