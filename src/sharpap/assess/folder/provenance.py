"""Where results came from: versions, machine, data, time, memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sharpap.data import Dataset

LIBRARIES = ("sharpap", "torch", "numba", "numpy", "scipy", "polars")


@dataclass(eq=False)
class Watch:
    """Started with a run, asked at its end."""

    dataset: Dataset
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.perf_counter)
    interrupted: bool = False

    def facts(self) -> dict[str, Any]:
        """JSON-ready provenance."""
        data = self.dataset
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "wall_seconds": round(time.perf_counter() - self.clock, 2),
            "peak_memory_mib": peak_memory_mib(),
            "interrupted": self.interrupted,
            "dataset": {
                "name": data.name, "fingerprint": data.fingerprint, "users": data.num_users, "items": data.num_items,
                "train": data.train.nnz, "valid": data.valid.nnz, "test": data.test.nnz, "source": data.source,
            },
            "machine": machine(),
        }  # fmt: skip


def machine() -> dict[str, Any]:
    """Versions and hardware."""
    import numba
    import torch

    return {
        "python": platform.python_version(), "platform": platform.platform(), "processor": _processor(),
        "cpus": os.cpu_count(), "torch_threads": torch.get_num_threads(), "numba_threads": numba.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {name: _version(name) for name in LIBRARIES}, "git_revision": _revision(),
    }  # fmt: skip


def peak_memory_mib() -> int | None:
    """Peak resident memory of this process."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _revision() -> str | None:
    """The commit of the checkout the package runs from, or None."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - git as the user has it
            capture_output=True, text=True, check=False, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
