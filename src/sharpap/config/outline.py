"""The registry without its classes: names, options and their types, from a table beside this file.

Inside `outlined`, `build` and `construct` work on stand-ins: dataclasses with the fields of the real ones, and no code. So a
mistake in a recipe or in `--set` is told before any model is imported. `python -m sharpap.cli.names` writes the table anew from
the classes; a test compares the two. What a class checks beyond the types and ranges of its fields is told when it is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, make_dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Union

from sharpap.config import plugins
from sharpap.settings import Settings

TABLE = "outline.json"
WORDS: dict[str, Any] = {
    "bool": bool, "int": int, "float": float, "text": str, "none": None, "path": Path, "anything": object,
}  # fmt: skip


@cache
def registry() -> Any:
    """What `sharpap.config.registry` offers, of stand-ins."""
    return SimpleNamespace(
        REGISTRY=_table()["names"],
        PROTOCOLS={_protocol(name): kind for name, kind in _table()["protocols"].items()},
        GUARDED=tuple(map(stand_in, _table()["guarded"])),
        TABLES=tuple(map(stand_in, _table()["tables"])),
        lookup=_lookup, name_of=_name_of,
    )  # fmt: skip


@cache
def _table() -> dict[str, Any]:
    return json.loads(resources.files("sharpap.config").joinpath(TABLE).read_text("utf-8"))


def _lookup(kind: str, name: object, where: str) -> tuple[Any, dict[str, Any]]:
    names = _table()["names"][kind]
    known = plugins.known(kind, name, names, where)
    return (stand_in(names[known][0]), names[known][1]) if known in names else (_of_others, {})


def _name_of(kind: str, made: object) -> str | None:
    return next((name for name, (cls, _) in _table()["names"][kind].items() if type(made).__name__ == cls), None)


def _of_others(**_) -> None:
    """A class of an installed package: what it takes is not known before it is imported."""


@cache
def stand_in(name: str) -> Any:
    """The dataclass that stands for one of ours."""
    known = _table()["classes"][name]
    bases = (*([Settings] if known["settings"] else []), *map(_protocol, known["is"]))
    made = [(key, _hint(form), _field(form, default)) for key, (form, *default) in known["fields"].items()]
    return make_dataclass(name, made, bases=bases, frozen=True, kw_only=True, namespace={"__module__": __name__})


@cache
def _protocol(name: str) -> type:
    """What an annotation names a kind of objects by."""
    return type(name, (), {"__module__": __name__})


def _hint(form: Any) -> Any:
    """An annotation of its form in the table (`_form`)."""
    if isinstance(form, str):
        return _protocol(form[1:]) if form[0] == "@" else stand_in(form[1:]) if form[0] == "=" else WORDS[form]
    word, *rest = form
    if word == "one of":
        return Literal[*rest]
    inner = [_hint(each) for each in rest]
    if word == "or":
        return Union[*inner]
    return {
        "each": tuple[inner[0], ...],
        "list": list[inner[0]],
        "dict": dict[str, inner[-1]],
        "table": Mapping[str, inner[-1]],
    }[word]


def _field(form: Any, default: list[Any]) -> Any:
    """A field with its default, if it has one."""
    if not default:
        return field()
    value = tuple(default[0]) if isinstance(default[0], list) else default[0]
    protocol = _protocol_in(form)
    if protocol is None or not isinstance(value, str):
        return field(default=value)
    cls = _table()["names"][_table()["protocols"][protocol]][value][0]
    return field(default_factory=lambda: stand_in(cls)())


def _protocol_in(form: Any) -> str | None:
    if isinstance(form, str):
        return form[1:] if form[0] == "@" else None
    return next((found for part in form[1:] if (found := _protocol_in(part))), None)
