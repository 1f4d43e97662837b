# ruff: noqa: E501
"""The sparse kernels beside torch's own operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmarks.speed.attacks import WEIGHTS, data
from scipy.sparse import csr_array

from sharpap.attacks.profiles import to_csr
from sharpap.kernels import Pattern, mask_rows, score_blocks, sddmm, spmm, spmm_t, topk, topk_scores
from sharpap.kernels.als import solve_rows
from sharpap.kernels.bpr import Negatives, bpr_gradient
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_hvp
from sharpap.surrogates import WRMFSurrogate

Work = Callable[[], dict[str, Any]]
REPEATS = 5


def kernel(name: str, shape: str, d: int = 64) -> Work:
    """`REPEATS` runs of one kernel or rival; facts: operations and bytes, every named row counted as fetched each time."""
    matrix: csr_array = data(shape).matrix
    pattern = Pattern.from_csr(matrix)
    pattern.transpose.chunks  # noqa: B018 - built once for every use, so no part of any timing
    n, m = pattern.shape
    draw = torch.Generator().manual_seed(0)
    U, V, A, B = (torch.randn(rows, d, generator=draw) * 0.1 for rows in (n, m, n, m))
    values = torch.randn(pattern.nnz, generator=draw)
    rows, columns = pattern.rows.long(), pattern.indices.long()
    negatives = Negatives.draw(pattern, np.random.default_rng(0))
    csr = torch.sparse_csr_tensor(pattern.indptr, columns, values, pattern.shape, check_invariants=False)
    flipped = csr.to_sparse_coo().t().coalesce().to_sparse_csr() if name == "torch spmm_t" else csr
    users = np.arange(min(n, 4000))
    owned = torch.zeros(len(users), m, dtype=torch.bool) if name == "torch topk" else torch.zeros(0)
    if name == "torch topk":
        part = matrix[: len(users)]
        owned[np.repeat(np.arange(len(users)), np.diff(part.indptr)), part.indices.astype(np.int64)] = True
    solved = U.numpy().copy()
    nnz, both = pattern.nnz, n + m
    gathers, sides = 4 * d * nnz, 4 * d * both
    works: dict[str, tuple[Callable[[], object], float, float]] = {
        "sddmm": (lambda: sddmm(pattern, U, V), 2 * d * nnz, gathers + 8 * nnz + 4 * d * n),
        "torch sddmm": (lambda: torch.sparse.sampled_addmm(csr, U, V.T, beta=0.0), 0, 0),
        "gather sddmm": (lambda: (U[rows] * V[columns]).sum(1), 0, 0),
        "spmm": (lambda: spmm(pattern, values, V), 2 * d * nnz, gathers + 8 * nnz + 8 * d * n),
        "torch spmm": (lambda: csr @ V, 0, 0),
        "spmm_t": (lambda: spmm_t(pattern, values, U), 2 * d * nnz, gathers + 16 * nnz + 8 * d * m),
        "torch spmm_t": (lambda: flipped @ U, 0, 0),
        "gradient": (lambda: wrmf_gradient(pattern, U, V, **WEIGHTS), 8 * d * nnz + 4 * d * d * both, 2 * gathers + 8 * nnz + 3 * sides),
        "hvp": (lambda: wrmf_hvp(pattern, U, V, A, B, **WEIGHTS), 20 * d * nnz + 12 * d * d * both, 4 * gathers + 8 * nnz + 6 * sides),
        "bpr": (lambda: bpr_gradient(negatives, U, V), 9 * d * nnz, 4 * gathers + 56 * nnz + 2 * sides),
        "als": (lambda: solve_rows(pattern, solved, V.numpy(), steps=4, **WEIGHTS), 20 * d * nnz + 10 * d * d * n, gathers + 4 * nnz + 8 * d * n),
        "topk": (lambda: topk(U.numpy(), V.numpy(), 20, exclude=matrix, users=users), 2.0 * d * len(users) * m, 8.0 * len(users) * m),
        "torch topk": (lambda: (U[: len(users)] @ V.T).masked_fill_(owned, -torch.inf).topk(20, dim=1), 0, 0),
    }  # fmt: skip
    once, flops, traffic = works[name]

    def work() -> dict[str, Any]:
        for _ in range(REPEATS):
            once()
        return {"repeats": REPEATS, "interactions": nnz} | (
            {"flops": REPEATS * flops, "bytes": REPEATS * traffic} if flops else {}
        )

    return work


def search(how: str, shape: str, k: int = 50) -> Work:
    """The `k` best items of every user by a trained surrogate: by length of vector, or from all scores."""
    matrix = data(shape).matrix
    trained = WRMFSurrogate().train(matrix, to_csr([], matrix.shape[1]), seed=0).embeddings
    users = np.arange(matrix.shape[0])

    def work() -> dict[str, Any]:
        total = 0
        if how == "topk":
            total = int(topk(trained.users, trained.items, k, exclude=matrix)[0].sum())
        for part, scores in score_blocks(trained.users, trained.items, users) if how != "topk" else ():
            mask_rows(scores, part, matrix.indptr, matrix.indices)
            total += int(
                (topk_scores(scores, k)[0] if how == "all scores" else torch.from_numpy(scores).topk(k).indices).sum()
            )
        return {"users": len(users), "items": matrix.shape[1], "sum_of_items": total}

    return work
