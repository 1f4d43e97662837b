"""The results folder: plain files, each written atomically, read back without trust."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tomli_w

from sharpap import progress
from sharpap.assess.landscape import LANDSCAPES
from sharpap.assess.results import SCHEMA, Cell, Results
from sharpap.attacks import Poison
from sharpap.attacks.poison_io import save_poison
from sharpap.config import read_toml
from sharpap.data import Dataset
from sharpap.errors import ConfigError, DataError
from sharpap.files import replacing, write_text

FILES = ("config.toml", "results.parquet", "cells.parquet", "provenance.json", "report.html", "log.jsonl", "poison")
CELLS = "cells"
SHARPNESS = "sharpness.json"


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise `ConfigError` unless results may be written there.

    That is: in a new or empty folder, one whose run did not end (it goes on from its finished cells), or with `overwrite` one
    with older results (which start anew).
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file.", hint="Name a folder for the results.")
    names = {entry.name for entry in folder.iterdir()}
    if names <= {"log.jsonl", CELLS}:
        return
    if not names & {"provenance.json", "log.jsonl"}:
        raise ConfigError(f"{folder} holds other files.", hint="Name a new folder for the results.")
    if not overwrite and not _interrupted(folder):
        raise ConfigError(f"{folder} already holds results.", hint="Name another folder, or pass --overwrite.")


def drop_cells(folder: Path) -> None:
    """Remove the finished cells of a run: it is complete, or is to start anew."""
    for suffix in ("npz", "json"):
        for kept in (folder / CELLS).glob(f"*.{suffix}"):
            kept.unlink()
    if (folder / CELLS).is_dir():
        (folder / CELLS).rmdir()


def _interrupted(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "provenance.json").read_text("utf-8"))["interrupted"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def save(results: Results, folder: Path, *, overwrite: bool = False) -> Path:
    """Write config.toml, results.parquet, cells.parquet, poison/*.npz, provenance.json and report.html, and
    sharpness.json where it was measured.

    Raises:
        ConfigError: the folder holds something else, or results and `overwrite` is off.
    """
    from sharpap.report import write_html

    check_folder(folder, overwrite=overwrite)
    (folder / "poison").mkdir(parents=True, exist_ok=True)
    for name, frame in (("results.parquet", results.frame), ("cells.parquet", results.cell_frame)):
        with replacing(folder / name) as temporary:
            frame.write_parquet(temporary)
    wanted = {f"{file_name(attack)}-draw{draw}.npz" for attack, draw in results.poisons}
    for stale in set((folder / "poison").glob("*.npz")) - {folder / "poison" / name for name in wanted}:
        stale.unlink()
    if results.dataset is not None:
        for (attack, draw), poison in results.poisons.items():
            save_poison(poison, folder / "poison" / f"{file_name(attack)}-draw{draw}.npz", results.dataset.train)
        results.provenance["figures"] = figures(results.dataset, results.poisons)
    write_text(folder / "config.toml", tomli_w.dumps(results.config))
    write_text(folder / "provenance.json", json.dumps(results.provenance, indent=2))
    if results.sharpness:
        write_text(folder / SHARPNESS, LANDSCAPES.dump_json(results.sharpness).decode())
    else:
        (folder / SHARPNESS).unlink(missing_ok=True)
    write_html(results, folder / "report.html")
    progress.offer("saved", folder)
    return folder


def load(folder: Path) -> Results:
    """Read a results folder. Poisons stay on disk (`poison/*.npz`).

    Raises:
        DataError: a file is missing or damaged.
    """
    missing = [name for name in FILES[:4] if not (folder / name).is_file()]
    if missing:
        raise DataError(f"This is not a results folder: {missing[0]} is missing.", path=folder)
    frames = []
    for name in ("results.parquet", "cells.parquet"):
        try:
            frames.append(pl.read_parquet(folder / name))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"The file is damaged ({str(error).splitlines()[0]}).", path=folder / name) from None
    if dict(frames[0].schema) != {name: kind() for name, kind in SCHEMA.items()}:
        raise DataError("The table has other columns than results have.", path=folder / "results.parquet")
    try:
        provenance = json.loads((folder / "provenance.json").read_text("utf-8"))
        cells = [Cell(**row) for row in frames[1].iter_rows(named=True)]
    except (ValueError, TypeError) as error:
        raise DataError(f"The results cannot be read ({error}).", path=folder) from None
    sharpness = []
    if (folder / SHARPNESS).is_file():  # absent: not measured, or an older folder
        try:
            sharpness = LANDSCAPES.validate_json((folder / SHARPNESS).read_bytes())
        except ValueError as error:
            problem = str(error).splitlines()[0]
            raise DataError(f"The file is damaged ({problem}).", path=folder / SHARPNESS) from None
    return Results(
        dataset=None,
        config=read_toml(folder / "config.toml"),
        rows=frames[0].rows(),
        cells=cells,
        sharpness=sharpness,
        provenance=provenance,
    )


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
        entry = attacks.setdefault(attack, {"popularity": [], "sizes": [], "history": []})
        columns = poison.profiles.indices
        fillers = columns[~np.isin(columns, poison.goal.targets)]
        entry["popularity"].append(np.histogram(rank[fillers], bins=20, range=(0, 1))[0].tolist())
        entry["sizes"] += poison.profile_sizes.tolist() if draw == 0 else []
        entry["history"].append(list(poison.history))
        entry.setdefault("seconds", []).append(poison.seconds)
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


def file_name(attack: str) -> str:
    """A safe file name for an attack's name in tables."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", attack).strip("._") or "attack"
