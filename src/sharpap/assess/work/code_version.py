"""Which code a result depends on, as a hash that changes when that code does.

A finished cell may be taken from a store only if today's code would give the same. So its key holds a digest of

- the modules that define the classes of its parts (recommender, surrogate, ...) and all that these import, within SharpAP
  and within the user's own folder or package: syntax trees, so that comments, docstrings and layout do not count;
- the scripts that run outside this interpreter: SharpAP's drivers, and files that a command names;
- the versions of the libraries that compute, of those that foreign classes come from, and whether torch sees a GPU.

Imports are found in the text, nothing is imported for it. What it cannot see: a server behind HTTP, data files that a user's
code reads, and code that is reached by name only.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from types import CodeType
from typing import Any

import torch

from sharpap.adapters.command import CommandRecommender

PACKAGE = Path(__file__).resolve().parents[2]
LIBRARIES = ("numba", "numpy", "scipy", "torch")
OUTSIDE = {"adapters/isolated.py": ("adapters/drivers/*.py", "adapters/environments/*.txt")}


def code_version(*made: Any, modules: tuple[str, ...] = ()) -> str:
    """Digest of the code behind objects, and behind further modules of SharpAP such as ``"sharpap.metrics.evaluate"``."""
    files = {file for name in modules for file in _resolve(name, None, PACKAGE.parent)}
    others = {f"{name} {_version(name)}" for name in LIBRARIES} | {f"cuda {torch.cuda.is_available()}"}
    for found in _parts(made):
        kind, value = _origin(found)
        (files if kind == "file" else others).add(value)
    return _digest(frozenset(files), frozenset(others))


@functools.cache
def _digest(files: frozenset[Path], others: frozenset[str]) -> str:
    seen: set[Path] = set()
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += _imports(path)
    for path in list(seen):
        inside = path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else ""
        seen |= {each for pattern in OUTSIDE.get(inside, ()) for each in PACKAGE.glob(pattern)}
    lines = sorted(others) + sorted(f"{path.name} {_content(path)}" for path in seen)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def _parts(made: Any) -> Iterator[Any]:
    """Classes, functions and command files that objects are made of, to the depth of their plain attributes."""
    seen: set[int] = set()
    waiting = [made]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or each is None or isinstance(each, (bool, int, float, str, bytes)):
            continue
        seen.add(id(each))
        if isinstance(each, dict):
            waiting += islice(each.values(), 1000)
        elif isinstance(each, (list, tuple, set, frozenset)):
            waiting += islice(each, 1000)
        elif isinstance(each, functools.partial):
            waiting += [each.func, each.args, each.keywords]
        elif inspect.ismethod(each):
            waiting += [each.__func__, each.__self__]
        elif inspect.isclass(each) or inspect.isroutine(each):
            yield from each.__mro__[:-1] if inspect.isclass(each) else [each]
        else:
            yield from type(each).__mro__[:-1]
            if isinstance(each, CommandRecommender):
                yield from (path for word in each.command if (path := Path(word)).is_file())
            own = [getattr(each, field.name) for field in fields(each)] if is_dataclass(each) else []
            waiting += [own, getattr(each, "__dict__", {}) if not own else {}]


def _origin(found: Any) -> tuple[str, Any]:
    """Where a class, function or file comes from: a file that is read, or a text that stands for it."""
    if isinstance(found, Path):
        return "file", found.resolve()
    name = getattr(found, "__module__", None) or ""
    top = name.partition(".")[0]
    if not top or (top in sys.stdlib_module_names and top != "__main__"):
        return "other", top
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or not Path(file).is_file():  # typed in, or in a notebook
        return "other", f"{found.__qualname__} {_typed_in(found)}"
    path = Path(file).resolve()
    if top != "sharpap" and {"site-packages", "dist-packages"} & set(path.parts):
        return "other", f"{top} {_version(top)}"
    return "file", path


def _typed_in(found: Any) -> str:
    """Digest of compiled functions: all there is of a class without a file."""
    parts = vars(found).values() if inspect.isclass(found) else [found]
    return hashlib.sha256(
        repr([_plain(part.__code__) for part in parts if hasattr(part, "__code__")]).encode()
    ).hexdigest()


def _plain(code: CodeType) -> list[Any]:
    constants = [_plain(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return [code.co_code, code.co_names, constants]


@functools.cache
def _content(path: Path) -> str:
    """Digest of a file; of Python, without comments, docstrings and layout."""
    raw = path.read_bytes()
    tree = _tree(path)
    if tree is not None:
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    node.body = node.body[1:]
        raw = ast.dump(tree).encode()
    return hashlib.sha256(raw).hexdigest()


@functools.cache
def _imports(path: Path) -> tuple[Path, ...]:
    """The files that a file imports, anywhere in it, of SharpAP and of its own folder or package."""
    tree = _tree(path)
    if tree is None:
        return ()
    package = _package(path)
    found: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [file for alias in node.names for file in _resolve(alias.name, None, _base(path))]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                parts = package[: len(package) - node.level + 1]
                module = ".".join([*parts, *([module] if module else [])])
            found += [file for alias in node.names for file in _resolve(module, alias.name, _base(path))]
    return tuple(dict.fromkeys(found))


def _resolve(module: str, name: str | None, base: Path) -> Iterable[Path]:
    """The files behind ``from module import name``, or ``import module``.

    A name that a package only passes on leads to where it is defined, so that a result does not depend on the whole package.
    """
    base = PACKAGE.parent if module.split(".")[0] == "sharpap" else base
    place = base.joinpath(*module.split("."))
    if (file := place.with_suffix(".py")).is_file():
        return [file]
    if not (init := place / "__init__.py").is_file():
        return []
    if name is None:
        return [init]
    if (inner := place / f"{name}.py").is_file():
        return [inner]
    if (inner := place / name / "__init__.py").is_file():
        return [inner]
    for passing in (
        init,
        init.with_suffix(".pyi"),
    ):  # the second is where names are said that are imported on first use
        for node in ast.walk(_tree(passing) or ast.Module([], [])):
            if isinstance(node, ast.ImportFrom) and node.module and node.level < 2:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return _resolve(f"{module}.{node.module}" if node.level else node.module, alias.name, base)
    return [init]


def _base(path: Path) -> Path:
    """The folder that holds the top-level module or package of a file."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _package(path: Path) -> list[str]:
    return list(path.parent.relative_to(_base(path)).parts)


def _tree(path: Path) -> ast.Module | None:
    if path.suffix not in (".py", ".pyi") or not path.is_file():
        return None
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return None


@functools.cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return str(getattr(sys.modules.get(name), "__version__", ""))
