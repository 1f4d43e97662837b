"""Who does the pieces of work: this process, several, or a cluster (`on_ray.py`)."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar, cast

from sharpap import progress
from sharpap.assess.resources import OnRay
from sharpap.assess.results import Cell
from sharpap.assess.stages import Staged
from sharpap.assess.work import Made, Piece, Train, Work
from sharpap.errors import ConfigError
from sharpap.scratch import Scratch, reclaim


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
# NumPy's and SciPy's libraries read their number of threads when they are loaded, and no other time.
_BLAS = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}


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


class Serial:
    """One piece after the other, here."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.waiting: Piece | None = None

    @property
    def free(self) -> bool:
        """See `Backend`."""
        return self.waiting is None

    @property
    def busy(self) -> bool:
        """See `Backend`."""
        return self.waiting is not None

    def submit(self, piece: Piece) -> None:
        """See `Backend`."""
        self.waiting = piece

    def next(self) -> tuple[Piece, Made]:
        """See `Backend`."""
        if self.waiting is None:
            raise RuntimeError("Nothing was handed in.")
        piece, self.waiting = self.waiting, None
        return piece, self.work.do(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Processes:
    """`jobs` worker processes, each with its share of the processors' threads and its own copy of the data.

    Workers are started afresh, not forked: threads and locks of this process do not reach them. They read the work from a
    private file: through the pipe that starts them, a worker that dies at once would leave this process waiting for it forever.
    When one dies later (out of memory, a crash in foreign code), all pieces under way are done again, one at a time; the one
    during which it dies again is a failure. Workers end with this process, however it ends.
    """

    def __init__(self, work: Work, jobs: int) -> None:
        self.jobs = jobs
        try:
            self.sent = pickle.dumps(work)
        except Exception as error:  # pickle raises TypeError, AttributeError, PicklingError and what reducers raise
            raise ConfigError(
                f"The experiment cannot be sent to other processes ({type(error).__name__}: {error}).",
                hint="Define recommenders and attacks at the top level of a module, or run with jobs=1.",
            ) from None
        self.flying: dict[Future[Made], Piece] = {}
        self.again: deque[Piece] = deque()
        self.alone = False
        self.threads = max(1, (os.cpu_count() or 1) // jobs)
        self.environment = dict.fromkeys(_BLAS - os.environ.keys(), str(self.threads))

    @property
    def free(self) -> bool:
        """See `Backend`."""
        return not self.again and not self.alone and len(self.flying) < self.jobs

    @property
    def busy(self) -> bool:
        """See `Backend`."""
        return bool(self.flying or self.again)

    def submit(self, piece: Piece) -> None:
        """See `Backend`."""
        try:
            future = self.pool.submit(_do, piece)
        except BrokenProcessPool as error:  # a worker died since the last `next`, which will see to it
            future = Future()
            future.set_exception(error)
        self.flying[future] = piece

    def next(self) -> tuple[Piece, Made]:
        """See `Backend`."""
        while True:
            if self.again and not self.flying:
                self.alone = True
                self.submit(self.again.popleft())
            done, _ = wait(self.flying, return_when=FIRST_COMPLETED)
            future = next(future for future in self.flying if future in done)
            piece = self.flying.pop(future)
            try:
                made = future.result()
            except BrokenProcessPool:
                self._stop()
                self.pool = self._start()
                if self.alone:
                    self.alone = False
                    return piece, died(piece, "died twice (out of memory, or a crash)")
                self.again.extend([piece, *self.flying.values()])
                self.flying.clear()
                continue
            self.alone = False
            return piece, made

    def __enter__(self) -> Self:
        os.environ.update(self.environment)
        self.scratch = Scratch()
        self.file = self.scratch.folder / "work"
        self.file.write_bytes(self.sent)
        del self.sent
        self.pool = self._start()
        try:
            wait([self.pool.submit(_ready) for _ in range(self.jobs)], return_when=FIRST_COMPLETED).done.pop().result()
        except BaseException as error:
            self.__exit__(None, None, None)
            if not isinstance(error, BrokenProcessPool):
                raise
            raise ConfigError(
                "Worker processes end before they are ready.",
                hint='In a script of your own, start runs below `if __name__ == "__main__":`, or with jobs=1.',
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self.scratch.close()
        for name in self.environment:
            os.environ.pop(name, None)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self.file, self.threads),
        )

    def _stop(self) -> None:
        workers = list((self.pool._processes or {}).values())  # pyright: ignore[reportPrivateUsage]
        self.pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()


_work: Work | None = None


def _begin(work: Path, threads: int) -> None:
    """Make a worker ready: its threads, its end, and the work."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_end_with_parent, args=(work,), daemon=True).start()
    limit_threads(threads)
    _work = pickle.loads(work.read_bytes())  # noqa: S301 - made by the parent process a moment ago


def _end_with_parent(work: Path) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        for _ in range(100):  # a parent that was killed left it behind; its lock goes a moment after its end is told
            if reclaim(work.parent):
                break
            time.sleep(0.02)
        os._exit(1)


def _ready() -> None:
    """What a worker can do once it has begun."""


def _do(piece: Piece) -> Made:
    if _work is None:
        raise RuntimeError("The worker was not made ready.")
    return _work.do(piece)


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


def backend(work: Work, jobs: int | None = None, choice: str | OnRay | None = None) -> Backend:
    """Who does the work.

    Args:
        work: the experiment and its store.
        jobs: pieces at once; None: one, as many as there are processors (processes), or as fit the cluster (Ray).
        choice: serial, processes or ray, or a cluster's settings; None: serial for one job, else processes.

    Raises:
        ConfigError: an unknown name, jobs that do not fit it, or a package that is not installed.
    """
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs={jobs} must be 1 or more.")
    if choice is None:
        choice = "serial" if jobs in (None, 1) else "processes"
    if isinstance(choice, OnRay) or choice == "ray":
        from sharpap.assess.on_ray import Ray

        return Ray(work, jobs, OnRay() if isinstance(choice, str) else choice)
    if choice == "processes":
        return Processes(work, jobs or os.cpu_count() or 1)
    if choice != "serial":
        raise ConfigError(f"There is no backend {choice!r}.", hint="Choose serial, processes or ray.")
    if jobs not in (None, 1):
        raise ConfigError(f"The serial backend does one piece at a time, not {jobs}.", hint="Choose processes or ray.")
    return Serial(work)
