"""`Layout`: how the rows of a file are written down, from its name and its first kilobytes."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

from sharpap.data.arrays import most_unpacked
from sharpap.errors import DataError
from sharpap.untrusted import refuse_irregular

Format = Literal["movielens-tab", "movielens-dat", "recbole", "adjacency", "csv", "tsv", "parquet", "npz"]
BY_SUFFIX: dict[str, Format] = {
    ".data": "movielens-tab", ".dat": "movielens-dat", ".inter": "recbole",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".npz": "npz",
}  # fmt: skip
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}
_HEAD = 1 << 18
BOM = b"\xef\xbb\xbf"
_PACKED = {b"\x28\xb5\x2f\xfd": "Zstandard", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The form of one file.

    Attributes:
        format: as `read_interactions` names it.
        separator: between fields of a delimited text, "" for other forms.
        header: whether a line names the columns.
        names: the column names; "column 0", ... where nothing names them.
        skip: lines before the first row: blank ones and the header.
        quote: whether double quotes enclose fields.
        encoding: "utf-8", "utf-8 with byte order mark" or "binary".
        line_ends: "\\n", "\\r\\n" or "" for binary forms.
        compression: "gzip" or "".
    """

    format: Format
    separator: str = ""
    header: bool = True
    names: tuple[str, ...] = ()
    skip: int = 0
    quote: bool = False
    encoding: str = "binary"
    line_ends: str = ""
    compression: str = ""

    @property
    def binary(self) -> bool:
        """Whether there are no lines."""
        return self.format in ("parquet", "npz")


def detect(
    path: Path, *, format: Format | None = None, header: bool | None = None, separator: str | None = None
) -> Layout:
    """The layout of a file. What is None is found out from the name and the first 256 KiB.

    Raises:
        DataError: no file, an empty one, a compression that is not read, UTF-16, a repeated column name.
    """
    if format is not None and format not in get_args(Format):
        raise DataError(f"There is no format {format!r}.", hint=f"Choose one of {', '.join(get_args(Format))}.")
    if separator is not None and (len(separator) != 1 or separator in '"\r\n' or not separator.isascii()):
        raise DataError(f"A separator is one character, not {separator!r}.", hint="For a tab, say \\t.")
    head, compression = _head(path)
    if not head.removeprefix(BOM).strip():
        raise DataError("The file is empty.", path=path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-1] if suffixes else ""
    if compression and suffix in (".gz", ".gzip"):
        suffix = suffixes[-2] if len(suffixes) > 1 else ""
    by_suffix = BY_SUFFIX.get(suffix)
    if separator is not None and format is None and by_suffix not in ("parquet", "npz"):
        by_suffix = "tsv" if separator == "\t" else "csv"
    chosen = format or by_suffix or _by_content(head)
    if chosen in ("parquet", "npz"):
        if compression:
            raise DataError(f"A {chosen} file is not read through {compression}.", path=path, hint="Decompress it.")
        return Layout(format=chosen)
    return _text(path, head, chosen, header, separator, compression)


def decompressed(path: Path) -> bytes:
    """All bytes of a file, decompressed where it is gzip."""
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    most = most_unpacked(len(raw))
    try:
        with gzip.open(io.BytesIO(raw)) as file:
            text = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"The gzip file is damaged or incomplete ({error}).", path=path) from None
    if len(text) > most:
        raise bomb(path, len(raw), most)
    return text


def bomb(path: Path, packed: int, most: int) -> DataError:
    """The error for a file that unpacks to more than `most` bytes."""
    return DataError(
        f"The file unpacks from {packed:,} to more than {most:,} bytes.", path=path,
        hint="Nothing real packs that well; if it is right, decompress it first.",
    )  # fmt: skip


def opened(path: Path) -> IO[bytes]:
    """A file for reading bytes, decompressed on the way where it is gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if packed else path.open("rb")


def _head(path: Path) -> tuple[bytes, str]:
    if not path.exists():
        raise DataError("There is no such file.", path=path)
    if path.is_dir():
        raise DataError("This is a folder.", path=path, hint="Name the file, or a dataset of `sharpap list datasets`.")
    try:
        refuse_irregular(path)
        with path.open("rb") as file:
            head = file.read(_HEAD)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                return file.read(_HEAD), "gzip"
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"The gzip file is damaged or incomplete ({error}).", path=path) from None
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", path=path) from None
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise DataError(f"The file is compressed with {name}.", path=path, hint="Decompress it, or use gzip.")
    return head, ""


def _by_content(head: bytes) -> Format:
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    lines = _lines(head)
    first = lines[0]
    if b"::" in first:
        return "movielens-dat"
    if b":token" in first:
        return "recbole"
    if any(mark in first for mark in (b"\t", b",", b";", b"|")):
        found = separator_of(lines)
        return "tsv" if found == "\t" else "csv"
    return "csv" if _is_spaced_table(lines) else "adjacency"


def _lines(head: bytes) -> list[bytes]:
    whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1] or head
    return [line for line in whole.removeprefix(BOM).splitlines() if line.strip()][:200] or [head.strip()]


def _is_spaced_table(lines: list[bytes]) -> bool:
    """Rows of one width, and either not all numbers in the first line, or a first column that names users again."""
    rows = [line.split(b" ") for line in lines]
    width = len(rows[0])
    if not 2 <= width <= 8 or any(len(row) != width for row in rows):
        return False
    firsts = [row[0] for row in rows]
    return not all(field.isdigit() for field in rows[0]) or len(set(firsts)) < len(firsts)


def separator_of(lines: list[bytes]) -> str:
    """The separator that splits most lines into as many fields as the first one; of equals, the one with most fields."""
    best, score = ",", (0, 0)
    for separator in SEPARATORS:
        mark = separator.encode()
        counts = [_outside_quotes(line).count(mark) for line in lines]
        if counts[0]:
            found = (sum(count == counts[0] for count in counts) * 10 // len(counts), counts[0])
            if found > score and not (separator == " " and score[0]):
                best, score = separator, found
    return best


def _outside_quotes(line: bytes) -> bytes:
    return b"".join(line.split(b'"')[::2])


def _text(
    path: Path, head: bytes, chosen: Format, header: bool | None, separator: str | None, compression: str
) -> Layout:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError("The text is UTF-16, not UTF-8.", path=path, hint=f"Try `iconv -f UTF-16 -t UTF-8 {path}`.")
    encoding = "utf-8 with byte order mark" if head.startswith(BOM) else "utf-8"
    head = head.removeprefix(BOM)
    start = len(head) - len(head.lstrip())
    start = head.rfind(b"\n", 0, start) + 1
    end = head.find(b"\n", start) + 1 or len(head)
    line = head[start:end]
    blank = head[:start].count(b"\n")
    made: dict[str, Any] = {
        "encoding": encoding,
        "line_ends": "\r\n" if line.endswith(b"\r\n") else "\n",
        "compression": compression,
    }
    if chosen == "adjacency":
        return Layout(format=chosen, header=False, names=("user", "items"), skip=blank, **made)
    if chosen == "csv":
        separator = separator or separator_of(_lines(head))
    elif chosen == "tsv":
        separator = separator or "\t"
    else:
        separator = "::" if chosen == "movielens-dat" else "\t"
    quote = separator not in ("\t", "::")
    fields = _decoded(line, path, blank + 1).strip("\r\n")
    try:
        names = next(csv.reader([fields], delimiter=separator)) if quote else fields.split(separator)
    except csv.Error:
        raise DataError(
            "This line holds a carriage return without a line feed, or a field that does not end.", path=path,
            line=blank + 1, hint="Save the file with line feeds (\\n) at the ends of lines.",
        ) from None  # fmt: skip
    if chosen in ("movielens-tab", "movielens-dat"):
        header = False
    elif chosen == "recbole":
        header, names = True, [name.split(":")[0] for name in names]
    elif header is None:
        header = not any(is_number(field) for field in names)
    names = [name.strip().strip('"') for name in names] if header else [f"column {i}" for i in range(len(names))]
    if header and quote:
        names = [name or f"column {i}" for i, name in enumerate(names)]  # R and pandas leave the index column unnamed
    if len(set(names)) < len(names):
        raise DataError(f"A column name is repeated: {', '.join(names)}.", path=path, line=blank + 1)
    return Layout(
        format=chosen, separator=separator, header=header, names=tuple(names), skip=blank + header, quote=quote, **made
    )


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        if len(line) >= _HEAD - len(BOM) - 4 and error.end == len(line):  # cut in a character
            return line.decode("utf-8", "ignore")
        raise DataError("The text is not UTF-8.", path=path, line=number, hint="Save the file as UTF-8.") from None


def is_number(field: str) -> bool:
    """Whether Python reads the field as a number."""
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True
