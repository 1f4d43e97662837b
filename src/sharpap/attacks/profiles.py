"""Fake profiles as arrays: starting points and conversions shared by the attacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks.poison import Poison
from sharpap.seeds import rng
from sharpap.threat import Allowance, Budget, Goal

IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]


def pinned_items(goal: Goal) -> IntArray:
    """Items every fake profile holds: the targets when promoting, nothing when demoting."""
    return np.array(goal.targets if goal.direction == "promote" else (), dtype=np.int64)


def to_csr(rows: list[IntArray], num_items: int) -> csr_array:
    """One array of item ids per profile as a (num_fake, num_items) CSR."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    indices = np.concatenate(rows) if rows else np.empty(0, np.int64)
    return from_lists(indices, indptr, num_items)


def from_lists(indices: IntArray, indptr: IntArray, num_items: int) -> csr_array:
    """Profiles whose items lie one after the other in `indices`, profile p between `indptr[p]` and `indptr[p + 1]`."""
    return csr_array((np.ones(len(indices), np.float32), indices, indptr), shape=(len(indptr) - 1, num_items))


def kept_rows(rows: IntArray, shape: tuple[int, ...], num_items: int) -> IntArray:
    """Items out of a checkpoint, whose last axes have this shape; raises `ValueError` for others: native code follows any."""
    inside = rows.dtype.kind == "i" and (rows.size == 0 or 0 <= rows.min() <= rows.max() < num_items)
    if not inside or rows.shape[max(rows.ndim - len(shape), 0) :] != shape:
        raise ValueError("The saved state of an attack holds profiles of other data.")
    return rows


def crafted(
    name: str, attack: Any, train: csr_array, goal: Goal, budget: Budget, seed: int,
    rows: Callable[[Allowance, np.random.Generator], Iterable[IntArray]],
) -> Poison:  # fmt: skip
    """The poison of an attack, a dataclass of settings, whose profiles one function draws."""
    start = time.perf_counter()
    made = list(rows(budget.resolve(train, goal), rng(seed, name)))
    return Poison(
        profiles=to_csr(made, train.shape[1]),
        goal=goal,
        attack=name,
        settings=asdict(attack),
        seed=seed,
        seconds=time.perf_counter() - start,
    )


def item_counts(train: csr_array) -> IntArray:
    """(num_items,) interactions of each item."""
    return np.bincount(train.indices, minlength=train.shape[1])


def copied_profiles(
    train: csr_array,
    goal: Goal,
    allowance: Allowance,
    generator: np.random.Generator,
    *,
    sources: IntArray | None = None,
) -> list[IntArray]:
    """Full-size profiles: targets, then fillers sampled from one genuine user each, topped up by popularity.

    The users are `sources`, in turn; None: drawn without replacement as far as they go, among the goal's users where it names
    some, the longer profiles preferred to those too short to fill a fake one.
    """
    pinned = pinned_items(goal)
    wanted = allowance.profile_size - len(pinned)
    if sources is None:
        users = goal.audience(train)
        lengths = np.diff(train.indptr)[users]
        sources = generator.permutation(users[lengths >= min(wanted, np.median(lengths))])
    popularity = item_counts(train) + 1e-3
    popularity[list(goal.targets)] = 0
    rows = []
    for fake in range(allowance.num_fake):
        user = sources[fake % len(sources)]
        own = np.setdiff1d(train.indices[train.indptr[user] : train.indptr[user + 1]], goal.targets)
        rows.append(np.concatenate([pinned, cut_to_size(own, wanted, popularity, generator)]).astype(np.int64))
    return rows


def cut_to_size(own: IntArray, wanted: int, weights: np.ndarray, generator: np.random.Generator) -> IntArray:
    """`wanted` of a user's own items, drawn; topped up by `weights` where there are too few."""
    items = generator.permutation(own)[:wanted]
    if len(items) == wanted:
        return items
    return np.concatenate([items, draw_items(weights, wanted - len(items), generator, without=items)])


def draw_items(
    weights: np.ndarray, count: int, generator: np.random.Generator, *, without: IntArray | None = None
) -> IntArray:
    """Distinct items with probability proportional to `weights`; fewer than `count` if fewer have weight."""
    chance = np.asarray(weights, dtype=np.float64).copy()
    if without is not None:
        chance[without] = 0
    count = min(count, int(np.count_nonzero(chance)))
    if count == 0:
        return np.empty(0, np.int64)
    return generator.choice(len(chance), size=count, replace=False, p=chance / chance.sum())
