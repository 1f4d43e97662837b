"""Poison on disk: profiles with provenance in the formats other libraries read."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from sharpap.attacks.poison import Poison
from sharpap.data.interactions import Interactions
from sharpap.data.read import read_interactions
from sharpap.errors import DataError
from sharpap.files import replacing, write_text
from sharpap.threat import Goal

SUFFIXES = (".npz", ".parquet", ".csv", ".inter")


def save_poison(poison: Poison, path: Path, train: Interactions) -> Path:
    """Write fake profiles, by the suffix of `path`, with their provenance.

    ``.npz`` is a scipy CSR with the provenance inside. The tables (``.parquet``, ``.csv``, RecBole ``.inter``) have columns
    user_id and item_id, with the data's own item ids and user ids ``fake-0``, ``fake-1``, ...; their provenance stands
    beside them in ``<path>.json``.

    Raises:
        DataError: another suffix.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise DataError(f"Cannot write profiles as {path.suffix or 'a file without suffix'}.", path=path,
                        hint=f"Choose one of {', '.join(SUFFIXES)}.")  # fmt: skip
    facts = provenance(poison, train)
    csr = poison.profiles
    if path.suffix == ".npz":
        with replacing(path) as temporary:
            np.savez_compressed(
                temporary, indices=csr.indices, indptr=csr.indptr, data=csr.data, shape=np.array(csr.shape),
                format=np.array(b"csr"), provenance=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8),
            )  # fmt: skip
        return path
    rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
    table = pl.DataFrame({"user_id": [f"fake-{row}" for row in rows], "item_id": train.item_ids[csr.indices]})
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.write_parquet(temporary)
        elif path.suffix == ".csv":
            table.write_csv(temporary)
        else:
            named = table.rename({"user_id": "user_id:token", "item_id": "item_id:token"})
            named.write_csv(temporary, separator="\t")
    write_text(path.with_name(path.name + ".json"), json.dumps(facts, indent=2))
    return path


def provenance(poison: Poison, train: Interactions) -> dict[str, Any]:
    """JSON-ready account of how the profiles were made."""
    from sharpap import __version__

    return {
        "sharpap": __version__, "attack": poison.attack, "settings": poison.settings, "seed": poison.seed,
        "seconds": poison.seconds, "direction": poison.goal.direction, "targets": list(poison.goal.targets),
        "target_ids": [str(train.item_ids[target]) for target in poison.goal.targets],
        "data_fingerprint": poison.data_fingerprint, "history": list(poison.history), "notes": poison.notes,
        "num_fake": poison.num_fake, "profile_size": int(poison.profile_sizes.max(initial=0)),
    }  # fmt: skip


def load_poison(path: Path, train: Interactions, goal: Goal | None = None) -> Poison:
    """Read profiles from anywhere: files of `save_poison`, or any table or CSR of fake users and their items.

    Args:
        path: ``.npz`` CSR over the data's items, or a table with a user and an item column in the data's own item ids.
        train: the data they are meant for.
        goal: target items; None: those of the file's own provenance.

    Raises:
        DataError: an item the data does not have, another catalogue size, or no targets anywhere.
    """
    path = Path(path)
    facts = _facts(path)
    profiles = _profiles(path, train)
    if goal is None:
        wanted = facts.get("target_ids")
        if not isinstance(wanted, list) or not wanted:
            raise DataError(
                "The file does not say which items it promotes.", path=path,
                hint="Name them: --targets ITEM,ITEM or goal=Goal(targets=...).",
            )  # fmt: skip
        numbers = _numbers(wanted, train, path)
        goal = Goal(targets=tuple(numbers.tolist()), direction=facts.get("direction", "promote"))
    poison = Poison(profiles=profiles, goal=goal, attack=str(facts.get("attack", path.stem)))
    history = facts.get("history")
    return replace(
        poison,
        settings=facts["settings"] if isinstance(facts.get("settings"), dict) else {},
        seed=int(facts.get("seed", 0)),
        seconds=float(facts.get("seconds", 0.0)),
        data_fingerprint=str(facts.get("data_fingerprint", "")),
        history=tuple(history) if isinstance(history, list) else (),
        notes=facts["notes"] if isinstance(facts.get("notes"), dict) else {},
    )


def _profiles(path: Path, train: Interactions) -> csr_array:
    read = read_interactions(path)
    if path.suffix == ".npz":
        if read.num_items != train.num_items:
            raise DataError(
                f"The profiles cover {read.num_items} items, the data {train.num_items}.", path=path,
                hint="Profiles and data must share one catalogue.",
            )  # fmt: skip
        return read.matrix
    rows, columns = read.entries()
    items = _numbers(read.item_ids.tolist(), train, path)[columns]
    ones = np.ones(len(rows), np.float32)
    return csr_array((ones, (rows, items)), shape=(read.num_users, train.num_items))


def _numbers(ids: list[Any], train: Interactions, path: Path) -> np.ndarray:
    known = {str(item): number for number, item in enumerate(train.item_ids.tolist())}
    missing = [str(item) for item in ids if str(item) not in known]
    if missing:
        raise DataError(
            f"Items the data does not have: {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}.", path=path,
            hint="Profiles must use the item ids of the data.",
        )  # fmt: skip
    return np.array([known[str(item)] for item in ids], dtype=np.int64)


def _facts(path: Path) -> dict[str, Any]:
    """The provenance of a file, or nothing; a damaged one is an error."""
    try:
        if path.suffix == ".npz" and path.is_file():
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
                if "provenance" not in stored:
                    return {}
                text = stored["provenance"].tobytes().decode()
        else:
            beside = path.with_name(path.name + ".json")
            if not beside.is_file():
                return {}
            text = beside.read_text("utf-8")
        facts = json.loads(text)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"The provenance cannot be read ({error}).", path=path) from None
    if not isinstance(facts, dict):
        raise DataError("The provenance is not a JSON object.", path=path)
    return facts
