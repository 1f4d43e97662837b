"""Random seeds: one root, a separate stream for every purpose, nothing global."""

from __future__ import annotations

import zlib

import numpy as np


def derive_seed(root: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. ``derive_seed(0, "victim", "wrmf", 2)``.

    Streams of different purposes are independent (`numpy.random.SeedSequence`); the same root and
    purpose give the same seed on every machine.
    """
    key = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in purpose]
    state = np.random.SeedSequence(entropy=int(root), spawn_key=key).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def rng(root: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose; see `derive_seed`."""
    return np.random.default_rng(derive_seed(root, *purpose))
