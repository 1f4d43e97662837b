"""Looks at the bytes of a large text before polars streams it: what polars would cut off, repair or stumble over."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

from sharpap.data.form.arrays import most_unpacked
from sharpap.data.form.layout import BOM, Layout, bomb, opened
from sharpap.data.form.quotes import quoted_rows
from sharpap.errors import DataError


def look_through(path: Path) -> tuple[bool, bool]:
    """Whether there is a double quote, and a line after the first that begins with a byte order mark.

    Raises:
        DataError: a zero byte, or a file that unpacks without end.
    """
    line, size, quotes, marks, before = 1, 0, False, False, b""
    packed = path.stat().st_size
    with opened(path) as file:
        while block := file.read(1 << 24):
            size += len(block)
            if size > most_unpacked(packed):
                raise bomb(path, packed, most_unpacked(packed))
            _refuse_in(block, b"\x00", "a zero byte", path, line)
            line += block.count(b"\n")
            quotes = quotes or b'"' in block
            marks = marks or b"\n" + BOM in before + block
            before = block[-len(BOM) :]
    return quotes, marks


def is_cut_by_polars(path: Path, layout: Layout) -> bool:
    """A byte order mark before the first id, or an empty last field that no line end follows, which polars cuts off."""
    with opened(path) as file:
        first = next(itertools.islice(file, layout.skip, None), b"")
        last = first
        while block := file.read(1 << 24):
            last = (last + block)[-8:]
    marks = BOM * (1 if layout.skip else 2)
    return first.startswith(marks) or last.endswith(layout.separator.encode())


def quoted_rows_in(path: Path, layout: Layout) -> int | None:
    """`quotes.quoted_rows` of a file below its header."""
    with opened(path) as file, io.TextIOWrapper(file, "utf-8-sig", "replace", newline="") as lines:
        return quoted_rows(itertools.islice(lines, layout.skip, None), layout.separator, len(layout.names))


def refuse_byte(path: Path, byte: bytes, name: str) -> None:
    """Raise `DataError` with the line of the first such byte."""
    line = 1
    with opened(path) as file:
        while block := file.read(1 << 24):
            _refuse_in(block, byte, name, path, line)
            line += block.count(b"\n")


def _refuse_in(block: bytes, byte: bytes, name: str, path: Path, line: int) -> None:
    """The same of one block, which begins in `line`."""
    if byte in block:
        raise DataError(f"The file holds {name}.", path=path, line=line + block[: block.index(byte)].count(b"\n"))
