"""`Table`: rows of a file or frame on their way to `Interactions`, with the line each one came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from sharpap.data.columns import times
from sharpap.data.columns.meaning import HEAD_ROWS, meaning_of
from sharpap.data.columns.row_filter import RowFilter
from sharpap.data.form.column_names import Columns
from sharpap.data.form.layout import Layout
from sharpap.data.interactions import Interactions
from sharpap.errors import DataError, shown

Duplicates = Literal["merge", "refuse"]
BadRows = Literal["refuse", "drop"]
_DIGITS = r"^-?[0-9]{1,18}$"
_ROW = "row of the file"


class Drops:
    """Rows left out, by reason; a row with two faults counts once, under the first one found."""

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}
        self.bad: pl.Series | None = None

    def count(self, reason: str, rows: int) -> None:
        """Note rows that never became part of the table."""
        if rows:
            self.reasons[reason] = self.reasons.get(reason, 0) + rows

    def mark(self, bad: pl.Series, reason: str) -> None:
        """Leave out the rows where (rows,) `bad` holds."""
        bad = bad.fill_null(True)
        new = bad if self.bad is None else bad & ~self.bad
        self.count(reason, int(new.sum()))
        self.bad = bad if self.bad is None else self.bad | bad


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """A frame with columns in any names, and where its rows came from.

    Attributes:
        frame: the rows; text files arrive as strings, so that bad values can be named as they stand.
        layout: how it was written down.
        path: the file, or None.
        line_of: row number to 1-based line, or None where lines mean nothing (Parquet, frames).
        drops: where rows that cannot be used are counted; None: the first one is an error.
    """

    frame: pl.DataFrame
    layout: Layout
    path: str | None = None
    line_of: Callable[[int], int] | None = None
    drops: Drops | None = None

    def fail(self, row: int, message: str, hint: str | None = None) -> DataError:
        """The error for one row."""
        if self.line_of is None:
            return DataError(f"Row {row}: {message}", path=self.path, hint=hint)
        return DataError(message, path=self.path, line=self.line_of(row), hint=hint)

    def interactions(
        self, columns: Columns | None = None, *, threshold: float | None = None, duplicates: Duplicates = "merge",
        bad_rows: BadRows = "refuse", row_filter: RowFilter | None = None,
    ) -> Interactions:  # fmt: skip
        """Check every value, keep the positives and number users and items by ascending id."""
        if bad_rows == "drop" and self.drops is None:
            kept = replace(self, drops=Drops())
            return kept.interactions(columns, threshold=threshold, duplicates=duplicates, row_filter=row_filter)
        if self.frame.height == 0:
            raise DataError("There is no interaction in it.", path=self.path)
        names = meaning_of(self.frame.head(HEAD_ROWS), self.layout, columns, path=self.path).roles
        if row_filter:
            taken, left = self._taken(row_filter, names)
            made = taken.interactions(
                Columns(**({"rating": "", "timestamp": ""} | names)),  # pyright: ignore[reportArgumentType]
                threshold=threshold, duplicates=duplicates, bad_rows=bad_rows,
            )  # fmt: skip
            made.notes["left_out"] = left
            return made
        user_keys, item_keys = (self._ids(names[role], role) for role in ("user", "item"))
        ratings = self._numbers(names["rating"], "rating") if "rating" in names else None
        stamps = self._times(names["timestamp"]) if "timestamp" in names else None
        if threshold is not None and ratings is None:
            raise DataError(
                f"A threshold of {threshold} was given, but there is no rating column.", path=self.path,
                hint="Name the rating column or leave the threshold out.",
            )  # fmt: skip
        at = np.arange(self.frame.height)
        if self.drops is not None and self.drops.bad is not None:
            good = ~self.drops.bad
            user_keys, item_keys, at = user_keys.filter(good), item_keys.filter(good), at[good.to_numpy()]
            ratings, stamps = (None if values is None else values[at] for values in (ratings, stamps))
            if not len(at):
                raise DataError("No row can be used.", path=self.path, hint=f"Dropped: {self.drops.reasons}.")
        users, user_ids = _number(_whole_numbers(user_keys))
        items, item_ids = _number(_whole_numbers(item_keys))
        if duplicates == "refuse":
            self._refuse_duplicates(users, items, user_ids, item_ids, at)
        rows = len(users)
        if threshold is not None and ratings is not None:
            keep = ratings >= threshold
            users, items = users[keep], items[keep]
            stamps = None if stamps is None else stamps[keep]
        notes = {"rows": rows, "threshold": threshold, "below_threshold": rows - len(users)}
        if self.drops is not None:
            notes["dropped"] = self.drops.reasons
        made, merged = Interactions.from_pairs(
            users, items, user_ids=user_ids, item_ids=item_ids, timestamps=stamps, notes=notes
        )
        if made.nnz == 0:
            raise DataError(
                f"No rating reaches the threshold of {threshold}.", path=self.path,
                hint=f"The highest is {np.max(ratings) if ratings is not None else None}.",
            )  # fmt: skip
        made.notes["duplicates_merged"] = merged
        return made

    def _taken(self, row_filter: RowFilter, names: dict[str, str]) -> tuple[Table, dict[str, int]]:
        """The table of the rows that count, and why others do not, with their number."""
        reasons = row_filter.left_out(self.frame.schema, names, self.layout, self.path)
        frame = self.frame.with_row_index(_ROW)
        left: dict[str, int] = {}
        for bad, reason in reasons:
            kept = frame.filter(~bad)
            left[reason], frame = frame.height - kept.height, kept
        row_filter.refuse_nothing(
            left,
            self.frame.height,
            self.frame.schema,
            lambda name: self.frame[name].unique().sort().to_list(),
            self.path,
        )
        rows, line_of = frame[_ROW].to_list(), self.line_of
        placed = None if line_of is None else lambda row: line_of(rows[row])
        return replace(self, frame=frame.drop(_ROW), line_of=placed), left

    def _ids(self, name: str, role: str) -> pl.Series:
        column = self.frame[name]
        if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object, pl.Time, pl.Duration):
            raise self.fail(0, f"The {role} column {name!r} holds {column.dtype}, not ids.")
        if column.dtype.is_float():
            if self.drops is not None:
                column = column.fill_nan(None)
                self._refuse(column.is_null(), lambda row: "", reason=f"missing {role} id")
            fraction = ~(column.is_finite() & (column == column.floor())).fill_null(False)
            self._refuse(
                fraction, lambda row: f"{role} id {column[row]} in column {name!r} is not a whole number.",
                reason=f"{role} id that is not a whole number",
            )  # fmt: skip
            large = (column.abs() > 2.0**62).fill_null(False)
            self._refuse(
                large, lambda row: f"{role} id {column[row]} is too large.", "Write it as text.",
                reason=f"{role} id that is too large",
            )  # fmt: skip
            column = _null_where(fraction | large, column).cast(pl.Int64)
        elif not column.dtype.is_integer():
            column = column.cast(pl.String).str.strip_chars()
        missing = column.is_null() if column.dtype != pl.String else column.is_null() | (column == "").fill_null(True)
        self._refuse(missing, lambda row: f"The {role} id in column {name!r} is missing.", reason=f"missing {role} id")
        if column.dtype == pl.String:
            column = _null_where(missing, column)
            if self.layout.integer_ids:
                text = ~column.str.contains(_DIGITS).fill_null(False)
                self._refuse(
                    text, lambda row: f"{role} id {_show(column[row])} is not a whole number.",
                    reason=f"{role} id that is not a whole number",
                )  # fmt: skip
                column = _null_where(text, column)
            column = _whole_numbers(column)
        if column.dtype.is_integer():
            if str(column.dtype) not in ("UInt64", "Int128", "UInt128"):
                column = column.cast(pl.Int64)
            self._refuse(
                column < 0, lambda row: f"{role} id {column[row]} is negative.", "Ids are names or numbers from 0.",
                reason=f"negative {role} id",
            )  # fmt: skip
            self._refuse(
                column > 2**62, lambda row: f"{role} id {column[row]} is too large.", "Write it as text.",
                reason=f"{role} id that is too large",
            )  # fmt: skip
            column = _null_where((column < 0) | (column > 2**62), column).cast(pl.Int64)
        return column

    def _refuse(
        self, bad: pl.Series, message: Callable[[int], str], hint: str | None = None, *, reason: str
    ) -> None:  # fmt: skip
        """Raise for the first row where `bad` holds, or leave these rows out."""
        if not bad.any():
            return
        if self.drops is not None:
            self.drops.mark(bad.fill_null(False), reason)
            return
        row = int(bad.arg_true()[0])
        raise self.fail(row, message(row), hint)

    def _numbers(self, name: str, role: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = self.frame[name]
        values = self._floats(column) if column.dtype == pl.String else column
        if not values.dtype.is_numeric() and values.dtype != pl.Boolean:
            raise self.fail(0, f"The {role} column {name!r} holds {column.dtype}, not numbers.")
        values = values.cast(pl.Float64)
        self._refuse(
            ~values.is_finite().fill_null(False),
            lambda row: f"{role} {_show(column[row])} in column {name!r} is not a finite number.",
            "Correct it, or leave such rows out with --set data.bad_rows=drop.",
            reason=f"{role} that is not a finite number",
        )
        return values.to_numpy()

    def _floats(self, column: pl.Series) -> pl.Series:
        text = column.str.strip_chars()
        if self.layout.separator == ";":
            text = text.str.replace(",", ".", literal=True)
        return text.cast(pl.Float64, strict=False)

    def _times(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = self.frame[name]
        if column.dtype == pl.String:
            if self._floats(column).null_count() < column.len():
                return self._numbers(name, "timestamp")
            dates = times.parse(column)
            if dates.null_count() == column.len():
                return self._numbers(name, "timestamp")
            self._refuse(
                dates.is_null(), lambda row: f"timestamp {_show(column[row])} in column {name!r} is no date and time.",
                "Write all of them as 2024-01-31 10:00:00.", reason="timestamp that is no date and time",
            )  # fmt: skip
            return dates.to_numpy()
        if column.dtype in (pl.Date, pl.Datetime):
            self._refuse(
                column.is_null(),
                lambda row: f"The timestamp in column {name!r} is missing.",
                reason="missing timestamp",
            )
            return column.cast(pl.Datetime("us")).to_physical().cast(pl.Float64).to_numpy() / 1e6
        return self._numbers(name, "timestamp")

    def _refuse_duplicates(
        self, users: np.ndarray, items: np.ndarray, user_ids: Any, item_ids: Any, at: np.ndarray
    ) -> None:  # fmt: skip
        key = users.astype(np.int64) * len(item_ids) + items
        order = np.argsort(key, kind="stable")
        again = np.flatnonzero(key[order][1:] == key[order][:-1])
        if len(again):
            row, first = order[again + 1].min(), 0
            first = int(np.flatnonzero(key == key[row])[0])
            where = f"line {self.line_of(int(at[first]))}" if self.line_of else f"row {at[first]}"
            raise self.fail(
                int(at[row]), f"User {user_ids[users[row]]} and item {item_ids[items[row]]} stand already in {where}.",
                f'{len(again)} rows are repeats; duplicates="merge" keeps one of each.',
            )  # fmt: skip


def _null_where(bad: pl.Series, column: pl.Series) -> pl.Series:
    return pl.select(pl.when(~bad.fill_null(False)).then(column)).to_series() if bad.any() else column


def _whole_numbers(column: pl.Series) -> pl.Series:
    """Text of digits only as int64, numbered by value; anything else as it is."""
    if column.dtype == pl.String and column.str.contains(_DIGITS).all():
        return column.cast(pl.Int64)
    return column


def _number(column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) numbers and the ids they stand for, ascending."""
    ids = column.unique().sort()
    numbered = pl.DataFrame({"id": ids}).with_row_index("number")
    joined = pl.DataFrame({"id": column}).join(numbered, on="id", how="left", maintain_order="left")
    return joined["number"].to_numpy().astype(np.int64), ids.to_numpy()


def _show(value: object) -> str:
    return "(nothing)" if value is None else shown(value)
