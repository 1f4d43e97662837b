"""What the machine can do: streamed bandwidth, floating-point operations, and what it is."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
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
def _sum(a: Any, out: Any) -> None:
    for part in numba.prange(len(out)):
        size = len(a) // len(out)
        s = np.float32(0)
        for i in range(part * size, (part + 1) * size):
            s += a[i]
        out[part] = s


def best(work: Callable[[], object], rounds: int = 7) -> float:
    """The shortest time of several."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def roofs(size: int = 1 << 26, side: int = 3072) -> dict[str, float]:
    """Measured peaks: GB/s read alone and of a STREAM triad over arrays far larger than the cache, Gflop/s of float32 BLAS."""
    a, b, c = (np.ones(size, np.float32) for _ in range(3))
    out = np.zeros(64, np.float32)
    x, y = torch.randn(side, side), torch.randn(side, side)
    product = torch.empty(side, side)
    return {
        "read_gb_s": 4 * size / best(lambda: _sum(a, out)) / 1e9,
        "triad_gb_s": 12 * size / best(lambda: _triad(a, b, c)) / 1e9,
        "gflop_s": 2 * side**3 / best(lambda: torch.mm(x, y, out=product)) / 1e9,
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
