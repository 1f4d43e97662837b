"""What can be written down of objects that are not SharpAP's: enough to tell two of them apart."""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import pickle
import secrets
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import torch
from scipy import sparse

PLAIN = (bool, int, float, str)


def facts(made: Any) -> dict[str, Any]:
    """Class or function by its full name, a hash of its source file, and its settings.

    Settings that are plain values stand there as they are; everything else that an object, a function or a bound method
    carries (containers, arrays, other objects, private attributes, defaults, closures) is in one digest, "state".
    """
    if isinstance(made, functools.partial):
        plain = {str(key): value for key, value in made.keywords.items() if isinstance(value, PLAIN)}
        rest = {key: value for key, value in made.keywords.items() if key not in plain}
        return _with_state(facts(made.func) | plain, (made.args, rest) if made.args or rest else None)
    named = made if inspect.isroutine(made) or inspect.isclass(made) else type(made)
    module = getattr(named, "__module__", None) or ""
    settings = {} if named is made else getattr(made, "__dict__", {})
    plain = {key: value for key, value in settings.items() if not key.startswith("_") and isinstance(value, PLAIN)}
    rest = _carried(made) if named is made else {key: settings[key] for key in settings if key not in plain}
    source = _source(module)
    home = "__main__" if module == "__mp_main__" else module  # what a worker process calls the user's script
    known = {"class": f"{home}:{named.__qualname__}"} | ({"source": source} if source else {}) | plain
    return _with_state(known, rest or None)


def digest(value: Any) -> str:
    """Hash of a value by its contents, the same in every process; of what cannot be written down, another each time."""
    try:
        return _digest(value, frozenset(), {}).hex()[:32]
    except RecursionError:
        return secrets.token_hex(16)


def _with_state(known: dict[str, Any], rest: Any) -> dict[str, Any]:
    if rest is None:
        return known
    parts = [known["state"], rest] if "state" in known else rest
    return known | {"state": digest(parts)}


def _carried(function: Any) -> dict[str, Any]:
    """What a function or bound method has beside its code."""
    names = ("__self__", "__defaults__", "__kwdefaults__")
    found = {name: value for name in names if (value := getattr(function, name, None)) is not None}
    if isinstance(found.get("__self__"), ModuleType):  # of a builtin
        del found["__self__"]
    closure = [_content(cell) for cell in getattr(function, "__closure__", None) or ()]
    return found | ({"closure": closure} if closure else {})


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _digest(value: Any, within: frozenset[int], known: dict[int, bytes]) -> bytes:
    """See `digest`. `within`: the objects around the value, so that a ring ends; `known`: those that are done."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic)):
        return _hash(type(value).__name__, repr(value))
    if id(value) in within:
        return _hash("ring")
    if id(value) in known:
        return known[id(value)]
    inside = within | {id(value)}
    name = f"{type(value).__module__}:{type(value).__qualname__}"

    def every(values: Iterable[Any]) -> list[bytes]:
        return [_digest(each, inside, known) for each in values]

    if isinstance(value, torch.Tensor) and value.layout == torch.strided:
        content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        return _hash(name, str(value.dtype), str(tuple(value.shape)), content)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return _hash(name, str(value.dtype), str(value.shape), np.ascontiguousarray(value).tobytes())
    if sparse.issparse(value):
        whole: Any = cast(Any, value).tocoo()
        return _hash(name, *every((whole.shape, whole.row, whole.col, whole.data)))
    if isinstance(value, dict):
        return _hash(name, *sorted(_hash(*every(pair)) for pair in value.items()))
    if isinstance(value, (set, frozenset)):
        return _hash(name, *sorted(every(value)))
    if isinstance(value, (list, tuple)):
        return _hash(name, *every(value))
    if isinstance(value, (ModuleType, logging.Logger)):
        return _hash(name, getattr(value, "__name__", "") or getattr(value, "name", ""))
    if isinstance(value, functools.partial):
        return _hash(name, *every((value.func, value.args, value.keywords)))
    if inspect.isclass(value) or inspect.isroutine(value):
        carried = {} if inspect.isclass(value) else _carried(value)
        return _hash(f"{value.__module__}:{value.__qualname__}", *every([carried]))
    slots = {slot: getattr(value, slot) for slot in _slots(type(value)) if hasattr(value, slot)}
    if hasattr(value, "__dict__") or slots:
        made = known[id(value)] = _hash(name, *every([{**getattr(value, "__dict__", {}), **slots}]))
        return made
    try:
        return _hash(name, pickle.dumps(value, protocol=4))
    except Exception:  # whatever an object of others raises that cannot be written down
        return _hash(name, secrets.token_bytes())


def _slots(cls: type) -> Iterator[str]:
    """Names of slots of a class and its parents."""
    for parent in cls.__mro__:
        found = vars(parent).get("__slots__", ())
        names = (found,) if isinstance(found, str) else tuple(found)
        yield from (name for name in names if name not in ("__dict__", "__weakref__"))


def _hash(*parts: str | bytes) -> bytes:
    made = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        made.update(len(content).to_bytes(8, "little") + content)
    return made.digest()


@functools.cache
def _source(module: str) -> str:
    """Hash of a module's file, so that finished cells of an edited model are not taken for the new one's."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if path is None or not Path(path).is_file():
        return ""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
