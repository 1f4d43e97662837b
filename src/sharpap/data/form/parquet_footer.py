"""How much a Parquet file says it holds, found before anything is unpacked.

A few bytes of Parquet can stand for billions of equal rows, or for gigabytes of zeros, and polars makes room for what it is
told. The sizes are in the footer, which neither polars nor another library that SharpAP needs tells, so it is read here: a
struct of Thrift's compact protocol. Source: apache/parquet-format, parquet.thrift and thrift-compact-protocol.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from sharpap.data.form.arrays import most_unpacked
from sharpap.errors import DataError

MOST_FOOTER = 32 << 20
DEEPEST = 16
VALUE_BYTES = 8
_NUM_ROWS, _ROW_GROUPS, _SCHEMA = 3, 4, 2  # fields of FileMetaData
_COLUMNS = 1  # of RowGroup
_META_DATA = 3  # of ColumnChunk
_UNCOMPRESSED = 6  # of ColumnMetaData
_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, (9, 10), 12


def refuse_bomb(path: Path) -> None:
    """Raise `DataError` where a Parquet file says it unpacks to far more than such files do.

    What its pages hold beyond what the footer says is not seen here, and is polars' to refuse. A file without a readable
    footer passes: polars says what is wrong with it.
    """
    packed = path.stat().st_size
    claims = claimed(path)
    if claims is None:
        return
    rows, columns, unpacked = claims
    if max(unpacked, rows * columns * VALUE_BYTES) > most_unpacked(packed):
        raise DataError(
            f"The Parquet file of {packed:,} bytes says that it holds {rows:,} rows and unpacks to {unpacked:,} bytes.",
            path=path, hint="Nothing real packs that well; if it is right, write it as CSV.",
        )  # fmt: skip


def claimed(path: Path) -> tuple[int, int, int] | None:
    """Rows, columns and unpacked bytes that the footer of a Parquet file names; None: there is no such footer."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        length, mark = struct.unpack("<I4s", file.read(8).rjust(8, b"\0"))
        if mark != b"PAR1" or length > size - 8:
            return None
        if length > MOST_FOOTER:
            raise DataError(f"The footer of the Parquet file takes {length:,} bytes.", path=path)
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        facts = _Compact(footer).struct()
        groups = facts[_ROW_GROUPS]
        chunks = [chunk[_META_DATA][_UNCOMPRESSED] for group in groups for chunk in group[_COLUMNS]]
        rows = max(facts[_NUM_ROWS], sum(group[_NUM_ROWS] for group in groups))
        return rows, len(facts[_SCHEMA]) - 1, sum(chunks)
    except (IndexError, KeyError, TypeError, ValueError):
        return None


class _Compact:
    """Values of Thrift's compact protocol; a struct is a dict of field numbers, a list a list, a double its bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.depth = data, 0, 0

    def struct(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            step, kind = kind >> 4, kind & 15
            number = number + step if step else self._integer()
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind)
        return found

    def _value(self, kind: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        self.depth += 1
        if self.depth > DEEPEST or kind not in (*_LISTS, _STRUCT):
            raise ValueError(f"nothing of kind {kind} stands here")
        found = self.struct() if kind == _STRUCT else self._list()
        self.depth -= 1
        return found

    def _list(self) -> list[Any]:
        head = self._byte()
        count, kind = head >> 4, head & 15
        return [self._value(kind) for _ in range(self._varint() if count == 15 else count)]

    def _integer(self) -> int:
        raw = self._varint()
        return (raw >> 1) ^ -(raw & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number is too long")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise IndexError(self.at)
        return self.data[self.at - count : self.at]
