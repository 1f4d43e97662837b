"""Exposure of target items, from their exact ranks.

All over genuine users with at least one training interaction; `ranks` is `Evaluation.ranks`, (u, t) with -1 where the user
owns the target.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def hit_ratio(ranks: Array, k: int) -> Array:
    """H@k of each target, (t,): the share of the users *not owning it* who have it in their top k."""
    return _mean(ranks < k, ranks >= 0)


def any_hit_ratio(ranks: Array, k: int) -> float:
    """anyH@k: the share of all users with at least one target that they do not own in their top k.

    The convention of RevAdv. It grows with the number of targets; H@k does not.
    """
    return float(((ranks >= 0) & (ranks < k)).any(1).mean())


def ndcg(ranks: Array, k: int) -> Array:
    """N@k of each target, (t,): mean of 1 / log2(rank + 2) within the top k, else 0; population of H@k."""
    gain = np.where((ranks >= 0) & (ranks < k), 1 / np.log2(np.maximum(ranks, 0) + 2.0), 0.0)
    return _mean(gain, ranks >= 0)


def mean_rank(ranks: Array) -> Array:
    """Mean 1-based rank of each target, (t,), over the users not owning it."""
    return _mean(ranks + 1.0, ranks >= 0)


def _mean(values: Array, population: Array) -> Array:
    """Column means over `population`; NaN for a target that everybody owns."""
    count = population.sum(0)
    total = np.where(population, values, 0.0).sum(0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
