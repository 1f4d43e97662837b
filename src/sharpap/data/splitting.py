"""Splits: one set of interactions into train, validation and test."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from sharpap.data.dataset import Dataset
from sharpap.data.interactions import Interactions, distinct
from sharpap.errors import ConfigError, DataError
from sharpap.seeds import rng
from sharpap.settings import Settings

Parts = np.ndarray[Any, np.dtype[np.int8]]
TRAIN, VALID, TEST = 0, 1, 2


@runtime_checkable
class Split(Protocol):
    """Settings of a split."""

    def assign(self, interactions: Interactions, *, seed: int) -> Parts:
        """(nnz,) 0 for train, 1 for validation, 2 for test; every user with interactions keeps one in train."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Shares(Settings):
    """A split by the shares that validation and test get."""

    valid: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.valid < 0 or self.test < 0 or self.valid + self.test >= 1:
            raise ConfigError(
                f"valid={self.valid} and test={self.test} must not be negative and must sum to less than 1."
            )


@dataclass(frozen=True, kw_only=True)
class RandomSplit(_Shares):
    """A random share of each user's interactions (rounded to the nearest), as most of the literature has it.

    Attributes:
        valid, test: shares of each user's interactions.
    """

    def assign(self, interactions: Interactions, *, seed: int) -> Parts:
        """See `Split`."""
        order = rng(seed, "split").random(interactions.nnz)
        return _from_the_end(interactions, order, *_whole(interactions, self.valid, self.test))


@dataclass(frozen=True, kw_only=True)
class LeaveOneOut(Settings):
    """One interaction of each user for test and one for validation; users with too few keep what they have.

    Attributes:
        by: "time" holds out the latest (of equal times, any), "random" any.
        valid: whether validation gets one too.
    """

    by: Literal["time", "random"] = "time"
    valid: bool = True

    def assign(self, interactions: Interactions, *, seed: int) -> Parts:
        """See `Split`."""
        drawn = rng(seed, "split").random(interactions.nnz)
        if self.by == "time":
            order = np.empty(interactions.nnz)
            order[np.lexsort((drawn, _times(interactions)))] = np.arange(interactions.nnz)
        elif self.by == "random":
            order = drawn
        else:
            raise ConfigError(f"by={self.by!r} is neither time nor random.")
        ones = np.ones(interactions.num_users, dtype=np.int64)
        return _from_the_end(interactions, order, ones * self.valid, ones)


@dataclass(frozen=True, kw_only=True)
class TemporalSplit(_Shares):
    """Cut at two points in time, the same for everyone: what comes later is held out.

    Users without an interaction before the first cut keep their earliest one in train, so that each can be scored.

    Attributes:
        valid, test: shares of all interactions.
    """

    def assign(self, interactions: Interactions, *, seed: int) -> Parts:
        """See `Split`."""
        times = _times(interactions)
        first, second = np.quantile(times, [1 - self.valid - self.test, 1 - self.test], method="lower")
        parts = np.where(times > second, TEST, np.where(times > first, VALID, TRAIN)).astype(np.int8)
        users, _ = interactions.entries()
        order = np.lexsort((times, users))
        starts = interactions.matrix.indptr[:-1][interactions.user_counts > 0]
        parts[order[starts]] = TRAIN
        return parts


def split(interactions: Interactions, how: Split | None = None, *, seed: int = 0, name: str = "data") -> Dataset:
    """Split interactions; the default is `RandomSplit()`. Raises `DataError` where the split needs times and has none."""
    how = how or RandomSplit()
    parts = how.assign(interactions, seed=seed)
    train, valid, test = (interactions.select(parts == part) for part in (TRAIN, VALID, TEST))
    settings = {"split": type(how).__name__, **asdict(how), "seed": seed}  # pyright: ignore[reportArgumentType]
    return Dataset(name=name, train=train, valid=valid, test=test, source={"read": interactions.notes, **settings})


def given(
    train: Interactions,
    test: Interactions,
    valid: Interactions | None = None,
    *,
    valid_share: float = 0.1,
    cold_users: Literal["refuse", "drop"] = "refuse",
    seed: int = 0,
    name: str = "data",
) -> Dataset:
    """A dataset from parts that were split elsewhere.

    Vocabularies are united. Pairs of `test` (or `valid`) that stand in `train` too are removed from `test`, and counted
    in `source`. Without `valid`, a share of each user's training interactions becomes validation.

    Args:
        train, test, valid: the parts.
        valid_share: share taken out of train when `valid` is None; 0 leaves it empty.
        cold_users: what to do with users who have test or validation interactions but none in train.
        seed: of the validation share.
        name: for tables.

    Raises:
        DataError: a cold user under "refuse".
    """
    extra = [] if valid is None else [valid]
    user_ids, item_ids = (
        distinct(np.concatenate([getattr(part, role) for part in (train, test, *extra)]))
        for role in ("user_ids", "item_ids")
    )
    titles = next((_spread(part, item_ids) for part in (train, test, *extra) if part.item_titles), None)
    source: dict[str, Any] = {"read": train.notes, "read_test": test.notes, "split": "given"}
    train = _onto(train, user_ids, item_ids, titles)
    if valid is None and valid_share > 0:
        parts = RandomSplit(valid=valid_share, test=0).assign(train, seed=seed)
        train, held = train.select(parts == TRAIN), train.select(parts == VALID)
        source |= {"valid": "taken out of train", "valid_share": valid_share, "seed": seed}
    else:
        held = train.select(np.zeros(train.nnz, bool)) if valid is None else _onto(valid, user_ids, item_ids, titles)
    parts_out = []
    seen = [train]
    for label, part in (("valid", held), ("test", _onto(test, user_ids, item_ids, titles))):
        part, removed = _without(part, seen)
        seen.append(part)
        cold = (train.user_counts == 0) & (part.user_counts > 0)
        if cold.any():
            if cold_users == "refuse":
                first = int(np.argmax(cold))
                raise DataError(
                    f"User {user_ids[first]} has {part.user_counts[first]} {label} interactions but none in train "
                    f"({int(cold.sum())} such users).",
                    hint='Give them training interactions, or drop them with cold_users="drop".',
                )
            part = part.select(~cold[part.entries()[0]])
        source |= {f"{label}_pairs_also_in_train": removed, f"{label}_cold_users": int(cold.sum())}
        parts_out.append(part)
    return Dataset(name=name, train=train, valid=parts_out[0], test=parts_out[1], source=source)


def _times(interactions: Interactions) -> np.ndarray[Any, np.dtype[np.float64]]:
    if interactions.timestamps is None:
        raise DataError("This split goes by time, but the data has no timestamps.", hint="Use RandomSplit.")
    return interactions.timestamps


def _whole(interactions: Interactions, *shares: float) -> tuple[np.ndarray, ...]:
    return tuple(np.floor(interactions.user_counts * share + 0.5).astype(np.int64) for share in shares)


def _from_the_end(interactions: Interactions, order: np.ndarray, valid: np.ndarray, test: np.ndarray) -> Parts:
    """Hold out each user's last ones by `order`: `test` of them, and `valid` before those; one stays in train."""
    users, _ = interactions.entries()
    counts = interactions.user_counts
    test = np.minimum(test, np.maximum(counts - 1, 0))
    valid = np.minimum(valid, np.maximum(counts - 1 - test, 0))
    by_user = np.lexsort((order, users))
    from_end = np.repeat(interactions.matrix.indptr[1:], counts) - 1 - np.arange(interactions.nnz)
    parts = np.zeros(interactions.nnz, dtype=np.int8)
    parts[by_user] = np.where(from_end < test[users], TEST, np.where(from_end < (test + valid)[users], VALID, TRAIN))
    return parts


def _onto(
    part: Interactions, user_ids: np.ndarray, item_ids: np.ndarray, titles: tuple[str, ...] | None
) -> Interactions:
    """The same interactions over larger vocabularies."""
    users, items = part.entries()
    rows, columns = np.searchsorted(user_ids, part.user_ids)[users], np.searchsorted(item_ids, part.item_ids)[items]
    made, _ = Interactions.from_pairs(
        rows, columns, user_ids=user_ids, item_ids=item_ids, timestamps=part.timestamps, item_titles=titles
    )
    return made


def _spread(part: Interactions, item_ids: np.ndarray) -> tuple[str, ...] | None:
    if part.item_titles is None:
        return None
    known = dict(zip(part.item_ids.tolist(), part.item_titles, strict=True))
    return tuple(known.get(item, str(item)) for item in item_ids.tolist())


def _without(part: Interactions, others: list[Interactions]) -> tuple[Interactions, int]:
    """`part` less the pairs that stand in one of `others`, and how many those were."""

    def keys(of: Interactions) -> np.ndarray:
        users, items = of.entries()
        return users * of.num_items + items

    overlap = np.isin(keys(part), np.concatenate([keys(other) for other in others]))
    return part.select(~overlap), int(overlap.sum())
