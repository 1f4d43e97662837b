"""Several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Self

from sharpap.assess.execution.backend import died, limit_threads
from sharpap.assess.work.pieces import Made, Piece, Work
from sharpap.errors import ConfigError
from sharpap.scratch import Scratch, reclaim

# NumPy's and SciPy's libraries read their number of threads when they are loaded, and no other time.
_BLAS = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}


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
