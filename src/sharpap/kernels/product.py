"""Products of two tables of vectors: the same bytes with any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numba
import torch
from torch import Tensor

ROWS = 128  # of a slice: a product rounds by its shape, which therefore must not depend on the number of threads


def inner_products(rows: Tensor, items: Tensor, out: Tensor) -> Tensor:
    """(len(rows), len(items)) inner products on the CPU, in `out`.

    As many threads as the kernels have make slices of rows, each by a product of one thread where the caller is within
    `sharpap.threads.one_for_sums`.
    """
    items = items.T
    slices = [slice(start, start + ROWS) for start in range(0, len(rows), ROWS)]

    def multiply(part: slice) -> None:
        torch.mm(rows[part], items, out=out[part])

    threads = numba.get_num_threads()
    if threads == 1 or len(slices) < 2 or torch.get_num_threads() > 1:
        for part in slices:
            multiply(part)
    else:
        for _ in _pool(threads).map(multiply, slices):
            pass
    return out


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sharpap-product")
