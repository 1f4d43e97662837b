"""Seeds for code that does not take one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def small_seed(seed: int) -> int:
    """SharpAP's 63-bit seed folded into the 31 bits that every library takes."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and torch inside the block, and put them back after it.

    Foreign code draws from them; within SharpAP nothing does.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(small_seed(seed))  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
