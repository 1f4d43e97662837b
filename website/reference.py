"""Pages of the reference, as Markdown, from the program itself: nothing here can go stale."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import typer

import sharpap
from sharpap.assess import Experiment
from sharpap.cli.app import app
from sharpap.config import REGISTRY, describe
from sharpap.config.registry import PROTOCOLS, TABLES
from sharpap.data import Options, TargetPool, read_interactions
from sharpap.threat import Budget

WIDTH = 100
WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
# Headings of the Python page, by the room that a name lives in.
ROOMS = {
    "assess": "Stress tests and results",
    "data": "Data",
    "threat": "Goal and budget",
    "attacks": "Attacks",
    "surrogates": "Surrogates",
    "recommenders": "Recommenders",
    "adapters": "Recommenders outside SharpAP",
    "defenses": "Defences",
    "detectors": "Detectors",
    "tracking": "Tracking",
}
KINDS = {
    "attack": "An attack crafts the fake profiles. In a recipe: `[attacks.NAME]`.",
    "victim": "A victim is trained on the poisoned data and measured. In a recipe: `[victims.NAME]`.",
    "defense": "A defence trains a victim: the key `defense` of a victim `defended`.",
    "detector": "A detector says who looks like a fake user: `sharpap detect --detector NAME`, and the key `detector`.",
    "surrogate": "A surrogate is the model that an attacker trains and differentiates: the key `surrogate` of an attack.",
    "objective": "An objective is what an attack makes large: the key `objective` of an attack.",
    "step": "A step turns a gradient into new profiles: the key `step` of an attack.",
    "worst_case": "A worst case is what the surrogate is exposed to: the key `worst_case` of an attack.",
    "split": "A split divides one file into train, validation and test: the key `split` of `[data]`.",
}


def pages(scripts: Path) -> dict[str, str]:
    """All of them, by their place in the site. `scripts` is the folder examples/."""
    return {
        "examples.md": examples(scripts),
        "reference/python.md": python(),
        "reference/command-line.md": command_line(),
        "reference/recipes.md": recipes(),
    }


def python() -> str:
    """Every public name of `sharpap`, under the room that it lives in; mkdocstrings fills in the docstrings."""
    rooms: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name in sorted(sharpap.__all__):
        made = getattr(sharpap, name)
        rooms.setdefault(made.__module__.split(".")[1], []).append(f"::: {made.__module__}.{made.__qualname__}")
    parts = ["# Python", "All public names of `import sharpap as sp`. Each is `sp.NAME`."]
    for room, names in rooms.items():
        if names:
            parts += [f"## {ROOMS.get(room, room.capitalize())}", *names]
    return "\n\n".join(parts) + "\n"


def command_line() -> str:
    """What `--help` of every verb prints."""
    parts = ["# Command line", "What `sharpap --help` and `sharpap VERB --help` print."]
    for path, text in _helps(typer.main.get_command(app), "sharpap"):
        parts += [f"## {path}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _helps(command: Any, path: str) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=path, terminal_width=WIDTH)
    yield path, command.get_help(context).strip()
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        inner = command.get_command(context, name)
        if inner is not None and not inner.hidden:
            yield from _helps(inner, f"{path} {name}")


def recipes() -> str:
    """Every section, name and key that a recipe may have."""
    parts = [
        "# Recipes",
        "Every key of a recipe, with its type and its default. A recipe is a TOML file. `sharpap run FILE` runs it, and "
        "`--set a.b=value` sets any key on the command line. `sharpap list recipes` lists those that ship with SharpAP.",
        "## Top level",
        "Besides these keys, a recipe has the sections `[data]`, `[targets]`, `[budget]`, `[attacks]` and `[victims]`. "
        "`tuned = true` takes the settings of the victims that were chosen on validation data.",
        _keys(Experiment, {"dataset", "attacks", "victims", "targets", "budget"}),
        "## `[data]`",
        "`source` is a name of `sharpap list datasets` or a path.",
        _keys(Options, set(), _listed(read_interactions.__doc__, "Args")),
        "## `[targets]`",
        _keys(TargetPool, set()),
        "## `[budget]`",
        _keys(Budget, set()),
    ]
    for kind, members in REGISTRY.items():
        parts += [f"## {kind.replace('_', ' ').capitalize()}", KINDS.get(kind, "")]
        classes: dict[Any, list[tuple[str, dict[str, Any]]]] = {}
        for name, (cls, fixed) in members.items():
            classes.setdefault(cls, []).append((name, fixed))
        for cls, names in classes.items():
            parts += [f"### {_heading([name for name, _ in names])} {{#{kind}-{names[0][0]}}}", _summary(cls)]
            parts += ["\n".join(f"- `{name}` sets {_fixed(fixed)}" for name, fixed in names if fixed)]
            parts.append(_keys(cls, set()) if is_dataclass(cls) and fields(cls) else "It has no keys.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(names: list[str]) -> str:
    """All names of a class, or as many as a table of contents can hold."""
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _keys(cls: Any, without: set[str], texts: dict[str, str] | None = None) -> str:
    """A table of the fields of a class; `texts` say more than its docstring."""
    texts = attributes(cls) | (texts or {})
    hints = get_type_hints(cls)
    rows = [
        f"| `{field.name}` | {_type(hints[field.name])} | {_default(field)} | {_cell(texts.get(field.name, ''))} |"
        for field in fields(cls)
        if field.name not in without and not field.name.startswith("_")
    ]
    return "\n".join(["| key | type | default | what |", "|---|---|---|---|", *rows])


def attributes(cls: type) -> dict[str, str]:
    """What the docstring of a class, or of a class that it inherits a field from, says of each field."""
    found: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        found |= _listed(vars(parent).get("__doc__"), "Attributes")
    return found


def _listed(docstring: str | None, title: str) -> dict[str, str]:
    """The entries of one section of a docstring, by name."""
    found: dict[str, str] = {}
    section = re.search(rf"^{title}:\n((?:(?: {{4}}.*)?\n?)+)", inspect.cleandoc(docstring or ""), re.MULTILINE)
    for entry in re.split(r"\n(?= {4}\S)", section[1]) if section else ():
        names, colon, said = entry.strip().partition(":")
        if colon:
            found |= dict.fromkeys(re.split(r",\s*", names), " ".join(said.split()))
    return found


def _type(hint: Any) -> str:
    """An annotation as a reader of recipes knows it: kinds of objects lead to their names below."""
    inner = get_args(hint)
    if hint in PROTOCOLS:
        return f"[{PROTOCOLS[hint].replace('_', ' ')}](#{PROTOCOLS[hint].replace('_', '-')})"
    if get_origin(hint) is Literal:
        return " or ".join(f"`{_value(each)}`" for each in inner)
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_type(each) for each in inner if each is not NoneType)
    if get_origin(hint) in (tuple, list, Sequence):
        return f"list of {_type(inner[0])}"
    if get_origin(hint) in (dict, Mapping) or hint in TABLES:
        return "table"
    return WORDS.get(hint) or getattr(hint, "__name__", str(hint))


def _default(field: Any) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "needed"
    made = field.default if field.default is not MISSING else field.default_factory()
    if is_dataclass(made):
        kind = next(
            (kind for kind, names in REGISTRY.items() if any(type(made) is cls for cls, _ in names.values())), None
        )
        described = describe(made, kind)
        return _cell(f"`{described.get('name', type(made).__name__)}`")
    return _cell(f"`{_value(made)}`") if made is not None else "none"


def _value(made: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(made, bool):
        return str(made).lower()
    if isinstance(made, str):
        return f'"{made}"'
    if isinstance(made, (list, tuple)):
        return f"[{', '.join(map(_value, made))}]"
    if isinstance(made, dict):
        return "{" + ", ".join(f"{key} = {_value(each)}" for key, each in made.items()) + "}"
    return str(made)


def _fixed(table: dict[str, Any]) -> str:
    return ", ".join(f"`{key} = {_value(value)}`" for key, value in table.items())


def _summary(cls: Any) -> str:
    return next(iter(inspect.cleandoc(cls.__doc__ or "").splitlines()), "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def examples(folder: Path) -> str:
    """The scripts of examples/ as one page."""
    parts = [
        "# Examples",
        "Scripts to copy from. They are in the folder `examples` of the repository, and tests run them.",
    ]
    for path in [
        *sorted(folder.glob("*.py")),
        *sorted(folder.glob("tutorials/*.py")),
        *sorted(folder.glob("plugin/src/**/*.py")),
    ]:
        name = path.relative_to(folder).as_posix()
        parts += [f"## {name} {{#{anchor(name)}}}", f"```python\n{path.read_text('utf-8').strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def anchor(name: str) -> str:
    """The heading of an example."""
    return re.sub(r"\W+", "-", name)
