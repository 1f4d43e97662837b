"""What does the pieces of work looks like, and how it is kept busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast

from sharpap import progress
from sharpap.assess.rows import Cell
from sharpap.assess.work.pieces import Made, Piece, Train
from sharpap.assess.work.stages import Staged


class Backend(Protocol):
    """A context in which pieces of work are done, in any order."""

    @property
    def free(self) -> bool:
        """Whether another piece may be handed in now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a piece is under way."""
        ...

    def submit(self, piece: Piece) -> None:
        """Hand in a piece."""
        ...

    def next(self) -> tuple[Piece, Made]:
        """Wait for a piece to be done; raises what it raised."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


P = TypeVar("P", bound=Piece)


def work_through(
    workers: Backend, first: Iterable[P], *, starting: Callable[[P], None] | None = None
) -> Iterator[tuple[P, Made, deque[P]]]:
    """Have pieces done, in any order.

    Args:
        workers: who does them.
        first: what can be done from the start.
        starting: told of each piece before it is handed in.

    Yields:
        A piece, what it gave, and the queue that takes what it makes possible. Problems with the store are told on the way.
    """
    ready = deque(first)
    while ready or workers.busy:
        while ready and workers.free:
            if starting is not None:
                starting(ready[0])
            workers.submit(ready.popleft())
        piece, made = workers.next()
        for problem in made.problems:
            progress.event("warning", message=problem)
        yield cast(P, piece), made, ready


def limit_threads(threads: int) -> None:
    """Give this process `threads` threads for kernels and matrix products."""
    import numba
    import torch

    torch.set_num_threads(threads)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # pyright: ignore


def died(piece: Piece, how: str) -> Made:
    """What a piece gives whose process is gone: a failure.

    Args:
        piece: what was under way.
        how: what became of its process, e.g. "died twice".
    """
    error = f"The process that worked on it {how}."
    inner = piece.piece if isinstance(piece, Staged) else piece
    return Made(value=(Cell(**inner.place, error=error), None) if isinstance(inner, Train) else None, error=error)
