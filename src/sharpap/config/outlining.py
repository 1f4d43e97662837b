"""The table of `outline`, made from the classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sharpap.config.outline import WORDS
from sharpap.config.registry import GUARDED, PROTOCOLS, REGISTRY, TABLES, name_of
from sharpap.settings import Settings


def outlines(*more: Any) -> dict[str, Any]:
    """Names, classes and their fields, those of further classes included; ready for JSON."""
    found = {cls for members in REGISTRY.values() for cls, _ in members.values()} | {*TABLES, *more}
    classes = {cls.__name__: cls for cls in sorted(found, key=lambda cls: cls.__name__)}
    if len(classes) < len(found):
        raise ValueError("two classes of the registry have one name")
    kinds = {cls: protocol for protocol, kind in PROTOCOLS.items() for cls, _ in REGISTRY[kind].values()}
    made = {
        "names": {
            kind: {name: [cls.__name__, fixed] for name, (cls, fixed) in members.items()}
            for kind, members in REGISTRY.items()
        },
        "protocols": {protocol.__name__: kind for protocol, kind in PROTOCOLS.items()},
        "guarded": [cls.__name__ for cls in GUARDED],
        "tables": [cls.__name__ for cls in TABLES],
        "classes": {
            name: {
                "settings": isinstance(cls, type) and issubclass(cls, Settings),
                "is": [kinds[cls].__name__] if cls in kinds else [],
                "fields": _fields(cls),
            }
            for name, cls in classes.items()
        },
    }  # fmt: skip
    return json.loads(json.dumps(made))


def _fields(cls: Any) -> dict[str, list[Any]]:
    """Name to form, and to default where there is one."""
    hints = get_type_hints(cls)
    if not is_dataclass(cls):
        return {name: [_form(hint), None] for name, hint in hints.items() if name != "return"}
    return {each.name: [(form := _form(hints[each.name])), *_default(each, form)] for each in fields(cls) if each.init}


def _form(hint: Any) -> Any:
    """What `outline` makes an annotation of again."""
    inner = get_args(hint)
    origin = get_origin(hint)
    if origin is Literal:
        return ["one of", *inner]
    if origin in (Union, UnionType):
        return ["or", *map(_form, inner)]
    if origin is tuple and inner[1:] == (...,):
        return ["each", _form(inner[0])]
    if origin is list:
        return ["list", _form(inner[0])]
    if origin is dict:
        return ["dict", _form(inner[1])]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return ["table", _form(inner[1])]
    if hint in PROTOCOLS:
        return f"@{hint.__name__}"
    if hint in TABLES:
        return f"={hint.__name__}"
    return next((word for word, each in WORDS.items() if hint is (NoneType if each is None else each)), "anything")


def _default(field: Any, form: Any) -> list[Any]:
    if field.default is MISSING and field.default_factory is MISSING:
        return []
    made = field.default if field.default is not MISSING else field.default_factory()
    kind = next((kind for protocol, kind in PROTOCOLS.items() if f"@{protocol.__name__}" in json.dumps(form)), None)
    if kind is not None:
        return [None if made is None else [] if isinstance(made, (tuple, Mapping)) else name_of(kind, made)]
    plain = made is None or isinstance(made, (bool, int, float, str, tuple, list))
    return [made if plain else None]
