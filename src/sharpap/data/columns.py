"""What stands in each column of a file, in one streamed pass, and which role it likely has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from sharpap.data import times
from sharpap.data.layout import Layout
from sharpap.data.roles import ROLES, guess
from sharpap.data.scan import collect
from sharpap.data.table import Columns
from sharpap.errors import DataError

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
        role: user, item, rating, timestamp or "".
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


def columns_of(frame: pl.LazyFrame, layout: Layout, path: Path) -> tuple[tuple[Column, ...], int]:
    """Facts of all columns, without roles, and the number of rows."""
    schema = frame.collect_schema()
    head = collect(frame.head(1000), path)
    asked: list[pl.Expr] = [pl.len().alias("rows")]
    dated = {name: _date_form(head[name]) for name in schema}
    for place, name in enumerate(schema):
        if schema[name].is_nested() or schema[name] in (pl.Binary, pl.Object, pl.Time, pl.Duration):
            continue
        text, number = text_of(name, schema), number_of(name, schema, layout)
        if is_date(schema[name]):
            number = pl.col(name).cast(pl.Datetime("us")).to_physical() / 1e6
        elif dated[name] == "iso":
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
    found = collect(frame.select(asked), path).row(0, named=True)
    rows = found["rows"]
    made = []
    for place, name in enumerate(schema):
        facts = {key.split(" ", 1)[1]: value for key, value in found.items() if key.startswith(f"{place} ")}
        made.append(_column(name, schema[name], facts, rows, dated[name], head[name]))
    return tuple(made), rows


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


def with_roles(found: tuple[Column, ...], layout: Layout, asked: Columns | None, path: Path) -> tuple[Column, ...]:
    """The same columns with roles: those asked for, then by name or order, then by what stands in them.

    Raises:
        DataError: a column asked for that is not there, or no two columns that could be user and item.
    """
    asked = asked or Columns()
    names = [column.name for column in found]
    by_name = {column.name: column for column in found}
    roles = _asked(asked, names, path)
    how = dict.fromkeys(roles, "you")
    ignored = {role for role in ROLES if getattr(asked, role) == ""}
    free = [name for name in names if name not in roles.values()]
    named = layout.header or layout.binary
    easy = guess(free) if named else dict(zip(ROLES, names, strict=False))
    for role, name in easy.items():
        if (
            role not in roles
            and role not in ignored
            and name not in roles.values()
            and _fits(role, by_name[name], named)
        ):
            roles[role], how[role] = name, "name" if named else "order"
    for role in ("timestamp", "rating", "user", "item"):
        if role in roles or role in ignored:
            continue
        open_ = [column for column in found if column.name not in roles.values() and _looks_like(role, column)]
        if open_:
            roles[role], how[role] = open_[0].name, "content"
    missing = next((role for role in ("user", "item") if role not in roles), None)
    if missing:
        raise DataError(
            f"No column looks like the {missing}: {', '.join(names)}.", path=path, line=None if layout.binary else 1,
            hint=f"Name it: --{missing} COLUMN.",
        )  # fmt: skip
    back = {name: role for role, name in roles.items()}
    return tuple(
        replace(column, role=back.get(column.name, ""), by=how.get(back.get(column.name, ""), "")) for column in found
    )


def _asked(asked: Columns, names: list[str], path: Path) -> dict[str, str]:
    given: dict[str, str] = {}
    for role in ROLES:
        want = getattr(asked, role)
        if want is None or want == "":
            continue
        if (isinstance(want, int) and not 0 <= want < len(names)) or (isinstance(want, str) and want not in names):
            raise DataError(
                f"There is no {role} column {want!r}.", path=path, line=1, hint=f"The columns are: {', '.join(names)}."
            )
        given[role] = names[want] if isinstance(want, int) else want
    return given


def _is_epoch(column: Column) -> bool:
    return column.low is not None and column.high is not None and times.unit(column.low, column.high) != "order"


def _fits(role: str, column: Column, named: bool) -> bool:
    """Whether a column whose name or place says the role can have it."""
    if role == "rating" and not named and _is_epoch(column):
        return False
    if role == "rating":
        return column.type in ("whole numbers", "numbers") or column.type.startswith("mixed")
    if role == "timestamp":
        return column.type in ("whole numbers", "numbers", "dates") or column.type.startswith("mixed")
    return "not read" not in column.type


def _looks_like(role: str, column: Column) -> bool:
    """Whether the values alone suggest the role."""
    epoch = _is_epoch(column)
    if role == "timestamp":
        return column.type == "dates" or (column.type in ("whole numbers", "numbers") and epoch and column.distinct > 1)
    if role == "rating":
        few = column.distinct <= 21 and column.high is not None and column.high <= 100
        return column.type == "numbers" and few
    return not epoch and column.type not in ("empty", "dates", "numbers") and "not read" not in column.type
