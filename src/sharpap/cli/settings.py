"""From command-line options to a recipe."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

from sharpap.cli import names
from sharpap.config import override
from sharpap.errors import ConfigError

if TYPE_CHECKING:
    from sharpap.adapters.command import CommandRecommender


def apply(
    recipe: dict[str, Any], shortcuts: dict[str, Any], targets: str | None, fakes: str | None, settings: list[str]
) -> None:
    """Options over a recipe, in place: shortcuts first, `--set` last."""
    for path, value in shortcuts.items():
        if isinstance(value, dict):  # its keys may be anything, dots included
            section, name = path.split(".")
            table = recipe.setdefault(section, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{section}: expected a table, not {table!r}.")
            table[name] = value
        elif value is not None:
            override(recipe, f"{path}={json.dumps(value)}")
    if targets is not None:
        table = recipe.setdefault("targets", {})
        if targets in names.known()["pool"]:
            table["kind"] = targets
        else:
            table["items"] = item_ids(targets)
            if (shortcuts.get("targets.draws") or 1) > 1:
                raise ConfigError(
                    f"--draws {shortcuts['targets.draws']} of the items named by --targets: there is only one.",
                    hint="Leave --draws out; --seeds trains every victim several times.",
                )
    if fakes is not None:
        recipe.setdefault("budget", {})["fake_users"] = fake_users(fakes)
    for assignment in settings:
        override(recipe, assignment)


def fake_users(text: str) -> int | float:
    """A number of profiles, written in digits alone, or a share of the genuine users; raises `ConfigError` otherwise."""
    try:
        if text.isdecimal() and int(text) > 0:
            return int(text)
        if not text.isdecimal() and 0 < float(text) < 1:
            return float(text)
    except ValueError:  # no number, or one of thousands of digits
        pass
    raise ConfigError(
        f"--fakes {text[:40]!r} is neither a share between 0 and 1 nor a whole number of 1 or more.",
        hint="Write 0.01 for one in a hundred genuine users, 1 for one profile; 1.0 could mean either.",
    )


def item_ids(text: str) -> list[str]:
    """``ID,ID`` as a list."""
    ids = [part.strip() for part in text.split(",") if part.strip()]
    if not ids:
        raise ConfigError("--targets names no item.")
    return ids


def only(recipe: dict[str, Any], section: str, wanted: list[str] | None) -> None:
    """Keep only the named attacks or victims; names the recipe does not have come with their defaults."""
    if wanted:
        have = recipe.get(section, {})
        have = {name: {} for name in have} if isinstance(have, list) else have
        recipe[section] = {name: have.get(name, {}) for name in wanted}


def command_victims(commands: list[str] | None) -> dict[str, CommandRecommender]:
    """Victims from ``--victim-command``: command, or command-1, command-2, ...; lists where one names {topk}."""
    from sharpap.adapters.command import CommandRecommender

    found = {}
    for place, text in enumerate(commands or [], start=1):
        words = tuple(command_words(text))
        output = "topk" if "{topk}" in text else "scores"
        found["command" if len(commands or []) == 1 else f"command-{place}"] = CommandRecommender(
            command=words, output=output
        )
    return found


def command_words(text: str) -> list[str]:
    """``--victim-command`` in words; raises `ConfigError` for a quote that does not end."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"--victim-command {text!r}: {str(error).lower()}.") from None
