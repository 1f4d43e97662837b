"""`read_streamed`: the table reader for files that should not be held as text; the same interactions as `Table` gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from sharpap.data.columns.row_filter import RowFilter
from sharpap.data.form.column_names import Columns
from sharpap.data.form.layout import Layout
from sharpap.data.interactions import Interactions
from sharpap.data.reading.columns import columns_of, meaning_in
from sharpap.data.reading.encode import Encoded, encode
from sharpap.data.reading.lazy_table import Rows, batches, collect, rows_of
from sharpap.data.reading.pairs import distinct_of, latest_of
from sharpap.data.reading.table import BadRows, Duplicates
from sharpap.errors import DataError

STREAM_FROM = 256 * 1024 * 1024


@dataclass(frozen=True, eq=False, kw_only=True)
class Selected:
    """The rows of a file that become interactions.

    Attributes:
        encoded: users, items, and what was dropped.
        frame: lazy key (``user * num_items + item``) and, with times, time.
        timed: whether there are times.
        notes: for `Interactions.notes`; the number below the threshold is not known yet.
        dropped: reason to number of rows.
    """

    encoded: Encoded
    frame: pl.LazyFrame
    timed: bool
    notes: dict[str, Any]
    dropped: dict[str, int]

    def counted(self, taken: int, path: Path) -> dict[str, Any]:
        """The notes, once it is known how many rows were taken; raises `DataError` for none."""
        usable, threshold = int(self.encoded.users["rows"].sum()), self.notes["threshold"]
        if not taken:
            highest = self.encoded.users["best"].max()
            message = f"No rating reaches the threshold of {threshold}." if usable else "No row can be used."
            hint = f"The highest is {highest}." if usable else f"Dropped: {self.dropped}."
            raise DataError(message, path=path, hint=hint)
        return self.notes | {"rows": usable, "below_threshold": usable - taken}


@contextmanager
def selected(
    path: Path, layout: Layout, columns: Columns | None, *, threshold: float | None, bad_rows: BadRows,
    row_filter: RowFilter | None = None,
) -> Iterator[Selected]:  # fmt: skip
    """Check every row of a file as `read_interactions` does, in streamed passes.

    Raises:
        DataError: as `read_interactions`; a row that cannot be used is named by its reason and line.
    """
    with rows_of(path, layout) as rows:
        if collect(rows.frame.head(1), path).is_empty():
            raise DataError("There is no interaction in it.", path=path)
        meaning = meaning_in(rows.frame, layout, columns, path, look=False)
        names = meaning.roles
        found, _ = columns_of(rows.frame, layout, meaning, path, most=0)
        encoded = encode(rows.frame, found, layout, path, row_filter)
        if bad_rows == "refuse":
            _refuse_bad(rows, encoded, layout, path)
        if threshold is not None and "rating" not in names:
            raise DataError(
                f"A threshold of {threshold} was given, but there is no rating column.", path=path,
                hint="Name the rating column or leave the threshold out.",
            )  # fmt: skip
        m = max(encoded.items.height, 1)
        wanted = [(pl.col("user") * pl.lit(m, dtype=pl.UInt64) + pl.col("item")).alias("key")]
        wanted += [pl.col("time")] if "timestamp" in names else []
        kept = encoded.numbered() if threshold is None else encoded.numbered().filter(pl.col("rating") >= threshold)
        dropped = dict(encoded.dropped)
        if rows.ragged.lines:
            dropped = {rows.ragged.reason: rows.ragged.lines} | dropped
        notes: dict[str, Any] = {"rows": 0, "threshold": threshold, "below_threshold": 0}
        if bad_rows == "drop":
            notes["dropped"] = dropped
        if row_filter:
            notes["left_out"] = encoded.left_out
        yield Selected(
            encoded=encoded, frame=kept.select(*wanted), timed="timestamp" in names, notes=notes, dropped=dropped
        )


def _refuse_bad(rows: Rows, encoded: Encoded, layout: Layout, path: Path) -> None:
    if rows.ragged.lines:
        line, what = rows.ragged.first[0]
        many = f"({rows.ragged.lines:,} such lines)"
        if layout.format == "jsonl":
            raise DataError(
                f"This line is {what} {many}.", path=path, line=line,
                hint="Correct it, or leave such lines out with --set data.bad_rows=drop.",
            )  # fmt: skip
        raise DataError(
            f"This line has {what}, the first one {len(layout.names)}, or an open quote {many}.", path=path, line=line,
            hint="Every line needs the same columns.",
        )  # fmt: skip
    if encoded.dropped:
        reason, row = encoded.bad["reason"][0], encoded.bad["row"][0]
        line = None if rows.line_of is None else rows.line_of([row])[0]
        where = "" if line else f"Row {row}: "
        hint = "Correct it, or leave such rows out with --set data.bad_rows=drop."
        raise DataError(f"{where}{reason} ({encoded.dropped[reason]:,} such rows).", path=path, line=line, hint=hint)


def read_streamed(
    path: Path,
    layout: Layout,
    columns: Columns | None,
    *,
    threshold: float | None,
    duplicates: Duplicates,
    bad_rows: BadRows,
    row_filter: RowFilter | None = None,
) -> Interactions:
    """Read a text table or Parquet in streamed passes. What is held: ids, and arrays of pairs and times; no text.

    Raises:
        DataError: see `selected`.
    """
    with selected(path, layout, columns, threshold=threshold, bad_rows=bad_rows, row_filter=row_filter) as chosen:
        keys, times = _taken(chosen, path)
    users, items = (ids["id"].to_numpy() for ids in (chosen.encoded.users, chosen.encoded.items))
    made = _matrix([keys], times, users, items, chosen.counted(len(keys), path))
    refuse_repeats(made.notes["duplicates_merged"], duplicates, path)
    return made


def refuse_repeats(number: int, duplicates: Duplicates, path: Path) -> None:
    """Raise `DataError` for repeated pairs that are to be refused."""
    if duplicates == "refuse" and number:
        raise DataError(
            f"{number} rows repeat a pair of user and item.", path=path, hint='duplicates="merge" keeps one of each.'
        )


def _taken(chosen: Selected, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Key and time of every row that is taken, in arrays of their own: no second copy lies in a table beside them."""
    most, taken = int(chosen.encoded.users["rows"].sum()), 0
    keys, times = np.empty(most, np.uint64), np.empty(most) if chosen.timed else None
    for batch in batches(chosen.frame, path):
        place = slice(taken, taken + batch.height)
        keys[place] = batch["key"].to_numpy()
        if times is not None:
            times[place] = batch["time"].to_numpy()
        taken = place.stop
    return keys[:taken], None if times is None else times[:taken]


def _matrix(
    holder: list[np.ndarray],
    times: np.ndarray | None,
    user_ids: np.ndarray,
    item_ids: np.ndarray,
    notes: dict[str, Any],
) -> Interactions:
    """Sorted by pair, and of repeated pairs the latest. `holder` gives up the keys, which become items in place."""
    n, m = len(user_ids), len(item_ids)
    keys = holder.pop()
    rows = len(keys)
    if times is None:
        keys = distinct_of(keys)
    else:
        keys, times = latest_of(keys, times)
    narrow = np.int32 if len(keys) < 2**31 else np.int64
    indptr = np.searchsorted(keys, np.arange(n + 1, dtype=np.uint64) * np.uint64(m)).astype(narrow)
    np.remainder(keys, np.uint64(m), out=keys)
    indices = keys.astype(np.int32)
    del keys
    matrix = csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=(n, m))
    matrix.indices = indices  # scipy widens them to the type of indptr
    matrix.has_canonical_format = True  # and so sorted: no need to look
    notes["duplicates_merged"] = rows - len(indices)
    return Interactions(matrix=matrix, user_ids=user_ids, item_ids=item_ids, timestamps=times, notes=notes)
