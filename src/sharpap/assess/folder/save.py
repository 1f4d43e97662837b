"""The results folder: plain files, each written atomically, with their checksums; `load` reads it back.

Its page is drawn by `report.folder.save`, which calls `save` here first.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from sharpap import folders
from sharpap.assess.folder.load import (
    CELL_TABLE,
    CONFIG,
    PROVENANCE,
    SHARPNESS,
    TABLE,
    check,
    read_config,
    read_provenance,
)
from sharpap.assess.tables.landscape import LANDSCAPES
from sharpap.attacks import Poison
from sharpap.attacks.poison_io import save_poison, saved_by_us
from sharpap.checksums import SUMS, note
from sharpap.data import Dataset
from sharpap.errors import ConfigError, DataError
from sharpap.files import explained, refuse_link, replacing, write_text

if TYPE_CHECKING:
    from sharpap.assess.results import Results

REPORT = "report.html"
FILES = (CONFIG, TABLE, CELL_TABLE, PROVENANCE, REPORT, "log.jsonl")
CELLS, POISONS = "cells", "poison"
OWN = (*FILES, SHARPNESS, SUMS, CELLS, POISONS)
_POISON = re.compile(r"[A-Za-z0-9._-]+-draw[0-9]+\.npz")


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise `ConfigError` unless results may be written there.

    That is: in a new or empty folder, or in one of ours (`folders.is_ours`), with complete results only if `overwrite` says so.
    A link among its files is a `StorageError`.
    """
    folders.check(folder, "results", OWN)
    if not overwrite and _complete(folder):
        raise ConfigError(f"{folder} already holds results.", hint="Name another folder, or pass --overwrite.")


def check_continues(folder: Path, config: dict[str, Any], fingerprint: str) -> None:
    """Raise `ConfigError` where a run would replace complete results by less than, or other than, a wider grid.

    Args:
        folder: where results may lie; those of an interrupted run may be replaced by any.
        config: the recipe in full of the run that is to write there.
        fingerprint: of its data.
    """
    before = _complete(folder)
    if not before:
        return
    try:
        check(folder, [CONFIG, PROVENANCE])
        old = read_config(folder)
    except DataError as error:  # nobody can tell what would be lost
        elsewhere = f"Name another folder; --store {folder / CELLS} takes the finished work along."
        raise ConfigError(f"{folder} holds results that are damaged: {error.reason}", hint=elsewhere) from None
    hint = "Name another folder, or pass --overwrite to replace them."
    if before.get("dataset", {}).get("fingerprint", fingerprint) != fingerprint:
        raise ConfigError(f"{folder} already holds results, on other data.", hint=hint)
    new = tomllib.loads(tomli_w.dumps(config))  # as the old one was written and read
    lost = next(_narrowed(old, new), None)
    if lost is not None:
        raise ConfigError(f"{folder} already holds results, and this run would lose some of them: {lost}.", hint=hint)


def _narrowed(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What a grid lacks of an older one, or has otherwise."""
    for section in ("attacks", "victims"):
        for name, table in old.get(section, {}).items():
            if name not in new.get(section, {}):
                yield f"{section} has no {name!r}"
            elif table != new[section][name]:
                yield f"{section}.{name} differs"
    size = [(t.get("seeds", 1), t.get("targets", {}).get("draws", 1), len(t.get("ks", []))) for t in (new, old)]
    if any(map(int.__lt__, *size)) or not set(old.get("ks", [])) <= set(new.get("ks", [])):
        yield "it has fewer seeds, draws or list lengths"
    if old.get("sharpness") and not new.get("sharpness"):
        yield "it does not measure sharpness"
    if old.get("fake_order", new.get("fake_order")) != new.get("fake_order"):
        yield "fake_order differs"
    for key in ("data", "targets", "budget", "direction", "seed"):
        if _without_draws(old.get(key)) != _without_draws(new.get(key)):
            yield f"{key} differs"


def _without_draws(value: Any) -> Any:
    return {key: each for key, each in value.items() if key != "draws"} if isinstance(value, dict) else value


def _complete(folder: Path) -> dict[str, Any]:
    """The provenance of a run that came to its end, or nothing; of damaged provenance nobody can tell."""
    try:
        found = read_provenance(folder)
    except FileNotFoundError:
        return {}
    except (OSError, DataError):
        return {"interrupted": False}
    return {} if found.get("interrupted") else found


def save(results: Results, folder: Path, *, overwrite: bool = False) -> Path:
    """Write config.toml, results.parquet, cells.parquet, poison/*.npz and provenance.json, and sharpness.json where it was
    measured; last, the checksums of all of them.

    Raises:
        ConfigError: the folder holds something else, or results and `overwrite` is off.
        StorageError: the disk is full, the folder cannot be written to, or a file in it is a link.
    """
    check_folder(folder, overwrite=overwrite)
    folders.claim(folder, "results")
    with explained(folder):
        _write(results, folder)
    return folder


def _write(results: Results, folder: Path) -> None:
    wanted = {poison_path(folder, attack, draw) for attack, draw in results.poisons}
    for path in wanted:
        refuse_link(path)
    (folder / SUMS).unlink(missing_ok=True)  # until all is written, nothing vouches for any of it
    for name, frame in ((TABLE, results.frame), (CELL_TABLE, results.cell_frame)):
        with replacing(folder / name) as temporary:
            frame.write_parquet(temporary)
    for other in set((folder / POISONS).glob("*-draw*.npz")) - wanted:
        if _POISON.fullmatch(other.name) and saved_by_us(other):
            other.unlink()
    if results.dataset is not None:
        for (attack, draw), poison in results.poisons.items():
            save_poison(poison, poison_path(folder, attack, draw), results.dataset.train)
        results.provenance["figures"] = figures(results.dataset, results.poisons)
    write_text(folder / CONFIG, tomli_w.dumps(results.config))
    write_text(folder / PROVENANCE, json.dumps(results.provenance, indent=2))
    if results.sharpness:
        write_text(folder / SHARPNESS, LANDSCAPES.dump_json(results.sharpness).decode())
    else:
        (folder / SHARPNESS).unlink(missing_ok=True)
    written = [TABLE, CELL_TABLE, CONFIG, PROVENANCE, *([SHARPNESS] if results.sharpness else [])]
    note(folder, [*written, *(path.relative_to(folder).as_posix() for path in wanted if path.is_file())])


def figures(dataset: Dataset, poisons: dict[tuple[str, int], Poison]) -> dict[str, Any]:
    """What the report draws of data and profiles, in a few hundred numbers: it can be made again from the folder alone."""
    train = dataset.train
    counts = train.item_counts
    grid = np.linspace(0, 100, 101)
    sizes = train.user_counts[train.user_counts > 0]
    rank = np.empty(train.num_items)
    rank[np.argsort(counts, kind="stable")] = np.arange(train.num_items) / max(train.num_items - 1, 1)
    attacks: dict[str, Any] = {}
    for (attack, draw), poison in poisons.items():
        entry = attacks.setdefault(attack, {"popularity": [], "sizes": [], "history": [], "seconds": []})
        columns = poison.profiles.indices
        fillers = columns[~np.isin(columns, poison.goal.targets)]
        entry["popularity"].append(np.histogram(rank[fillers], bins=20, range=(0, 1))[0].tolist())
        entry["sizes"] += poison.profile_sizes.tolist() if draw == 0 else []
        entry["history"].append(list(poison.history))
        entry["seconds"].append(poison.seconds)
    targets = sorted({target for poison in poisons.values() for target in poison.goal.targets})
    return {
        "genuine": {
            "popularity": np.histogram(rank[train.matrix.indices], bins=20, range=(0, 1))[0].tolist(),
            "size_percentiles": np.percentile(sizes, grid).tolist(),
        },
        "attacks": attacks,
        "targets": {
            str(target): {"label": dataset.item_label(target), "interactions": int(counts[target])}
            for target in targets
        },
    }


def poison_path(folder: Path, attack: str, draw: int) -> Path:
    """Where the profiles of an attack on a draw lie in a results folder."""
    return folder / POISONS / f"{file_name(attack)}-draw{draw}.npz"


def poison_files(folder: Path, attack: str) -> dict[int, Path]:
    """Draw to file, for the profiles of an attack that are there."""
    found = (folder / POISONS).glob(f"{file_name(attack)}-draw[0-9]*.npz")
    return {int(path.stem.rsplit("draw", 1)[1]): path for path in sorted(found)}


def file_name(attack: str) -> str:
    """A safe file name for an attack's name in tables, another for each name."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", attack).strip("._")
    return safe if safe == attack else f"{safe or 'attack'}-{hashlib.sha256(attack.encode()).hexdigest()[:8]}"
