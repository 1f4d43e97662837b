"""``module:attribute``: a recommender out of the user's own code, named on the command line.

Recipes are data, and files that one gets from others; they cannot name code. Only who calls can allow it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from pathlib import Path
from typing import Any, TypeGuard

from sharpap.config.objects import checked, construct, parameters
from sharpap.errors import ConfigError, ContractError, SharpAPError, suggest

TRAIN = ("train", "matrix", "csr", "interactions", "user_items", "x", "data")


def is_code(name: object) -> TypeGuard[str]:
    """Whether a name is of the form ``module:attribute``."""
    return isinstance(name, str) and ":" in name


def locate(target: str) -> Any:
    """Import what ``module:attribute`` names; the current folder counts as a place of modules.

    Raises:
        ConfigError: no such module or attribute (with the nearest names), or the module fails when it is imported.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise ConfigError(
            f"{target!r} is not of the form module:attribute.", hint="Write e.g. my_package.models:MyModel."
        )
    if "/" in module_name or module_name.endswith(".py"):
        path = Path(module_name).with_suffix("")
        hint = f"Write {'.'.join(path.parts)}:{attribute}, in the folder that {path.parts[0]} lies in."
        raise ConfigError(f"{module_name!r} is a file, not the name of a module.", hint=hint)
    here = str(Path.cwd())
    if here not in sys.path:  # as python does for scripts; it stays, for what the module imports later
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ConfigError(
                f"There is no module {error.name!r}, in {here} or installed.",
                hint="Run the command in the folder that holds it, or install its package.",
            ) from None
        raise ConfigError(f"{module_name} needs {error.name}, which is not installed.") from None
    except SharpAPError:
        raise
    except Exception as error:  # foreign code: whatever importing it raises
        raise ConfigError(f"{module_name} fails when it is imported: {type(error).__name__}: {error}.") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
            raise ConfigError(f"{module_name} has no {part!r}.", hint=suggest(part, names) if names else None)
        found = getattr(found, part)
    return found


def recommender(target: str, options: dict[str, Any], *, where: str) -> Any:
    """The recommender that ``module:attribute`` names.

    Args:
        target: a class (made with the options), an instance, a factory (a function that needs no training matrix, called
            with the options), or a training function (see `sharpap.adapters.adapt`).
        options: as given by ``--set``.
        where: for errors.

    Raises:
        ConfigError: nothing there, or options that do not fit. ContractError: nothing that can be trained.
    """
    from sharpap.adapters import adapt  # a leaf: only those who name their own code need it

    found = locate(target)
    if inspect.isclass(found) or (inspect.isroutine(found) and not _trains(found)):
        found = _made(found, options, target, where)
    elif inspect.isroutine(found):
        return adapt(found, **checked(found, options, where=where))
    elif options:
        raise ConfigError(f"{where}: {target} is an object already made; it takes no options.", hint="Name its class.")
    try:
        return adapt(found)
    except ContractError as error:
        raise ContractError(f"{target}: {error.message}", hint=error.hint) from None


def _trains(function: Any) -> bool:
    """Whether a function is a training function: its first argument must be given, or is called like a matrix."""
    first = next(iter(parameters(function).values()), None)
    return first is not None and (first.default is first.empty or first.name.lower() in TRAIN)


def _made(maker: Any, options: dict[str, Any], target: str, where: str) -> Any:
    known = parameters(maker)
    missing = [
        name for name, each in known.items()
        if each.default is each.empty and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and name not in options
    ]  # fmt: skip
    if missing:
        raise ConfigError(
            f"{target} cannot be made without {', '.join(missing)}.",
            hint=f"Give --set {where}.{missing[0]}=..., a default, or name an instance or a function that makes one.",
        )
    try:
        with warnings.catch_warnings():
            # implicit's models warn of BLAS threads when they are made, and are trained on one (`adapters.implicit`)
            warnings.filterwarnings("ignore", r"\s*(OpenBLAS|Intel MKL BLAS) is configured", RuntimeWarning)
            return construct(maker, options, where=where)
    except SharpAPError:
        raise
    except Exception as error:  # foreign code
        raise ContractError(f"{target} fails when it is made: {type(error).__name__}: {error}.") from error
