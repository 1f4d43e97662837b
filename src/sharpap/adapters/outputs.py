"""What a foreign recommender hands over, score matrices and top-k lists: read without trust, checked, and scored from."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sharpap.data.footer import refuse_bomb
from sharpap.errors import ContractError, DataError
from sharpap.recommenders import Capabilities

Array = np.ndarray[Any, np.dtype[Any]]
NONE = -1


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredScores:
    """A scorer over a score matrix that stays on disk.

    Attributes:
        scores: (num_users, num_items) memory map.
        source: for messages.
        capabilities: what is declared.
        log: training record.
        owner: whatever keeps the file alive.
    """

    scores: Array
    source: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    log: dict[str, Any] = field(default_factory=dict)
    owner: object = None

    def score(self, users: Array) -> Array:
        """The rows of `users`; raises `ContractError` for NaN, with its place."""
        block = np.asarray(self.scores[users])
        bad = np.isnan(block)
        if bad.any():
            row, item = np.argwhere(bad)[0]
            raise ContractError(
                f"{self.source}: the score of user {users[row]} for item {item} is NaN.",
                hint="Write -inf for items that cannot be scored.",
            )
        return block


@dataclass(frozen=True, eq=False, kw_only=True)
class TopKLists:
    """A scorer over top-k lists: the places in a list as scores, -inf outside it.

    Attributes:
        items: (num_users, k) integers, best first, -1 after the end of a shorter list.
        num_items: columns of the scores.
        capabilities: with its `top_k`.
        log: training record.
    """

    items: Array
    num_items: int
    capabilities: Capabilities
    log: dict[str, Any] = field(default_factory=dict)

    def score(self, users: Array) -> Array:
        """(len(users), num_items) float32: k for the first of a list, 1 for its k-th, -inf for all else."""
        lists = self.items[users]
        scores = np.full((len(users), self.num_items), -np.inf, np.float32)
        rows, places = np.nonzero(lists != NONE)
        scores[rows, lists[rows, places]] = lists.shape[1] - places
        return scores


def read_scores(path: Path, shape: tuple[int, int], source: str) -> Array:
    """Map a .npy score matrix into memory.

    Raises:
        ContractError: unreadable, of another shape, or no real numbers.
    """
    scores = _load(path, source, mmap=True)
    if scores.shape != shape:
        turned = scores.shape == shape[::-1] and shape[0] != shape[1]
        raise ContractError(
            f"{source}: {path.name} has shape {scores.shape}, not {shape}.",
            hint="It is the wrong way round: one row a user, one column an item."
            if turned
            else "It needs one row for each row of the train matrix, fake users included, and one column for each item.",
        )
    if not (np.issubdtype(scores.dtype, np.floating) or np.issubdtype(scores.dtype, np.integer)):
        raise ContractError(f"{source}: {path.name} holds {scores.dtype}, not numbers.")
    return scores


def read_lists(path: Path, num_users: int, num_items: int, active: Array, source: str) -> Array:
    """Read top-k lists: a .npy of (num_users, k) item numbers, or a .parquet or .csv with columns user, item, rank.

    Args:
        path: the kind is told from the content.
        num_users, num_items: of the train matrix.
        active: the users that need a list: those with interactions.
        source: for messages.

    Returns:
        (num_users, k) int32, -1 where a list has ended.

    Raises:
        ContractError: unreadable; users or items out of range; a user without a list; a pair or a place that is there twice;
            a gap in a list.
    """
    with path.open("rb") as file:
        magic = file.read(6)
    if magic == b"\x93NUMPY":
        lists = _load(path, source, mmap=False)
        if lists.ndim != 2 or lists.shape[0] != num_users:
            raise ContractError(
                f"{source}: {path.name} has shape {lists.shape}, not ({num_users}, k).",
                hint="It needs one row of item numbers for each row of the train matrix.",
            )
    else:
        lists = _table_lists(path, magic[:4] == b"PAR1", num_users, num_items, source)
    return check_lists(lists, num_items, active, source)


def check_lists(lists: Array, num_items: int, active: Array, source: str, names: Array | None = None) -> Array:
    """Lists of item numbers as int32, checked: numbers in range, none twice, none after a gap, one for each active row.

    `names` are the users of the rows, for messages; None: row r is user r.
    """
    names = np.arange(len(lists)) if names is None else names
    if not np.issubdtype(lists.dtype, np.integer):
        raise ContractError(f"{source}: the lists hold {lists.dtype}, not item numbers.")
    wrong = (lists < NONE) | (lists >= num_items)
    if wrong.any():
        user, place = np.argwhere(wrong)[0]
        raise ContractError(
            f"{source}: item {lists[user, place]} of user {names[user]} is out of range: there are {num_items} items.",
            hint="Items are the columns of the train matrix, from 0.",
        )
    ended = lists == NONE
    if (ended[:, :-1] & ~ended[:, 1:]).any():
        user = np.argwhere(ended[:, :-1] & ~ended[:, 1:])[0, 0]
        raise ContractError(
            f"{source}: the list of user {names[user]} has a gap.", hint="Ranks count from 1 without a gap."
        )
    ordered = np.sort(lists, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NONE)
    if twice.any():
        user, place = np.argwhere(twice)[0]
        raise ContractError(f"{source}: item {ordered[user, place]} stands twice in the list of user {names[user]}.")
    missing = active[ended[active].all(axis=1)] if lists.shape[1] else active
    if len(missing):
        raise ContractError(
            f"{source}: {len(missing)} of {len(active)} users have no list; the first is user {names[missing[0]]}.",
            hint="Every row of the train matrix with an interaction needs one.",
        )
    return lists.astype(np.int32)


def _table_lists(path: Path, parquet: bool, num_users: int, num_items: int, source: str) -> Array:
    """Lists from a long table; ranks may count from 0 or from 1."""
    try:
        if parquet:
            refuse_bomb(path)
        table = pl.read_parquet(path) if parquet else pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, DataError, OSError, ValueError) as error:
        problem = (str(error).splitlines() or ["no reason given"])[0]
        raise ContractError(f"{source}: {path.name} cannot be read ({problem}).") from None
    missing = [name for name in ("user", "item", "rank") if name not in table.columns]
    if missing:
        raise ContractError(
            f"{source}: {path.name} has no column {missing[0]!r}; it has {', '.join(table.columns)}.",
            hint="A table of lists has the columns user, item and rank.",
        )
    table = table.select("user", "item", "rank")
    if not table.height:
        return np.full((num_users, 0), NONE, np.int64)
    for name, kind in table.schema.items():
        if not kind.is_integer() or table[name].null_count():
            raise ContractError(f"{source}: the column {name!r} of {path.name} must hold whole numbers, and no gaps.")
    users, items, ranks = (table[name].cast(pl.Int64).to_numpy() for name in ("user", "item", "rank"))
    outside = (users < 0) | (users >= num_users)
    if outside.any():
        raise ContractError(
            f"{source}: user {users[outside][0]} is out of range: there are {num_users} users.",
            hint="Users are the rows of the train matrix, from 0.",
        )
    places = ranks - min(int(ranks.min()), 1)
    if ranks.min() < 0 or ranks.min() > 1 or places.max() >= num_items:
        raise ContractError(
            f"{source}: ranks run from {ranks.min()} to {ranks.max()}.",
            hint="They must count from 1 (or 0), up to the length of the list.",
        )
    keys = users * (int(places.max()) + 1) + places
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if len(same):
        row = order[same[0]]
        raise ContractError(f"{source}: user {users[row]} has two items at rank {ranks[row]}.")
    negative = items < 0
    if negative.any():
        raise ContractError(f"{source}: item {items[negative][0]} of user {users[negative][0]} is out of range.")
    lists = np.full((num_users, int(places.max()) + 1), NONE, np.int64)
    lists[users, places] = items
    return lists


def _load(path: Path, source: str, *, mmap: bool) -> Array:
    try:
        found = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        problem = (str(error).splitlines() or ["no reason given"])[0]
        raise ContractError(
            f"{source}: {path.name} cannot be read ({problem}).", hint="Write it with numpy.save, as plain numbers."
        ) from None
    if not isinstance(found, np.ndarray):
        raise ContractError(f"{source}: {path.name} is an archive of arrays.", hint="Write one array, with numpy.save.")
    return found
