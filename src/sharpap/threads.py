"""Sums that do not depend on the number of threads: one thread for the libraries that split them.

BLAS and torch give each thread a part of a sum, so that its last digits depend on how many there are, and a discrete attack
then takes another path. The kernels of `sharpap.kernels` sum in one order with any number of threads, and keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from threadpoolctl import threadpool_limits

OURS = "sharpap."


@contextmanager
def one_for_sums() -> Iterator[None]:
    """Inside the block torch and every loaded BLAS work with one thread, whatever the environment says."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def for_work_of(made: object) -> AbstractContextManager[None]:
    """`one_for_sums` for attacks and recommenders of SharpAP; other people's keep their threads."""
    return one_for_sums() if type(made).__module__.startswith(OURS) else nullcontext()
