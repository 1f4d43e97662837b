"""Forms that are no table row by row, made into one in temporary files: JSON lines, and wide matrices.

Both are read once, block by block, so that whatever streams a table streams these too.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from sharpap.data.form.arrays import most_unpacked
from sharpap.data.form.column_names import is_telling
from sharpap.data.form.content import flat, is_number, json_object
from sharpap.data.form.layout import BOM, Layout, bomb, opened
from sharpap.errors import DataError

BLOCK = 50_000
CELLS = 2_000_000  # of a wide matrix, in a block
MOST_LINE = 1 << 24
LINE = "line of the file"
NO_OBJECT = "line that is no JSON object"


def objects(path: Path, layout: Layout, folder: Path) -> tuple[pl.LazyFrame, list[int], int]:
    """JSON lines as a table of text, null for what is not there, with a column `LINE`.

    Returns:
        The table, the lines that are no JSON objects, and the number of blank lines.

    Raises:
        DataError: text that is not UTF-8, a line of more than 16 MiB, a damaged gzip file, or no object at all.
    """
    names = list(layout.names)
    bad: list[int] = []
    blank, parts = 0, _Parts(folder, dict.fromkeys(names, pl.String) | {LINE: pl.Int64})
    rows: list[list[Any]] = []
    place = {name: number for number, name in enumerate(names)}
    for number, line in _lines(path):
        if not line.strip():
            blank += 1
            continue
        try:
            rows.append(_row(line, place, number))
        except ValueError:
            bad.append(number)
        if len(rows) == BLOCK:
            parts.add(rows)
            rows = []
    parts.add(rows)
    if not parts.files:
        raise DataError("No line is a JSON object.", path=path, line=bad[0] if bad else None)
    return parts.frame(), bad, blank


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    packed, size, number = path.stat().st_size, 0, 0
    try:
        with opened(path) as file:
            while raw := file.readline(MOST_LINE):
                number += 1
                size += len(raw)
                if len(raw) == MOST_LINE:
                    raise DataError(f"This line has more than {MOST_LINE:,} bytes.", path=path, line=number)
                if size > most_unpacked(packed):
                    raise bomb(path, packed, most_unpacked(packed))
                yield number, (raw.removeprefix(BOM) if number == 1 else raw).decode()
    except UnicodeDecodeError:
        raise DataError("The text is not UTF-8.", path=path, line=number, hint="Save the file as UTF-8.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"The gzip file is damaged or incomplete ({error}).", path=path) from None


def _row(line: str, place: dict[str, int], number: int) -> list[Any]:
    row: list[Any] = [None] * len(place) + [number]
    for name, value in flat(json_object(line)):
        at = place.get(name)
        if at is None or value is None or isinstance(value, (list, dict)):
            continue
        text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        if not text.isascii():
            text.encode()  # half of a surrogate pair (\ud800) is no text, and a ValueError
        row[at] = text
    return row


def wide(
    frame: pl.LazyFrame, batches: Callable[[pl.LazyFrame], Iterator[pl.DataFrame]], layout: Layout, path: Path,
    folder: Path,
) -> pl.LazyFrame:  # fmt: skip
    """A matrix with a row for each user as a table user, item, rating, less its blank cells, with a column `LINE`.

    Users are named by the first column, if its name or its values do that: all are different, and no mere counts of the
    cells beside them. Else they are numbered by row, from 0. Items are named as the columns are; without a header they are
    numbered from 0. `LINE` is the number of the row, from 0.
    """
    names = list(layout.names)
    head = next(batches(frame.head(1000)))
    users, items = _user_column(head, names, layout), names[1:]
    if users is None and not _counts_cells(head, names):
        items = names
    schema = {"user": pl.String, "item": pl.String, "rating": pl.String, LINE: pl.Int64}
    parts, start = _Parts(folder, schema), 0
    labels = items if layout.header else [str(number) for number in range(len(items))]
    step = max(CELLS // len(names), 1)
    for batch in batches(frame):
        for part in batch.iter_slices(step):
            part = part.with_row_index(LINE, offset=start).with_columns(pl.col(LINE).cast(pl.Int64))
            start += part.height
            named = pl.col(LINE).cast(pl.String) if users is None else pl.col(users)
            cells = part.select(
                named.alias("\0user"),
                LINE,
                *(pl.col(item).alias(f"\0{label}") for item, label in zip(items, labels, strict=True)),
            )
            long = cells.unpivot(index=["\0user", LINE], variable_name="item", value_name="rating")
            long = long.filter(pl.col("rating").str.strip_chars() != "").sort(LINE, maintain_order=True)
            parts.add_frame(
                long.select(user="\0user", item=pl.col("item").str.slice(1), rating="rating", **{LINE: pl.col(LINE)})
            )
    if not parts.files:
        raise DataError("There is no interaction in it.", path=path)
    return parts.frame()


def _user_column(head: pl.DataFrame, names: list[str], layout: Layout) -> str | None:
    first = head[names[0]]
    if layout.header and (is_telling(names[0]) or names[0] == "column 0"):
        return names[0]
    ids = first.str.strip_chars()
    different = ids.n_unique() == head.height and not (ids == "").any()
    return names[0] if different and not ids.str.contains(r"\.\d").any() and head.height > 1 else None


def _counts_cells(head: pl.DataFrame, names: list[str]) -> bool:
    """Whether the first column says how many cells of its row hold something else than the commonest value (Jester)."""
    cells = head.select(names[1:]).unpivot(value_name="cell")["cell"].cast(pl.Float64, strict=False)
    commonest = cells.drop_nulls().mode().sort()
    counts = head[names[0]].cast(pl.Float64, strict=False)
    if commonest.is_empty() or not is_number(str(head[names[0]][0])):
        return False
    filled = head.select(
        pl.sum_horizontal([pl.col(name).cast(pl.Float64, strict=False) != commonest[-1] for name in names[1:]])
    ).to_series()
    return bool((counts == filled).fill_null(False).all())


class _Parts:
    """Blocks of rows in Parquet files of a folder."""

    def __init__(self, folder: Path, schema: dict[str, Any]) -> None:
        self.folder, self.schema = folder, schema
        self.files: list[Path] = []

    def add(self, rows: list[list[Any]]) -> None:
        self.add_frame(pl.DataFrame(rows, schema=self.schema, orient="row"))

    def add_frame(self, frame: pl.DataFrame) -> None:
        if frame.height:
            self.files.append(self.folder / f"{len(self.files)}.parquet")
            frame.write_parquet(self.files[-1], compression="lz4", statistics=False)

    def frame(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.files, glob=False)
