"""Folders of ours: marked when they are made. Where the mark is missing nothing is replaced, removed or swept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NoReturn

from sharpap.errors import ConfigError
from sharpap.files import PLAINLY, explained, is_temporary, refuse_link, write_text

MARKER = "sharpap-folder.json"
Kind = Literal["results", "work", "tuning", "audit", "dataset"]
_NOTE = (
    "Made by SharpAP, which replaces and removes files of its own here. Without this file it leaves the folder alone."
)


def is_ours(folder: Path, kind: Kind) -> bool:
    """Whether a folder carries the mark of its kind, in a file that is no link."""
    text = _text(kind).encode()
    try:
        handle = os.open(folder / MARKER, os.O_RDONLY | PLAINLY)
    except OSError:
        return False
    try:
        return os.read(handle, len(text) + 1) == text
    except OSError:  # no file
        return False
    finally:
        os.close(handle)


def check(folder: Path, kind: Kind, own: Iterable[str] = ()) -> None:
    """Refuse a folder that is neither new, nor empty, nor ours; nothing is changed.

    Args:
        folder: what the user named; it may itself be a link.
        kind: what it is for.
        own: names in it that we write to, none of which may be a link.

    Raises:
        ConfigError: a file, or a folder of someone else or of another kind. StorageError: one of `own` is a link.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file.", hint="Name a folder.")
    if not is_ours(folder, kind):
        with explained(folder):
            names = sorted(name for name in os.listdir(folder) if not is_temporary(name))
        if names and not is_ours(folder, kind):  # asked again: another process may have made it ours meanwhile
            _refuse(folder, names)
    for name in (MARKER, *own):
        refuse_link(folder / name)


def _refuse(folder: Path, names: list[str]) -> NoReturn:
    refuse_link(folder / MARKER)
    if MARKER in names:
        raise ConfigError(f"{folder} is a folder of SharpAP for something else.", hint="Name another folder.")
    raise ConfigError(
        f"{folder} holds other files ({names[0]}), and no {MARKER}, which SharpAP leaves where it works.",
        hint="Name a new or an empty folder. Results of earlier versions can be read, not written to.",
    )


def claim(folder: Path, kind: Kind, own: Iterable[str] = ()) -> None:
    """Make a folder ours, or find that it is.

    Raises:
        ConfigError, StorageError: see `check`; or it cannot be made.
    """
    check(folder, kind, own)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not is_ours(folder, kind):
            write_text(folder / MARKER, _text(kind))


def sweep(folder: Path, kind: Kind, *inside: str) -> None:
    """Remove what `files.replacing` left when its process was killed, in a folder of ours and in sub-folders by name.

    Only for who holds the folder alone.
    """
    if not is_ours(folder, kind):
        return
    for place in (folder, *(folder / name for name in inside if not (folder / name).is_symlink())):
        with suppress(FileNotFoundError), os.scandir(place) as found:
            left = [Path(each) for each in found if is_temporary(each.name) and each.is_file(follow_symlinks=False)]
            for path in left:
                path.unlink(missing_ok=True)


def _text(kind: Kind) -> str:
    return json.dumps({"format": "sharpap-folder-1", "kind": kind, "note": _NOTE}, indent=2) + "\n"
