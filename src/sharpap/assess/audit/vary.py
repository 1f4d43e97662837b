"""A recommender with other values of one of its settings: what the path of an audit is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

from scipy.sparse import csr_array

from sharpap.assess.audit.audit_report import Value
from sharpap.config import locate
from sharpap.config.objects import parameters
from sharpap.config.varied import EXAMPLE, Vary
from sharpap.errors import ConfigError
from sharpap.recommenders import EASE, WRMF, ItemKNN, Recommender

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
SHRINKAGES = (0.0, 20.0, 100.0, 500.0)
Variants = dict[str, dict[Value, Recommender]]


def variants(
    asked: Vary, make: Callable[[Value], Recommender], audited: Recommender, own: Value, *, given: Mapping[Value, Recommender],
) -> dict[Value, Recommender]:  # fmt: skip
    """The recommender by value, the audited one among them, numbers in their order.

    Args:
        asked: what to vary.
        make: the recommender with a value.
        audited: the recommender as it is.
        own: its value (`own_value`); None where it is not known.
        given: those of `asked.values`, made already.

    Raises:
        ConfigError: no values are given, and there is no number to take some around.
    """
    made = dict(given) or {value: make(value) for value in around(own, asked.setting)}
    found = made | {own: audited}
    return dict(sorted(found.items(), key=_rank))


def around(own: Value, setting: str) -> tuple[Value, ...]:
    """A quarter to four times a number; for whole numbers whole ones."""
    if isinstance(own, bool) or not isinstance(own, (int, float)) or own <= 0:
        known = "it is not known" if own is None else f"it is {own!r}"
        raise ConfigError(f"--vary {setting}: no values can be made around its own, {known}.", hint=EXAMPLE)
    if isinstance(own, int):
        return tuple(dict.fromkeys(max(1, round(own * factor)) for factor in FACTORS))
    return tuple(own if factor == 1 else float(f"{own * factor:.3g}") for factor in FACTORS)


def own_value(
    recommender: Recommender, target: str, options: Mapping[str, Any], setting: str, train: csr_array
) -> Value:
    """What a recommender has for a setting; None where that is not known.

    It is what the options say, a field of one of our own, what it finds in the data (WRMF's weight and reg), or the default
    of the class or function that ``module:attribute`` names.
    """
    found: Any = options
    for key in setting.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    if found is None and is_dataclass(recommender):
        found = recommender
        for key in setting.split("."):
            found = getattr(found, key, None)
    offered = getattr(recommender, "least_squares", None)
    if found is None and offered is not None and hasattr(recommender, setting):
        found = getattr(offered(train), setting, None)
    if found is None and locate.is_code(target):
        parameter = parameters(locate.locate(target)).get(setting)
        found = None if parameter is None or parameter.default is parameter.empty else parameter.default
    return found if isinstance(found, (bool, int, float, str)) else None


def quick(recommender: Recommender, train: csr_array) -> Variants:
    """The path that is taken where nobody asks: the regularisation of families that are trained in closed form or by ALS."""
    if isinstance(recommender, ItemKNN):
        values: Sequence[Value] = tuple(dict.fromkeys((*SHRINKAGES, float(recommender.shrinkage))))
        setting, own = "shrinkage", float(recommender.shrinkage)
    elif isinstance(recommender, EASE) or (isinstance(recommender, WRMF) and recommender.solver == "als"):
        setting, own = "reg", own_value(recommender, "", {}, "reg", train)
        if not isinstance(own, (int, float)) or own <= 0:
            return {}
        values = around(float(own), setting)
    else:
        return {}
    made: dict[Value, Recommender] = {
        value: replace(recommender, **{setting: value})
        for value in values  # pyright: ignore[reportArgumentType]
    }
    return {setting: dict(sorted((made | {own: recommender}).items(), key=_rank))}


def regularisation(recommender: Recommender) -> str | None:
    """The setting of one of our own recommenders that regularises it, or None."""
    ours = type(recommender).__module__.startswith("sharpap.recommenders.")
    return next((name for name in ("reg", "shrinkage") if ours and hasattr(recommender, name)), None)


def _rank(item: tuple[Value, Recommender]) -> tuple[bool, float]:
    value = item[0]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return False, float(value)
    return True, 0.0  # others stay in their order, behind
