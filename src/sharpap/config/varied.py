"""``NAME=VALUE,VALUE``: a setting of a recommender that an audit varies."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sharpap.errors import ConfigError
from sharpap.untrusted import toml_table

EXAMPLE = "Write e.g. --vary regularization=0.01,0.1,1,10, or --vary regularization for values around its own."
Value = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class Vary:
    """A setting that is to be varied.

    Attributes:
        setting: its name; with dots, a setting of a part.
        values: as many as the user wrote; none: around the recommender's own.
    """

    setting: str
    values: tuple[Value, ...] = ()


def read(text: str) -> Vary:
    """``NAME=VALUE,VALUE`` or ``NAME``; values are read as TOML, and as plain text where they are none.

    Raises:
        ConfigError: of another form, or a number that is not finite.
    """
    setting, equals, rest = (part.strip() for part in text.partition("="))
    setting = setting.removeprefix("victim.")
    parts = [part.strip() for part in rest.split(",")] if equals else []
    if not all(key.strip() for key in setting.split(".")) or "" in parts:
        raise ConfigError(f"--vary {text!r} is not of the form NAME=VALUE,VALUE.", hint=EXAMPLE)
    values = tuple(dict.fromkeys(map(_value, parts)))
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"--vary {text!r}: {value} is no finite number.", hint=EXAMPLE)
    return Vary(setting=setting, values=values)


def _value(text: str) -> Value:
    try:
        found = toml_table(f"value = {text}")["value"]
    except ValueError:
        return text
    return found if isinstance(found, (bool, int, float, str)) else text
