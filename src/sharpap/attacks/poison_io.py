"""Poison on disk: profiles with provenance in the formats other libraries read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from sharpap.attacks.poison import Poison
from sharpap.data.form.arrays import stored_arrays
from sharpap.data.interactions import Interactions
from sharpap.data.reading.read import read_interactions
from sharpap.data.writing.write import check_ids
from sharpap.errors import DataError
from sharpap.files import replacing, write_text
from sharpap.threat import Direction, Goal
from sharpap.untrusted import json_value, read_json

SUFFIXES = (".npz", ".parquet", ".csv", ".inter")
# What other programs may have written beside profiles, and what it must be where it is there.
_FACTS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "attack": (str, "a name"), "seed": (int, "a whole number"), "seconds": ((int, float), "a number"),
    "direction": (str, "a text"), "target_ids": (list, "a list"), "settings": (dict, "an object"),
    "user_ids": (list, "a list"), "history": (list, "a list"), "notes": (dict, "an object"),
    "data_fingerprint": (str, "a text"),
}  # fmt: skip


def save_poison(poison: Poison, path: Path, train: Interactions) -> Path:
    """Write fake profiles, by the suffix of `path`, with their provenance.

    ``.npz`` is a scipy CSR with the provenance inside. The tables (``.parquet``, ``.csv``, RecBole ``.inter``) have columns
    user_id and item_id, with the data's own item ids and user ids ``fake-0``, ``fake-1``, ...; their provenance stands
    beside them in ``<path>.json``.

    Raises:
        DataError: another suffix, or an item id that the form cannot hold.
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
    if path.suffix != ".parquet":
        held = train.item_ids[np.unique(csr.indices)]
        check_ids(held, "item", path, "," if path.suffix == ".csv" else "\t")
    table = pl.DataFrame({"user_id": [f"fake-{row}" for row in rows], "item_id": train.item_ids[csr.indices]})
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.write_parquet(temporary)
        elif path.suffix == ".csv":
            table.write_csv(temporary)
        else:
            named = table.rename({"user_id": "user_id:token", "item_id": "item_id:token"})
            named.write_csv(temporary, separator="\t", quote_style="never")
    write_text(files_of(path)[-1], json.dumps(facts, indent=2))
    return path


def files_of(path: Path) -> tuple[Path, ...]:
    """What `save_poison` writes: the file, and beside a table the one with its provenance."""
    return (path,) if path.suffix == ".npz" else (path, path.with_name(path.name + ".json"))


def provenance(poison: Poison, train: Interactions) -> dict[str, Any]:
    """JSON-ready account of how the profiles were made."""
    from sharpap import __version__

    users = poison.goal.users
    return {
        "sharpap": __version__, "attack": poison.attack, "settings": poison.settings, "seed": poison.seed,
        "seconds": poison.seconds, "direction": poison.goal.direction, "targets": list(poison.goal.targets),
        "target_ids": [str(train.item_ids[target]) for target in poison.goal.targets],
        "data_fingerprint": poison.data_fingerprint, "history": list(poison.history), "notes": poison.notes,
        "num_fake": poison.num_fake, "profile_size": int(poison.profile_sizes.max(initial=0)),
        **({} if users is None else {"user_ids": [str(train.user_ids[user]) for user in users]}),
    }  # fmt: skip


def load_poison(path: Path, train: Interactions, goal: Goal | None = None) -> Poison:
    """Read profiles from anywhere: files of `save_poison`, or any table or CSR of fake users and their items.

    Args:
        path: ``.npz`` CSR over the data's items, or a table with a user and an item column in the data's own item ids.
        train: the data they are meant for.
        goal: target items and direction; None: those of the file's own provenance.

    Raises:
        DataError: an item the data does not have, another catalogue size, or no targets anywhere.
    """
    path = Path(path)
    facts = _facts(path)
    profiles = _profiles(path, train)
    if goal is None:
        wanted = facts.get("target_ids")
        if not wanted:
            raise DataError(
                "The file does not say which items it promotes.", path=path,
                hint="Name them: --targets ITEM,ITEM or goal=Goal(targets=...).",
            )  # fmt: skip
        targets, users = _numbers(wanted, train.item_ids, path), facts.get("user_ids") or None
        goal = Goal(
            targets=tuple(targets.tolist()),
            direction=facts.get("direction") or "promote",
            users=None if users is None else tuple(_numbers(users, train.user_ids, path, "user").tolist()),
        )
    poison = Poison(profiles=profiles, goal=goal, attack=facts.get("attack") or path.stem)
    return replace(
        poison,
        settings=facts.get("settings") or {},
        seed=facts.get("seed") or 0,
        seconds=facts.get("seconds") or 0.0,
        data_fingerprint=facts.get("data_fingerprint") or "",
        history=tuple(facts.get("history") or ()),
        notes=facts.get("notes") or {},
    )


def saved_by_us(path: Path) -> bool:
    """Whether a file, no link, was written by `save_poison`, by its own account."""
    try:
        return path.is_file() and not path.is_symlink() and "sharpap" in _facts(path)
    except DataError:
        return False


def direction_of(path: Path) -> Direction:
    """What the profiles of a file were made for, by its own provenance; "promote" where it does not say."""
    return _facts(path).get("direction") or "promote"


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
    items = _numbers(read.item_ids.tolist(), train.item_ids, path)[columns]
    ones = np.ones(len(rows), np.float32)
    return csr_array((ones, (rows, items)), shape=(read.num_users, train.num_items))


def _numbers(ids: list[Any], own: np.ndarray, path: Path, what: str = "item") -> np.ndarray:
    known = {str(each): number for number, each in enumerate(own.tolist())}
    missing = [str(each) for each in ids if str(each) not in known]
    if missing:
        raise DataError(
            f"{what.title()}s the data does not have: {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}.",
            path=path, hint=f"Profiles must use the {what} ids of the data.",
        )  # fmt: skip
    return np.array([known[str(each)] for each in ids], dtype=np.int64)


def _facts(path: Path) -> dict[str, Any]:
    """The provenance of a file, or nothing; a damaged one is an error."""
    try:
        if path.suffix == ".npz" and path.is_file():
            what = "an archive of arrays"
            stored = stored_arrays(path.read_bytes(), path, what=what, needed=(), more=("provenance",))
            if "provenance" not in stored:
                return {}
            facts = json_value(stored["provenance"].tobytes().decode())
        else:
            beside = files_of(path)[-1]
            if not beside.exists():
                return {}
            facts = read_json(beside)
    except (ValueError, OSError) as error:
        raise DataError(f"The provenance cannot be read ({error}).", path=path) from None
    if not isinstance(facts, dict):
        raise DataError("The provenance is not a JSON object.", path=path)
    for name, (kinds, what) in _FACTS.items():
        value = facts.get(name)
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise DataError(f"{name} in the provenance is {str(value)[:40]!r}, not {what}.", path=path)
    if (facts.get("direction") or "promote") not in get_args(Direction):
        raise DataError(f"direction in the provenance is {facts['direction']!r}.", path=path,
                        hint=f"It can be {' or '.join(get_args(Direction))}.")  # fmt: skip
    return facts
