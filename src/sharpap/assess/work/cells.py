"""Finished pieces of work as records: an interrupted run goes on where it stopped, a wider one computes what is new."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pydantic import FiniteFloat, TypeAdapter

from sharpap.assess.rows import Cell
from sharpap.assess.tables.landscape import LANDSCAPES, Landscape, landscapes_from
from sharpap.assess.work.records import Key, RecordStore, digest
from sharpap.attacks import Poison
from sharpap.attacks.base import check_poison
from sharpap.attacks.profiles import from_lists
from sharpap.checkpoints import State
from sharpap.data import Dataset, Interactions
from sharpap.data.form.arrays import all_arrays, most_unpacked
from sharpap.data.reading.matrix import fits_together
from sharpap.errors import StorageError
from sharpap.metrics import Evaluation, Reach
from sharpap.metrics.evaluate import OWNED
from sharpap.metrics.kept import Kept
from sharpap.recommenders import Capabilities
from sharpap.threat import Budget, Direction, Goal
from sharpap.untrusted import json_value


@dataclass(frozen=True)
class _Crafted:
    attack: str
    settings: dict[str, Any]
    seed: int
    seconds: FiniteFloat
    history: list[dict[str, Any]]
    notes: dict[str, Any]
    targets: list[int]
    direction: Direction
    users: tuple[int, ...] | None = None


@dataclass(frozen=True)
class _Bounded:
    fakes: list[int]
    ks: list[int]


@dataclass(frozen=True)
class _Kept:
    fakes: list[int]
    ks: list[int]


@dataclass(frozen=True)
class _Trained:
    cell: Cell
    recall: dict[int, FiniteFloat]
    ndcg: dict[int, FiniteFloat]
    num_users: int
    num_test_users: int
    capabilities: Capabilities
    reach: _Bounded | None = None
    valid_ndcg: dict[int, FiniteFloat] = field(default_factory=dict)
    kept: _Kept | None = None


LISTED = (
    40  # bytes for a user, a list length and a place in it: what is certified for many numbers of fakes is mostly zeros
)
_CRAFTED, _TRAINED = TypeAdapter(_Crafted), TypeAdapter(_Trained)


class CellStore(RecordStore):
    """Poisons, evaluations and landscapes under names that hash everything they depend on."""

    def load_poison(self, key: Key, train: Interactions, goal: Goal, budget: Budget) -> Poison | None:
        """The poison stored under `key`, made for `goal` within `budget`."""

        def decode(content: bytes) -> Poison:
            allowance = budget.resolve(train.matrix, goal)
            stored, facts = _unpacked(content, 16 * allowance.num_fake * (allowance.profile_size + 1))
            indices, indptr, made = stored["indices"], stored["indptr"], _CRAFTED.validate_python(facts)
            if indices.dtype.kind + indptr.dtype.kind != "ii" or not fits_together(
                indptr, indices, (allowance.num_fake, train.num_items)
            ):
                raise ValueError("its profiles do not fit the data and the budget")
            found = Poison(
                profiles=from_lists(indices, indptr, train.num_items), data_fingerprint=train.fingerprint,
                history=tuple(made.history),
                goal=Goal(targets=tuple(made.targets), direction=made.direction, users=made.users),
                **{name: getattr(made, name) for name in ("attack", "settings", "seed", "seconds", "notes")},
            )  # fmt: skip
            if found.goal != goal:
                raise ValueError("it has other targets")
            check_poison(found, train.num_items, allowance)
            return found

        return self.get("poison", key, decode)

    def save_poison(self, key: Key, poison: Poison) -> None:
        """Store a checked poison."""
        facts = {name: getattr(poison, name) for name in ("attack", "settings", "seed", "seconds", "history", "notes")}
        facts |= {"targets": poison.goal.targets, "direction": poison.goal.direction}
        facts |= {} if poison.goal.users is None else {"users": poison.goal.users}
        csr = poison.profiles
        self.put("poison", key, _packed(facts, indices=csr.indices, indptr=csr.indptr))

    def load_cell(self, key: Key, data: Dataset) -> tuple[Cell, Evaluation] | None:
        """The cell stored under `key` and what was measured in it on `data`."""

        def decode(content: bytes) -> tuple[Cell, Evaluation]:
            wanted = list(key["targets"])
            votes = LISTED * max(key["ks"]) * len(key["ks"]) if _is_vote(key.get("victim")) else 0
            stored, facts = _unpacked(content, (8 * (len(wanted) + 1) + votes) * (data.num_users + 1))
            found, targets, ranks = _TRAINED.validate_python(facts), stored["targets"], stored["ranks"]
            if targets.dtype.kind + ranks.dtype.kind != "ii" or targets.tolist() != wanted:
                raise ValueError("it has other targets")
            if ranks.shape != (found.num_users, len(wanted)) or found.num_users > data.num_users:
                raise ValueError("it was measured for other users")
            if ranks.min(initial=0) < OWNED or ranks.max(initial=0) >= data.num_items:
                raise ValueError("it holds ranks that do not exist")
            if not found.recall.keys() | found.ndcg.keys() | found.valid_ndcg.keys() <= set(key["ks"]):
                raise ValueError("it has other list lengths")
            return found.cell, Evaluation(
                targets=targets, ranks=ranks.astype(np.int64), recall=found.recall, ndcg=found.ndcg,
                num_users=found.num_users, num_test_users=found.num_test_users, capabilities=found.capabilities,
                reach=found.reach and _bound(found.reach, stored, len(wanted)), valid_ndcg=found.valid_ndcg,
                kept=found.kept and _lists(found.kept, stored, found.num_users, data.num_items),
            )  # fmt: skip

        return self.get("cell", key, decode)

    def save_cell(self, key: Key, cell: Cell, found: Evaluation) -> None:
        """Store a cell that did not fail."""
        facts = {
            "cell": asdict(cell), "recall": found.recall, "ndcg": found.ndcg, "valid_ndcg": found.valid_ndcg,
            "num_users": found.num_users, "num_test_users": found.num_test_users, "capabilities": asdict(found.capabilities),
            "reach": found.reach and {"fakes": found.reach.fakes, "ks": found.reach.ks},
            "kept": found.kept and {"fakes": found.kept.fakes, "ks": found.kept.ks},
        }  # fmt: skip
        arrays = {"targets": found.targets, "ranks": found.ranks.astype(np.int32)}
        if found.reach:
            arrays |= {"most": found.reach.most, "together": found.reach.together}
        if found.kept:
            arrays |= {"lists": found.kept.lists, "least": found.kept.least}
        self.put("cell", key, _packed(facts, np.savez_compressed, **arrays))

    def load_landscape(self, key: Key) -> Landscape | None:
        """The landscape stored under `key`."""
        return self.get("sharpness", key, lambda content: landscapes_from(content)[0])

    def save_landscape(self, key: Key, found: Landscape) -> None:
        """Store a landscape."""
        self.put("sharpness", key, LANDSCAPES.dump_json([found]))


@dataclass
class Checkpoints:
    """The states of long steps within one piece of work (`sharpap.checkpoints.Keeper`), until it is finished.

    Attributes:
        store: where they lie, as records of a kind of their own.
        key: of the piece.
        every: seconds between two, at least; more where a state takes long to write, so that one twentieth of the time goes
            into writing at most.
    """

    store: CellStore
    key: Key
    every: float = 5.0
    last: float = field(default_factory=time.monotonic)
    wait: float = 0.0

    def due(self) -> bool:
        """See `Keeper`."""
        return time.monotonic() - self.last >= max(self.every, self.wait)

    def load(self, name: str) -> State | None:
        """See `Keeper`."""

        def decode(content: bytes) -> State:
            arrays, facts = _unpacked(content)
            return facts | arrays

        return self.store.get(self._kind, self.key | {"step": name}, decode)

    def save(self, name: str, state: State) -> None:
        """See `Keeper`. Where it cannot be written the work goes on: its result, which is smaller, may still find room."""
        start = time.monotonic()
        arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        facts = {key: value for key, value in state.items() if key not in arrays}
        try:
            self.store.put(self._kind, self.key | {"step": name}, _packed(facts, np.savez, **arrays))
        except StorageError as error:
            self.store.problems.append(f"A checkpoint could not be kept: {error.message}")
        self.last = time.monotonic()
        self.wait = 20 * (self.last - start)

    def drop(self) -> None:
        """The piece is finished."""
        self.store.drop(self._kind)

    @property
    def _kind(self) -> str:
        return f"state-{digest(self.key)[:16]}"


def fingerprint(poison: Poison) -> str:
    """Hash of a poison's profiles."""
    profiles = poison.profiles
    parts = (np.asarray(profiles.shape), profiles.indptr.astype(np.int64), profiles.indices.astype(np.int64))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def _bound(facts: _Bounded, stored: dict[str, np.ndarray], num_targets: int) -> Reach:
    """What any fakes could do, from a record."""
    parts = [stored[name] for name in ("most", "together")]
    for part in parts:
        if part.dtype != np.float64 or part.shape != (len(facts.ks), len(facts.fakes), num_targets):
            raise ValueError("its bounds are of another shape")
        if not (np.isnan(part) | ((part >= 0) & (part <= 1))).all():
            raise ValueError("its bounds are no shares")
    if facts.fakes != sorted(set(facts.fakes)):
        raise ValueError("its numbers of fakes are out of order")
    return Reach(fakes=tuple(facts.fakes), ks=tuple(facts.ks), most=parts[0], together=parts[1])


def _is_vote(victim: Any) -> bool:
    defense = victim.get("defense") if isinstance(victim, dict) else None
    return isinstance(defense, dict) and defense.get("name") == "certified-bagging"


def _lists(facts: _Kept, stored: dict[str, np.ndarray], users: int, items: int) -> Kept:
    """The lists of a vote and what is certified of them, from a record."""
    lists, least, longest = stored["lists"], stored["least"], max(facts.ks)
    shapes = (users, longest), (len(facts.ks), len(facts.fakes), users)
    if lists.dtype.kind + least.dtype.kind != "ii" or (lists.shape, least.shape) != shapes:
        raise ValueError("its lists or their certificate are of another shape")
    if lists.min(initial=-1) < -1 or lists.max(initial=-1) >= items or facts.fakes != sorted(set(facts.fakes)):
        raise ValueError("its lists hold items that there are not, or its numbers of fakes are out of order")
    if least.min(initial=0) < 0 or least.max(initial=0) > longest:
        raise ValueError("it certifies what cannot be")
    return Kept(ks=tuple(facts.ks), fakes=tuple(facts.fakes), lists=lists, least=least)


def _packed(facts: dict[str, Any], write: Callable[..., None] = np.savez_compressed, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    write(buffer, facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8), **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _unpacked(content: bytes, room: int = 0) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of a record; `room` is the number of bytes that its arrays may take however well they pack."""
    arrays = all_arrays(content, room + most_unpacked(len(content)))
    facts = json_value(arrays.pop("facts").tobytes().decode())
    if not isinstance(facts, dict):
        raise ValueError("its facts are no table")
    return arrays, facts
