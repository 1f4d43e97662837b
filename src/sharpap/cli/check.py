"""`sharpap check-recommender`: what is wrong with a recommender, in plain words."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from sharpap.assess.recipe import dataset_from
from sharpap.cli.console import reporting, stdout
from sharpap.config import build, locate
from sharpap.recommenders import Recommender
from sharpap.testing import Report, check_recommender

STYLES = {"ok": "green", "doubt": "yellow", "failed": "bold red", "skipped": "dim"}


def victim_from(target: str, recipe: dict[str, Any]) -> Recommender:
    """The recommender of a name or ``module:attribute``, with the "options" of a recipe (`plans.of_victim`)."""
    options = recipe["options"]
    if locate.is_code(target):
        return locate.recommender(target, options, where="options")
    return build("victim", {"name": target, **options})


def check(target: str, recipe: dict[str, Any], seed: int | None, as_json: bool) -> None:
    """Check a victim by name or ``module:attribute`` (`plans.of_victim`); exit status 1 if it fails."""
    made = victim_from(target, recipe)
    with reporting(quiet=True):
        dataset = dataset_from(recipe["data"])[0] if "data" in recipe else None
        found = check_recommender(made, None if dataset is None else dataset.train.matrix, seed=seed or 0)
    data = None if dataset is None else dataset.name
    if as_json:
        print(json.dumps({"target": target, "data": data} | found.facts(), indent=2))
    else:
        _show(target, data, found)
    if not found.ok:
        raise SystemExit(1)


def _show(target: str, data: str | None, found: Report) -> None:
    table = Table(title=Text(f"{target} on {data or 'made-up data'}"), show_header=False, box=None, padding=(0, 2))
    for finding in found.findings:
        if finding.status == "skipped":
            continue
        text = Text(finding.message).append(f" {finding.hint}" if finding.hint else "", style="italic")
        table.add_row(Text(finding.status, style=STYLES[finding.status]), finding.check, text)
    console = stdout()
    console.print(table)
    counts = {status: sum(each.status == status for each in found.findings) for status in STYLES}
    if found.ok:
        verdict = "It can be a victim" + (", with the doubts above." if counts["doubt"] else ".")
        verdict += "" if data else " Times on your own data: --data FILE."
    else:
        skipped = f", {counts['skipped']} not looked at for that reason" if counts["skipped"] else ""
        verdict = f"It cannot be a victim yet: {counts['failed']} failed{skipped}."
    console.print(verdict, highlight=False)
