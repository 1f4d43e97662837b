"""Which rows of a file are taken: `--where` and `--missing`. Looking at a file loads no more than this."""

from __future__ import annotations

from typing import Any

from sharpap.errors import ConfigError


def rows_taken(where: list[str] | None, missing: list[float] | None) -> dict[str, Any]:
    """``--where COLUMN=VALUE`` and ``--missing NUMBER`` as ``data.where`` and ``data.missing`` of a recipe."""
    chosen: dict[str, list[str]] = {}
    for text in where or []:
        column, equals, value = text.partition("=")
        if not (equals and column.strip() and value.strip()):
            raise ConfigError(f"--where {text!r} is no COLUMN=VALUE.", hint="For example --where event=transaction.")
        chosen.setdefault(column.strip(), []).append(value.strip())
    return ({"data.where": chosen} if chosen else {}) | ({"data.missing": missing} if missing else {})
