"""`Layout`: how the rows of a file are written down, from its name and its first kilobytes."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast, get_args

from sharpap.data.form import content
from sharpap.data.form.arrays import most_unpacked
from sharpap.data.form.column_names import refuse_patterns
from sharpap.errors import DataError, listed, shown
from sharpap.untrusted import refuse_irregular

Format = Literal[
    "movielens-tab", "movielens-dat", "recbole", "adjacency", "csv", "tsv", "jsonl", "wide", "parquet", "npz"
]
BY_SUFFIX: dict[str, Format] = {
    ".data": "movielens-tab", ".dat": "movielens-dat", ".inter": "recbole",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".npz": "npz",
}  # fmt: skip
_HEAD = 1 << 18
_MOST_FIRST = 1 << 24
_MOST_FIELDS = 50_000
BOM = b"\xef\xbb\xbf"
_PACKED = {b"\x28\xb5\x2f\xfd": "Zstandard", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip"}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The form of one file.

    Attributes:
        format: as `read_interactions` names it.
        separator: between fields of a delimited text, "" for other forms; ``content.BLANKS`` for any run of blanks.
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

    @property
    def named(self) -> bool:
        """Whether the names of the columns mean something."""
        return self.header or self.format in ("parquet", "npz", "wide")

    @property
    def integer_ids(self) -> bool:
        """Whether the form demands whole numbers as ids."""
        return self.format in ("movielens-tab", "movielens-dat")

    @property
    def streamed(self) -> bool:
        """Whether the rows can be read in streamed passes: all but matrices and adjacency lists."""
        return self.format not in ("npz", "adjacency")


def detect(
    path: Path, *, format: Format | None = None, header: bool | None = None, separator: str | None = None
) -> Layout:
    """The layout of a file. What is None is found out from the name and the first 256 KiB.

    Raises:
        DataError: no file, an empty one, a compression that is not read, UTF-16, a repeated column name.
    """
    if format is not None and format not in get_args(Format):
        raise DataError(f"There is no format {format!r}.", hint=f"Choose one of {', '.join(get_args(Format))}.")
    single = separator is None or (len(separator) == 1 and separator not in '"\r\n' and separator.isascii())
    if not single and separator != content.BLANKS:
        raise DataError(
            f"A separator is one character, not {separator!r}.", hint="For a tab, say \\t; for any blanks, \\s+."
        )
    head, compression = _head(path)
    if not head.removeprefix(BOM).strip():
        raise DataError("The file is empty.", path=path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-1] if suffixes else ""
    if compression and suffix in (".gz", ".gzip"):
        suffix = suffixes[-2] if len(suffixes) > 1 else ""
    if separator is not None and format is None and BY_SUFFIX.get(suffix) not in ("parquet", "npz"):
        format = "tsv" if separator == "\t" else "csv"
    chosen = format or _by_content(path, head, suffix)
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
            head = _first_line(path, file)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as file:
                return _first_line(path, cast(IO[bytes], file)), "gzip"
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"The gzip file is damaged or incomplete ({error}).", path=path) from None
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", path=path) from None
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise DataError(f"The file is compressed with {name}.", path=path, hint="Decompress it, or use gzip.")
    return head, ""


def _first_line(path: Path, file: IO[bytes]) -> bytes:
    """The first bytes, and of a text at least the whole first line."""
    head = file.read(_HEAD)
    if len(head) < _HEAD or b"\n" in head or head.startswith((b"PAR1", b"PK\x03\x04", b"\x1f\x8b", *_PACKED)):
        return head
    head += file.readline(_MOST_FIRST)
    if len(head) == _HEAD + _MOST_FIRST:
        raise DataError(f"The first line has more than {_MOST_FIRST:,} bytes, which no table has.", path=path, line=1)
    return head


def _by_content(path: Path, head: bytes, suffix: str) -> Format:
    """The form that the first lines have; the ending of the name decides where they could be several."""
    by_suffix = BY_SUFFIX.get(suffix)
    if by_suffix in ("parquet", "npz"):
        return by_suffix
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        return "npz"
    lines = lines_of(head)
    first = lines[0].strip()
    if first == b"[" or first.startswith((b"[{", b"[[")):
        raise DataError(
            "This is one JSON array. JSON is read with one object a line.", path=path, line=1,
            hint=f"Try `jq -c '.[]' {path} > ratings.jsonl`.",
        )  # fmt: skip
    if first.startswith(b"{") or suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    if by_suffix == "recbole" or content.is_typed(first):
        return "recbole"
    if by_suffix == "movielens-tab" and content.is_plain_ratings(lines):
        return by_suffix
    if b"::" in first and suffix not in (".csv", ".tsv"):
        return "movielens-dat"
    if by_suffix == "csv":
        return by_suffix
    if by_suffix == "tsv" and b"\t" in first:
        return by_suffix
    if any(mark in first for mark in (b"\t", b",", b";", b"|")):
        return "tsv" if content.separator_of(lines) == "\t" else "csv"
    return "csv" if by_suffix or content.is_spaced_table(lines) else "adjacency"


def lines_of(head: bytes) -> list[bytes]:
    """The first whole lines of the head of a file that are not blank."""
    whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1] or head
    return [line for line in whole.removeprefix(BOM).splitlines() if line.strip()][:200] or [head.strip()]


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
    lines = lines_of(head[start:])
    if chosen == "jsonl":
        keys = _json_names(path, lines, blank)
        refuse_patterns(keys, path)
        return Layout(format=chosen, names=keys, **made)
    if chosen in ("csv", "wide"):
        separator = separator or content.separator_of(lines)
    elif chosen == "tsv":
        separator = separator or "\t"
    elif chosen == "recbole":
        separator = "\t" if b"\t" in line else content.separator_of(lines)
    else:
        separator = "::" if chosen == "movielens-dat" else "\t"
    quote = separator not in ("\t", "::", content.BLANKS)
    fields = _decoded(line, path, blank + 1).strip("\r\n")
    try:
        if separator == content.BLANKS:
            names = fields.split()
        else:
            names = next(csv.reader([fields], delimiter=separator)) if quote else fields.split(separator)
    except csv.Error:
        raise DataError(
            "This line holds a carriage return without a line feed, or a field that does not end.", path=path,
            line=blank + 1, hint="Save the file with line feeds (\\n) at the ends of lines.",
        ) from None  # fmt: skip
    if len(names) > _MOST_FIELDS:
        raise DataError(
            f"The first line has {len(names):,} fields; {_MOST_FIELDS:,} are the most.", path=path, line=blank + 1,
            hint="Is the separator right? A matrix of that size is read as .npz, or as rows of user, item, rating.",
        )  # fmt: skip
    if chosen in ("movielens-tab", "movielens-dat"):
        header = False
    elif content.is_typed(line):
        header, names = True, content.typed_names(names)
    elif header is None:
        header = content.has_header([names, *content.fields_of(lines[1:], separator, quote=quote)])
    names = [name.strip().strip('"') for name in names] if header else [f"column {i}" for i in range(len(names))]
    if header and quote:
        names = [name or f"column {i}" for i, name in enumerate(names)]  # R and pandas leave the index column unnamed
    refuse_patterns(names, path)
    if len(set(names)) < len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise DataError(
            f"A column name is repeated: {listed(twice)}.", path=path, line=blank + 1,
            hint="If the first line is a row, say --set data.header=false (inspect, convert: --no-header).",
        )  # fmt: skip
    return Layout(
        format=chosen, separator=separator, header=header, names=tuple(names), skip=blank + header, quote=quote, **made
    )


def _json_names(path: Path, lines: list[bytes], blank: int) -> tuple[str, ...]:
    try:
        return tuple(content.json_names(lines))
    except ValueError:
        raise DataError(
            f"This line is no JSON object: {shown(lines[0].decode('utf-8', 'replace'))}.", path=path, line=blank + 1,
            hint="JSON is read with one object a line, with names and texts in double quotes.",
        ) from None  # fmt: skip


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        if len(line) >= _HEAD - len(BOM) - 4 and error.end == len(line):  # cut in a character
            return line.decode("utf-8", "ignore")
        raise DataError("The text is not UTF-8.", path=path, line=number, hint="Save the file as UTF-8.") from None
