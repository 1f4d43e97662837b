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

from sharpap.assess.landscape import LANDSCAPES, Landscape
from sharpap.assess.records import Key, RecordStore, digest
from sharpap.assess.results import Cell
from sharpap.attacks import Poison
from sharpap.attacks.profiles import from_lists
from sharpap.checkpoints import State
from sharpap.data import Interactions
from sharpap.errors import StorageError
from sharpap.metrics import Evaluation
from sharpap.recommenders import Capabilities
from sharpap.threat import Goal


class CellStore(RecordStore):
    """Poisons, evaluations and landscapes under names that hash everything they depend on."""

    def load_poison(self, key: Key, train: Interactions) -> Poison | None:
        """The poison stored under `key`."""

        def decode(content: bytes) -> Poison:
            stored, facts = _unpacked(content)
            return Poison(
                profiles=from_lists(stored["indices"], stored["indptr"], train.num_items),
                goal=Goal(targets=tuple(facts["targets"]), direction=facts["direction"]),
                data_fingerprint=train.fingerprint, history=tuple(facts["history"]),
                **{name: facts[name] for name in ("attack", "settings", "seed", "seconds", "notes")},
            )  # fmt: skip

        return self.get("poison", key, decode)

    def save_poison(self, key: Key, poison: Poison) -> None:
        """Store a checked poison."""
        facts = {name: getattr(poison, name) for name in ("attack", "settings", "seed", "seconds", "history", "notes")}
        facts |= {"targets": poison.goal.targets, "direction": poison.goal.direction}
        csr = poison.profiles
        self.put("poison", key, _packed(facts, indices=csr.indices, indptr=csr.indptr))

    def load_cell(self, key: Key) -> tuple[Cell, Evaluation] | None:
        """The cell stored under `key` and what was measured in it."""

        def decode(content: bytes) -> tuple[Cell, Evaluation]:
            stored, facts = _unpacked(content)
            return Cell(**facts["cell"]), Evaluation(
                targets=stored["targets"], ranks=stored["ranks"].astype(np.int64),
                recall={int(k): value for k, value in facts["recall"].items()},
                ndcg={int(k): value for k, value in facts["ndcg"].items()},
                num_users=facts["num_users"], num_test_users=facts["num_test_users"],
                capabilities=Capabilities(**facts["capabilities"]),
            )  # fmt: skip

        return self.get("cell", key, decode)

    def save_cell(self, key: Key, cell: Cell, found: Evaluation) -> None:
        """Store a cell that did not fail."""
        facts = {
            "cell": asdict(cell), "recall": found.recall, "ndcg": found.ndcg, "num_users": found.num_users,
            "num_test_users": found.num_test_users, "capabilities": asdict(found.capabilities),
        }  # fmt: skip
        self.put("cell", key, _packed(facts, targets=found.targets, ranks=found.ranks.astype(np.int32)))

    def load_landscape(self, key: Key) -> Landscape | None:
        """The landscape stored under `key`."""
        return self.get("sharpness", key, lambda content: LANDSCAPES.validate_json(content)[0])

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


def _packed(facts: dict[str, Any], write: Callable[..., None] = np.savez_compressed, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    write(buffer, facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8), **arrays)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _unpacked(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return arrays, json.loads(arrays.pop("facts").tobytes())
