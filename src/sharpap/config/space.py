"""Search spaces: ``PATH=LOW:HIGH``, ``PATH=LOW:HIGH:log`` or ``PATH=A,B,C``, and the same as a recipe's table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sharpap.errors import ConfigError
from sharpap.untrusted import toml_table

EXAMPLE = "Write e.g. attack.worst_case.rho=0.001:0.5:log or victim.embedding_size=16,32,64."
Value = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One setting that is searched: a range, or choices.

    Attributes:
        path: dotted place, e.g. "attack.worst_case.rho".
        text: as the user wrote it.
        low, high: ends of the range, both included; two whole numbers search whole numbers only.
        log: even in the logarithm.
        choices: the values, instead of a range.
    """

    path: str
    text: str
    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[Value, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether a range is one of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def probes(self) -> tuple[Value, ...]:
        """Values that show whether the setting takes what is searched: all choices, or both ends and the middle."""
        if self.choices:
            return self.choices
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return self.low, round(middle) if self.whole else middle, self.high

    def holds(self, value: object) -> bool:
        """Whether a value lies in the space."""
        if self.choices:
            return any(value == each and type(value) is type(each) for each in self.choices)
        fits = isinstance(value, int if self.whole else (int, float)) and not isinstance(value, bool)
        return fits and self.low <= value <= self.high  # pyright: ignore[reportOperatorIssue]


def read_space(entries: Iterable[tuple[str, Any]]) -> tuple[Dimension, ...]:
    """The dimensions of (path, text or list) pairs, by path; of two with one path the later counts.

    Raises:
        ConfigError: a bad range, or nothing to search.
    """
    found = {path: _dimension(path, value) for path, value in entries}
    return tuple(found[path] for path in sorted(found))


def split_assignment(assignment: str) -> tuple[str, str]:
    """``PATH=TEXT`` in two."""
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip() or not text.strip():
        raise ConfigError(f"--space {assignment!r} is not of the form PATH=RANGE.", hint=EXAMPLE)
    return path.strip(), text.strip()


def flatten(table: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested tables as dotted paths."""
    found: list[tuple[str, Any]] = []
    for key, value in table.items():
        found += flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def _dimension(path: str, value: Any) -> Dimension:
    if isinstance(value, list):
        return _choice(path, str(value), value)
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {value!r} is neither a range nor a list of choices.", hint=EXAMPLE)
    if ":" in value:
        return _range(path, value)
    whole = _scalar(value)
    return _choice(
        path, value, whole if isinstance(whole, list) else [_scalar(part.strip()) for part in value.split(",")]
    )


def _choice(path: str, text: str, values: list[Any]) -> Dimension:
    if not all(isinstance(value, (bool, int, float, str)) for value in values):
        raise ConfigError(f"{path}: choices are numbers, words, true or false, not {text}.", hint=EXAMPLE)
    if len(set(map(repr, values))) < 2 or "" in values:
        raise ConfigError(f"{path}={text} leaves nothing to search.", hint="Name two values or more, or LOW:HIGH.")
    return Dimension(path=path, text=text, choices=tuple(values))


def _range(path: str, text: str) -> Dimension:
    parts = [part.strip() for part in text.split(":")]
    low, high = (_scalar(part) for part in [*parts, ""][:2])
    if len(parts) > 3 or not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high)):
        raise ConfigError(f"{path}={text} is not a range LOW:HIGH or LOW:HIGH:log.", hint=EXAMPLE)
    if len(parts) == 3 and parts[2] != "log":
        raise ConfigError(f"{path}={text}: {parts[2]!r} is no scale.", hint="The only one is log: LOW:HIGH:log.")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{path}={text}: the lower end must lie below the upper one, both finite.", hint=EXAMPLE)
    log = len(parts) == 3
    if log and low <= 0:
        raise ConfigError(f"{path}={text}: a logarithmic range must start above 0.")
    if isinstance(low, float) or isinstance(high, float):
        low, high = float(low), float(high)
    return Dimension(path=path, text=text, low=low, high=high, log=log)


def _scalar(text: str) -> Any:
    """A TOML value, or plain text."""
    try:
        return toml_table(f"value = {text}")["value"]
    except ValueError:
        return text
