"""`sharpap tune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
from rich.table import Table

from sharpap import folders
from sharpap.assess.tuning.study import Tuned
from sharpap.assess.tuning.tune import BEST, OWN, TRIALS, claim_folder, tune
from sharpap.cli.console import reporting, stdout
from sharpap.cli.stops import kept_in
from sharpap.report.width import print_whole
from sharpap.text import printable

SHOWN = 10


def run_tune(
    recipe: dict[str, Any], ranges: dict[str, Any], plan: dict[str, Any], judges: tuple[str, ...], code: frozenset[str],
    out: Path, overwrite: bool, jobs: int, allow_commands: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Search (`plans.of_tune`), write best.toml and trials.parquet, show the best candidates."""
    folders.check(out, "tuning", OWN)
    claim_folder(out, overwrite=overwrite)
    with kept_in(out), reporting(quiet=quiet, log=out / "log.jsonl"):
        found = tune(
            recipe, ranges, out=out, judges=judges, code=code, allow_commands=allow_commands, jobs=jobs, **plan
        )
    if as_json:
        print(json.dumps(_record(found, out), indent=2))
    else:
        _show(found, out)


def _record(found: Tuned, out: Path) -> dict[str, Any]:
    return {
        "out": str(out), "metric": found.metric, "value": found.value, "values": found.values,
        "importance": found.importance, "trials": found.trials.to_dicts(),
    }  # fmt: skip


def _show(found: Tuned, out: Path) -> None:
    console = stdout()
    trials = found.trials.with_columns(done=pl.col("state") == "complete")
    order = trials.sort(["done", "value"], descending=[True, found.maximise], nulls_last=True, maintain_order=True)
    table = Table(title=f"{found.metric}: the best {min(SHOWN, order.height)} of {order.height} candidates")
    paths = list(found.values)
    for column in ("candidate", "state", found.metric, *paths):
        table.add_column(column, justify="left" if column == "state" else "right", overflow="fold")
    for row in order.head(SHOWN).iter_rows(named=True):
        value = "" if row["value"] is None else f"{row['value']:.4f}"
        table.add_row(str(row["number"]), row["state"], value, *(_short(row[path]) for path in paths))
    print_whole(console, table, labels=3)
    if found.importance:
        shares = ", ".join(f"{path} {share:.0%}" for path, share in found.importance.items())
        console.print(f"What explains the spread: {shares}", markup=False, highlight=False)
    failed = trials.filter(pl.col("error") != "")
    if failed.height:
        first = printable(failed["error"][0], 200)
        console.print(f"{failed.height} candidates failed; the first: {first}", markup=False, highlight=False)
    best = out / BEST
    console.print(f"Best settings in {best}, all in {out / TRIALS}", markup=False, highlight=False)
    console.print(f"Measure on the reported draws: sharpap run {best}", markup=False, highlight=False)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else printable(value, 30)
