"""SDDMM, SpMM and its transpose: values against dense products, derivatives of first and second order against finite
differences."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array
from torch.autograd import gradcheck, gradgradcheck

from sharpap.errors import ContractError
from sharpap.kernels import Pattern, sddmm, spmm, spmm_t
from sharpap.kernels.sddmm import _gather
from sharpap.kernels.spmm import _torch_spmm

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


@pytest.mark.parametrize(
    ("d", "dtype"), [(1, torch.float64), (13, torch.float32), (50, torch.float64), (65, torch.float32)]
)
def test_any_number_of_columns(d, dtype):
    """Rows are covered by blocks, the last of which lies over the one before it."""
    matrix, pattern, U, V, values = (
        part.to(dtype) if isinstance(part, torch.Tensor) else part for part in made(d, 20, 15, d)
    )
    rows = np.repeat(np.arange(20), np.diff(matrix.indptr))
    torch.testing.assert_close(sddmm(pattern, U, V), (U @ V.T)[rows, matrix.indices])
    torch.testing.assert_close(spmm(pattern, values, V), full(matrix, values) @ V)
    torch.testing.assert_close(spmm_t(pattern, values, U), full(matrix, values).T @ U)
    torch.testing.assert_close(spmm_t(pattern, None, U), full(matrix, torch.ones_like(values)).T @ U)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_thinned_pattern_has_the_kept_entries(device, share):
    matrix, pattern, *_ = made(7, 30, 20, device=device)
    keep = np.random.default_rng(7).random(pattern.nnz) < share
    rows = np.repeat(np.arange(30), np.diff(matrix.indptr))
    expected = csr_array((keep[keep].astype(float), (rows[keep], matrix.indices[keep])), shape=matrix.shape)
    thinned = pattern.where(torch.from_numpy(keep).to(device))
    for side, wanted in ((thinned, expected), (thinned.transpose, csr_array(expected.T))):
        assert side.shape == wanted.shape
        np.testing.assert_array_equal(side.indptr.cpu(), wanted.indptr)
        np.testing.assert_array_equal(side.indices.cpu(), wanted.indices)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_first_and_second_derivatives(check, device):
    _, pattern, U, V, values = made(3, device=device)
    for part in (U, V, values):
        part.requires_grad_()
    assert check(lambda u, v: sddmm(pattern, u, v), (U, V))
    assert check(lambda x, v: spmm(pattern, x, v), (values, V))
    assert check(lambda x, u: spmm_t(pattern, x, u), (values, U))


def test_what_a_gpu_runs_agrees_with_the_cpu_kernels():
    _, pattern, U, V, values = made(5, 30, 20)
    gathered = torch.empty_like(values)
    _gather(pattern.rows, pattern.indices, U, V, gathered, block=7)
    torch.testing.assert_close(gathered, sddmm(pattern, U, V))
    torch.testing.assert_close(_torch_spmm(pattern, values, V), spmm(pattern, values, V))
    torch.testing.assert_close(_torch_spmm(pattern.transpose, values[pattern.order], U), spmm_t(pattern, values, U))


def test_any_number_of_threads_gives_the_same_bytes():
    code = """
import hashlib, numpy as np, torch
from scipy.sparse import csr_array, random_array
from sharpap.kernels import Pattern, sddmm, spmm, spmm_t
rng = np.random.default_rng(0)
matrix = csr_array(random_array((3000, 2000), density=0.01, rng=rng))
pattern = Pattern.from_csr(matrix)
U, V = (torch.from_numpy(rng.standard_normal((rows, 16), dtype=np.float32)) for rows in matrix.shape)
parts = [sddmm(pattern, U, V), spmm(pattern, None, V), spmm_t(pattern, None, U)]
print(hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest())
"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "NUMBA_NUM_THREADS": threads}, capture_output=True, text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1


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
