"""`sharpap doctor`: does this installation work, and how well."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table
from rich.text import Text
from scipy.sparse import csr_array

from sharpap.assess.folder.provenance import machine
from sharpap.cli.console import stdout
from sharpap.data import synthetic
from sharpap.data.catalogue.loading import cache_home, entries
from sharpap.kernels import Pattern, sddmm, spmm, topk

Check = tuple[str, str, bool]


def examine(as_json: bool) -> None:
    """Run all checks; exit status 1 if one fails."""
    checks = [_guard(check) for check in (_versions, _threads, _memory, _gpu, _kernels, _data)]
    if as_json:
        print(
            json.dumps(
                {"ok": all(ok for *_, ok in checks), "checks": [list(check) for check in checks]} | machine(), indent=2
            )
        )
    else:
        table = Table(show_header=False, box=None, padding=(0, 2))
        for name, text, ok in checks:
            table.add_row(Text("ok" if ok else "FAILED", style="green" if ok else "bold red"), name, Text(text))
        stdout().print(table)
    if not all(ok for *_, ok in checks):
        raise SystemExit(1)


def _guard(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # whatever is broken is what this verb is for
        return check.__name__.strip("_"), f"{type(error).__name__}: {error}", False


def _versions() -> Check:
    facts: dict[str, Any] = machine()
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    return "versions", f"Python {facts['python']}, {versions}", all(facts["versions"].values())


def _threads() -> Check:
    facts = machine()
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch_threads, numba_threads = facts["torch_threads"], facts["numba_threads"]
    text = f"{cpus} CPUs, torch {torch_threads}, numba {numba_threads} threads"
    fits = torch_threads <= cpus and numba_threads <= cpus
    return "threads", text if fits else text + "; set OMP_NUM_THREADS and NUMBA_NUM_THREADS to the CPUs you have", fits


def _memory() -> Check:
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    except (ValueError, OSError, AttributeError):
        return "memory", "unknown", True
    return "memory", f"{free:.1f} GiB free", free > 1


def _gpu() -> Check:
    if not torch.cuda.is_available():
        return "gpu", "none; everything runs on the CPU", True
    slow = "" if find_spec("triton") else "; without Triton, so that inner products take ten times as long"
    return "gpu", torch.cuda.get_device_name() + slow, True


def _kernels() -> Check:
    made = synthetic(500, 700, 20_000)
    pattern = Pattern.from_csr(made.matrix)
    generator = torch.Generator().manual_seed(0)
    U, V = (torch.randn(rows, 16, generator=generator) for rows in made.matrix.shape)
    start = time.perf_counter()
    scores = sddmm(pattern, U, V)
    product = spmm(pattern, scores, V)
    items, _ = topk(U.numpy(), V.numpy(), 10)
    seconds = time.perf_counter() - start
    dense = (U @ V.T).numpy()
    rows, columns = made.entries()
    reference = csr_array((dense[rows, columns], (rows, columns)), shape=made.matrix.shape) @ V.numpy()
    same = np.allclose(scores.numpy(), dense[rows, columns], atol=1e-4) and np.allclose(
        product.numpy(), reference, atol=1e-3
    )
    same &= bool((np.sort(dense, 1)[:, -10] <= np.take_along_axis(dense, items, 1).min(1) + 1e-5).all())
    return (
        "kernels",
        f"agree with numpy; {seconds:.1f} s with compilation" if same else "disagree with numpy",
        bool(same),
    )


def _data() -> Check:
    home = os.environ.get("SHARPAP_DATA_HOME")
    folders = ([Path(home)] if home else []) + [cache_home()]
    found = [entry.name for entry in entries() if any(entry.found_in(folder / entry.name) for folder in folders)]
    where = f"SHARPAP_DATA_HOME is {home}" if home else "SHARPAP_DATA_HOME is not set"
    return "data", f"{where}; at hand: {', '.join(found) or 'nothing yet'}; the rest is fetched when named", True
