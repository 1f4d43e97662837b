"""Intervals over repetitions, and paired comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
# Student's t of 95 % for 1, 2, ... degrees of freedom: the usual numbers of draws and seeds. For others, and for p-values,
# scipy is imported, which takes longer than reading a results folder.
USUAL = (
    12.706204736174694, 4.302652729749462, 3.1824463052837078, 2.7764451051977934, 2.5705818356363146, 2.4469118511449786,
    2.364624251592784, 2.306004135204166, 2.262157162798205, 2.228138851986274, 2.200985160091639, 2.1788128296672284,
    2.1603686564627913, 2.144786687917804, 2.131449545559776, 2.1199052992212546, 2.1098155778333156, 2.1009220402410382,
    2.0930240544083087, 2.085963447265864,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its 95 % t-interval.

    Attributes:
        mean: the estimate.
        low, high: bounds; NaN with fewer than two repetitions.
        p: two-sided p-value of the t-test against 0; NaN with fewer than two repetitions, and where nobody asked.
        n: repetitions.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def interval(values: Array, level: float = 0.95, *, tested: bool = True) -> Interval:
    """Student's t-interval of the mean of independent repetitions.

    For a paired comparison, give the differences. With no spread at all, as a few counts can have it by chance, the interval
    is a point and the t-test says nothing: p is the sign test's, 2 / 2^n (1 for a mean of 0). Without `tested`, p is NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return Interval(mean=mean, low=float("nan"), high=float("nan"), p=float("nan"), n=n)
    error = float(values.std(ddof=1)) / n**0.5
    if np.ptp(values) <= 1e-12 * np.abs(values).max():  # rounding leaves a spread where there is none
        return Interval(mean=mean, low=mean, high=mean, p=1.0 if mean == 0 else 2.0 ** (1 - n), n=n)
    half = _quantile(n - 1, level) * error
    p = _p_value(n - 1, mean / error) if tested else float("nan")
    return Interval(mean=mean, low=mean - half, high=mean + half, p=p, n=n)


def _quantile(freedom: int, level: float) -> float:
    """Of Student's t, for a two-sided interval."""
    if level == 0.95 and freedom <= len(USUAL):
        return USUAL[freedom - 1]
    from scipy import special

    return float(special.stdtrit(freedom, (1 + level) / 2))  # as scipy.stats.t does, without its overhead


def _p_value(freedom: int, t: float) -> float:
    from scipy import special

    return float(2 * special.stdtr(freedom, -abs(t)))


def repetitions(draws: Array, seeds: Array, values: Array, *, by: Literal["draw", "seed"] = "draw") -> Array:
    """Independent repetitions of a cell, in order: the mean of each target draw over its seeds, or of each seed over draws.

    Draws differ by much more than seeds do, and the question is about targets in general, so that seeds of one draw count as
    one repetition. Seeds are the repetitions where a single draw was made, and where the run without attack has one value
    a seed for all draws: what is compared with it shares its noise.
    """
    unit = draws if by == "draw" else seeds
    return np.array([values[unit == each].mean() for each in np.unique(unit)])


def holm(p: Array) -> Array:
    """Holm's step-down correction of p-values; NaN stays NaN and does not count."""
    p = np.asarray(p, dtype=np.float64)
    out = np.full(len(p), np.nan)
    valid = np.flatnonzero(~np.isnan(p))
    order = valid[np.argsort(p[valid], kind="stable")]
    scaled = p[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return out
