"""What a command says that is stopped, by Ctrl-C or by SIGTERM, wherever it is in its work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sharpap.errors import Interrupted

AGAIN = "Files are written whole or not at all: give the same command again."


@contextmanager
def kept_in(place: Path) -> Iterator[None]:
    """Inside the block, finished work is kept in `place`, and the same command takes it from there.

    Raises:
        Interrupted: instead of `KeyboardInterrupt`.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"What is finished is kept in {place}: the same command goes on from there.") from None
