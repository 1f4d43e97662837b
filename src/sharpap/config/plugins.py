"""Names that installed packages add, by entry points: ``[project.entry-points."sharpap.recommenders"]``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sharpap.errors import ConfigError

GROUPS = {
    "victim": "sharpap.recommenders", "attack": "sharpap.attacks", "defense": "sharpap.defenses",
    "detector": "sharpap.detectors",
}  # fmt: skip


@cache
def offered(kind: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Entry points of a kind by name, none of them imported; two under one name are a clash (see `load`)."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=GROUPS[kind]) if kind in GROUPS else ():
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def clash(kind: str, name: str, builtin: bool) -> None:
    """Raise `ConfigError` when a name is offered twice, by SharpAP or by packages; names both."""
    owners = ["SharpAP"] * builtin + [owner(point) for point in offered(kind).get(name, ())]
    if len(owners) > 1:
        raise ConfigError(
            f"The {kind} {name!r} is offered by {' and by '.join(owners)}.",
            hint="Uninstall one of them, or have its author rename the entry point.",
        )


def load(kind: str, name: str) -> Any:
    """The class that a package offers under a name; raises `ConfigError` naming the package when it cannot be imported."""
    (point,) = offered(kind)[name]
    try:
        return point.load()
    except Exception as error:  # foreign code: whatever importing it raises
        raise ConfigError(
            f"The {kind} {name!r} of {owner(point)} cannot be loaded ({type(error).__name__}: {error}).",
            hint=f"Repair or uninstall that package; its entry point is {point.value}.",
        ) from error


def name_of(kind: str, made: object) -> str | None:
    """The plugin name of an object's class. Only packages that the class comes from are imported."""
    home = type(made).__module__.partition(".")[0]
    for name, points in offered(kind).items():
        if len(points) == 1 and points[0].module.partition(".")[0] == home and load(kind, name) is type(made):
            return name
    return None


def owner(point: EntryPoint) -> str:
    """The package of an entry point, e.g. ``package acme 1.2``."""
    return "an unnamed package" if point.dist is None else f"package {point.dist.name} {point.dist.version}"
