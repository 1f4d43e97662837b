"""Dates and times written as text, as seconds since 1970 (UTC where no zone is given)."""

from __future__ import annotations

import polars as pl

_IN_WORDS = "%a %b %d %H:%M:%S %z %Y"  # Tue Apr 03 18:00:09 +0000 2012, as Twitter and Foursquare have it
_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def iso_seconds(text: pl.Expr) -> pl.Expr:
    """ISO 8601 text (``2024-01-05``, ``2024-01-05T10:00:00.5Z``, ``... +02:00``, also with ``/``, or
    ``Tue Apr 03 18:00:09 +0000 2012``) as float64 seconds.

    Rows may differ in form; what is none of them becomes null. Works row by row, so that files can be streamed.
    """
    plain = text.str.strip_chars().str.replace(r"^(\d{4})/(\d\d?)/(\d\d?)", "$1-$2-$3").str.replace("[Tt]", " ")
    zoned = plain.str.replace(r"\s?(?:[Zz]| ?UTC)$", "+0000").str.replace(r"\s?([+-]\d\d):?(\d\d)$", "$1$2")
    with_zone = [
        zoned.str.to_datetime(form + "%z", time_unit="us", strict=False).dt.replace_time_zone(None)
        for form in _FORMATS[:2]
    ]
    in_words = (
        text.str.strip_chars().str.to_datetime(_IN_WORDS, time_unit="us", strict=False).dt.replace_time_zone(None)
    )
    found = [*with_zone, in_words, *(plain.str.to_datetime(form, time_unit="us", strict=False) for form in _FORMATS)]
    return pl.coalesce(found).to_physical() / 1e6


def parse(column: pl.Series) -> pl.Series:
    """A column of dates as float64 seconds: ISO where most are, or else the one form that polars recognises; null where not.

    Files that are streamed are read by the same rule, so that the same rows can be used.
    """
    iso = pl.select(iso_seconds(pl.lit(column))).to_series()
    filled = column.drop_nulls().str.strip_chars()
    blank = column.len() - (filled != "").sum()
    if iso.null_count() - blank < (column.len() - blank) / 2:
        return iso
    try:
        inferred = column.str.strip_chars().str.to_datetime(strict=False)
    except pl.exceptions.ComputeError:  # no form fits even the first value
        return iso
    seconds = inferred.cast(pl.Datetime("us")).to_physical() / 1e6
    return iso if iso.null_count() <= seconds.null_count() else seconds


def unit(low: float, high: float) -> str:
    """What numbers between `low` and `high` most likely count: seconds and their parts since 1970, or an order."""
    for name, scale in (("seconds", 1.0), ("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
        if 3e8 * scale <= low and high <= 4.2e9 * scale:  # 1979 to 2103
            return name
    return "order"
