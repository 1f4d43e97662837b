"""Victims of the user's own code: ``--victim module:attribute`` and ``--victim LABEL=module:attribute``."""

from __future__ import annotations

from typing import Any

from sharpap.cli.settings import only
from sharpap.config import locate
from sharpap.errors import ConfigError


def only_victims(recipe: dict[str, Any], wanted: list[str] | None, *, trusted: bool = False) -> frozenset[str]:
    """Keep only the named victims; returns the code among them, which may then be imported.

    Args:
        recipe: changed in place.
        wanted: names, or code by ``module:attribute``, labelled by its attribute or by ``LABEL=``.
        trusted: code that the recipe itself names may be imported, too.
    """
    own: dict[str, str] = {}
    labels = []
    for name in wanted or []:
        label, equals, target = name.partition("=")
        if not locate.is_code(name):
            labels.append(name)
            continue
        if not equals:
            target, label = name, name.rpartition(":")[2]
        if label in labels:
            raise ConfigError(f"Two victims are called {label!r}.", hint=f"Label one: --victim other={target}.")
        labels.append(label)
        own[label] = target
    only(recipe, "victims", labels or None)
    for label, target in own.items():
        recipe["victims"][label] = {"name": target}
    return _trusted(recipe, set(own.values()), trusted)


def own_names(
    recipe: dict[str, Any], wanted: list[str] | None, *, trusted: bool = False
) -> tuple[tuple[str, ...], frozenset[str]]:  # fmt: skip
    """As `only_victims`, but the recipe keeps its other victims; returns the labels of the named ones, too."""
    named: dict[str, Any] = dict(recipe)
    code = only_victims(named, wanted, trusted=trusted)
    if not wanted:
        return (), code
    have = recipe.get("victims", {})
    recipe["victims"] = ({name: {} for name in have} if isinstance(have, list) else have) | named["victims"]
    return tuple(named["victims"]), _trusted(recipe, set(code), trusted)


def _trusted(recipe: dict[str, Any], code: set[str], trusted: bool) -> frozenset[str]:
    if trusted:
        victims = recipe.get("victims", {})
        tables = victims.values() if isinstance(victims, dict) else victims
        names = [each.get("name") if isinstance(each, dict) else each for each in [*tables, *victims]]
        code |= {name for name in names if isinstance(name, str) and locate.is_code(name)}
    return frozenset(code)
