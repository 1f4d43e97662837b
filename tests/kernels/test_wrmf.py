"""The fused least-squares gradient and Hessian product against the dense loss, and ALS against its normal equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array

from sharpap.kernels import Pattern
from sharpap.kernels.als import solve_rows
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_hvp

WEIGHTS = {"positive_weight": 7.0, "negative_weight": 0.5, "reg": 0.3}


@pytest.fixture(scope="module")
def problem():
    R = csr_array(random_array((30, 20), density=0.2, rng=np.random.default_rng(0)))
    R.data[:] = 1
    generator = torch.Generator().manual_seed(0)
    return R, [torch.randn(rows, 5, generator=generator, dtype=torch.float64) for rows in (30, 20, 30, 20)]


def dense_loss(P, Q, R):
    X = torch.from_numpy(R.toarray()).double()
    S = P @ Q.T
    W = torch.where(X > 0, WEIGHTS["positive_weight"], WEIGHTS["negative_weight"])
    return (W * (X - S) ** 2).sum() + WEIGHTS["reg"] * (P.square().sum() + Q.square().sum())


def test_gradient_and_hessian_product_match_the_dense_loss(problem):
    R, (P, Q, VP, VQ) = problem
    ours = wrmf_gradient(Pattern.from_csr(R), P, Q, **WEIGHTS)
    curved = wrmf_hvp(Pattern.from_csr(R), P, Q, VP, VQ, **WEIGHTS)
    p, q = P.clone().requires_grad_(), Q.clone().requires_grad_()
    grads = torch.autograd.grad(dense_loss(p, q, R), (p, q), create_graph=True)
    hvps = torch.autograd.grad((grads[0] * VP).sum() + (grads[1] * VQ).sum(), (p, q))
    for mine, theirs in zip((*ours, *curved), (*grads, *hvps), strict=True):
        torch.testing.assert_close(mine, theirs.detach(), rtol=1e-11, atol=1e-11)


def test_als_solves_the_normal_equations(problem):
    R, (P, Q, _, _) = problem
    solved = P.numpy().copy()
    solve_rows(Pattern.from_csr(R), solved, Q.numpy(), steps=25, **WEIGHTS)
    dense, q = R.toarray(), Q.numpy()
    for row in range(30):
        w = np.where(dense[row] > 0, WEIGHTS["positive_weight"], WEIGHTS["negative_weight"])
        A = (q * w[:, None]).T @ q + WEIGHTS["reg"] * np.eye(5)
        np.testing.assert_allclose(solved[row], np.linalg.solve(A, (w * dense[row]) @ q), rtol=1e-8, atol=1e-10)
