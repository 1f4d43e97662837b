"""What a search is asked for: its plan, its space, and what of the recipe is tuned. Nothing here needs a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharpap.config import construct
from sharpap.config.sections import entries, table_of
from sharpap.config.space import EXAMPLE, Dimension, flatten, read_space
from sharpap.errors import ConfigError, suggest
from sharpap.tuned import spaces

if TYPE_CHECKING:
    from sharpap.assess.tuning.study import Plan

SECTIONS = ("attack", "budget", "victim")


def asked(
    table: dict[str, Any], space: Mapping[str, Any], judges: tuple[str, ...], options: Mapping[str, Any], plan: type[Plan]
) -> tuple[Plan, tuple[Dimension, ...], Choice]:  # fmt: skip
    """The plan, the space and the choice of a recipe; its [tune] section is taken out of it.

    Args:
        table: the recipe, changed in place.
        space, judges, options: as in `tune`.
        plan: the class, or its stand-in.
    """
    section = dict(table_of(table, "tune"))
    section.pop("tuned_on", None)
    ranges = [*flatten(table_of(section, "space")), *space.items()]
    section.pop("space", None)
    made = construct(plan, section | dict(options), where="tune")
    dimensions = read_space(ranges or usual(table, made, judges))
    chosen = choose(table, made, judges, dimensions)
    table.pop("tune", None)
    return made, dimensions, chosen


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is tuned: the section of the recipe, the name there, and who judges."""

    section: str
    name: str
    judges: tuple[str, ...]


def choose(table: dict[str, Any], plan: Plan, judges: tuple[str, ...], space: tuple[Dimension, ...]) -> Choice:
    """What the paths speak of; names that the recipe lacks are added with their defaults."""
    if not space:
        raise ConfigError("There is nothing to search.", hint=f"Give --space. {EXAMPLE}")
    heads = {dimension.path.partition(".")[0] for dimension in space}
    for head in sorted(heads - set(SECTIONS)):
        raise ConfigError(f"A path of a search cannot start with {head!r}.", hint=suggest(head, SECTIONS))
    for dimension in space:
        if "." not in dimension.path:
            raise ConfigError(f"{dimension.path} names no setting.", hint=EXAMPLE)
    if "victim" in heads and len(heads) > 1:
        raise ConfigError("A victim and an attack cannot be tuned together.", hint="Tune one after the other.")
    table["attacks"], table["victims"] = entries(table, "attacks"), entries(table, "victims")
    if "victim" in heads:
        wanted = judges or ((plan.victim,) if plan.victim else ())
        name = _one(table["victims"], wanted, "victim")
        return Choice(section="victims", name=name, judges=())
    name = _one(table["attacks"], (plan.attack,) if plan.attack else (), "attack")
    wanted = judges or ((plan.victim,) if plan.victim else ())
    for victim in wanted:
        table["victims"].setdefault(victim, {})
    return Choice(section="attacks", name=name, judges=wanted or tuple(table["victims"]))


def usual(table: dict[str, Any], plan: Plan, judges: tuple[str, ...]) -> list[tuple[str, Any]]:
    """The space of a victim that is named without one."""
    wanted = judges or ((plan.victim,) if plan.victim else ())
    if plan.attack or len(wanted) != 1:
        return []
    given = entries(table, "victims").get(wanted[0], {})
    name = given.get("name", wanted[0]) if isinstance(given, dict) else given
    return [(f"victim.{key}", value) for key, value in spaces().get(name, {}).items()]


def _one(have: dict[str, Any], wanted: tuple[str, ...], kind: str) -> str:
    found = wanted or tuple(have)
    if len(found) != 1:
        names = ", ".join(found) or "none"
        raise ConfigError(f"Which {kind} is to be tuned? There are: {names}.", hint=f"Name one with --{kind}.")
    have.setdefault(found[0], {})
    return found[0]
