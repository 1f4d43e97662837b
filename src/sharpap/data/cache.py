"""Checksums of the files that were downloaded into the cache: what rots there is noticed before it is read."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from sharpap.data.download import digest
from sharpap.errors import DataError
from sharpap.files import write_text

SUMS = "SHA256SUMS"  # the form of sha256sum, which can check the folder too
ASIDE = ".damaged"


def seal(folder: Path) -> None:
    """Note the checksums of all files of a folder, where it can be written to."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and _counts(path))
    with suppress(OSError):
        write_text(folder / SUMS, "".join(f"{digest(path)}  {path.name}\n" for path in files))


def damaged(folder: Path) -> list[str]:
    """Files that are not what `seal` noted, or are gone; a folder without notes is sealed as it is.

    Raises:
        DataError: the notes cannot be read.
    """
    try:
        lines = (folder / SUMS).read_text("utf-8").splitlines()
    except FileNotFoundError:
        seal(folder)
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The checksums cannot be read ({error}).", path=folder / SUMS, hint="Remove the file."
        ) from None
    found = []
    for line in lines:
        entry = re.fullmatch(r"([0-9a-f]{64})  ([^/\\]+)", line)
        if entry is None:
            return [SUMS]
        path = folder / entry[2]
        if not path.is_file() or digest(path) != entry[1]:
            found.append(entry[2])
    return found


def put_aside(folder: Path, names: list[str]) -> None:
    """Out of the way of a fresh download, but kept: ``NAME.damaged``. The notes stay, so that nothing else passes for whole."""
    for name in set(names) - {SUMS}:
        with suppress(FileNotFoundError):
            os.replace(folder / name, folder / (name + ASIDE))


def _counts(path: Path) -> bool:
    return path.name != SUMS and not path.name.startswith(".") and path.suffix not in (ASIDE, ".part")
