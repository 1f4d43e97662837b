"""Finished work of a run on disk, by what determines it: an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpap.assess.landscape import LANDSCAPES, Landscape
from sharpap.assess.results import Cell
from sharpap.attacks import Poison
from sharpap.attacks.poison_io import load_poison, save_poison
from sharpap.data import Interactions
from sharpap.errors import SharpAPError
from sharpap.files import replacing, write_text
from sharpap.metrics import Evaluation
from sharpap.recommenders import Capabilities


@dataclass(frozen=True)
class CellStore:
    """Poisons, evaluations and landscapes under names that hash everything they depend on. Damaged files count as missing.

    Attributes:
        folder: where they lie.
    """

    folder: Path

    def load_poison(self, key: dict[str, Any], train: Interactions) -> Poison | None:
        """The poison stored under `key`."""
        path = self._path("poison", key)
        if not path.is_file():
            return None
        try:
            return load_poison(path, train)
        except (SharpAPError, ValueError):
            return None

    def save_poison(self, key: dict[str, Any], poison: Poison, train: Interactions) -> None:
        """Store a poison."""
        save_poison(poison, self._path("poison", key), train)

    def load_cell(self, key: dict[str, Any]) -> tuple[Cell, Evaluation] | None:
        """The cell stored under `key` and what was measured in it."""
        path = self._path("cell", key)
        if not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                facts = json.loads(stored["facts"].tobytes())
                cell = Cell(**facts["cell"])
                return cell, Evaluation(
                    targets=stored["targets"], ranks=stored["ranks"].astype(np.int64),
                    recall={int(k): value for k, value in facts["recall"].items()},
                    ndcg={int(k): value for k, value in facts["ndcg"].items()},
                    num_users=facts["num_users"], num_test_users=facts["num_test_users"],
                    capabilities=Capabilities(**facts["capabilities"]),
                )  # fmt: skip
        except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile):
            return None

    def save_cell(self, key: dict[str, Any], cell: Cell, found: Evaluation) -> None:
        """Store a cell that did not fail."""
        facts = {
            "cell": asdict(cell), "recall": found.recall, "ndcg": found.ndcg, "num_users": found.num_users,
            "num_test_users": found.num_test_users, "capabilities": asdict(found.capabilities),
        }  # fmt: skip
        with replacing(self._path("cell", key)) as temporary:
            np.savez_compressed(
                temporary, targets=found.targets, ranks=found.ranks.astype(np.int32),
                facts=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
            )  # fmt: skip

    def load_landscape(self, key: dict[str, Any]) -> Landscape | None:
        """The landscape stored under `key`."""
        try:
            (found,) = LANDSCAPES.validate_json(self._path("sharpness", key, "json").read_bytes())
        except (ValueError, OSError):
            return None
        return found

    def save_landscape(self, key: dict[str, Any], found: Landscape) -> None:
        """Store a landscape."""
        write_text(self._path("sharpness", key, "json"), LANDSCAPES.dump_json([found]).decode())

    def _path(self, kind: str, key: dict[str, Any], suffix: str = "npz") -> Path:
        text = json.dumps(key, sort_keys=True, default=str)
        return self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.{suffix}"


def fingerprint(poison: Poison) -> str:
    """Hash of a poison's profiles."""
    profiles = poison.profiles
    parts = (np.asarray(profiles.shape), profiles.indptr.astype(np.int64), profiles.indices.astype(np.int64))
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
