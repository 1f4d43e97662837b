"""How a file is read, and which of its rows are taken. Looking at a file loads no more than this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from sharpap.errors import ConfigError, suggest


def rows_taken(where: list[str] | None, missing: list[float] | None) -> dict[str, Any]:
    """``--where COLUMN=VALUE`` and ``--missing NUMBER`` as ``data.where`` and ``data.missing`` of a recipe."""
    chosen: dict[str, list[str]] = {}
    for text in where or []:
        column, equals, value = text.partition("=")
        if not (equals and column.strip() and value.strip()):
            raise ConfigError(f"--where {text!r} is no COLUMN=VALUE.", hint="For example --where event=transaction.")
        chosen.setdefault(column.strip(), []).append(value.strip())
    return ({"data.where": chosen} if chosen else {}) | ({"data.missing": missing} if missing else {})


def reading(how: dict[str, Any], columns: dict[str, str | None]) -> dict[str, Any]:
    """Options of the command line as arguments of `read_interactions` and `profile`."""
    from sharpap.data.form.column_names import Columns
    from sharpap.data.form.layout import Format

    refuse_others(how, {"format": get_args(Format)})
    separator = how.get("separator")
    named = {role: int(name) if name and name.isdecimal() else name for role, name in columns.items()}
    picked = {"columns": Columns(**named)} if any(name is not None for name in columns.values()) else {}
    taken = rows_taken(how.pop("where", None), how.pop("missing", None))
    chosen = {name.removeprefix("data."): value for name, value in taken.items()}
    return how | {"separator": "\t" if separator in ("\\t", "tab") else separator} | picked | chosen


def refuse_others(how: Mapping[str, Any], choices: Mapping[str, tuple[str, ...]]) -> None:
    """Raise `ConfigError`, with the nearest, for an option that is none of its choices."""
    for name, words in choices.items():
        value = how.get(name)
        if value is not None and value not in words:
            raise ConfigError(f"There is no --{name.replace('_', '-')} {value!r}.", hint=suggest(value, words))
