"""Checksums of the files that were downloaded into the cache: what rots there is noticed before it is read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sharpap.checksums import SUMS, digest, note, noted
from sharpap.errors import DataError

ASIDE = ".damaged"


def seal(folder: Path) -> None:
    """Note the checksums of all files of a folder, where it can be written to."""
    with suppress(OSError):
        note(folder, [path.name for path in folder.iterdir() if path.is_file() and _counts(path)])


def damaged(folder: Path) -> list[str]:
    """Files that are not what `seal` noted, or are gone; a folder without notes is sealed as it is."""
    try:
        known = noted(folder)
    except DataError:
        return [SUMS]
    if known is None:
        seal(folder)
        return []
    if any(name != Path(name).name for name in known):  # no file of this folder
        return [SUMS]
    return [name for name, value in known.items() if _broken(folder / name, value)]


def _broken(path: Path, value: str) -> bool:
    return not path.is_file() or digest(path) != value


def put_aside(folder: Path, names: list[str]) -> None:
    """Out of the way of a fresh download, but kept: ``NAME.damaged``. The notes stay, so that nothing else passes for whole."""
    for name in set(names) - {SUMS}:
        with suppress(FileNotFoundError):
            os.replace(folder / name, folder / (name + ASIDE))


def _counts(path: Path) -> bool:
    return path.name != SUMS and not path.name.startswith(".") and path.suffix not in (ASIDE, ".part")
