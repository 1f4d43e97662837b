"""Names that installed packages add, by entry points: ``[project.entry-points."sharpap.recommenders"]``."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sharpap.errors import ConfigError, suggest

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


def known(kind: str, name: object, names: Collection[str], where: str) -> str:
    """The name; raises `ConfigError` where neither SharpAP (`names`) nor a package offers it, where two do, and for code."""
    offers = offered(kind)
    if isinstance(name, str) and ":" in name:
        own = f"Name it yourself, on the command line: --victim {name}; or trust the recipe: --allow-code."
        raise ConfigError(
            f"{where}: {name!r} names code, and a recipe may not: files from others must not run code of their choice.",
            hint=own if kind == "victim" else "A package can offer it by an entry point (docs/adapters.md).",
        )
    if not isinstance(name, str) or (name not in names and name not in offers):
        near = suggest(str(name), [*names, *offers])
        raise ConfigError(f"{where}: there is no {kind.replace('_', ' ')} {name!r}.", hint=near)
    clash(kind, name, builtin=name in names)
    return name


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
