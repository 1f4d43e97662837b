"""`RowFilter`: which rows of a table count at all: those with some value in a column, and those whose rating is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import polars as pl

from sharpap.data.columns.facts import number_of, text_of
from sharpap.data.form.layout import Layout
from sharpap.errors import DataError, cut, listed, shown

_VALUES = 10


@dataclass(frozen=True, kw_only=True)
class RowFilter:
    """Rows to take. What is left out is no fault of the file: it is counted, and never refused.

    Attributes:
        where: column, by name or by position from 0, to the values of the rows that are taken.
        missing: ratings that mean that there is none.
    """

    where: dict[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[float, ...] = ()

    @classmethod
    def of(cls, where: Mapping[Any, Any] | None, missing: Any) -> RowFilter:
        """From the options of `read_interactions`, as Python or TOML has them; raises `DataError` for anything else."""
        if where is not None and not isinstance(where, Mapping):
            raise DataError(f"where={shown(where)} names no columns.", hint='Say it as {"event": "view"}.')
        chosen = {str(column): tuple(map(_text, _several(value))) for column, value in (where or {}).items()}
        for column, values in chosen.items():
            if not values or "" in values:
                raise DataError(f"where names no value of column {shown(column)}.", hint='Say it as {"event": "view"}.')
        numbers = [] if missing is None else _several(missing)
        if not all(_is_finite(value) for value in numbers):
            raise DataError(f"missing={shown(missing)} is no finite number.", hint="For example 99, or [0, 99].")
        return cls(where=chosen, missing=tuple(float(value) for value in numbers))

    def __bool__(self) -> bool:
        return bool(self.where or self.missing)

    def left_out(
        self, schema: pl.Schema, roles: dict[str, str], layout: Layout, path: str | None
    ) -> list[tuple[pl.Expr, str]]:
        """Conditions of rows that are left out, with the reason; of several the first counts.

        Raises:
            DataError: a column that is not there, or no rating column for `missing`.
        """
        names, found = list(schema), []
        for column, values in self.where.items():
            name = _named(column, names, path)
            if schema[name].is_nested() or schema[name] in (pl.Binary, pl.Object, pl.Time, pl.Duration):
                raise DataError(f"The column {shown(name)} holds {schema[name]}, not values to choose by.", path=path)
            text = text_of(name, schema)
            takes = text.is_in(values)
            numbers = [float(value) for value in values if _is_finite(value)]
            if numbers:
                takes = takes | number_of(name, schema, layout).is_in(numbers).fill_null(False)
            found.append((~takes.fill_null(False), f"{cut(name)} other than {listed(values)}"))
        if self.missing:
            if "rating" not in roles:
                raise DataError(
                    f"missing={listed(self.missing)} was given, but there is no rating column.", path=path,
                    hint="Name the rating column, or leave it out.",
                )  # fmt: skip
            number = number_of(roles["rating"], schema, layout)
            marks = listed(f"{value:g}" for value in self.missing)
            found.append((number.is_in(self.missing).fill_null(False), f"rating of {marks}, which means none"))
        return found

    def refuse_nothing(
        self, left: dict[str, int], rows: int, schema: pl.Schema, values: Callable[[str], list[Any]], path: str | None
    ) -> None:
        """Raise `DataError` where no row is taken; `values` gives some of a column, for the hint."""
        if sum(left.values()) < rows:
            return
        hint = "Every rating is said to mean none."
        if self.where:
            name = _named(next(iter(self.where)), list(schema), path)
            hint = f"{cut(name)} has, for example, {listed(values(name), _VALUES)}."
        raise DataError(
            f"No row is left: {'; '.join(reason for reason in left if left[reason])}.", path=path, hint=hint
        )


def refuse_row_filter(path: Any) -> NoReturn:
    """The error for a form without columns to choose rows by."""
    raise DataError(
        "where and missing choose rows of a table; this is a matrix or an adjacency list.", path=path,
        hint="Leave them out.",
    )  # fmt: skip


def _named(column: str, names: list[str], path: str | None) -> str:
    if column in names:
        return column
    if column.isdecimal() and len(column) < 9 and int(column) < len(names):
        return names[int(column)]
    raise DataError(
        f"There is no column {shown(column)} for where.", path=path, hint=f"The columns are: {listed(names)}."
    )


def _several(value: Any) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value]
    return list(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _is_finite(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False
