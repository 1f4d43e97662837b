"""What the machine can do: streamed bandwidth, floating-point operations, and what it is."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch


@numba.njit(parallel=True, fastmath=True)
def _triad(a: Any, b: Any, c: Any) -> None:
    for i in numba.prange(len(a)):
        a[i] = b[i] + np.float32(3) * c[i]


@numba.njit(parallel=True, fastmath=True)
def _sum(a: Any) -> Any:
    """A reduction that numba splits over the threads, each with the accumulators of its vector registers."""
    s = np.float32(0)
    for i in numba.prange(len(a)):
        s += a[i]
    return s


@numba.njit(fastmath=True, nogil=True)
def _sum_part(a: Any) -> Any:
    """Four streams with an accumulator each, for one thread."""
    quarter = len(a) // 4
    s = t = u = v = np.float32(0)
    for i in range(quarter):
        s += a[i]
        t += a[i + quarter]
        u += a[i + 2 * quarter]
        v += a[i + 3 * quarter]
    return s + t + u + v


def best(work: Callable[[], object], rounds: int = 25) -> float:
    """The shortest time of several: a neighbour on the same memory can only lengthen one."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def roofs(size: int = 1 << 26, side: int = 3072, rounds: int = 25) -> dict[str, float]:
    """Measured peaks: GB/s read alone and of a STREAM triad over arrays far larger than the cache, Gflop/s of float32 BLAS.

    Reading is measured in two ways, and the faster counts: a loop that numba splits, and one stream of four in each of
    as many threads as there are processors.
    """
    generator = np.random.default_rng(0)
    a, b, c = (generator.random(size, dtype=np.float32) for _ in range(3))
    threads = numba.get_num_threads()
    parts = np.array_split(a, threads)
    x, y = torch.randn(side, side), torch.randn(side, side)
    product = torch.empty(side, side)
    with ThreadPoolExecutor(threads) as pool:
        read = min(best(lambda: _sum(a), rounds), best(lambda: list(pool.map(_sum_part, parts)), rounds))
    return {
        "read_gb_s": 4 * size / read / 1e9,
        "triad_gb_s": 12 * size / best(lambda: _triad(a, b, c), rounds) / 1e9,
        "gflop_s": 2 * side**3 / best(lambda: torch.mm(x, y, out=product), rounds) / 1e9,
    }


def describe() -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    info, name = Path("/proc/cpuinfo"), platform.processor()
    if info.exists():
        name = next(
            (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), name
        )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": name, "cpus": os.cpu_count(), "memory_gib": round(pages / 2**30, 1), "system": platform.system(),
        "python": platform.python_version(), "torch": torch.__version__.split("+")[0], "numba": numba.__version__,
        "torch_threads": torch.get_num_threads(), "numba_threads": numba.get_num_threads(),
    }  # fmt: skip
