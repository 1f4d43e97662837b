"""Rows, ids, users and items of a file that deserve a look before anything is measured on them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from sharpap.data.columns.facts import Column, text_of
from sharpap.data.columns.row_filter import RowFilter
from sharpap.data.form.layout import Layout
from sharpap.data.inspection.ratings import Ratings, Times
from sharpap.data.reading.encode import Encoded, id_text
from sharpap.data.reading.lazy_table import Rows, batches, collect
from sharpap.data.reading.pairs import Pairs, equal_profiles
from sharpap.errors import shown

LEAST_EQUAL = 5  # shorter profiles are equal by chance
BURST_ROWS, BURST_SHARE, BURST_SPAN = 20, 0.9, 30
FOLDS = 16
LONG_ID = 200
_NOTHING = ("nan", "null", "none", "na", "n/a", "nil", "undefined", "unknown", "-", "?")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """One thing to look at.

    Attributes:
        kind: a short name, for programs.
        count: how many rows, ids, users or items.
        text: a sentence in which the count stands first.
        examples: a few, as they stand in the file; they may hold anything and must be escaped where shown.
        stops: whether `read_interactions` refuses the file for it unless bad rows are dropped.
    """

    kind: str
    count: int
    text: str
    examples: tuple[str, ...] = ()
    stops: bool = False


def in_rows(rows: Rows, encoded: Encoded, columns: tuple[Column, ...], layout: Layout) -> Iterator[Suspicion]:
    """Lines and rows that cannot be used, or are read otherwise than they stand."""
    ragged = rows.ragged
    if ragged.lines:
        lines = tuple(f"line {line}: {what}" for line, what in ragged.first)
        text = f"lines with another number of fields than the first one ({len(layout.names)}), or an open quote"
        text = "lines that are no JSON objects" if layout.format == "jsonl" else text
        yield Suspicion(kind="ragged", count=ragged.lines, text=text, examples=lines, stops=True)
    for reason, count in encoded.dropped.items():
        of = encoded.bad.filter(pl.col("reason") == reason).head(_SHOWN)["row"].to_list()
        places = tuple(f"row {row}" for row in of)
        if rows.line_of is not None:
            places = tuple(f"line {line}" for line in rows.line_of(of))
        yield Suspicion(kind="bad-row", count=count, text=f"rows with a {reason}", examples=places, stops=True)
    for column in columns:
        if column.padded and column.role in ("user", "item"):
            text = f"{column.role} ids with blanks before or after, which are cut off"
            yield Suspicion(kind="padded-id", count=column.padded, text=text)
        if column.role in ("user", "item") and column.type == "whole numbers":
            name = text_of(column.name, rows.frame.collect_schema())
            zeros = collect(rows.frame.select(name.str.contains(r"^-?0[0-9]").sum()), encoded.path).item()
            if zeros:
                text = f"{column.role} ids with leading zeros: 007 and 7 are read as one id"
                yield Suspicion(kind="leading-zeros", count=zeros, text=text)


def in_columns(columns: tuple[Column, ...], row_filter: RowFilter) -> Iterator[Suspicion]:
    """What users did, where all of it counts alike, and several ways of which one may be meant."""
    for column in columns:
        if column.role == "behaviour" and not any(
            name in (column.name, str(column.place)) for name in row_filter.where
        ):
            options = tuple(f"--where {shlex.quote(f'{column.name}={example}')}" for example in column.examples)
            text = f"kinds of behaviour stand in {shown(column.name)}; all rows count alike, unless --where chooses"
            yield Suspicion(kind="behaviour", count=column.distinct, text=text, examples=options)


def in_ids(encoded: Encoded) -> Iterator[Suspicion]:
    """Ids that are probably one, or probably none."""
    for role, ids in (("user", encoded.users), ("item", encoded.items)):
        if ids["id"].dtype != pl.String:
            continue
        lower = pl.col("id").str.to_lowercase()
        cased = ids.group_by(lower.alias("key")).agg("id").filter(pl.col("id").list.len() > 1).sort("key")
        if cased.height:
            yield _same("case", role, cased, f"groups of {role} ids that differ by case only")
        number = pl.col("id").cast(pl.Float64, strict=False)
        numbers = ids.filter(number.is_finite()).group_by(number.alias("key")).agg("id")
        same = numbers.filter(pl.col("id").list.len() > 1).sort("key")
        if same.height:
            yield _same("mixed-type", role, same, f'groups of {role} ids that are one number, such as "1" and "1.0"')
        if 0 < numbers.height < ids.height / 20 or ids.height * 0.95 < numbers.height < ids.height:
            few = min(numbers.height, ids.height - numbers.height)
            which = "numbers" if few == numbers.height else "text"
            text = f"{role} ids are {which}, the other {ids.height - few:,} are not"
            pick = number.is_finite().fill_null(False)
            shown = tuple(ids.filter(pick if which == "numbers" else ~pick)["id"].head(_SHOWN).to_list())
            yield Suspicion(kind="odd-id", count=few, text=text, examples=shown)
        nothing = ids.filter(lower.is_in(_NOTHING))
        if nothing.height:
            rows = int(nothing["rows"].sum())
            yield Suspicion(
                kind="nothing-id", count=rows, text=f"rows whose {role} id says that there is none",
                examples=tuple(nothing["id"].to_list()[:_SHOWN]),
            )  # fmt: skip
        control = ids.filter(pl.col("id").str.contains(r"[\p{Cc}\p{Cf}]"))
        if control.height:
            text = f"{role} ids with control characters"
            yield Suspicion(
                kind="control", count=control.height, text=text, examples=tuple(control["id"].to_list()[:_SHOWN])
            )
        long = ids.filter(pl.col("id").str.len_chars() > LONG_ID)
        if long.height:
            text = f"{role} ids of more than {LONG_ID} characters"
            yield Suspicion(kind="long-id", count=long.height, text=text, examples=tuple(long["id"].to_list()[:_SHOWN]))


def _same(kind: str, role: str, groups: pl.DataFrame, text: str) -> Suspicion:
    shown = tuple(" = ".join(sorted(group)) for group in groups["id"].head(_SHOWN).to_list())
    return Suspicion(kind=kind, count=groups.height, text=text, examples=shown)


def in_values(ratings: Ratings | None, pairs: Pairs) -> Iterator[Suspicion]:
    """Repeats and ratings out of scale."""
    if pairs.repeats:
        text = "rows repeat a (user, item) pair that stands already in another row; one of each is kept"
        yield Suspicion(kind="repeats", count=pairs.repeats, text=text)
    if ratings is None:
        return
    if ratings.outside:
        text = f"ratings outside the scale of {ratings.scale}"
        yield Suspicion(kind="out-of-scale", count=ratings.outside, text=text)
    if ratings.odd is not None:
        value, rows = ratings.odd
        text = f"ratings are {value:g}, far outside all others: if that means no rating, say --missing {value:g}"
        yield Suspicion(kind="no-rating", count=rows, text=text)
    if ratings.negative:
        text = "negative ratings; without a threshold each counts as an interaction"
        yield Suspicion(kind="negative", count=ratings.negative, text=text)
    if ratings.zero:
        text = "ratings of 0; each counts as an interaction without a threshold; if 0 means no rating, say --missing 0"
        yield Suspicion(kind="zero", count=ratings.zero, text=text)


def in_profiles(pairs: Pairs, encoded: Encoded) -> Iterator[Suspicion]:
    """Users with equal profiles, and with far too many interactions."""
    groups = equal_profiles(pairs, least=LEAST_EQUAL)
    if groups:
        text = (
            f"users in {len(groups):,} groups have exactly the same {LEAST_EQUAL} or more items; the largest group has "
        )
        shown = tuple(", ".join(id_text(encoded.users, group[:4])) for group in groups[:_SHOWN])
        total = sum(map(len, groups))
        yield Suspicion(kind="equal-profiles", count=total, text=text + f"{len(groups[0]):,} users", examples=shown)
    counts = pairs.user_counts
    limit = max(10 * float(np.quantile(counts, 0.99)), 100.0)
    most = np.flatnonzero((counts > limit) | (counts > max(0.5 * pairs.num_items, 100)))
    if len(most):
        most = most[np.argsort(-counts[most])]
        text = (
            f"users have more than {limit:,.0f} items (ten times the 99th percentile), or more than half of all items"
        )
        shown = tuple(f"{encoded.users['id'][int(user)]} ({counts[user]:,} items)" for user in most[:_SHOWN])
        yield Suspicion(kind="huge-profile", count=len(most), text=text, examples=shown)


def in_time(encoded: Encoded, times: Times | None, path: Path) -> Iterator[Suspicion]:
    """Items that got nearly all of their interactions within one day of many."""
    if times is None or times.unit == "order":
        return
    day = 86_400 * times.per_second
    if times.high - times.low < BURST_SPAN * day:
        return
    day_of = (pl.col("time") / day).floor().cast(pl.Int64)
    # Days folded to 16 first: who has nine tenths on one day has them in one fold, and folds of all items are few.
    key = pl.col("item") * pl.lit(FOLDS, dtype=pl.UInt64) + (day_of % FOLDS).cast(pl.UInt64)
    folds = np.zeros(encoded.items.height * FOLDS, dtype=np.int64)
    for batch in batches(encoded.numbered("item").select(key=key), path):
        np.add.at(folds, batch["key"].to_numpy(), 1)
    by_item = folds.reshape(-1, FOLDS)
    rows, most = by_item.sum(axis=1), by_item.max(axis=1)
    candidates = np.flatnonzero((rows >= BURST_ROWS) & (most >= BURST_SHARE * rows))
    if not len(candidates):
        return
    of_them = encoded.numbered("item").join(
        pl.DataFrame({"item": candidates.astype(np.uint64)}).lazy(), on="item", how="semi"
    )
    daily = of_them.group_by("item", day_of.alias("day")).len()
    found = collect(daily.group_by("item").agg(rows=pl.col("len").sum(), most=pl.col("len").max()), path)
    burst = found.filter(pl.col("most") >= BURST_SHARE * pl.col("rows")).sort("rows", descending=True)
    if burst.height:
        text = f"items with {BURST_ROWS} or more interactions got {BURST_SHARE:.0%} of them on one day"
        shown = tuple(
            f"{encoded.items['id'][row[0]]} ({row[2]:,} of {row[1]:,})" for row in burst.head(_SHOWN).iter_rows()
        )
        yield Suspicion(kind="burst", count=burst.height, text=text, examples=shown)
