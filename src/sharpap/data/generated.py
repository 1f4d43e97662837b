"""Synthetic interactions: taste clusters, power-law items and users, any size, O(interactions) memory."""

from __future__ import annotations

import numpy as np

from sharpap import progress
from sharpap.data.interactions import Interactions, distinct
from sharpap.errors import ConfigError
from sharpap.seeds import rng

MOST = 1_000_000_000
TOLD = 5_000_000  # draws of a round that take seconds


def synthetic(
    users: int = 1000,
    items: int = 1500,
    interactions: int = 50_000,
    *,
    clusters: int = 12,
    focus: float = 0.8,
    item_exponent: float = 0.8,
    user_spread: float = 0.9,
    min_items: int = 5,
    seed: int = 0,
) -> Interactions:
    """Generate interactions that a factor model can learn.

    Every user belongs to one cluster and every item to one; a user takes `focus` of its items from its own cluster and the
    rest from anywhere. Popularity falls as rank^-item_exponent, activity is log-normal.

    Args:
        users, items, interactions: size; the number of interactions is met within about two in a hundred unless the matrix
            is nearly full.
        clusters: taste groups.
        focus: share of a user's interactions within its cluster.
        item_exponent: of the popularity power law.
        user_spread: sigma of the log-normal activity.
        min_items: least items of a user.
        seed: same seed, same bytes.

    Raises:
        ConfigError: sizes that do not fit together.
    """
    clusters = min(clusters, items)
    if min(users, items, interactions, clusters) < 1 or not 0 <= focus <= 1:
        raise ConfigError("users, items, interactions and clusters must be 1 or more, focus between 0 and 1.")
    if max(users, items, interactions) > MOST:
        raise ConfigError(f"users, items and interactions are at most {MOST:,} each.")
    if min_items < 0 or not (0 <= user_spread <= 10 and -10 <= item_exponent <= 10):
        raise ConfigError("min_items must be 0 or more, user_spread 0 to 10 and item_exponent -10 to 10.")
    if interactions > users * items // 2:
        raise ConfigError(f"{interactions} interactions are more than half of {users} x {items}.")
    draw = rng(seed, "synthetic")
    low, high = min(min_items, max(1, interactions // users)), max(1, items // 2)
    wanted = _degrees(draw.lognormal(0, user_spread, users), interactions, low, high)
    group = draw.integers(0, clusters, users)
    appeal = draw.permutation((1 + np.arange(items)) ** -item_exponent)
    home = draw.permutation(np.arange(items) % clusters)
    by_home = np.argsort(home, kind="stable")
    ends = np.cumsum(np.bincount(home, minlength=clusters))
    mass = np.concatenate([[0.0], np.cumsum(appeal[by_home])])
    below, above = mass[np.concatenate([[0], ends[:-1]])], mass[ends]
    found = np.empty(0, np.int64)
    missing = wanted.copy()
    with progress.task("Generating interactions", int(wanted.sum())) as task:
        for _ in range(12):
            who = np.repeat(np.arange(users), np.ceil(missing * 1.3).astype(np.int64))
            if len(who) == 0:
                break
            if len(who) >= TOLD:
                progress.event("generating", made=len(found), wanted=int(wanted.sum()))
            inside = draw.random(len(who)) < focus
            start, stop = np.where(inside, below[group[who]], 0), np.where(inside, above[group[who]], mass[-1])
            position = np.searchsorted(mass, start + draw.random(len(who)) * (stop - start), side="right") - 1
            fresh = distinct(who * items + by_home[np.clip(position, 0, items - 1)])
            known = np.searchsorted(found, fresh)
            fresh = fresh[found[np.minimum(known, len(found) - 1)] != fresh] if len(found) else fresh
            chosen = fresh[_lowest(draw.random(len(fresh)), fresh // items, missing)]
            found = np.sort(np.concatenate([found, chosen]), kind="stable")  # two sorted runs are merged
            missing = wanted - np.bincount(found // items, minlength=users)
            task.advance(len(chosen))
    made, _ = Interactions.from_pairs(
        found // items, found % items, user_ids=np.arange(users), item_ids=np.arange(items),
        notes={"synthetic": {"users": users, "items": items, "clusters": clusters, "focus": focus, "seed": seed}},
    )  # fmt: skip
    return made


def _lowest(values: np.ndarray, row: np.ndarray, most: np.ndarray) -> np.ndarray:
    """(len(values),) bool: the `most[r]` lowest numbers in [0, 1) of each row r; `row` is sorted.

    By one sort of whole numbers, the row in their high bits; sorting pairs, or places, takes many times as long.
    """
    bits = min(53, 64 - len(most).bit_length())
    keys = (values * 2.0**bits).astype(np.uint64) | (row.astype(np.uint64) << np.uint64(bits))
    counts = np.bincount(row, minlength=len(most))
    last = np.cumsum(counts) - counts + np.minimum(counts, most) - 1
    bound = np.append(np.sort(keys), np.uint64(0))[last]  # of a row without values, anything
    return (keys <= bound[row]) & (most[row] > 0)


def _degrees(weights: np.ndarray, total: int, low: int, high: int) -> np.ndarray:
    """Whole numbers proportional to `weights` within [low, high] that sum to about `total`."""
    scale = total / weights.sum()
    for _ in range(30):
        degrees = np.clip(weights * scale, low, high)
        scale *= total / degrees.sum()
    return np.clip(np.rint(weights * scale), low, high).astype(np.int64)
