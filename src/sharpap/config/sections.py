"""The sections of a recipe, and what may stand in each. Nothing here needs a model."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from sharpap.config.locate import is_code
from sharpap.config.objects import allowing, build, construct, outlined
from sharpap.config.outline import stand_in
from sharpap.errors import ConfigError, suggest

SETTINGS = ("seeds", "ks", "seed", "direction", "sharpness", "fake_order")
SECTIONS = ("data", "targets", "budget", "attacks", "victims", *SETTINGS, "tuned", "title", "reported", "tune")
# The split as a recipe may have it, and as the results folder does.
_LEFT_OUT = ("leave-one-out", {"name": "leave-one-out"}, {"name": "leave-one-out", "by": "time", "valid": True})


def check(recipe: dict[str, Any], code: Container[str] = (), *, allow_commands: bool = False) -> None:
    """Raise `ConfigError` for a section, a name, an option or a value that no experiment takes.

    Args:
        recipe: as `assess.recipe.experiment_from` takes it.
        code, allow_commands: as there.
    """
    refuse_unknown(recipe)
    hints = get_type_hints(stand_in("Experiment"))
    for key in SETTINGS:
        if key in recipe:
            fitting(hints[key], recipe[key], key)
    with outlined(), allowing(commands=allow_commands):
        construct(stand_in("TargetPool"), table_of(recipe, "targets"), where="targets")
        construct(stand_in("Budget"), table_of(recipe, "budget"), where="budget")
        for name, value in entries(recipe, "victims").items():
            check_victim(name, value, code)
        for name, value in entries(recipe, "attacks").items():
            if not (isinstance(value, dict) and "file" in value):
                build("attack", named(name, value), where=f"attacks.{name}")
    check_data(table_of(recipe, "data"))


def check_victim(key: str, value: Any, code: Container[str] = ()) -> None:
    """Raise `ConfigError` for a victim of another name, or with other options, than there are. Code is not imported."""
    table = named(key, value)
    name = table.get("name") if isinstance(table, dict) else table
    if not (is_code(name) and name in code):
        build("victim", table, where=f"victims.{key}")


def check_data(table: dict[str, Any]) -> None:
    """Raise `ConfigError` for an option that no dataset has, or that does not fit."""
    with outlined():
        data_options(table, stand_in("Options"), get_type_hints(stand_in("synthetic")))


def refuse_unknown(recipe: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a section that no recipe has."""
    for key in recipe:
        if key not in SECTIONS:
            raise ConfigError(f"A recipe has no section {key!r}.", hint=suggest(key, SECTIONS))


def table_of(recipe: dict[str, Any], key: str) -> dict[str, Any]:
    """A section that must be a table; empty where there is none."""
    value = recipe.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: expected a table, not {value!r}.")
    return value


def entries(recipe: dict[str, Any], key: str) -> dict[str, Any]:
    """The attacks or victims of a recipe: a table of tables, or a list of names."""
    value = recipe.get(key, {})
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    return table_of(recipe, key)


def named(key: str, value: Any) -> Any:
    """A table without a name takes its key in the recipe as its name."""
    return {"name": key, **value} if isinstance(value, dict) and "name" not in value else value


def catalogue_name(recipe: dict[str, Any]) -> str:
    """The dataset of a recipe that takes it as the catalogue prepares it, or so but for leaving one out, or ""."""
    data = table_of(recipe, "data")
    source, more = str(data.get("source", "ml-100k")), {key: value for key, value in data.items() if key != "source"}
    if set(more) == {"split"} and more["split"] in _LEFT_OUT:
        return f"{source}-leave-one-out"
    return "" if more else source


def data_options(table: dict[str, Any], options: Any, generated: Mapping[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    """Source, `Options` and the further options of generated data, from a recipe's data section.

    Args:
        table: the section.
        options: the class `Options`, or its stand-in.
        generated: annotations of what generated data is asked for.
    """
    given = dict(table)
    source = given.pop("source", "ml-100k")
    if not isinstance(source, str):
        raise ConfigError(f"data.source: expected a name or a path, not {source!r}.")
    known = options.__dataclass_fields__
    checked = construct(options, {key: value for key, value in given.items() if key in known}, where="data")
    extra = {key: value for key, value in given.items() if key not in known}
    more = {} if source != "synthetic" else generated
    for key in extra:
        if key not in more or key == "return":
            names = [*known, *(name for name in more if name not in ("return", "seed"))]
            raise ConfigError(f"data: there is no option {key!r}.", hint=suggest(key, names))
    return source, checked, {key: fitting(generated[key], value, f"data.{key}") for key, value in extra.items()}


def fitting(hint: Any, value: Any, where: str) -> Any:
    """A value as an annotation has it; raises `ConfigError` where it does not fit."""
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{where}: {value!r} does not fit: {error.errors()[0]['msg'].lower()}.") from None
