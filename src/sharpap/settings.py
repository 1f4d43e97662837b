"""Settings that are checked when an object is made, not when they are first used, an hour into a run."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sharpap.errors import ConfigError

# The least that a name can mean, the same in every class.
LEAST: dict[str, float] = {
    "embedding_size": 1, "batch_size": 1, "check_every": 1, "patience": 1, "negatives": 1, "cg_steps": 1, "hidden": 1,
    "latent": 1,
    "epochs": 0, "layers": 0, "min_epochs": 0, "unrolled_epochs": 0, "reg": 0, "init_std": 0, "shrinkage": 0, "sweeps": 1,
    "positive_weight": 0, "negative_weight": 0, "contrast_weight": 0, "noise": 0, "contrast_size": 1, "clusters": 1,
    "weight_steps": 0, "users_per_epoch": 1, "components": 1, "models": 1, "size": 1, "draws": 1, "steps": 1,
    "eps": 0, "adv_reg": 0, "user_weight": 0, "gamma": 0, "rho": 0, "start": 0,
    "learning_rate": 0, "neighbours": 1, "seed_items": 1, "list_length": 1,
    "told": 0, "tolerance": 0, "contexts": 1, "folds": 2, "max_len": 1, "heads": 1,
}  # fmt: skip
ABOVE_ZERO = {"temperature", "cluster_temperature", "eta"}

WORDS = {bool: "True or False", int: "a whole number", float: "a finite number", str: "text", type(None): "None"}


class Settings:
    """Base of frozen dataclasses of settings: each field is of its annotated type, and not below what its name can mean.

    Raises:
        ConfigError: a field is not; numbers are finite, and True is no number.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, str) and get_origin(hint) is Literal and type(self).__post_init__ is not _plain:
                continue  # a class that checks more names its words itself
            if not _is(value, hint):
                shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:80]}..."
                raise ConfigError(f"{name}={shown} of {type(self).__name__} is not {_said(hint)}.")
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, Real) and not isinstance(number, bool) and number < LEAST.get(name, -math.inf):
                    raise ConfigError(f"{name}={value} of {type(self).__name__} must be {LEAST[name]} or more.")
            if name in ABOVE_ZERO and isinstance(value, (int, float)) and not value > 0:
                raise ConfigError(f"{name}={value} of {type(self).__name__} must be above 0.")


_plain = Settings.__post_init__


@cache
def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}  # pyright: ignore[reportArgumentType]


def _is(value: object, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is(value, each) for each in inner)
    if origin is Literal:
        return any(value is each or (type(value) is type(each) and value == each) for each in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_is(each, inner[0]) for each in value)
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool) and _fits(value) and math.isfinite(value)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool) and _fits(value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if isinstance(hint, type):  # a class of surrogates, say, has the methods of one, and is none
        return isinstance(value, hint) and not (isinstance(value, type) and hint is not type)
    return True


def _fits(value: Real) -> bool:
    """Whole numbers beyond 64 bits are no setting of anything, and most libraries cannot take them."""
    return not isinstance(value, Integral) or -(2**63) <= int(value) < 2**63


def _said(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_said, inner))
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple:
        return f"a tuple in which each is {_said(inner[0])}"
    return WORDS.get(hint) or f"an object of the kind {getattr(hint, '__name__', hint)}"
