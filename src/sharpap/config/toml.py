"""Recipes and other TOML as tables. Nothing here needs a model, so that mistakes are told before one is imported."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from sharpap.errors import ConfigError, DataError
from sharpap.untrusted import MOST_TOML, read_bytes, toml_table


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file; raises `ConfigError` with the line for bad syntax."""
    try:
        return toml_table(read_bytes(path, MOST_TOML).decode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    except DataError as error:
        raise ConfigError(error.message, hint=error.hint) from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None


def override(table: dict[str, Any], assignment: str) -> None:
    """Apply one ``a.b=c`` in place; c is read as a TOML value, and as plain text where it is none."""
    path, equals, text = assignment.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {assignment!r} is not of the form a.b=value.")
    try:
        value = toml_table(f"value = {text.strip()}")["value"]
    except ValueError:
        value = text.strip()
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if isinstance(inner, str):
            inner = table[key] = {"name": inner}
        if isinstance(inner, list) and all(isinstance(name, str) for name in inner):
            inner = table[key] = {name: {} for name in inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {assignment!r}: {key} is a value, not a table.")
        table = inner
    table[keys[-1]] = value


def with_values(tables: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """A copy of the tables with values at dotted paths, outer ones first."""
    made = copy.deepcopy(tables)
    for path in sorted(values, key=lambda path: (path.count("."), path)):
        override(made, f"{path}={json.dumps(values[path])}")
    return made
