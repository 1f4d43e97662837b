"""Times for victims that read order: those of the data, and an order of each fake user's items."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, get_args

import numpy as np

from sharpap.attacks import Poison
from sharpap.data import Interactions
from sharpap.errors import ConfigError
from sharpap.seeds import rng

FakeOrder = Literal["shuffled", "genuine", "targets-last"]
Array = np.ndarray[Any, np.dtype[np.float64]]


def check_order(how: FakeOrder, train: Interactions, readers: list[str]) -> None:
    """Raise `ConfigError` for a word that is no order, and on data without times for `readers`, the victims that read order."""
    if how not in get_args(FakeOrder):
        raise ConfigError(f"fake_order={how!r} is none of {', '.join(get_args(FakeOrder))}.")
    if readers and train.timestamps is None:
        raise ConfigError(
            f"{', '.join(readers)} read the order of interactions, and the data has no times.",
            hint="Name the column of times (columns.timestamp), or leave these victims out.",
        )


def reading_times(train: Interactions, poison: Poison | None, how: FakeOrder, seed: int) -> Array:
    """(nnz,) times of the training data, fakes after genuine users; of fakes, only the order within a user means something.

    Args:
        train: genuine interactions with times.
        poison: fakes, or None.
        how: "shuffled": at random. "genuine": as genuine users have the items on average, by their mean place in a history,
            from 0 for the oldest to 1. "targets-last": at random, the targets after all others.
        seed: of what is random.
    """
    assert train.timestamps is not None  # `check_order`
    if poison is None:
        return train.timestamps
    items = poison.profiles.indices
    if how == "genuine":
        return np.concatenate([train.timestamps, mean_places(train)[items]])
    places = rng(seed, "fake-order").random(len(items))
    if how == "targets-last":
        places += np.isin(items, poison.goal.targets)
    return np.concatenate([train.timestamps, places])


def mean_places(train: Interactions) -> Array:
    """(num_items,) mean place of each item in genuine histories, from 0 to 1; ties share theirs, items in none have a half."""
    users, items = train.entries()
    assert train.timestamps is not None
    order = np.lexsort((train.timestamps, users))
    when, who = train.timestamps[order], users[order]
    begins = np.flatnonzero(np.append(True, (when[1:] != when[:-1]) | (who[1:] != who[:-1])))
    ends = np.append(begins[1:], train.nnz)
    middle = np.repeat((begins + ends) / 2, ends - begins) - train.matrix.indptr[who]
    sums = np.bincount(items[order], middle / train.user_counts[who], minlength=train.num_items)
    return np.divide(sums, train.item_counts, out=np.full(train.num_items, 0.5), where=train.item_counts > 0)


def digest(times: Array) -> str:
    """What a stored result of a victim that reads order depends on beside the data's fingerprint, which has no times."""
    return hashlib.sha256(np.ascontiguousarray(times, np.float64).tobytes()).hexdigest()[:32]
