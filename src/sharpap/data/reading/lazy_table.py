"""A file as a lazy table, so that polars streams it: nothing here holds more than a few blocks of rows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from sharpap.data.form.content import BLANKS, RUN
from sharpap.data.form.layout import Layout, decompressed
from sharpap.data.form.parquet_footer import refuse_bomb
from sharpap.data.form.raw_bytes import is_cut_by_polars, look_through, quoted_rows_in, refuse_byte
from sharpap.data.reading.matrix import npz_arrays
from sharpap.data.reading.unfold import LINE, NO_OBJECT, objects, wide
from sharpap.errors import DataError
from sharpap.scratch import Scratch

SHOWN = 10
BATCH = 1 << 18
# polars reads texts in pieces of 16 MB and more and keeps several per thread: a few hundred MB. Read when a query runs.
os.environ.setdefault("POLARS_CSV_CHUNK_SIZE", str(1 << 20))
# What polars raises for a file it cannot read; a damaged Parquet file may make it panic, which is no `Exception`.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True, kw_only=True)
class Ragged:
    """Lines that are no rows.

    Attributes:
        lines: how many have the wrong number of fields or an open quote, or are no JSON objects.
        first: (line number, what it is) of the first ten.
        blank: lines without text.
        reason: why they are none.
    """

    lines: int = 0
    first: tuple[tuple[int, str], ...] = ()
    blank: int = 0
    reason: str = "wrong number of fields, or an open quote"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a file: a lazy frame with the layout's columns, and the lines left out of it.

    Attributes:
        frame: as many rows as can be told apart.
        ragged: the other lines.
        line_of: row numbers to 1-based lines; None where lines mean nothing.
    """

    frame: pl.LazyFrame
    ragged: Ragged = field(default_factory=Ragged)
    line_of: Callable[[list[int]], list[int]] | None = None


def collect(frame: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """Run a query block by block; what polars cannot read becomes a `DataError`."""
    try:
        return frame.collect(engine="streaming")
    except UNREADABLE as error:
        raise _damaged(path, error) from None


def batches(frame: pl.LazyFrame, path: Path, *, ordered: bool = False) -> Iterator[pl.DataFrame]:
    """The rows of a query in blocks, none of which is held once it is used; errors as in `collect`.

    The blocks come in any order unless `ordered`.
    """
    try:
        yield from frame.collect_batches(chunk_size=BATCH, maintain_order=ordered, engine="streaming")
    except UNREADABLE as error:
        raise _damaged(path, error) from None


@contextmanager
def rows_of(path: Path, layout: Layout) -> Iterator[Rows]:
    """The rows of a file inside the block. Text columns are strings, "" for nothing.

    As in `read_interactions`, a text that polars takes as a table is one; any other is taken apart line by line, and its
    good lines are copied to a temporary file, which is gone when the block ends.

    Raises:
        DataError: text that is not UTF-8, a damaged file.
    """
    if layout.format == "parquet":
        yield Rows(frame=_parquet(path))
    elif layout.format == "npz":
        yield Rows(frame=_matrix(path))
    elif layout.format == "adjacency":
        yield Rows(frame=_adjacency(path))
    elif layout.format == "jsonl":
        with Scratch() as folder:
            frame, bad, blank = objects(path, layout, folder)
            first = tuple((line, "no JSON object") for line in bad[:SHOWN])
            ragged = Ragged(lines=len(bad), first=first, blank=blank, reason=NO_OBJECT)
            yield Rows(frame=frame.drop(LINE), ragged=ragged, line_of=lambda rows: _noted(frame, rows, path))
    elif layout.format == "wide":
        plain = replace(layout, format="csv")
        with rows_of(path, plain) as base, Scratch() as folder:
            frame = wide(base.frame, lambda part: batches(part, path, ordered=True), layout, path, folder)
            line_of = base.line_of
            yield Rows(
                frame=frame.drop(LINE), ragged=base.ragged,
                line_of=None if line_of is None else lambda rows: line_of(_noted(frame, rows, path)),
            )  # fmt: skip
    elif layout.separator in ("::", BLANKS):
        look_through(path)
        with _good_lines(path, layout) as (good, ragged, line_of):
            parts, mark = pl.col("line").str.strip_chars_end("\r"), "::"
            if layout.separator == BLANKS:  # there is no \x01 in the lines, or they would have been refused
                parts, mark = parts.str.strip_chars(" \t").str.replace_all(RUN, "\x01"), "\x01"
            parts = parts.str.split_exact(mark, len(layout.names) - 1)
            named = parts.struct.rename_fields(list(layout.names)).alias("line")
            yield Rows(frame=_lines(good).select(named).unnest("line"), ragged=ragged, line_of=line_of)
    else:
        quotes, marks = look_through(path)
        whole = _table(path, layout, layout.skip)
        odd = marks or is_cut_by_polars(path, layout) or not _is_regular(whole, layout)
        if not odd and not (
            quotes and layout.quote and quoted_rows_in(path, layout) != collect(whole.select(pl.len()), path).item()
        ):
            yield Rows(frame=whole, line_of=lambda rows: [row + layout.skip + 1 for row in rows])
            return
        with _good_lines(path, layout) as (good, ragged, line_of):
            frame = _table(good, layout, 0).with_columns(pl.all().fill_null(""))
            yield Rows(frame=frame, ragged=ragged, line_of=line_of)


def _noted(frame: pl.LazyFrame, rows: list[int], path: Path) -> list[int]:
    """What the column `LINE` of a frame says of some rows."""
    wanted = frame.select(LINE).with_row_index("row").filter(pl.col("row").is_in(rows))
    return collect(wanted, path)[LINE].to_list()


def _parquet(path: Path) -> pl.LazyFrame:
    try:
        refuse_bomb(path)
        frame = pl.scan_parquet(path, glob=False)
        frame.collect_schema()
    except UNREADABLE as error:
        raise _damaged(path, error) from None
    return frame


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if path.suffix.lower() in (".parquet", ".pq"):
        return DataError(f"The Parquet file is damaged or incomplete ({reason}).", path=path)
    return DataError(f"The file cannot be read as a table ({reason}).", path=path)


def _matrix(path: Path) -> pl.LazyFrame:
    parts = npz_arrays(path, path.read_bytes())
    users = np.repeat(np.arange(len(parts["indptr"]) - 1), np.diff(parts["indptr"]))
    items = parts["indices"]
    if "user_ids" in parts:
        users = parts["user_ids"][users]
    if "item_ids" in parts:
        items = parts["item_ids"][items]
    columns = {"user": users, "item": items, "rating": parts["data"]}
    if "timestamps" in parts:
        columns["timestamp"] = parts["timestamps"]
    return pl.DataFrame(columns).filter(pl.col("rating") != 0).lazy()


def _adjacency(path: Path) -> pl.LazyFrame:
    words = _lines(path).select(pl.col("line").str.strip_chars("\ufeff").str.extract_all(r"\S+"))
    pairs = words.select(user=pl.col("line").list.first(), items=pl.col("line").list.slice(1))
    return pairs.explode("items").filter(pl.col("items").is_not_null())


def _lines(path: Path, *, strict: bool = False) -> pl.LazyFrame:
    """Columns number (from 0) and line."""
    return pl.scan_csv(
        path, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String},
        encoding="utf8" if strict else "utf8-lossy", row_index_name="number", truncate_ragged_lines=True,
        glob=False,
    )  # fmt: skip


def _table(path: Path, layout: Layout, skip: int) -> pl.LazyFrame:
    return pl.scan_csv(
        path, has_header=False, separator=layout.separator, quote_char='"' if layout.quote else None, skip_lines=skip,
        schema=dict.fromkeys(layout.names, pl.String), glob=False,
    )  # fmt: skip


def _is_regular(frame: pl.LazyFrame, layout: Layout) -> bool:
    try:
        empty = frame.select(pl.any_horizontal(pl.col(*layout.names).is_null()).any()).collect(engine="streaming")
    except UNREADABLE:
        return False
    return not empty.item()


@contextmanager
def _good_lines(path: Path, layout: Layout) -> Iterator[tuple[Path, Ragged, Callable[[list[int]], list[int]]]]:
    """A temporary file with the rows that have the right number of fields, and an account of the other lines."""
    _check_encoding(path)
    refuse_byte(path, b"\x01", "a control character (1)")  # lines are read as one column with this separator
    line = pl.col("line").fill_null("")
    mark = RUN if layout.separator == BLANKS else re.escape(layout.separator)
    plain = line.str.replace_all(r'"[^"]*"', "") if layout.quote else line
    plain = plain.str.strip_chars(" \t\r") if layout.separator == BLANKS else plain
    field = rf'(?:"(?:[^"]|"")*"|(?:[^"{mark}\r][^{mark}\r]*)?)'
    row = rf"^{field}(?:{mark}{field}){{{len(layout.names) - 1}}}\r*$"
    rows = (
        _lines(path)
        .filter(pl.col("number") >= layout.skip)
        .with_columns(
            blank=line.str.strip_chars() == "",
            fields=plain.str.count_matches(mark).cast(pl.Int64) + 1,
            open=(line.str.count_matches('"', literal=True) % 2 == 1) if layout.quote else pl.lit(False),
        )
        .with_columns(
            fits=pl.when(line.str.contains('"', literal=True) & layout.quote)
            .then(line.str.contains(row))
            .otherwise(pl.col("fields") == len(layout.names))
        )
        .with_columns(marked=line.str.starts_with("\ufeff"))
        .with_columns(bad=~pl.col("blank") & (pl.col("open") | pl.col("marked") | ~pl.col("fits")))
    )
    counts = collect(rows.select(bad=pl.col("bad").sum(), blank=pl.col("blank").sum()), path)
    first = collect(rows.filter("bad").select("number", "fields").head(SHOWN), path)
    ragged = Ragged(
        lines=counts["bad"].item() or 0,
        first=tuple((number + 1, f"{fields} fields") for number, fields in first.iter_rows()),
        blank=counts["blank"].item() or 0,
    )
    with Scratch() as folder:
        good = folder / "rows.txt"
        kept = rows.filter(~pl.col("bad") & ~pl.col("blank"))

        def line_of(wanted: list[int]) -> list[int]:
            placed = kept.select("number").with_row_index("row").filter(pl.col("row").is_in(wanted))
            return [number + 1 for number in collect(placed, path)["number"].to_list()]

        kept.select(pl.col("line").str.strip_chars_end("\r")).sink_csv(
            good, include_header=False, quote_style="never", separator="\x01"
        )
        if good.stat().st_size == 0:
            if not ragged.first:
                raise DataError("There is a header, but no interaction.", path=path)
            number, fields = ragged.first[0]
            raise DataError(
                f"This line has {fields}, the first one {len(layout.names)}, or an open quote; no line fits.",
                path=path, line=number, hint="Is the separator right? --separator names it.",
            )  # fmt: skip
        yield good, ragged, line_of


def _check_encoding(path: Path) -> None:
    try:
        _lines(path, strict=True).select(pl.col("line").str.len_chars().sum()).collect(engine="streaming")
    except UNREADABLE:
        raw = decompressed(path)
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise DataError("The text is not UTF-8.", path=path, line=line, hint="Save the file as UTF-8.") from None
