"""One point of the scaling study: read a Parquet file in a stream, take one outer step, train two victims."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.attacks import Work, outer_step
from benchmarks.speed.child import clear_peak, memory

from sharpap.data import Interactions, read_interactions, synthetic, write_interactions
from sharpap.data.reading import stream
from sharpap.recommenders import WRMF, LightGCN

SWEEPS, EPOCHS = 3, 3


def file_of(users: int, items: int, interactions: int) -> Path:
    """The Parquet file of a shape; made once, by a process of its own, whose memory is then not ours."""
    path = Path(tempfile.gettempdir()) / "sharpap-growth" / f"{users}x{items}x{interactions}.parquet"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        order = [sys.executable, "-m", "benchmarks.speed.growth", str(path), *map(str, (users, items, interactions))]
        subprocess.run(order, check=True)
    return path


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives, its seconds, and its peak in MiB over an allocator that has handed back what it can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)
    clear_peak()
    start = time.perf_counter()
    made = work()
    return made, time.perf_counter() - start, memory("VmHWM")


def point(users: int, items: int, interactions: int) -> Work:
    """The wall time and peak are those of the outer step, everything else is a fact."""
    small = synthetic(300, 400, 6000)
    outer_step(small)()  # compile
    victims = {"wrmf": WRMF(epochs=SWEEPS), "lightgcn": LightGCN(epochs=EPOCHS)}
    for victim in victims.values():
        victim.fit(small.matrix, seed=0)
    path = file_of(users, items, interactions)
    stream.STREAM_FROM = 0

    def work() -> dict[str, Any]:
        before = memory("VmRSS")
        made, seconds, peak = measured(lambda: read_interactions(path))
        assert isinstance(made, Interactions)
        train = made.matrix
        facts: dict[str, Any] = {
            "users": train.shape[0], "items": train.shape[1], "interactions": int(train.nnz), "imports_mib": before,
            "csr_mib": (train.data.nbytes + train.indices.nbytes + train.indptr.nbytes) / 2**20,
            "parameters_mib": 64 * 4 * sum(train.shape) / 2**20, "read_s": seconds, "read_mib": peak,
        }  # fmt: skip
        step = outer_step(made)
        cpu = time.process_time()
        _, facts["wall"], facts["peak_mib"] = measured(step)
        facts["cpu"] = time.process_time() - cpu
        del step
        for (name, victim), count in zip(victims.items(), (SWEEPS, EPOCHS), strict=True):
            _, seconds, facts[f"{name}_mib"] = measured(lambda victim=victim: victim.fit(train, seed=0))
            facts[f"{name}_s"] = seconds / count
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in facts.items()}

    return work


if __name__ == "__main__":
    target, *shape = sys.argv[1:]
    most = tuple(map(int, shape))
    write_interactions(synthetic(*most, min_items=min(10, most[2] // most[0])), target)
