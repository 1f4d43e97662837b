"""``SHA256SUMS`` of a folder's files, in the form of sha256sum, which can check the folder too."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sharpap.errors import DataError
from sharpap.files import write_text
from sharpap.untrusted import read_bytes, refuse_irregular

SUMS = "SHA256SUMS"
_MOST = 64 << 20
_LINE = re.compile(r"([0-9a-f]{64})  ([^\\\n]+)")


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The hexadecimal checksum of a regular file."""
    refuse_irregular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def noted(folder: Path) -> dict[str, str] | None:
    """File name, from the folder on, to checksum; None where the folder has no notes.

    Raises:
        DataError: they are damaged, or cannot be read.
    """
    hint = "Remove the file where you know the others to be whole."
    try:
        lines = read_bytes(folder / SUMS, _MOST).decode().splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The checksums cannot be read ({error}).", path=folder / SUMS, hint=hint) from None
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        raise DataError("A line is no checksum with a name.", path=folder / SUMS, hint=hint)
    return {entry[2]: entry[1] for entry in found if entry is not None}


def note(folder: Path, names: Iterable[str]) -> None:
    """Write the checksums of these files, and of no others."""
    _write(folder, {name: digest(folder / name) for name in names})


def note_again(folder: Path, name: str) -> None:
    """After one file was written anew; a folder without whole notes is left without."""
    with suppress(DataError):
        known = noted(folder)
        if known is not None:
            _write(folder, known | {name: digest(folder / name)})


def _write(folder: Path, sums: dict[str, str]) -> None:
    write_text(folder / SUMS, "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))
