"""Checkpoints of long steps: kept only where somebody keeps them (a run with a store does), so that a killed one goes on.

    if (kept := checkpoints.load("my attack")) is not None:
        epoch, weights = kept["epoch"], kept["weights"]
    ...
        if checkpoints.due():
            checkpoints.save("my attack", {"epoch": epoch + 1, "weights": weights})

A step that goes on from a checkpoint must end with the very bytes of one that was left alone: generators are part of the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

State = dict[str, Any]


class Keeper(Protocol):
    """Where the states of one piece of work are kept."""

    def due(self) -> bool:
        """Whether a state is worth its writing now."""
        ...

    def load(self, name: str) -> State | None:
        """The latest state of a step, or None."""
        ...

    def save(self, name: str, state: State) -> None:
        """Keep a state in the place of the one before."""
        ...

    def drop(self) -> None:
        """Forget all states of the piece of work."""
        ...


class _Nobody:
    def due(self) -> bool:
        return False

    def load(self, name: str) -> State | None:
        return None

    def save(self, name: str, state: State) -> None: ...

    def drop(self) -> None: ...


_NOBODY = _Nobody()
_keeper: ContextVar[Keeper] = ContextVar("sharpap_checkpoints", default=_NOBODY)


@contextmanager
def keeping(keeper: Keeper) -> Iterator[None]:
    """Keep checkpoints with `keeper` inside the block."""
    token = _keeper.set(keeper)
    try:
        yield
    finally:
        _keeper.reset(token)


def kept() -> bool:
    """Whether anybody keeps states; where nobody does, a name that takes time need not be made."""
    return _keeper.get() is not _NOBODY


def due() -> bool:
    """Whether a state would be kept now; ask before it is put together."""
    return _keeper.get().due()


def load(name: str) -> State | None:
    """The latest state of a step of this piece of work; `name` must tell apart all that it depends on within the piece."""
    return _keeper.get().load(name)


def save(name: str, state: State) -> None:
    """Keep a state: JSON-ready values, and NumPy arrays at its top level."""
    _keeper.get().save(name, state)


def drop() -> None:
    """Forget all states of this piece of work: the next try begins at its beginning."""
    _keeper.get().drop()
