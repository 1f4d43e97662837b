"""Files from anyone: regular ones alone, no longer than they may be, and TOML and JSON that no parser chokes on."""

from __future__ import annotations

import json
import os
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sharpap.errors import DataError

MOST_TOML = 4 << 20
MOST_JSON = 64 << 20
DEEPEST = 64  # tables and lists within each other; nothing real has ten
_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}


def refuse_irregular(path: Path) -> os.stat_result:
    """Raise `DataError` for what is no regular file: a device has no end, and a pipe may wait for ever.

    A link counts as what it leads to.

    Raises:
        OSError: there is nothing, or it cannot be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        what = _KINDS.get(stat.S_IFMT(found.st_mode), "a device")
        raise DataError(f"This is {what}, not a file.", path=path, hint="Name a regular file.")
    return found


def read_bytes(path: Path, most: int) -> bytes:
    """All of a regular file of at most `most` bytes.

    Raises:
        DataError: it is longer, or no regular file. OSError: it cannot be read.
    """
    refuse_irregular(path)
    with path.open("rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise DataError(f"The file is longer than the {most:,} bytes that such a file can have.", path=path)
    return raw


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: no regular file, too long, or no JSON. OSError: it cannot be read.
    """
    raw = read_bytes(path, MOST_JSON)
    try:
        return json_value(raw.decode())
    except ValueError as error:
        raise DataError(f"The file is not valid JSON: {error}.", path=path) from None


def json_value(text: str) -> Any:
    """The value of a JSON text; raises `ValueError` with what is wrong, whatever it is."""
    return _parsed(json.loads, text)


def toml_table(text: str) -> dict[str, Any]:
    """The table of a TOML text; raises `ValueError` with what is wrong, whatever it is."""
    return _parsed(tomllib.loads, text)


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        value = parse(text)
    except RecursionError:
        raise ValueError("it nests lists or tables far too deeply") from None
    except ValueError as error:
        if "set_int_max_str_digits" not in str(error):
            raise
        raise ValueError(f"a whole number has more than {sys.get_int_max_str_digits():,} digits") from None
    level, depth = [value], 0
    while level := [each for inner in level for each in _inside(inner)]:
        depth += 1
        if depth > DEEPEST:
            raise ValueError("it nests lists or tables far too deeply")
    return value


def _inside(value: Any) -> list[Any]:
    """Lists and tables that a value holds."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in inner if isinstance(each, (dict, list))]
