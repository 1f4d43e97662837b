"""The kernels and one outer step on a GPU beside the CPU of the same machine; left out, with a line, where there is no GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from benchmarks.speed.attacks import WEIGHTS, Work, data, outer_step

from sharpap.attacks import RevAdv, SharpnessAware
from sharpap.kernels import Pattern, sddmm, spmm, spmm_t
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_hvp
from sharpap.surrogates import WRMFSurrogate

REPEATS = 5


def kernel(name: str, shape: str, device: str, d: int = 64) -> Work:
    """`REPEATS` runs of one kernel; the same numbers on either device."""
    pattern = Pattern.from_csr(data(shape).matrix, device=device)
    n, m = pattern.shape
    draw = torch.Generator().manual_seed(0)
    U, V, A, B = ((torch.randn(rows, d, generator=draw) * 0.1).to(device) for rows in (n, m, n, m))
    values = torch.randn(pattern.nnz, generator=draw).to(device)
    once: Callable[[], Any] = {
        "sddmm": lambda: sddmm(pattern, U, V),
        "spmm": lambda: spmm(pattern, values, V),
        "spmm_t": lambda: spmm_t(pattern, values, U),
        "gradient": lambda: wrmf_gradient(pattern, U, V, **WEIGHTS)[0],
        "hvp": lambda: wrmf_hvp(pattern, U, V, A, B, **WEIGHTS)[0],
    }[name]

    def work() -> dict[str, Any]:
        for _ in range(REPEATS - 1):
            once()
        norm = float(once().double().norm())  # waits for the device
        return {
            "device": name_of(device),
            "interactions": pattern.nnz,
            "norm": round(norm, 3),
            "device_mib": held(device),
        }

    return work


def outer(shape: str, device: str) -> Work:
    """One outer step of SharpAP with its surrogate on a device."""
    settings = RevAdv(worst_case=SharpnessAware(), surrogate=replace(WRMFSurrogate(), device=device))
    step = outer_step(data(shape), settings)
    return lambda: step() | {"device": name_of(device), "device_mib": held(device)}


def name_of(device: str) -> str:
    """The card's name, or how many processors there are."""
    return torch.cuda.get_device_name(device) if device != "cpu" else f"{os.cpu_count()} CPUs"


def held(device: str) -> int:
    """MiB that torch's allocator held at its peak on the card; 0 on the CPU."""
    return torch.cuda.max_memory_reserved(device) >> 20 if device != "cpu" else 0
