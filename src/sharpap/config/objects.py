"""From tables of strings and numbers to objects, checked; and back. The registry, with all models, is imported on first use."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from sharpap.config import outline
from sharpap.errors import ConfigError, suggest

_commands: ContextVar[bool] = ContextVar("sharpap_commands", default=False)
_names: ContextVar[Any] = ContextVar("sharpap_names", default=None)


def registry() -> Any:
    """Names and their classes; inside `outlined`, with stand-ins for the classes."""
    return _names.get() or importlib.import_module("sharpap.config.registry")


@contextmanager
def outlined() -> Iterator[None]:
    """Inside the block, objects are stand-ins: it is told what does not fit, and no model is imported (`config.outline`)."""
    token = _names.set(outline.registry())
    try:
        yield
    finally:
        _names.reset(token)


@contextmanager
def allowing(*, commands: bool) -> Iterator[None]:
    """Inside the block, tables may name victims that run a command or call a server, or may not (the default)."""
    token = _commands.set(commands)
    try:
        yield
    finally:
        _commands.reset(token)


def build(kind: str, table: Any, *, where: str = "") -> Any:
    """An object from a table such as ``{"name": "sharpap", "epochs": 30, "worst_case": {"rho": 0.1}}``, or from a name.

    Args:
        kind: a section of the registry: attack, victim, surrogate, objective, step, worst_case, split.
        table: name, or table with "name" and options; nested tables build nested parts. An option of the name's own fixed
            ones may be refined without repeating it.
        where: dotted place in the recipe, for errors.

    Raises:
        ConfigError: an unknown name or option (with the nearest valid one), or a value of the wrong type or range.
    """
    where = where or kind
    table = {"name": table} if isinstance(table, str) else table
    if not isinstance(table, dict):
        raise ConfigError(f"{where}: expected a name or a table, not {table!r}.")
    options = dict(table)
    if "name" not in options:
        raise ConfigError(
            f"{where}: the table has no name.", hint=f'Add e.g. name = "{next(iter(registry().REGISTRY[kind]))}".'
        )
    name = options.pop("name")
    cls, fixed = registry().lookup(kind, name, where)
    if cls in registry().GUARDED and not _commands.get():
        raise ConfigError(
            f"{where}: {name!r} runs a command or calls a server that the recipe names.",
            hint="If you trust the recipe, pass --allow-commands (in Python: allow_commands=True).",
        )
    return construct(cls, _merge(fixed, options), where=where)


def construct(cls: Any, options: dict[str, Any], *, where: str) -> Any:
    """A dataclass from a table of its fields, each checked against its annotation.

    Classes and functions of other kinds (of users and plugins) are called with the options as keyword arguments, checked
    where they have annotations that can be.
    """
    made = checked(cls, options, where=where)
    if _ours(cls):
        needed = [each.name for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING]
        missing = [name for name in needed if name not in made]
        if missing:
            raise ConfigError(f"{where}: {cls.__name__} needs {', '.join(missing)}.", hint="Add it to the table.")
    try:
        return cls(**made)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None


def checked(cls: Any, options: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Options as a class or function takes them; raises `ConfigError` for a name or a value that it does not take."""
    ours = _ours(cls)
    hints = get_type_hints(cls) if ours else _hints(cls)
    known: Mapping[str, Any] = {field.name: field for field in fields(cls)} if ours else parameters(cls)
    anything = not ours and any(each.kind is each.VAR_KEYWORD for each in known.values())
    made = {}
    for key, value in options.items():
        if key not in known and not anything:
            hint = suggest(key, known) if known else "It takes no options."
            raise ConfigError(f"{where}: {cls.__name__} has no option {key!r}.", hint=hint)
        if key not in hints:
            made[key] = value
            continue
        kind = _kind(hints[key])
        if ours and kind is not None and isinstance(value, dict) and "name" not in value:
            value = _default_name(kind, known[key]) | value  # a table without a name refines the default
        made[key] = _value(hints[key], value, where=f"{where}.{key}")
    return made


def _ours(cls: Any) -> bool:
    return isinstance(cls, type) and is_dataclass(cls)


def describe(made: Any, kind: str | None = None) -> Any:
    """The table that `build` makes an object from; objects of other classes become their class name and fields."""
    from sharpap.config.foreign import digest, facts

    if is_dataclass(made) and not isinstance(made, type):
        name = None if kind is None else registry().name_of(kind, made)
        hints = get_type_hints(type(made))
        head = {} if kind is None else {"name": name or type(made).__qualname__}
        return head | {
            field.name: described
            for field in fields(made)
            if (described := describe(getattr(made, field.name), _kind(hints[field.name]))) is not None
        }
    if kind is not None and not isinstance(made, (list, tuple)):
        return {"name": registry().name_of(kind, made) or type(made).__qualname__} | facts(made)
    if isinstance(made, dict):
        return {str(key): described for key, value in made.items() if (described := describe(value)) is not None}
    if isinstance(made, (list, tuple)):
        return [describe(value, kind) for value in made]
    if made is None or isinstance(made, (bool, int, float, str)):
        return made
    if inspect.isroutine(made) or inspect.isclass(made) or type(made).__repr__ is object.__repr__:
        return facts(made)  # its text would be an address
    if hasattr(made, "__dict__") or hasattr(made, "__array__"):  # its text may leave something out
        return {"class": f"{type(made).__module__}:{type(made).__qualname__}", "state": digest(made)}
    return str(made)


def parameters(maker: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of a class or function by name; empty for compiled code that does not tell."""
    try:
        return inspect.signature(maker).parameters
    except (TypeError, ValueError):
        return {}


def _hints(maker: Any) -> dict[str, Any]:
    try:
        return get_type_hints(maker.__init__ if inspect.isclass(maker) else maker)
    except (
        NameError,
        TypeError,
        AttributeError,
    ):  # foreign annotations may need imports that only a type checker makes
        return {}


def _kind(hint: Any) -> str | None:
    """The registry section of an annotation, Optional or not."""
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return next((found for part in get_args(hint) if (found := _kind(part))), None)
    if not _named_here(hint):
        return None
    return registry().PROTOCOLS.get(hint)


def _named_here(hint: Any) -> bool:
    """Whether an annotation is a class of SharpAP: no other has names in the registry."""
    return isinstance(hint, type) and hint.__module__.startswith("sharpap.")


def _value(hint: Any, value: Any, *, where: str) -> Any:
    kind = _kind(hint)
    several = _kind(get_args(hint)[0]) if get_origin(hint) is tuple else None
    if several is not None:
        if not isinstance(value, list):
            raise ConfigError(f"{where}: expected a list of names or tables, not {value!r}.")
        return tuple(build(several, part, where=f"{where}[{place}]") for place, part in enumerate(value))
    if kind is not None and isinstance(value, (str, dict)):
        return build(kind, value, where=where)
    for cls in (hint, *get_args(hint)) if isinstance(value, dict) else ():
        if _named_here(cls) and cls in registry().TABLES:
            return construct(cls, value, where=where)
    if kind is not None:
        raise ConfigError(f"{where}: expected a name or a table, not {value!r}.")
    try:
        return TypeAdapter(hint, config=ConfigDict(strict=False)).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{where}: {value!r} does not fit: {first['msg'].lower()}.") from None
    except PydanticUserError:  # a foreign annotation that cannot be checked
        return value


def _default_name(kind: str, field: Field[Any]) -> dict[str, Any]:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    name = registry().name_of(kind, default)
    return {} if name is None else {"name": name}


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        mine = merged.get(key)
        merged[key] = _merge(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return merged
