"""What stands in columns: their types, gaps, ranges and examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from sharpap.data.columns import times
from sharpap.data.form.layout import Layout

WHOLE = r"^-?[0-9]{1,18}$"
_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Column:
    """Facts of one column.

    Attributes:
        name: as in the file, or "column 0", ...
        type: "whole numbers", "numbers", "dates", "text", "empty", or "mixed: ..." with the share of numbers.
        missing: rows without a value.
        distinct: an estimate (HyperLogLog, some per cent off); of users and items in a `Profile` exact.
        padded: values with blanks before or after.
        low, high: of numbers, and of dates in seconds; None for others.
        examples: up to three values.
        form: of dates as text: "iso" or "other".
        place: its position, from 0.
        role: user, item, rating, timestamp, or what else the values say: behaviour, latitude, longitude or "".
        by: "name", "order", "content" or "you", where the role comes from.
    """

    name: str
    type: str
    missing: int
    distinct: int
    padded: int
    low: float | None
    high: float | None
    examples: tuple[str, ...]
    form: str = ""
    place: int = 0
    role: str = ""
    by: str = ""


def is_date(dtype: pl.DataType) -> bool:
    """Whether a column holds points in time; durations and times of day are none."""
    return dtype in (pl.Date, pl.Datetime)


def text_of(name: str, schema: pl.Schema) -> pl.Expr:
    """A column as stripped text, null where there is nothing."""
    column = pl.col(name)
    if schema[name].is_float():
        column = column.fill_nan(None)
    text = column.cast(pl.String, strict=False).str.strip_chars()
    return pl.when(text != "").then(text)


def number_of(name: str, schema: pl.Schema, layout: Layout) -> pl.Expr:
    """A column as finite float64, null where it is no number."""
    if schema[name] == pl.String:
        text = pl.col(name).str.strip_chars()
        text = text.str.replace(",", ".", literal=True) if layout.separator == ";" else text
        number = text.cast(pl.Float64, strict=False)
    elif schema[name].is_numeric() or schema[name] == pl.Boolean:
        number = pl.col(name).cast(pl.Float64)
    else:
        return pl.lit(None, dtype=pl.Float64)
    return pl.when(number.is_finite()).then(number)


def time_of(column: Column, schema: pl.Schema, layout: Layout) -> pl.Expr:
    """A column as float64 times: seconds for dates, numbers as they are."""
    if is_date(schema[column.name]):
        return pl.col(column.name).cast(pl.Datetime("us")).to_physical() / 1e6
    if column.type != "dates":
        return number_of(column.name, schema, layout)
    text = pl.col(column.name)
    return times.iso_seconds(text) if column.form == "iso" else text.str.to_datetime(strict=False).to_physical() / 1e6


def asked_of(names: list[str], head: pl.DataFrame, schema: pl.Schema, layout: Layout) -> list[pl.Expr]:
    """The aggregates that `found_in` takes apart again, for a frame with `schema`."""
    asked: list[pl.Expr] = [pl.len().alias("rows")]
    for place, name in enumerate(names):
        if schema[name].is_nested() or schema[name] in (pl.Binary, pl.Object, pl.Time, pl.Duration):
            continue
        text, number = text_of(name, schema), number_of(name, schema, layout)
        if is_date(schema[name]):
            number = pl.col(name).cast(pl.Datetime("us")).to_physical() / 1e6
        elif _date_form(head[name]) == "iso":
            number = times.iso_seconds(pl.col(name))
        facts = {
            "missing": text.is_null().sum(),
            "numbers": number.is_not_null().sum(),
            "whole": text.str.contains(WHOLE).sum(),
            "distinct": text.approx_n_unique(),
            "padded": (pl.col(name) != pl.col(name).str.strip_chars()).sum()
            if schema[name] == pl.String
            else pl.lit(0),
            "low": number.min(),
            "high": number.max(),
        }
        asked += [fact.alias(f"{place} {what}") for what, fact in facts.items()]
    return asked


def found_in(
    found: dict[str, Any], names: list[str], head: pl.DataFrame, schema: pl.Schema
) -> tuple[tuple[Column, ...], int]:
    """Columns, without roles, and the number of rows, from the values of `asked_of`."""
    rows = found["rows"]
    facts: dict[int, dict[str, Any]] = {place: {} for place in range(len(names))}
    for key, value in found.items():
        if key != "rows":
            place, what = key.split(" ", 1)
            facts[int(place)][what] = value
    made = [
        _column(name, schema[name], facts[place], rows, _date_form(head[name]), head[name])
        for place, name in enumerate(names)
    ]
    return tuple(made), rows


def looked_at(head: pl.DataFrame, names: list[str], layout: Layout) -> tuple[Column, ...]:
    """Facts of some columns of the first rows."""
    found = head.select(asked_of(names, head, head.schema, layout)).row(0, named=True)
    return found_in(found, names, head, head.schema)[0]


def _column(
    name: str, dtype: pl.DataType, facts: dict[str, Any], rows: int, dated: str, head: pl.Series
) -> Column:  # fmt: skip
    if not facts:
        return Column(
            name=name, type=f"{dtype}, not read", missing=0, distinct=0, padded=0, low=None, high=None, examples=()
        )
    filled = rows - facts["missing"]
    if filled == 0:
        kind = "empty"
    elif is_date(dtype) or dated:
        kind = "dates"
    elif facts["whole"] == filled:
        kind = "whole numbers"
    elif facts["numbers"] == filled:
        kind = "numbers"
    elif facts["numbers"]:
        kind = f"mixed: {100 * facts['numbers'] / filled:.3g} % numbers"
    else:
        kind = "text"
    numeric = kind in ("whole numbers", "numbers", "dates") and facts["low"] is not None
    shown = head.drop_nulls().cast(pl.String, strict=False) if not dtype.is_nested() else pl.Series([], dtype=pl.String)
    return Column(
        name=name, type=kind, missing=facts["missing"], distinct=min(facts["distinct"], filled),
        padded=facts["padded"] or 0, low=facts["low"] if numeric else None, high=facts["high"] if numeric else None,
        examples=tuple(shown.unique(maintain_order=True).head(_EXAMPLES).to_list()), form=dated,
    )  # fmt: skip


def _date_form(head: pl.Series) -> str:
    """Whether text columns hold dates: "iso", "other" or ""."""
    if head.dtype != pl.String:
        return ""
    filled = head.drop_nulls().filter(head.drop_nulls().str.strip_chars() != "")
    if filled.is_empty() or filled.str.strip_chars().cast(pl.Float64, strict=False).is_not_null().any():
        return ""
    iso = pl.select(times.iso_seconds(pl.lit(filled))).to_series()
    if iso.null_count() < filled.len() / 2:
        return "iso"
    return "other" if times.parse(filled).null_count() < filled.len() / 2 else ""
