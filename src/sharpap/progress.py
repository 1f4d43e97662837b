"""Progress of long steps: silent by default, shown by whoever installs a reporter (the CLI does).

with progress.task("RevAdv on WRMF", total=30) as step:
    for epoch in range(30):
        ...
        step.advance(note=f"H@10 {hits:.4f}")

Beside it, `offer` hands what was just made (a poison, a cell's measurements, the results) to listeners such as trackers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Task(Protocol):
    """One long step that is under way."""

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        """Say that `steps` more units are done; `note` is a short figure such as a loss."""
        ...


class Reporter(Protocol):
    """Where progress goes."""

    def start(self, description: str, total: int | None) -> Task:
        """Open a task of `total` units (None: unknown)."""
        ...

    def finish(self, task: Task) -> None:
        """Close a task, whether or not it reached its total."""
        ...

    def event(self, kind: str, **fields: object) -> None:
        """Record something worth a log line."""
        ...


class _Silent:
    def start(self, description: str, total: int | None) -> Task:
        return self

    def finish(self, task: Task) -> None: ...

    def advance(self, steps: int = 1, *, note: str | None = None) -> None: ...

    def event(self, kind: str, **fields: object) -> None: ...


_SILENT = _Silent()
_reporter: ContextVar[Reporter] = ContextVar("sharpap_progress", default=_SILENT)


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Send progress to `reporter` inside the block."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


@contextmanager
def task(description: str, total: int | None = None) -> Iterator[Task]:
    """A long step; finishes when the block ends, also by an exception."""
    reporter = _reporter.get()
    handle = reporter.start(description, total)
    try:
        yield handle
    finally:
        reporter.finish(handle)


def event(kind: str, **fields: object) -> None:
    """One log record, e.g. ``event("cell", attack="revadv", victim="bpr", seconds=2.1)``."""
    _reporter.get().event(kind, **fields)


Listener = Callable[..., None]
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("sharpap_listeners", default=())


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call ``listener(kind, made, **place)`` for everything offered inside the block, beside the listeners around it."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def offer(kind: str, made: object, **place: object) -> None:
    """Hand something just made to whoever listens; nobody does by default, and it is never printed or logged.

    Kinds: "config" (the recipe), "poison" (`Poison`; attack, draw), "rows" (measurements of a cell; attack, victim, draw,
    seed), "validation" (NDCG; epoch, name), "results" (`Results`), "saved" (the results folder). What a listener raises
    ends the work.
    """
    for listener in _listeners.get():
        listener(kind, made, **place)
