"""What a foreign recommender hands over, score matrices and top-k lists: read without trust, checked, and scored from."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sharpap.data.form.arrays import DAMAGED, check_header, most_unpacked
from sharpap.data.form.parquet_footer import claimed, refuse_bomb
from sharpap.errors import ContractError, DataError
from sharpap.recommenders import Capabilities

Array = np.ndarray[Any, np.dtype[Any]]
NONE = -1
COLUMNS: tuple[str, ...] = ("user", "item", "rank")
MOST_COLUMNS = 100
MOST_HEADER = 1 << 16
_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)


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
    found, dtype = _header(path, source)
    if found != shape:
        turned = found == shape[::-1] and shape[0] != shape[1]
        raise ContractError(
            f"{source}: {path.name} has shape {found}, not {shape}.",
            hint="It is the wrong way round: one row a user, one column an item."
            if turned
            else "It needs one row for each row of the train matrix, fake users included, and one column for each item.",
        )
    if not (np.issubdtype(dtype, np.floating) or np.issubdtype(dtype, np.integer)):
        raise ContractError(f"{source}: {path.name} holds {dtype}, not numbers.")
    return np.load(path, mmap_mode="r", allow_pickle=False)


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
        shape, _ = _header(path, source)
        if len(shape) != 2 or shape[0] != num_users or shape[1] > num_items:
            raise ContractError(
                f"{source}: {path.name} has shape {shape}, not ({num_users}, k) with at most {num_items} items a list.",
                hint="It needs one row of item numbers for each row of the train matrix.",
            )
        lists = np.load(path, allow_pickle=False)
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
    names = _column_names(path, parquet, source)
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise ContractError(
            f"{source}: {path.name} has no column {missing[0]!r}; it has {', '.join(names)[:300] or 'none'}.",
            hint="A table of lists has the columns user, item and rank.",
        )
    try:
        wanted = list(COLUMNS)
        table = (
            pl.read_parquet(path, columns=wanted)
            if parquet
            else pl.read_csv(path, columns=wanted, infer_schema_length=None)
        )
    except _UNREADABLE as error:
        raise _unreadable(path, source, error) from None
    if not table.height:
        return np.full((num_users, 0), NONE, np.int64)
    users = _whole(path, table, "user", num_users, source)
    items = _whole(path, table, "item", num_items, source, users)
    ranks = _whole(path, table, "rank", num_items + 1, source)
    first, last = int(ranks.min()), int(ranks.max())
    length = last - min(first, 1) + 1
    if first > 1 or length > min(table.height, num_items):
        raise ContractError(
            f"{source}: ranks run from {first} to {last}.",
            hint="They must count from 1 (or 0), up to the length of the list.",
        )
    if num_users * length * 4 > most_unpacked(path.stat().st_size):
        raise ContractError(
            f"{source}: the longest list in {path.name} has {length:,} items; lists of that length for all {num_users:,} "
            f"users would need far more than its {table.height:,} rows.",
            hint="Write lists of about one length, as a .npy of (num_users, k) if need be.",
        )  # fmt: skip
    cells = users * length + ranks - min(first, 1)
    order = np.argsort(cells, kind="stable")
    same = np.flatnonzero(cells[order][1:] == cells[order][:-1])
    if len(same):
        row = order[same[0]]
        raise ContractError(f"{source}: user {users[row]} has two items at rank {ranks[row]}.")
    lists = np.full((num_users, length), NONE, np.int32)
    lists.reshape(-1)[cells] = items
    return lists


_RANGES = {
    "user": ("users", "Users are the rows of the train matrix, from 0."),
    "item": ("items", "Items are the columns of the train matrix, from 0."),
    "rank": ("items", "Ranks count from 1 (or 0), up to the length of the list."),
}


def _whole(path: Path, table: pl.DataFrame, name: str, count: int, source: str, users: Array | None = None) -> Array:
    """A column of whole numbers from 0 to `count` - 1, checked before they become numbers of 64 bits."""
    column = table[name]
    if not column.dtype.is_integer() or column.null_count():
        raise ContractError(f"{source}: the column {name!r} of {path.name} must hold whole numbers, and no gaps.")
    outside = ((column < 0) | (column >= count)).arg_true()
    if len(outside):
        row = outside[0]
        whose = "" if users is None else f" of user {users[row]}"
        limit, hint = _RANGES[name]
        raise ContractError(
            f"{source}: {name} {column[row]}{whose} is out of range: there are {count - (name == 'rank')} {limit}.",
            hint=hint,
        )
    return column.cast(pl.Int64).to_numpy()


def _column_names(path: Path, parquet: bool, source: str) -> list[str]:
    """The columns of a table, before polars reads any of it: an outside file may unpack without end or have a million."""
    try:
        if parquet:
            refuse_bomb(path)
            columns = (claimed(path) or (0, 0, 0))[1]
            names = list(pl.read_parquet_schema(path)) if columns <= MOST_COLUMNS else []
        else:
            with path.open("rb") as file:
                line = file.readline(MOST_HEADER).decode("utf-8-sig")
            names = next(csv.reader(io.StringIO(line)), [])
            columns = len(names)
    except (*_UNREADABLE, DataError, csv.Error) as error:
        raise _unreadable(path, source, error) from None
    if columns > MOST_COLUMNS:
        raise ContractError(
            f"{source}: {path.name} has {columns:,} columns.", hint="A table of lists has three: user, item and rank."
        )
    return names


def _unreadable(path: Path, source: str, error: BaseException) -> ContractError:
    problem = (str(error).splitlines() or ["no reason given"])[0][:300]
    return ContractError(f"{source}: {path.name} cannot be read ({problem}).")


def _header(path: Path, source: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of a .npy on disk."""
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                raise ValueError("it is an archive of arrays")
            file.seek(0)
            return check_header(file, path.stat().st_size)
    except DAMAGED as error:
        problem = (str(error).splitlines() or ["no reason given"])[0][:300]
        raise ContractError(
            f"{source}: {path.name} cannot be read ({problem}).", hint="Write it with numpy.save, as plain numbers."
        ) from None
