"""Ratings and times of a file: scale, histogram, a threshold and what it would keep; range and unit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from sharpap.data.columns.facts import Column
from sharpap.data.columns.times import unit
from sharpap.data.reading.encode import Encoded
from sharpap.data.reading.lazy_table import collect

_SCALES = ((0, 1), (1, 5), (0.5, 5), (0, 5), (1, 10), (0, 10), (0, 100), (-1, 1), (-10, 10))
_MANY = 1000
_BINS = 12
ODD_SHARE = 0.002


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """The rating column of the usable rows.

    Attributes:
        low, high: extremes.
        scale: "1 to 5", "counts" (or weights that run as far), "one value" or "unknown".
        histogram: (from, to, rows); from equals to where each value has a bar of its own.
        outside: rows outside the scale.
        odd: a value that stands far from all others and many rows have, and their number: likely a mark for no rating.
        zero, negative: rows.
        threshold: a suggestion, 80 % of the scale's top, or None where ratings do not say what was liked.
        keeps: rows, users and items that reach it.
    """

    low: float
    high: float
    scale: str
    histogram: tuple[tuple[float, float, int], ...]
    outside: int
    odd: tuple[float, int] | None
    zero: int
    negative: int
    threshold: float | None
    keeps: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Times:
    """The timestamp column of the usable rows.

    Attributes:
        low, high: as numbers.
        unit: "seconds", "milliseconds", ... since 1970, or "order" for anything else.
        first, last: as dates, "" for an order.
        distinct: an estimate.
        per_second: how many units make a second.
    """

    low: float
    high: float
    unit: str
    first: str
    last: str
    distinct: int
    per_second: float


def ratings_of(encoded: Encoded, column: Column, path: Path) -> Ratings:
    """One streamed pass for few different ratings, two for many."""
    rating = pl.col("rating")
    exact = column.distinct <= _MANY
    if exact:
        table = collect(encoded.rows.group_by("rating").len(), path).sort("rating")
        values, rows = table["rating"].to_numpy(), table["len"].to_numpy().astype(np.int64)
        low, high = float(values[0]), float(values[-1])
    else:
        extremes = collect(encoded.rows.select(low=rating.min(), high=rating.max()), path)
        low, high = extremes["low"].item(), extremes["high"].item()
        place = ((rating - low) / (high - low) * _BINS).floor().clip(0, _BINS - 1).cast(pl.Int32)
        table = collect(encoded.rows.group_by(place=place).len(), path).sort("place")
        values, rows = low + (high - low) * table["place"].to_numpy() / _BINS, table["len"].to_numpy().astype(np.int64)
    odd = _odd(values, rows) if exact else _odd_end(encoded, low, high, path)
    if odd is not None and exact:
        inside = values != odd[0]
        scale, bottom, top = _scale(values[inside], rows[inside], *_ends(values[inside]), exact=True)
    else:
        scale, bottom, top = _scale(values, rows, low, high, exact=exact)
    threshold = _threshold(scale, bottom, top) if odd is None else None
    reach = pl.lit(0) if threshold is None else (rating >= threshold).sum()
    if exact:
        zero, negative = int(rows[values == 0].sum()), int(rows[values < 0].sum())
        kept = 0 if threshold is None else int(rows[values >= threshold].sum())
    else:
        sums = encoded.rows.select(kept=reach, zero=(rating == 0).sum(), negative=(rating < 0).sum())
        kept, zero, negative = collect(sums, path).row(0)
    keeps: dict[str, int] = {}
    if threshold is not None and kept:
        keeps = {"rows": kept} | {
            name: int((ids["best"] >= threshold).sum())
            for name, ids in (("users", encoded.users), ("items", encoded.items))
        }
    return Ratings(
        low=low, high=high, scale=scale, histogram=_bars(values, rows, high, exact=exact),
        outside=0 if odd else int(rows[(values < bottom) | (values > top)].sum()) if exact and " to " in scale else 0,
        odd=odd, zero=zero, negative=negative, threshold=threshold if keeps else None, keeps=keeps,
    )  # fmt: skip


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _odd(values: np.ndarray, rows: np.ndarray) -> tuple[float, int] | None:
    """The lowest or highest of (values,) ascending ratings, where it lies farther from the others than they run."""
    if len(values) < 4:
        return None
    for end, next_, other in ((-1, -2, 0), (0, 1, -1)):
        gap, rest = abs(values[end] - values[next_]), abs(values[next_] - values[other])
        if gap > rest and rows[end] >= max(2, ODD_SHARE * rows.sum()):
            return float(values[end]), int(rows[end])
    return None


def _odd_end(encoded: Encoded, low: float, high: float, path: Path) -> tuple[float, int] | None:
    """The same of ratings too different to be held: the two values at each end tell."""
    rating = pl.col("rating")
    asked = {
        "second": rating.filter(rating > low).min(), "last": rating.filter(rating < high).max(),
        "lows": (rating == low).sum(), "highs": (rating == high).sum(), "rows": pl.len(),
    }  # fmt: skip
    of = collect(encoded.rows.select(**asked), path).row(0, named=True)
    ends = np.array([low, of["second"], of["last"], high])
    middle = (of["rows"] - of["lows"] - of["highs"]) // 2
    return _odd(ends, np.array([of["lows"], middle, middle, of["highs"]]))


def _scale(
    values: np.ndarray, rows: np.ndarray, low: float, high: float, *, exact: bool
) -> tuple[str, float, float]:  # fmt: skip
    """The narrowest usual scale that holds 99 % of the rows; counts where whole numbers run far."""
    if low == high:
        return "one value", low, high
    whole = exact and bool(np.all(values == np.round(values)))
    if low >= 0 and ((whole and high > 20 and len(values) > 12) or (not exact and high > 100)):
        return "counts", low, high
    if not exact:
        fitting = next(((a, b) for a, b in _SCALES if a <= low and high <= b), None)
        return ("unknown", low, high) if fitting is None else (f"{fitting[0]:g} to {fitting[1]:g}", *fitting)
    for bottom, top in _SCALES:
        inside = rows[(values >= bottom) & (values <= top)].sum() / rows.sum()
        if inside >= 0.99 and (not whole or bottom in values or top in values):
            return f"{bottom:g} to {top:g}", bottom, top
    return "unknown", low, high


def _threshold(scale: str, bottom: float, top: float) -> float | None:
    if " to " not in scale or (bottom, top) == (-1, 1):
        return 1.0 if (bottom, top) == (-1, 1) else None
    return 1.0 if top == 1 else 0.8 * top


def _bars(values: np.ndarray, rows: np.ndarray, high: float, *, exact: bool) -> tuple[tuple[float, float, int], ...]:
    if exact and len(values) <= 21:
        return tuple((float(value), float(value), int(count)) for value, count in zip(values, rows, strict=True))
    if not exact:
        ends = np.append(values[1:], high)
        return tuple((float(a), float(b), int(c)) for a, b, c in zip(values, ends, rows, strict=True))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1), method="nearest"))
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    sums = np.bincount(place, weights=rows, minlength=len(edges) - 1).astype(np.int64)
    return tuple((float(a), float(b), int(c)) for a, b, c in zip(edges[:-1], edges[1:], sums, strict=True))


def times_of(encoded: Encoded, column: Column, path: Path) -> Times:
    """One streamed pass."""
    time = pl.col("time")
    found = collect(encoded.rows.select(low=time.min(), high=time.max(), distinct=time.approx_n_unique()), path)
    low, high = found["low"].item(), found["high"].item()
    kind = "seconds" if column.type == "dates" else unit(low, high)
    scale = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}.get(kind, 1.0)
    shown = [_date(value / scale) if kind != "order" else "" for value in (low, high)]
    return Times(
        low=low, high=high, unit="dates" if column.type == "dates" else kind, first=shown[0], last=shown[1],
        distinct=found["distinct"].item(), per_second=scale,
    )  # fmt: skip


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g} s"
