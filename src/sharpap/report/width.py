"""Tables that are wider than the terminal: several below each other, in which no figure is cut."""

from __future__ import annotations

from copy import copy

from rich.console import Console
from rich.table import Column, Table


def fits(console: Console, table: Table) -> bool:
    """Whether every cell of a table can be shown on one line."""
    return console.measure(table, options=console.options.update(width=1_000_000)).maximum <= console.width


def in_parts(console: Console, table: Table, labels: int = 1) -> list[Table]:
    """The same table, or several that hold its first `labels` columns and as many of the others as fit."""
    if fits(console, table):
        return [table]
    head, rest = table.columns[:labels], table.columns[labels:]
    parts: list[Table] = []
    while rest:
        count = len(rest)
        while count > 1 and not fits(console, _with(table, [*head, *rest[:count]], len(parts))):
            count -= 1
        parts.append(_with(table, [*head, *rest[:count]], len(parts)))
        rest = rest[count:]
    for part in parts[:-1]:
        part.caption = None
    return parts or [table]


def print_whole(console: Console, table: Table, labels: int = 1) -> None:
    """Print a table in as many parts as its columns need."""
    for part in in_parts(console, table, labels):
        console.print(part)


def _with(table: Table, columns: list[Column], place: int) -> Table:
    part = copy(table)
    part.columns = [copy(column) for column in columns]
    for number, column in enumerate(part.columns):
        column._index = number  # what rich draws a column by
    if place and isinstance(part.title, str):
        part.title = f"{part.title}, continued"
    return part
