"""`sharpap data convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import typer

from sharpap.cli.rows import reading, refuse_others
from sharpap.data import Interactions, read_interactions, write_interactions
from sharpap.data.reading.table import BadRows, Duplicates
from sharpap.data.writing import rewrite
from sharpap.data.writing.write import check_target
from sharpap.text import printable

CHOICES = {"duplicates": get_args(Duplicates), "bad_rows": get_args(BadRows)}


def convert_file(
    file: Path, out: Path, how: dict[str, Any], columns: dict[str, str | None], separator: str | None, overwrite: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Read, write, and account for every row."""
    separator = "\t" if separator in ("\\t", "tab") else separator
    refuse_others(how, CHOICES)
    check_target(out, separator=separator, overwrite=overwrite)
    options = reading(how, columns)
    found = {key: options[key] for key in ("format", "header", "separator") if key in options}
    layout = None if options.get("k_core") else rewrite.large_table(file, out, **({"header": None} | found))
    if layout is not None:
        rest = {key: value for key, value in options.items() if key not in ("format", "header", "separator", "k_core")}
        made = rewrite.rewrite(file, layout, out, separator=separator, **rest)
        lost = made.lost
    else:
        made = read_interactions(file, **options)
        lost = write_interactions(made, out, separator=separator, overwrite=overwrite)
    facts = {
        "in": str(file), "out": str(out), "rows": made.notes["rows"], "users": made.num_users, "items": made.num_items,
        "interactions": made.nnz, "dropped": dropped(made), "lost": lost,
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"{made.nnz:,} interactions of {made.num_users:,} users and {made.num_items:,} items")
    for reason, count in facts["dropped"].items():
        typer.echo(f"{count:>12,} rows dropped: {reason}")
    for what, count in lost.items():
        typer.echo(f"{count:>12,} {what} are not in the file: a table has only those with some")
    if how.get("threshold") is None and out.suffix != ".npz":
        typer.echo("rating values, if any, are not kept: an interaction is there or not (--threshold says which are)")
    typer.echo(f"written to {printable(out)}")


def dropped(made: Interactions | rewrite.Rewritten) -> dict[str, int]:
    """Why rows are not among the interactions, with their number; zeros left out."""
    notes = made.notes
    reasons = dict(notes.get("dropped", {}))
    reasons[f"rating below {notes.get('threshold')}"] = notes.get("below_threshold", 0)
    reasons |= notes.get("left_out", {})
    reasons["repeats of a pair"] = notes.get("duplicates_merged", 0)
    reasons[f"outside the {notes.get('k_core')}-core"] = notes.get("outside_core", 0)
    return {reason: count for reason, count in reasons.items() if count}
