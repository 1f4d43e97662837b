"""`Table`: rows of a file or frame on their way to `Interactions`, with the line each one came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from sharpap.data.interactions import Interactions
from sharpap.errors import DataError

Duplicates = Literal["merge", "refuse"]
ColumnName = str | int | None

_GUESSES = {
    "user": ("user", "user_id", "userid", "uid", "users", "reviewerid", "customer_id", "u"),
    "item": ("item", "item_id", "itemid", "iid", "sid", "items", "movie_id", "movieid", "product_id", "asin", "i"),
    "rating": ("rating", "ratings", "score", "stars", "count", "weight", "value", "overall"),
    "timestamp": ("timestamp", "time", "ts", "unixreviewtime", "datetime", "date"),
}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column holds what, by name or by 0-based position; None: guess from the header, or from the order.

    Without a header the order is user, item, rating, timestamp. `rating=""` or `timestamp=""` ignores that column.
    """

    user: ColumnName = None
    item: ColumnName = None
    rating: ColumnName = None
    timestamp: ColumnName = None

    def resolve(self, names: list[str], *, header: bool, path: str | None) -> dict[str, str]:
        """Role to column name; raises `DataError` for a column that is not there."""
        found: dict[str, str] = {}
        lowered = {name.strip().lower(): name for name in reversed(names)}
        for position, (role, guesses) in enumerate(_GUESSES.items()):
            asked = getattr(self, role)
            needed = role in ("user", "item")
            if asked == "" and not needed:
                continue
            if isinstance(asked, str) and asked and asked in names:
                found[role] = asked
            elif isinstance(asked, int) and 0 <= asked < len(names):
                found[role] = names[asked]
            elif asked is not None:
                raise DataError(
                    f"There is no {role} column {asked!r}.", path=path, line=1 if path else None,
                    hint=f"The columns are: {', '.join(names)}." if header else f"There are {len(names)} columns.",
                )  # fmt: skip
            elif header:
                match = next((lowered[guess] for guess in guesses if guess in lowered), None)
                if match is not None:
                    found[role] = match
            elif position < len(names):
                found[role] = names[position]
            if needed and role not in found:
                raise DataError(
                    f"No column looks like the {role}: {', '.join(names)}.", path=path, line=1 if path else None,
                    hint=f"Name it, e.g. --set data.columns.{role}=COLUMN or Columns({role}=...).",
                )  # fmt: skip
        if len(set(found.values())) < len(found):
            raise DataError(f"One column is used twice: {found}.", path=path, hint="Name every column.")
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """A frame with columns in any names, and where its rows came from.

    Attributes:
        frame: the rows; text files arrive as strings, so that bad values can be named as they stand.
        header: whether the column names mean anything.
        path: the file, or None.
        line_of: row number to 1-based line, or None where lines mean nothing (Parquet, frames).
        integer_ids: the format demands whole-number ids.
    """

    frame: pl.DataFrame
    header: bool
    path: str | None = None
    line_of: Callable[[int], int] | None = None
    integer_ids: bool = False

    def fail(self, row: int, message: str, hint: str | None = None) -> DataError:
        """The error for one row."""
        if self.line_of is None:
            return DataError(f"Row {row}: {message}", path=self.path, hint=hint)
        return DataError(message, path=self.path, line=self.line_of(row), hint=hint)

    def interactions(
        self, columns: Columns | None = None, *, threshold: float | None = None, duplicates: Duplicates = "merge"
    ) -> Interactions:
        """Check every value, keep the positives and number users and items by ascending id."""
        names = (columns or Columns()).resolve(self.frame.columns, header=self.header, path=self.path)
        if self.frame.height == 0:
            raise DataError("There is no interaction in it.", path=self.path)
        user_keys, item_keys = (self._ids(names[role], role) for role in ("user", "item"))
        ratings = self._numbers(names["rating"], "rating") if "rating" in names else None
        times = self._times(names["timestamp"]) if "timestamp" in names else None
        if threshold is not None and ratings is None:
            raise DataError(
                f"A threshold of {threshold} was given, but there is no rating column.", path=self.path,
                hint="Name the rating column or leave the threshold out.",
            )  # fmt: skip
        users, user_ids = _number(user_keys)
        items, item_ids = _number(item_keys)
        if duplicates == "refuse":
            self._refuse_duplicates(users, items, user_ids, item_ids)
        rows = len(users)
        if threshold is not None and ratings is not None:
            keep = ratings >= threshold
            users, items = users[keep], items[keep]
            times = None if times is None else times[keep]
        made, merged = Interactions.from_pairs(
            users, items, user_ids=user_ids, item_ids=item_ids, timestamps=times,
            notes={"rows": rows, "threshold": threshold, "below_threshold": rows - len(users)},
        )  # fmt: skip
        if made.nnz == 0:
            raise DataError(
                f"No rating reaches the threshold of {threshold}.", path=self.path,
                hint=f"The highest is {np.max(ratings) if ratings is not None else None}.",
            )  # fmt: skip
        made.notes["duplicates_merged"] = merged
        return made

    def _ids(self, name: str, role: str) -> pl.Series:
        column = self.frame[name]
        if column.dtype.is_float():
            fraction = ~(column.is_finite() & (column == column.floor())).fill_null(False)
            self._refuse(fraction, lambda row: f"{role} id {column[row]} in column {name!r} is not a whole number.")
            column = column.cast(pl.Int64)
        elif not column.dtype.is_integer():
            column = column.cast(pl.String).str.strip_chars()
        missing = column.is_null() if column.dtype != pl.String else column.is_null() | (column == "").fill_null(True)
        self._refuse(missing, lambda row: f"The {role} id in column {name!r} is missing.")
        if column.dtype == pl.String:
            text = ~column.str.contains(r"^-?\d{1,18}$")
            if self.integer_ids:
                self._refuse(text, lambda row: f"{role} id {_show(column[row])} is not a whole number.")
            if not text.any():
                column = column.cast(pl.Int64)
        if column.dtype.is_integer():
            self._refuse(
                column < 0, lambda row: f"{role} id {column[row]} is negative.", "Ids are names or numbers from 0."
            )
            self._refuse(column > 2**62, lambda row: f"{role} id {column[row]} is too large.", "Write it as text.")
            column = column.cast(pl.Int64)
        return column

    def _refuse(self, bad: pl.Series, message: Callable[[int], str], hint: str | None = None) -> None:
        """Raise for the first row where `bad` holds."""
        if bad.any():
            row = int(bad.arg_true()[0])
            raise self.fail(row, message(row), hint)

    def _numbers(self, name: str, role: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = self.frame[name]
        values = column.str.strip_chars().cast(pl.Float64, strict=False) if column.dtype == pl.String else column
        if not values.dtype.is_numeric():
            raise self.fail(0, f"The {role} column {name!r} holds {column.dtype}, not numbers.")
        values = values.cast(pl.Float64)
        self._refuse(
            ~values.is_finite().fill_null(False),
            lambda row: f"{role} {_show(column[row])} in column {name!r} is not a finite number.",
            "Correct it, or drop the rows without a value.",
        )
        return values.to_numpy()

    def _times(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = self.frame[name]
        if column.dtype == pl.String:
            numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
            dates = column.str.to_datetime(strict=False) if numbers.null_count() == column.len() else None
            if dates is None or dates.null_count():
                return self._numbers(name, "timestamp")
            column = dates
        if column.dtype.is_temporal():
            self._refuse(column.is_null(), lambda row: f"The timestamp in column {name!r} is missing.")
            return column.cast(pl.Datetime("us")).to_physical().to_numpy() / 1e6
        return self._numbers(name, "timestamp")

    def _refuse_duplicates(self, users: np.ndarray, items: np.ndarray, user_ids: Any, item_ids: Any) -> None:
        key = users.astype(np.int64) * len(item_ids) + items
        order = np.argsort(key, kind="stable")
        again = np.flatnonzero(key[order][1:] == key[order][:-1])
        if len(again):
            row, first = order[again + 1].min(), 0
            first = int(np.flatnonzero(key == key[row])[0])
            where = f"line {self.line_of(first)}" if self.line_of else f"row {first}"
            raise self.fail(
                int(row), f"User {user_ids[users[row]]} and item {item_ids[items[row]]} stand already in {where}.",
                f'{len(again)} rows are repeats; duplicates="merge" keeps one of each.',
            )  # fmt: skip


def _number(column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) numbers and the ids they stand for, ascending."""
    ids = column.unique().sort()
    numbered = pl.DataFrame({"id": ids}).with_row_index("number")
    joined = pl.DataFrame({"id": column}).join(numbered, on="id", how="left", maintain_order="left")
    return joined["number"].to_numpy().astype(np.int64), ids.to_numpy()


def _show(value: object) -> str:
    if value is None:
        return "(nothing)"
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")
