"""`sharpap reach`: the bound on any attack by number of fakes, for one recommender; trained once a seed, nothing attacked."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from sharpap.assess import stress_test
from sharpap.assess.recipe import dataset_from
from sharpap.assess.tables.cliff import Cliffs
from sharpap.cli.check import victim_from
from sharpap.cli.console import reporting, stdout
from sharpap.data import TargetPool
from sharpap.report.reach import head, rows
from sharpap.report.width import print_whole

KS = (10, 20, 50)


def show_reach(target: str, recipe: dict[str, Any], draws: int, seed: int | None, quiet: bool, as_json: bool) -> None:
    """Of a victim by name or ``module:attribute`` (`plans.of_victim`)."""
    made = victim_from(target, recipe)
    with reporting(quiet=quiet):
        dataset, _ = dataset_from(recipe.get("data", {}))
        pool = TargetPool(draws=draws)
        found = stress_test(dataset, attacks={}, victims={target: made}, targets=pool, ks=KS, seed=seed or 0).cliffs
    if as_json:
        print(json.dumps({"target": target, "data": dataset.name, "reach": found and found.facts()}))
        return
    if found is None:
        stdout().print(Text(f"For {target} no bound is known on what an attack could do (docs/reach.md)."))
        return
    print_whole(stdout(), _table(found, f"The most that any attack could do to {target} on {dataset.name}: H@K in %"))
    stdout().print(
        Text("This holds for any fakes, as long as the other items keep the scores that they have without fakes.")
    )


def _table(found: Cliffs, title: str) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", min_width=len(title))
    for name in ("K", *head(found)):
        table.add_column(name, justify="right")
    for row in rows(found, list(KS)):
        table.add_row(str(row["k"]), *row["bounds"])
    return table
