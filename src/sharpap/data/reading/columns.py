"""Which column has which role, decided once for everything that reads a table; and the facts of all columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from sharpap.data.columns.facts import Column, asked_of, found_in
from sharpap.data.columns.meaning import HEAD_ROWS, Meaning, meaning_of
from sharpap.data.form.column_names import Columns
from sharpap.data.form.layout import Layout
from sharpap.data.reading.lazy_table import collect

MOST_COLUMNS = 100  # of which all values are looked at, beside those with a role


def meaning_in(frame: pl.LazyFrame, layout: Layout, columns: Columns | None, path: Path, *, look: bool) -> Meaning:
    """`meaning_of` the first rows of a frame."""
    return meaning_of(collect(frame.head(HEAD_ROWS), path), layout, columns, path=str(path), look=look)


def columns_of(
    frame: pl.LazyFrame, layout: Layout, meaning: Meaning, path: Path, *, most: int = MOST_COLUMNS
) -> tuple[tuple[Column, ...], int]:
    """Facts of the columns with a role and of the first `most`, and the number of rows, in one streamed pass."""
    schema = frame.collect_schema()
    names = [name for place, name in enumerate(schema) if place < most or name in meaning.roles.values()]
    head = collect(frame.select(names).head(HEAD_ROWS), path)
    found = collect(frame.select(asked_of(names, head, schema, layout)), path).row(0, named=True)
    columns, rows = found_in(found, names, head, schema)
    places = {name: place for place, name in enumerate(schema)}
    back = {name: role for role, name in meaning.roles.items()}
    return tuple(
        replace(
            column, place=places[column.name], role=back.get(column.name, meaning.others.get(column.name, "")),
            by=meaning.by.get(back.get(column.name, ""), "content" if column.name in meaning.others else ""),
        ) for column in columns
    ), rows  # fmt: skip
