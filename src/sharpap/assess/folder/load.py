"""A results folder read back without trust: its checksums, then the form of every table and record in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from sharpap import progress
from sharpap.assess.folder.schema import MOST, check_config, check_provenance, first
from sharpap.assess.rows import CELL_SCHEMA, SCHEMA, Cell
from sharpap.assess.tables.landscape import landscapes_from
from sharpap.checksums import SUMS, digest, noted
from sharpap.config import read_toml
from sharpap.data.form.parquet_footer import refuse_bomb
from sharpap.data.reading.lazy_table import UNREADABLE
from sharpap.errors import ConfigError, DataError
from sharpap.untrusted import MOST_JSON, read_bytes, read_json

CONFIG, TABLE, CELL_TABLE, PROVENANCE = "config.toml", "results.parquet", "cells.parquet", "provenance.json"
SHARPNESS = "sharpness.json"
AGAIN = "Give the run's command again: finished work is taken from its store, and all tables are written anew."
MOST_PAIRS = 1_000_000  # of an attack and a victim, for each of which tables and pages hold a row
_CELLS = TypeAdapter(list[Cell])


def load(folder: Path) -> dict[str, Any]:
    """What `Results` is made of, from its folder. Poisons stay on disk (`poison/*.npz`).

    A folder without checksums, of an older version or of a save that was cut short, is read with a warning.

    Raises:
        DataError: a file is missing, damaged, or holds what results cannot.
    """
    names = [CONFIG, TABLE, CELL_TABLE, PROVENANCE]
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"This is not a results folder: {missing[0]} is missing.", path=folder)
    if not check(folder, [*names, SHARPNESS]):
        why = "it is of an older version, or its save was cut short"
        progress.event("warning", message=f"{folder} has no {SUMS}, since {why}: damage to its files is not noticed.")
    cells = _cells(_frame(folder / CELL_TABLE, CELL_SCHEMA, nullable=("epochs", "valid_ndcg")), folder / CELL_TABLE)
    frame = _frame(folder / TABLE, SCHEMA, nullable=("value",))
    _measured(frame, cells, folder / TABLE)
    sharpness = []
    if (folder / SHARPNESS).is_file():  # absent: not measured
        try:
            sharpness = landscapes_from(read_bytes(folder / SHARPNESS, MOST_JSON))
        except ValueError as error:
            raise DataError(f"The file is damaged ({first(error)}).", path=folder / SHARPNESS) from None
    config, provenance = read_config(folder), read_provenance(folder)
    return {
        "config": config, "rows": frame.rows(), "cells": cells, "sharpness": sharpness, "provenance": provenance
    }  # fmt: skip


def check(folder: Path, names: list[str]) -> bool:
    """Compare files of a results folder, from the folder on, with its checksums; False where it has none.

    Raises:
        DataError: a file is not what was written, or was not written with the others.
    """
    known = noted(folder)
    if known is None:
        return False
    for name in names:
        if name not in known and not (folder / name).exists():
            continue
        try:
            whole = digest(folder / name) == known.get(name)
        except FileNotFoundError:
            raise DataError(f"The file is listed in {SUMS}, but is missing.", path=folder / name, hint=AGAIN) from None
        if not whole:
            problem = f"The file is not what was written: its checksum is not that of {SUMS}."
            raise DataError(problem, path=folder / name, hint=AGAIN)
    return True


def read_config(folder: Path) -> dict[str, Any]:
    """config.toml of a results folder.

    Raises:
        DataError: it is damaged, or has something of the wrong form.
    """
    try:
        found = read_toml(folder / CONFIG)
        check_config(found)
    except ConfigError as error:
        raise DataError(error.message, hint=AGAIN) from None
    except ValueError as error:
        raise DataError(f"{error}.", path=folder / CONFIG) from None
    return found


def read_provenance(folder: Path) -> dict[str, Any]:
    """provenance.json of a results folder.

    Raises:
        DataError: it is damaged, or has something of the wrong form. OSError: it cannot be read.
    """
    found = read_json(folder / PROVENANCE)
    try:
        check_provenance(found)
    except ValueError as error:
        raise DataError(f"{error}.", path=folder / PROVENANCE) from None
    return found


def _frame(path: Path, schema: dict[str, Any], nullable: tuple[str, ...]) -> pl.DataFrame:
    """A table of columns that may be there, the types checked before anything is read."""
    try:
        refuse_bomb(path)
        lazy = pl.scan_parquet(path, glob=False)
        found = lazy.collect_schema()
        odd = [name for name, kind in found.items() if name not in schema or schema[name]() != kind]
        if odd or (schema is SCHEMA and list(found) != list(schema)):
            raise DataError("The columns are not those of a results table.", path=path)
        frame = lazy.collect()
    except UNREADABLE as error:
        raise DataError(f"The file is damaged ({first(error)}).", path=path) from None
    bare = [name for name in frame.columns if name not in nullable and frame[name].null_count()]
    if bare:
        raise DataError(f"The column {bare[0]} has rows without a value.", path=path)
    return frame


def _cells(frame: pl.DataFrame, path: Path) -> list[Cell]:
    try:
        cells = _CELLS.validate_python(frame.to_dicts())
    except ValidationError as error:
        raise DataError(f"The results cannot be read ({first(error)}).", path=path) from None
    if not all(0 <= time <= MOST for cell in cells for time in (cell.train_seconds, cell.evaluate_seconds)):
        raise DataError("A training has an impossible duration.", path=path)
    if any(cell.draw < -1 or cell.seed < 0 or max(cell.draw, cell.seed) >= 2**31 - 1 for cell in cells):
        raise DataError("A draw or a seed has an impossible number.", path=path)
    attacks, victims = ({getattr(cell, name) for cell in cells} for name in ("attack", "victim"))
    if (len(attacks) + 1) * len(victims) > max(MOST_PAIRS, len(cells)):
        raise DataError(f"{len(attacks)} attacks by {len(victims)} victims are more than results can have.", path=path)
    return cells


def _measured(frame: pl.DataFrame, cells: list[Cell], path: Path) -> None:
    """Rows are of trainings that there are, and numbers that a table can hold."""
    trained = {(cell.attack, cell.victim) for cell in cells}
    if not set(frame.select("attack", "victim").unique().iter_rows()) <= trained:
        raise DataError("A row is of a victim and an attack that were not trained.", path=path)
    value = pl.col("value").fill_nan(0).fill_null(0)
    odd = (
        (value.abs() > MOST)
        | (pl.col("k") < 0)
        | (pl.col("target") < -1)
        | (pl.col("draw") < -1)
        | (pl.col("seed") < 0)
    )
    if frame.select(odd.any()).item():
        raise DataError("A row holds an impossible number.", path=path)
