"""The sparse kernels beside torch's own operations and a dense reference, in one run.

    python benchmarks/kernels.py [--users N --items M --nnz K --d D --rounds R]

Sides take turns within every round; the table shows the median of each side and the median of the paired ratios with its
range. Data: synthetic, of the shape of ML-1M positives unless told otherwise.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numba
import numpy as np
import torch

from sharpap.data import synthetic
from sharpap.kernels import Pattern, sddmm, spmm, spmm_t, topk
from sharpap.kernels.wrmf import wrmf_gradient

Side = tuple[str, Callable[[], object]]


def compare(title: str, sides: list[Side], rounds: int) -> None:
    """Time all sides in turn; ratios are against the first, ours."""
    times: dict[str, list[float]] = {name: [] for name, _ in sides}
    for _, work in sides:
        work()
    for _ in range(rounds):
        for name, work in sides:
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    ours = np.array(times[sides[0][0]])
    print(f"\n{title}")
    for name, _ in sides:
        mine = np.array(times[name])
        ratio = mine / ours
        spread = "" if mine is ours else f"{np.median(ratio):6.1f} x ({ratio.min():.1f} to {ratio.max():.1f})"
        print(f"  {name:<44}{1000 * np.median(mine):9.1f} ms   {spread if name != sides[0][0] else ''}")


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("users", 5950), ("items", 3702), ("nnz", 465_000), ("d", 64), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    made = synthetic(args.users, args.items, args.nnz)
    pattern = Pattern.from_csr(made.matrix)
    pattern.transpose.chunks  # noqa: B018 - built once for every use, so not part of any timing
    generator = torch.Generator().manual_seed(0)
    U, V = (torch.randn(rows, args.d, generator=generator) for rows in (args.users, args.items))
    values = torch.randn(pattern.nnz, generator=generator)
    rows, columns = pattern.rows.long(), pattern.indices.long()
    csr = torch.sparse_csr_tensor(pattern.indptr, columns, values, pattern.shape, check_invariants=False)
    csr_t = csr.to_sparse_coo().t().coalesce().to_sparse_csr()
    print(f"{args.users:,} users x {args.items:,} items, {pattern.nnz:,} interactions, d = {args.d}, float32")
    print(
        f"{os.cpu_count()} CPUs, torch {torch.get_num_threads()} threads, numba {numba.get_num_threads()}; ratios against ours"
    )

    compare("SDDMM: scores on the pattern", [
        ("sharpap.kernels.sddmm", lambda: sddmm(pattern, U, V)),
        ("torch.sparse.sampled_addmm", lambda: torch.sparse.sampled_addmm(csr, U, V.T, beta=0.0)),
        ("gather, multiply, sum", lambda: (U[rows] * V[columns]).sum(1)),
    ], args.rounds)  # fmt: skip
    compare("SpMM: pattern x dense", [
        ("sharpap.kernels.spmm", lambda: spmm(pattern, values, V)),
        ("torch sparse CSR @ dense", lambda: csr @ V),
        ("index_add_", lambda: torch.zeros_like(U).index_add_(0, rows, V[columns] * values[:, None])),
    ], args.rounds)  # fmt: skip
    compare("Transposed SpMM", [
        ("sharpap.kernels.spmm_t", lambda: spmm_t(pattern, values, U)),
        ("torch sparse CSR of the transpose @ dense", lambda: csr_t @ U),
    ], args.rounds)  # fmt: skip
    users, exclude = np.arange(min(args.users, 4000)), made.matrix
    dense_mask = torch.zeros(len(users), args.items, dtype=torch.bool)
    part = exclude[: len(users)]
    dense_mask[np.repeat(np.arange(len(users)), np.diff(part.indptr)), part.indices.astype(np.int64)] = True
    compare(f"Masked top-20 of {len(users):,} users", [
        ("sharpap.kernels.topk, in blocks", lambda: topk(U.numpy(), V.numpy(), 20, exclude=exclude, users=users)),
        ("torch: whole score matrix, masked_fill, topk",
         lambda: (U[: len(users)] @ V.T).masked_fill_(dense_mask, -torch.inf).topk(20, dim=1)),
    ], args.rounds)  # fmt: skip

    def by_autograd() -> object:
        u, v = U.clone().requires_grad_(), V.clone().requires_grad_()
        s = sddmm(pattern, u, v)
        loss = (
            ((u.T @ u) * (v.T @ v)).sum()
            + (20 * (1 - s) ** 2 - s**2).sum()
            + 20 * (u.square().sum() + v.square().sum())
        )
        return torch.autograd.grad(loss, (u, v))

    def dense() -> object:
        u, v = U.clone().requires_grad_(), V.clone().requires_grad_()
        s = u @ v.T
        weight = torch.ones_like(s)
        weight[rows, columns] = 20
        target = torch.zeros_like(s)
        target[rows, columns] = 1
        loss = (weight * (target - s) ** 2).sum() + 20 * (u.square().sum() + v.square().sum())
        return torch.autograd.grad(loss, (u, v))

    compare("Gradient of the exact WRMF loss over all pairs", [
        ("sharpap.kernels.wrmf_gradient, fused",
         lambda: wrmf_gradient(pattern, U, V, positive_weight=20.0, negative_weight=1.0, reg=20.0)),
        ("the same through autograd and sddmm", by_autograd),
        ("dense users x items, torch autograd", dense),
    ], max(3, args.rounds // 3))  # fmt: skip


if __name__ == "__main__":
    main()
