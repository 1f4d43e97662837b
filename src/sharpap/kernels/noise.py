"""Random numbers by place: the n-th number of a stream is a hash of the stream's key and n, the same on every device.

A generator that counts has to be asked in order, by one thread, on the CPU: that took a third of an epoch of SimGCL there, and
nine tenths on a GPU, where the numbers have to be carried over as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_UNIT = 2.0**-24


def signed(number: int) -> int:
    """The int64 with the bits of a uint64: torch's integer products wrap alike, but it has no unsigned ones."""
    return number - (1 << 64) if number >= 1 << 63 else number


def new_key(draw: np.random.Generator) -> np.uint64:
    """The key of a fresh stream."""
    return np.uint64(draw.integers(0, 2**63))


@numba.njit(inline="always", cache=True)
def _bits(key: Any, place: Any) -> Any:
    """The 64 bits of SplitMix64 at `place`, from 0."""
    x = key + numba.uint64(place + 1) * numba.uint64(_STEP)
    x = (x ^ (x >> numba.uint64(30))) * numba.uint64(_FIRST)
    x = (x ^ (x >> numba.uint64(27))) * numba.uint64(_SECOND)
    return x ^ (x >> numba.uint64(31))


@numba.njit(inline="always", cache=True)
def _pair(key: Any, place: Any) -> tuple[Any, Any]:
    """Two uniform float32 of 24 bits, from either half of 64 bits."""
    x, unit = _bits(key, place), np.float32(_UNIT)
    return (
        np.float32(numba.int32(x >> numba.uint64(40))) * unit,
        np.float32(numba.int32((x >> numba.uint64(8)) & numba.uint64(0xFFFFFF))) * unit,
    )


@numba.njit(parallel=True, cache=True, nogil=True)
def _uniform(key: Any, out: Array) -> None:
    for place in numba.prange(len(out) // 2):
        out[2 * place], out[2 * place + 1] = _pair(key, place)
    if len(out) % 2:
        out[-1] = _pair(key, len(out) // 2)[0]


def _torch_uniform(key: np.uint64, count: int, device: torch.device) -> Tensor:
    """`_uniform` on any device: a logical shift is a masked arithmetic one."""
    x = torch.arange(1, (count + 1) // 2 + 1, device=device) * signed(_STEP) + signed(int(key))
    for shift, factor in ((30, _FIRST), (27, _SECOND), (31, 1)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * signed(factor)
    halves = torch.stack([(x >> 40) & 0xFFFFFF, (x >> 8) & 0xFFFFFF], 1)
    return halves.view(-1)[:count].float() * _UNIT


def uniform(shape: Sequence[int], draw: np.random.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Uniform float32 in [0, 1), multiples of 2^-24; the same numbers on any device, by any number of threads.

    Source: Steele, Lea and Flood 2014 (SplitMix64), both halves of each of its numbers.
    """
    key, count, device = new_key(draw), math.prod(shape), torch.device(device)
    if device.type != "cpu":
        return _torch_uniform(key, count, device).view(*shape)
    out = torch.empty(count)
    _uniform(key, out.numpy())
    return out.view(*shape)


def normal(shape: Sequence[int], draw: np.random.Generator, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal float32, the same on any device within rounding, by Box and Muller's pairs."""
    count = math.prod(shape)
    first, second = uniform((2, (count + 1) // 2), draw, device)
    radius = first.neg_().add_(1).log_().mul_(-2).sqrt_()  # 1 - u is never 0
    angle = second.mul_(2 * math.pi)
    return torch.cat([radius * angle.cos(), radius * angle.sin()])[:count].view(*shape)


@numba.njit(parallel=True, fastmath={"contract", "nsz"}, cache=True, nogil=True)
def _orthant(key: Any, part: Array, length: float, out: Array) -> None:
    """A row at a time: numbers, their norm, and the result, all in the first cache."""
    d, size = part.shape[1], np.float32(length)
    half = (d + 1) // 2
    for row in numba.prange(len(part)):
        p, s = part[row], out[row]
        total = np.float32(0)
        for k in range(d // 2):
            a, b = _pair(key, row * half + k)
            s[2 * k], s[2 * k + 1] = a, b
        if d % 2:
            s[d - 1] = _pair(key, row * half + half - 1)[0]
        for k in range(d):
            total += s[k] * s[k]
        scale = size / max(np.sqrt(total), np.float32(1e-12))
        for k in range(d):
            x = s[k] * scale
            s[k] = x if p[k] > 0 else (-x if p[k] < 0 else np.float32(0))


def orthant_shift(part: Tensor, length: float, draw: np.random.Generator) -> Tensor:
    """A random vector of this length for each row of `part` (n, d) float32, in the orthant of the row; 0 where the row is.

    Its direction is that of d uniform numbers, as SimGCL shifts its nodes. The same on any device within rounding.
    """
    n, d = part.shape
    key = new_key(draw)
    if part.device.type != "cpu":
        numbers = _torch_uniform(key, n * (d + d % 2), part.device).view(n, -1)[:, :d]
        return torch.nn.functional.normalize(numbers).mul_(part.sign()).mul_(length)
    out = torch.empty_like(part, memory_format=torch.contiguous_format)
    _orthant(key, part.contiguous().numpy(), length, out.numpy())
    return out
