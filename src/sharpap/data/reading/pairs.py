"""Shape of a set of (user, item) pairs: profile sizes, popularity, cores, equal profiles. Block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sharpap.seeds import rng

Counts = np.ndarray[Any, np.dtype[np.int64]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]
Times = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
BLOCK = 1 << 20
CURVE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Pairs:
    """Distinct pairs, sorted by user and item, looked at block by block.

    Attributes:
        keys: (pairs,) uint64 ``user * num_items + item``, or a file of them (see `external_sort.spill`).
        num_users, num_items: sizes of the vocabularies.
        repeats: rows beyond the first of a pair.
        times: a file of a float64 for each pair, where there are times.
    """

    keys: Keys | Path
    num_users: int
    num_items: int
    repeats: int
    times: Path | None = None

    def __len__(self) -> int:
        return self.keys.stat().st_size // 8 if isinstance(self.keys, Path) else len(self.keys)

    def blocks(self) -> Iterator[tuple[Counts, Counts]]:
        """Users and items of a block of pairs, in order."""
        for start in range(0, len(self), BLOCK):
            if isinstance(self.keys, Path):
                keys = np.fromfile(self.keys, np.uint64, count=BLOCK, offset=8 * start)
            else:
                keys = self.keys[start : start + BLOCK]
            yield (
                (keys // np.uint64(self.num_items)).astype(np.int64),
                (keys % np.uint64(self.num_items)).astype(np.int64),
            )

    @cached_property
    def user_counts(self) -> Counts:
        """(num_users,) items of each user."""
        return self._counts[0]

    @cached_property
    def item_counts(self) -> Counts:
        """(num_items,) users of each item."""
        return self._counts[1]

    @cached_property
    def _counts(self) -> tuple[Counts, Counts]:
        everyone, everything = np.ones(self.num_users, bool), np.ones(self.num_items, bool)
        return counts_within(self, everyone, everything)


def distinct_of(keys: Keys) -> Keys:
    """The distinct ones of (rows,) keys, ascending; `keys` is sorted in place, and so is what is returned: a view of it."""
    keys.sort()
    first = np.empty(len(keys), dtype=bool)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    kept = 0
    for start in range(0, len(keys), BLOCK):
        part = keys[start : start + BLOCK][first[start : start + BLOCK]]
        keys[kept : kept + len(part)] = part  # never beyond what was read
        kept += len(part)
    return keys[:kept]


def latest_of(keys: Keys, times: Times) -> tuple[Keys, Times]:
    """The distinct ones of (rows,) keys, ascending, each with its latest time; of equal times the last row's."""
    order = np.lexsort((times, keys))
    keys = keys[order]
    last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
    return keys[last], times[order[last]]


def counts_within(pairs: Pairs, users: Mask, items: Mask) -> tuple[Counts, Counts]:
    """(num_users,) and (num_items,) pairs of each, counting those whose user and item are both in a mask."""
    by_user, by_item = np.zeros(pairs.num_users, np.int64), np.zeros(pairs.num_items, np.int64)
    for rows, columns in pairs.blocks():
        keep = users[rows] & items[columns]
        np.add.at(by_user, rows[keep], 1)
        np.add.at(by_item, columns[keep], 1)
    return by_user, by_item


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
    """Size of the k-core, by removing what has fewer than k again and again; a pass over the pairs each time."""
    users, items, left = pairs.user_counts, pairs.item_counts, -1
    while left != (left := int(users.sum())) and left:
        users, items = counts_within(pairs, users >= k, items >= k)
    return Core(k=k, users=int((users > 0).sum()), items=int((items > 0).sum()), pairs=left)


def equal_profiles(pairs: Pairs, *, least: int) -> list[Counts]:
    """Groups of users with the same items, the largest group first; only profiles of at least `least` items.

    Profiles are compared by a 64-bit sum of random item codes: two different ones are taken for equal with a chance of
    2**-64 a pair.
    """
    codes = rng(0, "profile codes").integers(0, 2**64, size=pairs.num_items, dtype=np.uint64)
    counts = pairs.user_counts
    sums = np.zeros(pairs.num_users, dtype=np.uint64)
    for users, items in pairs.blocks():
        np.add.at(sums, users, codes[items])  # wraps around, as it should
    long = np.flatnonzero(counts >= least)
    order = long[np.lexsort((counts[long], sums[long]))]
    same = (sums[order][1:] == sums[order][:-1]) & (counts[order][1:] == counts[order][:-1])
    bounds = np.flatnonzero(np.concatenate([[True], ~same, [True]])) if len(order) else np.zeros(1, np.int64)
    lengths = np.diff(bounds)
    groups = [order[bounds[run] : bounds[run + 1]] for run in np.flatnonzero(lengths > 1)]
    return sorted(groups, key=len, reverse=True)
