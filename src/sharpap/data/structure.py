"""Shape of a set of (user, item) pairs: profile sizes, popularity, cores, equal profiles. Arrays of pairs, no CSR twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sharpap.seeds import rng

Counts = np.ndarray[Any, np.dtype[np.int64]]
CURVE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """Distinct pairs, sorted by user and item: 8 bytes each.

    Attributes:
        users, items: (pairs,) int32 numbers.
        num_users, num_items: sizes of the vocabularies.
        repeats: rows beyond the first of a pair.
    """

    users: np.ndarray[Any, np.dtype[np.int32]]
    items: np.ndarray[Any, np.dtype[np.int32]]
    num_users: int
    num_items: int
    repeats: int

    @classmethod
    def from_keys(cls, keys: np.ndarray[Any, np.dtype[np.uint64]], num_users: int, num_items: int) -> Pairs:
        """From (rows,) ``user * num_items + item``, which is sorted in place."""
        rows = len(keys)
        keys.sort()
        first = np.empty(rows, dtype=bool)
        first[:1] = True
        np.not_equal(keys[1:], keys[:-1], out=first[1:])
        keys = keys[first]
        users = (keys // np.uint64(num_items)).astype(np.int32)
        items = (keys % np.uint64(num_items)).astype(np.int32)
        return cls(users=users, items=items, num_users=num_users, num_items=num_items, repeats=rows - len(keys))

    @property
    def user_counts(self) -> Counts:
        """(num_users,) items of each user."""
        return np.bincount(self.users, minlength=self.num_users)

    @property
    def item_counts(self) -> Counts:
        """(num_items,) users of each item."""
        return np.bincount(self.items, minlength=self.num_items)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean, median and extremes of counts."""

    mean: float
    median: float
    least: int
    most: int

    @classmethod
    def of(cls, counts: Counts) -> Spread:
        """Of (n,) counts, n > 0."""
        low, high = int(counts.min()), int(counts.max())
        return cls(mean=float(counts.mean()), median=float(np.median(counts)), least=low, most=high)


@dataclass(frozen=True, kw_only=True)
class Core:
    """What is left of a k-core."""

    k: int
    users: int
    items: int
    pairs: int


def gini(counts: Counts) -> float:
    """Gini coefficient of (n,) counts: 0 where all are equal, towards 1 where one has everything."""
    ordered = np.sort(counts).astype(np.float64)
    n = len(ordered)
    return float(2 * (np.arange(1, n + 1) @ ordered) / (n * ordered.sum()) - (n + 1) / n)


def shares(counts: Counts, tops: tuple[float, ...] = CURVE) -> dict[float, float]:
    """Share of all interactions that the most popular share of items has; at least one item."""
    ordered = np.cumsum(np.sort(counts)[::-1])
    return {top: float(ordered[max(round(top * len(ordered)), 1) - 1] / ordered[-1]) for top in tops}


def core_size(pairs: Pairs, k: int) -> Core:
    """Size of the k-core, by removing what has fewer than k again and again."""
    users, items = pairs.users, pairs.items
    while len(users):
        strong_users = np.bincount(users, minlength=pairs.num_users) >= k
        strong_items = np.bincount(items, minlength=pairs.num_items) >= k
        keep = strong_users[users] & strong_items[items]
        if keep.all():
            break
        users, items = users[keep], items[keep]
    return Core(k=k, users=len(np.unique(users)), items=len(np.unique(items)), pairs=len(users))


def equal_profiles(pairs: Pairs, *, least: int) -> list[Counts]:
    """Groups of users with the same items, the largest group first; only profiles of at least `least` items.

    Profiles are compared by a 64-bit sum of random item codes: two different ones are taken for equal with a chance of
    2**-64 a pair.
    """
    codes = rng(0, "profile codes").integers(0, 2**64, size=pairs.num_items, dtype=np.uint64)
    counts = pairs.user_counts
    starts = np.concatenate([[0], np.cumsum(counts)])
    sums = np.zeros(pairs.num_users, dtype=np.uint64)
    block = max(1, 4_000_000 * pairs.num_users // max(len(pairs.users), 1))
    for low in range(0, pairs.num_users, block):
        high = min(low + block, pairs.num_users)
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes[pairs.items[starts[low] : starts[high]]])])
        ends = starts[low : high + 1] - starts[low]
        sums[low:high] = running[ends[1:]] - running[ends[:-1]]  # wraps around, as it should
    long = np.flatnonzero(counts >= least)
    order = long[np.lexsort((counts[long], sums[long]))]
    same = (sums[order][1:] == sums[order][:-1]) & (counts[order][1:] == counts[order][:-1])
    bounds = np.flatnonzero(np.concatenate([[True], ~same, [True]])) if len(order) else np.zeros(1, np.int64)
    lengths = np.diff(bounds)
    groups = [order[bounds[run] : bounds[run + 1]] for run in np.flatnonzero(lengths > 1)]
    return sorted(groups, key=len, reverse=True)
