"""Rows of a file with ids as numbers: which rows can be used, who the users and items are, and the pairs as codes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from sharpap.data.columns.facts import WHOLE, Column, is_date, number_of, text_of, time_of
from sharpap.data.columns.row_filter import RowFilter
from sharpap.data.form.column_names import ROLES
from sharpap.data.form.layout import Layout
from sharpap.data.reading.external_sort import spill
from sharpap.data.reading.lazy_table import BATCH, batches, collect
from sharpap.data.reading.pairs import Pairs

_ROW = "row of the file"


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoded:
    """Usable rows of a file, streamed again for each question.

    Attributes:
        rows: lazy user, item, rating, time of the usable rows; rating and time are null without such columns.
        dropped: reason to number of rows that cannot be used, with the words of ``read_interactions(bad_rows="drop")``.
        left_out: reason to number of rows that do not count (see `RowFilter`).
        bad: the first rows that cannot be used: number from 0, reason, user, item.
        users, items: id, rows, best (highest rating), ascending by id.
    """

    path: Path
    rows: pl.LazyFrame
    dropped: dict[str, int]
    left_out: dict[str, int]
    bad: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame

    def numbered(self, *roles: str) -> pl.LazyFrame:
        """Lazy rating, time, and user and item numbers (uint64) or one of them."""
        numbered = self.rows if not roles else self.rows.select(*roles, "rating", "time")
        for role, ids in (("user", self.users), ("item", self.items)):
            if roles and role not in roles:
                continue
            numbered = numbered.with_columns(
                pl.col(role).map_batches(_Numbers(ids["id"]), pl.UInt64, is_elementwise=True)
            )
        return numbered

    def pairs(self, folder: Path) -> Pairs:
        """Distinct pairs, sorted in files of a folder."""
        m = max(self.items.height, 1)
        key = pl.col("user") * pl.lit(m, dtype=pl.UInt64) + pl.col("item")
        keys = (batch["key"].to_numpy() for batch in batches(self.numbered().select(key=key), self.path))
        return spill(keys, self.users["rows"].to_numpy().astype(np.int64), m, folder)


def encode(
    frame: pl.LazyFrame, columns: tuple[Column, ...], layout: Layout, path: Path, row_filter: RowFilter | None = None
) -> Encoded:
    """Check every row as `read_interactions` does and collect the vocabularies, in three streamed passes."""
    schema = frame.collect_schema()
    roles = {column.role: column for column in columns if column.role in ROLES}
    frame, left_out = _taken(frame, row_filter, {role: column.name for role, column in roles.items()}, layout, path)
    picked, reasons = [], []
    for role in ("user", "item"):
        column, missing, odd = roles[role], text_of(roles[role].name, schema).is_null(), None
        whole = column.type == "whole numbers"
        if schema[column.name].is_float():
            number = pl.col(column.name)
            ids = pl.when(number.is_finite() & (number == number.floor())).then(number).cast(pl.Int64, strict=False)
            whole, odd = True, ids.is_null()
        elif whole:
            ids = text_of(column.name, schema).cast(pl.Int64, strict=False)
        elif layout.integer_ids:
            ids = text_of(column.name, schema).cast(pl.Int64, strict=False)
            whole, odd = True, ids.is_null()
        else:
            ids = text_of(column.name, schema)
        picked.append(ids.alias(role))
        reasons.append((missing, f"missing {role} id"))
        if odd is not None:
            reasons.append((odd, f"{role} id that is not a whole number"))
        if whole:
            reasons.append((ids < 0, f"negative {role} id"))
            reasons.append((ids.is_null() | (ids > 2**62), f"{role} id that is too large"))
    rating = number_of(roles["rating"].name, schema, layout) if "rating" in roles else None
    time = time_of(roles["timestamp"], schema, layout) if "timestamp" in roles else None
    nothing = pl.lit(None, dtype=pl.Float64)
    if rating is not None:
        reasons.append((rating.is_null(), "rating that is not a finite number"))
    if time is not None:
        dates = roles["timestamp"].type == "dates"
        kind = "no date and time" if dates and schema[roles["timestamp"].name] == pl.String else "not a finite number"
        missing = dates and is_date(schema[roles["timestamp"].name])
        reasons.append((time.is_null(), "missing timestamp" if missing else f"timestamp that is {kind}"))
    rated = (nothing if rating is None else rating).alias("rating")
    timed = (nothing if time is None else time).alias("time")
    faulty = pl.any_horizontal([bad.fill_null(True) for bad, _ in reasons])
    dropped: dict[str, int] = {}
    bad_rows = pl.DataFrame(schema={"row": pl.UInt32, "reason": pl.String})
    numbered = [pl.col(_ROW).alias("row")] if left_out else []
    rows = frame.select(*picked, rated, timed)
    if collect(frame.select(faulty.any()), path).item():
        named = pl.coalesce([pl.when(bad).then(pl.lit(reason)) for bad, reason in reasons]).alias("reason")
        checked = frame.select(*numbered, *picked, rated, timed, named)
        counts = collect(checked.drop_nulls("reason").group_by("reason").len(), path)
        dropped = dict(counts.sort("len", descending=True).iter_rows())
        checked = checked if numbered else checked.with_row_index("row")
        bad_rows = collect(checked.drop_nulls("reason").head(10), path)
        rows = frame.filter(~faulty).select(*picked, rated, timed)
    vocabularies = {}
    for role in ("user", "item"):
        ids = _vocabulary(rows, role, path)
        if dropped and ids["id"].dtype == pl.String and ids["id"].str.contains(WHOLE).all():
            rows = rows.with_columns(pl.col(role).cast(pl.Int64))  # only rows that are left out were no numbers
            ids = _vocabulary(rows, role, path)
        vocabularies[role] = ids
    users, items = vocabularies["user"], vocabularies["item"]
    return Encoded(
        path=path, rows=rows, dropped=dropped, left_out=left_out, bad=bad_rows, users=users, items=items
    )  # fmt: skip


def _taken(
    frame: pl.LazyFrame, row_filter: RowFilter | None, roles: dict[str, str], layout: Layout, path: Path
) -> tuple[pl.LazyFrame, dict[str, int]]:
    """The rows that count, with the numbers they have in the file, and how many do not for which reason."""
    reasons = row_filter.left_out(frame.collect_schema(), roles, layout, str(path)) if row_filter else []
    if row_filter is None or not reasons:
        return frame, {}
    why = pl.coalesce([pl.when(bad).then(pl.lit(reason)) for bad, reason in reasons]).alias("reason")
    counted = dict(collect(frame.select(why).group_by("reason").len(), path).iter_rows())
    left = {reason: counted.get(reason, 0) for _, reason in reasons}

    def values(name: str) -> list[object]:
        return collect(frame.select(pl.col(name)).head(100_000).unique().sort(name).head(10), path)[name].to_list()

    row_filter.refuse_nothing(left, sum(counted.values()), frame.collect_schema(), values, str(path))
    return frame.with_row_index(_ROW).filter(~pl.any_horizontal([bad for bad, _ in reasons])), left


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Places of ids among sorted ones. A join in a query would hold rows by the million before it begins."""

    ids: pl.Series

    def __call__(self, column: pl.Series) -> pl.Series:
        return self.ids.search_sorted(column).cast(pl.UInt64)


def _vocabulary(rows: pl.LazyFrame, role: str, path: Path) -> pl.DataFrame:
    """Ids with number of rows and highest rating. One group_by of all rows would hold rows as well as ids."""
    counted = rows.select(id=pl.col(role), rows=pl.lit(1, dtype=pl.UInt32), best="rating")
    found, waiting = _merged([counted.head(0).collect()]), []
    for batch in batches(counted, path):
        waiting.append(_merged([batch]))
        if sum(map(len, waiting)) > max(len(found), BATCH):
            found, waiting = _merged([found, *waiting]), []
    return _merged([found, *waiting]).sort("id")


def _merged(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).group_by("id").agg(pl.col("rows").sum(), pl.col("best").max())


def id_text(ids: pl.DataFrame, numbers: np.ndarray | list[int]) -> list[str]:
    """Ids by number, as text."""
    return [str(ids["id"][int(number)]) for number in numbers]
