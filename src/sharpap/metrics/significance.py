"""Intervals over repetitions, and paired comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its 95 % t-interval.

    Attributes:
        mean: the estimate.
        low, high: bounds; NaN with fewer than two repetitions.
        p: two-sided p-value of the t-test against 0; NaN with fewer than two repetitions.
        n: repetitions.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def interval(values: Array, level: float = 0.95) -> Interval:
    """Student's t-interval of the mean of independent repetitions.

    For a paired comparison, give the differences. With no spread at all, as a few counts can have it by chance, the interval
    is a point and the t-test says nothing: p is the sign test's, 2 / 2^n (1 for a mean of 0).
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    mean = float(values.mean()) if n else float("nan")
    if n < 2:
        return Interval(mean=mean, low=float("nan"), high=float("nan"), p=float("nan"), n=n)
    error = float(values.std(ddof=1)) / n**0.5
    if np.ptp(values) <= 1e-12 * np.abs(values).max():  # rounding leaves a spread where there is none
        return Interval(mean=mean, low=mean, high=mean, p=1.0 if mean == 0 else 2.0 ** (1 - n), n=n)
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * error  # as scipy.stats.t does, without its overhead
    p = float(2 * special.stdtr(n - 1, -abs(mean) / error))
    return Interval(mean=mean, low=mean - half, high=mean + half, p=p, n=n)


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
