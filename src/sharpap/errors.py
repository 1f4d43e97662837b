"""Errors that a user can act on. The command line shows their text and no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from os import PathLike


def suggest(name: str, names: Iterable[str]) -> str:
    """A hint for an unknown name: "Did you mean ...?", or the list of names."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Choose one of: {', '.join(names)}."


MOST_SAID = 4000  # characters of a message: an error that quotes its input stays one that can be read


def listed(names: Iterable[object], most: int = 12) -> str:
    """Names for a message: the first few, each cut short, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(cut(str(name)) for name in names[:most]) + rest


def cut(text: str, most: int = 40) -> str:
    """A text for a message, at most so long."""
    return text if len(text) <= most else text[: most - 3] + "..."


def shown(value: object, most: int = 40) -> str:
    """A value in quotes for a message, cut short."""
    return repr(cut(str(value), most))


class SharpAPError(Exception):
    """Base of every error SharpAP raises on purpose.

    Args:
        message: what is wrong, in one sentence. What is longer than `MOST_SAID` loses its middle.
        hint: what to do about it, in one sentence; cut in the same way.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message, hint = _bounded(message), None if hint is None else _bounded(hint)
        self.message = message
        self.hint = hint
        super().__init__(message if hint is None else f"{message} {hint}")


def _bounded(text: str) -> str:
    if len(text) <= MOST_SAID:
        return text
    half = MOST_SAID // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"


class DataError(SharpAPError):
    """Bad input data. Names the file and, for text files, the 1-based line; `reason` is the message without them."""

    def __init__(
        self,
        message: str,
        *,
        path: str | PathLike[str] | None = None,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        self.path = None if path is None else str(path)
        self.line = line
        self.reason = message
        where = "" if path is None else f"{path}:{line}: " if line is not None else f"{path}: "
        super().__init__(where + message, hint=hint)


class DownloadError(SharpAPError):
    """A dataset or an environment could not be had from any of its sources."""


class ConfigError(SharpAPError):
    """An unknown name, an unknown option or a value that does not fit."""


class BudgetError(SharpAPError):
    """A budget that cannot be met on this data, or a poison that breaks its budget."""


class TrainingError(SharpAPError):
    """A recommender or surrogate that diverged or cannot be trained on this data."""


class ContractError(SharpAPError):
    """A user's recommender or attack that returned something of the wrong form."""


class AttackError(SharpAPError):
    """An attack that could not craft its profiles."""


class StorageError(SharpAPError):
    """A disk that is full, closed or failing: results or finished work could not be written."""


def said(problem: Exception) -> str:
    """What a failure says for itself; of an exception that is not ours, its type with it."""
    return str(problem) if isinstance(problem, SharpAPError) else f"{type(problem).__name__}: {problem}"


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A command that was stopped, with what is left of its work; the command line says so and exits with 130."""
