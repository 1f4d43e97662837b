"""Checksums of the files that were downloaded into the cache: what rots there is noticed before it is read."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sharpap.checksums import SUMS, digest, note, noted
from sharpap.errors import DataError
from sharpap.folders import MARKER, is_ours

ASIDE = ".damaged"


def seal(folder: Path, but: Collection[str] = ()) -> None:
    """Note the checksums of all files of a folder, `but` those that somebody put there, where it can be written to."""
    with suppress(OSError):
        names = [path.name for path in folder.iterdir() if path.is_file() and _counts(path)]
        note(folder, [name for name in names if name not in but])


def foreign(folder: Path, ours: Collection[str]) -> set[str]:
    """Names in a folder that neither its notes nor `ours` hold."""
    try:
        known = noted(folder) or {}
        return {path.name for path in folder.iterdir()} - known.keys() - set(ours)
    except (FileNotFoundError, DataError):
        return set()


def damaged(folder: Path) -> list[str]:
    """Files that are not what `seal` noted, or are gone; a folder of ours without notes is sealed as it is."""
    try:
        known = noted(folder)
    except DataError:
        return [SUMS]
    if known is None:
        if is_ours(folder, "dataset"):
            seal(folder)
        return []
    if any(name != Path(name).name for name in known):  # no file of this folder
        return [SUMS]
    return [name for name, value in known.items() if _broken(folder / name, value)]


def _broken(path: Path, value: str) -> bool:
    return not path.is_file() or digest(path) != value


def put_aside(folder: Path, names: list[str]) -> None:
    """Out of the way of a fresh download, but kept: ``NAME.damaged``, ``NAME.2.damaged``, ...

    The notes stay, so that nothing else passes for whole.
    """
    for name in set(names) - {SUMS}:
        free = (folder / f"{name}{more}{ASIDE}" for more in ("", *(f".{number}" for number in range(2, 1 << 20))))
        with suppress(FileNotFoundError):
            os.replace(folder / name, next(path for path in free if not os.path.lexists(path)))


def _counts(path: Path) -> bool:
    return path.name not in (SUMS, MARKER) and not path.name.startswith(".") and path.suffix != ASIDE
