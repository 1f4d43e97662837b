"""Readers: a file, a frame or a sparse matrix in, `Interactions` out, or one clear `DataError`."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, get_args

import numpy as np
import polars as pl
from scipy.sparse import csr_array, issparse

from sharpap import progress
from sharpap.data.columns.row_filter import RowFilter, refuse_row_filter
from sharpap.data.form.column_names import Columns
from sharpap.data.form.content import BLANKS, RUN
from sharpap.data.form.layout import BOM, Format, Layout, decompressed, detect
from sharpap.data.form.parquet_footer import refuse_bomb
from sharpap.data.form.quotes import quoted_fields, quoted_rows
from sharpap.data.interactions import Interactions
from sharpap.data.reading import stream
from sharpap.data.reading.lazy_table import UNREADABLE
from sharpap.data.reading.matrix import from_matrix, read_adjacency, read_npz
from sharpap.data.reading.table import BadRows, Drops, Duplicates, Table
from sharpap.errors import DataError


def read_interactions(
    source: Any,
    *,
    format: Format | None = None,
    columns: Columns | None = None,
    header: bool | None = None,
    separator: str | None = None,
    threshold: float | None = None,
    duplicates: Duplicates = "merge",
    bad_rows: BadRows = "refuse",
    k_core: int = 0,
    where: Mapping[str, Any] | None = None,
    missing: float | Sequence[float] | None = None,
) -> Interactions:
    """Read interactions from anything the field keeps them in.

    Args:
        source: a path (MovieLens ``u.data`` or ``ratings.dat``, RecBole ``.inter``, LightGCN adjacency list, CSV, TSV,
            JSON lines, a wide matrix, each of them also as gzip; Parquet, ``.npz`` as written by
            `scipy.sparse.save_npz`), a polars or pandas frame,
            or a scipy sparse matrix (a stored value other than 0 is an interaction; with `threshold`, one at or above it).
        format: for a path whose name does not say it; text files are told apart by their first lines.
        columns: which column holds what; None: told by the header, or user, item, rating, timestamp in order, less what
            cannot be so (see `data.meaning`).
        header: whether the first line of a CSV or TSV names the columns; None: told by the first lines.
        separator: of the fields of a CSV, one character, or ``\\s+`` for any run of blanks; None: comma, semicolon, tab,
            bar or blanks, whichever fits.
        threshold: ratings at or above it are positives. None: **every row is one**, whatever its rating.
        duplicates: "merge" keeps the latest of repeated pairs and notes how many there were; "refuse" raises.
        bad_rows: "refuse" raises for the first row that cannot be used; "drop" leaves such rows out and counts them by
            reason in ``notes["dropped"]``. Rows can be dropped from tables only, not from matrices and adjacency lists.
        k_core: drop users and items with fewer interactions than this until none is left; 0: keep all.
        where: column (by name, or position from 0) to a value or several: only such rows of a table are taken.
        missing: a rating or several that mean that there is none, such as 99; such rows are left out, as those that `where`
            does not take, and counted in ``notes["left_out"]``.

    Tables of 256 MiB and more are streamed: neither the text nor its columns are held, and the result is the same.

    Returns:
        Binary interactions. Ids keep their external names, numbered in ascending order; adjacency lists and matrices
        keep their own row and column numbers, gaps included.

    Raises:
        DataError: with file and line, for anything that cannot be read as asked.
    """
    if bad_rows not in get_args(BadRows) or duplicates not in get_args(Duplicates):
        raise DataError(
            f"bad_rows={bad_rows!r} or duplicates={duplicates!r} is not an option.",
            hint=f"bad_rows is {' or '.join(get_args(BadRows))}, duplicates {' or '.join(get_args(Duplicates))}.",
        )
    row_filter = RowFilter.of(where, missing)
    how: _How = {"threshold": threshold, "duplicates": duplicates, "bad_rows": bad_rows, "row_filter": row_filter}
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        layout = detect(path, format=format, header=header, separator=separator)
        made = _read_path(path, layout, columns, how)
        told: str | None = str(path)
    else:
        made, told = _read_object(source, columns, how), None
    if made.notes.get("dropped"):
        progress.event("warning", path=told, dropped=made.notes["dropped"])
    if made.notes.get("duplicates_merged"):
        progress.event("duplicates", path=told, merged=made.notes["duplicates_merged"])
    if k_core > 1:
        made = core(made, k_core)
    return made


def core(interactions: Interactions, k: int) -> Interactions:
    """The k-core: users and items with fewer than k interactions are removed, again and again, and renumbered."""
    users, items = interactions.entries()
    keep = np.ones(len(users), dtype=bool)
    while True:
        by_user = np.bincount(users[keep], minlength=interactions.num_users)
        by_item = np.bincount(items[keep], minlength=interactions.num_items)
        weak = keep & ((by_user[users] < k) | (by_item[items] < k))
        if not weak.any():
            break
        keep &= ~weak
    if not keep.any():
        raise DataError(f"The {k}-core is empty.", hint="Lower k_core.")
    kept_users, rows = np.unique(users[keep], return_inverse=True)
    kept_items, columns = np.unique(items[keep], return_inverse=True)
    titles = interactions.item_titles
    made, _ = Interactions.from_pairs(
        rows, columns, user_ids=interactions.user_ids[kept_users], item_ids=interactions.item_ids[kept_items],
        timestamps=None if interactions.timestamps is None else interactions.timestamps[keep],
        item_titles=None if titles is None else tuple(titles[item] for item in kept_items),
        notes=interactions.notes | {"k_core": k, "outside_core": int((~keep).sum())},
    )  # fmt: skip
    return made


class _How(TypedDict):
    threshold: float | None
    duplicates: Duplicates
    bad_rows: BadRows
    row_filter: RowFilter


def _read_path(path: Path, layout: Layout, columns: Columns | None, how: _How) -> Interactions:
    large = layout.streamed and path.stat().st_size >= stream.STREAM_FROM
    if large or layout.format in ("jsonl", "wide"):
        return stream.read_streamed(path, layout, columns, **how)
    if how["row_filter"] and not layout.streamed:
        refuse_row_filter(path)
    threshold, duplicates = how["threshold"], how["duplicates"]
    if layout.format == "parquet":
        table = _read_parquet(path, layout)
    else:
        try:
            raw = decompressed(path)
        except OSError as error:
            raise DataError(f"The file cannot be read: {error.strerror}.", path=path) from None
        if layout.format == "npz":
            return read_npz(path, raw, threshold)
        if layout.format == "adjacency":
            if threshold is not None:
                raise DataError("An adjacency list has no ratings for a threshold.", path=path)
            return read_adjacency(path, raw.removeprefix(b"\xef\xbb\xbf"), duplicates)
        table = _read_text(path, raw, layout, Drops() if how["bad_rows"] == "drop" else None)
    return table.interactions(columns, **how)


def _read_object(source: Any, columns: Columns | None, how: _How) -> Interactions:
    if issparse(source) or isinstance(source, csr_array):
        if how["row_filter"]:
            refuse_row_filter(None)
        return from_matrix(source, how["threshold"], path=None)
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if not isinstance(source, pl.DataFrame) and type(source).__module__.startswith("pandas"):
        source = pl.DataFrame({str(name): source[name].to_numpy() for name in source.columns}, strict=False)
    if not isinstance(source, pl.DataFrame):
        raise DataError(
            f"Cannot read interactions from a {type(source).__name__}.",
            hint="Give a path, a polars or pandas frame, or a scipy sparse matrix.",
        )
    return Table(frame=source, layout=Layout(format="parquet")).interactions(columns, **how)


def _read_parquet(path: Path, layout: Layout) -> Table:
    try:
        refuse_bomb(path)
        frame = pl.read_parquet(path, glob=False)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"The Parquet file is damaged or incomplete ({reason}).", path=path) from None
    return Table(frame=frame, layout=layout, path=str(path))


def _read_text(path: Path, raw: bytes, layout: Layout, drops: Drops | None) -> Table:
    """A delimited file as strings. Whole files go straight to polars; only odd ones are taken apart line by line."""
    separator, names = layout.separator, list(layout.names)
    if separator in ("::", BLANKS):  # polars knows one character only: one that the file does not hold, and no blank
        separator = next((mark for mark in "\x01\x02\x03\x04\x05\x06\x07" if mark.encode() not in raw), "")
        if not separator:
            raise DataError("The text is full of control characters.", path=path)
        if layout.separator == BLANKS:
            raw = re.sub(rb"(?m)^[ \t]+|[ \t]+(?=\r*$)", b"", raw)
        raw = re.sub(RUN.encode() if layout.separator == BLANKS else b"::", separator.encode(), raw)
    if b"\x00" in raw:
        raise DataError("The file holds a zero byte.", path=path, line=raw[: raw.index(b"\x00")].count(b"\n") + 1)
    body = raw.removeprefix(b"\xef\xbb\xbf")
    start = 0
    for _ in range(layout.skip):
        start = body.find(b"\n", start) + 1 or len(body)
    body = body[start:]
    if not body.strip():
        raise DataError("There is a header, but no interaction.", path=path)
    first = layout.skip
    frame, line_of = _parse(body, names, separator, layout.quote), _offset(first)
    if layout.quote and b'"' in body and frame is not None:
        text = io.StringIO(body.decode("utf-8", "replace"), newline="")
        frame = frame if quoted_rows(text, separator, len(names)) == frame.height else None
    if frame is None or any(column.null_count() for column in frame):
        frame, line_of = _line_by_line(path, body, layout, separator, drops)
    return Table(frame=frame, layout=layout, path=str(path), line_of=line_of, drops=drops)


def _parse(body: bytes, names: list[str], separator: str, quote: bool) -> pl.DataFrame | None:
    """All columns as strings; None where polars cannot make a table of it.

    Polars would cut off a byte order mark that belongs to an id, and an empty last field at the end of the file.
    """
    if body.startswith(BOM) or b"\n" + BOM in body:
        return None
    if not body.endswith(b"\n"):
        body += b"\n"
    try:
        frame = pl.read_csv(
            body, separator=separator, has_header=False, new_columns=names, infer_schema=False,
            quote_char='"' if quote else None,
        )  # fmt: skip
    except UNREADABLE:
        return None
    return frame if frame.width == len(names) else None


def _offset(first: int) -> Callable[[int], int]:
    return lambda row: row + first + 1


def _line_by_line(
    path: Path, body: bytes, layout: Layout, separator: str, drops: Drops | None
) -> tuple[pl.DataFrame, Callable[[int], int]]:
    """A table of the lines that are not blank, and where they stand; or the error of the first line that does not fit."""
    first, names = layout.skip, list(layout.names)
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError as error:
        line = first + body[: error.start].count(b"\n") + 1
        raise DataError("The text is not UTF-8.", path=path, line=line, hint="Save the file as UTF-8.") from None
    filled = [number for number, line in enumerate(lines) if line.strip()]
    ragged = _ragged(lines, filled, separator, len(names), layout.quote)
    if drops is not None and ragged:
        drops.count("wrong number of fields, or an open quote", len(ragged))
        filled = [number for number in filled if number not in ragged]
        ragged = {}
        if not filled:
            raise DataError("No line fits the first one.", path=path)
    frame = _parse("\n".join(lines[number] for number in filled).encode(), names, separator, layout.quote)
    if ragged:
        number, message = next(iter(ragged.items()))
        raise DataError(message, path=path, line=first + number + 1, hint="Every line needs the same columns.")
    if frame is None or frame.height != len(filled):
        raise DataError("The lines do not form a table.", path=path, hint="Quoted line breaks are not supported.")
    return frame, lambda row: first + filled[row] + 1


def _ragged(lines: list[str], filled: list[int], separator: str, width: int, quote: bool) -> dict[int, str]:
    """What is wrong with the lines that have another number of fields, or an open quote."""
    wrong = {}
    for number in filled:
        line = lines[number]
        if line.startswith("\ufeff"):
            wrong[number] = "This line begins with a byte order mark."
            continue
        fields, closed = line.count(separator) + 1, True
        if quote and '"' in line:
            found = quoted_fields(line, separator)
            fields, closed = (fields, False) if found is None else (found, True)
        if fields != width:
            wrong[number] = f"This line has {fields} fields, the first one {width}."
        elif not closed:
            wrong[number] = "A quote is not closed, or stands inside a quoted field."
    return wrong
