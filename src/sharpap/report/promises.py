"""What votes of models promise of their lists, beside what the attacks of the run left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from sharpap.report.matrix import CLEAN
from sharpap.report.template import number

if TYPE_CHECKING:
    from sharpap.assess.results import Results
    from sharpap.assess.tables.promises import Promises

FEW = (1, 2, 3, 5, 10)
TITLE = "What no fakes can take away: certified and measured"
MEASURED = ["victim, list", "attack", "certified, at least %", "stayed, %", "users with less than certified"]


def about(found: Promises) -> str:
    """How to read both tables."""
    return (
        "A vote of models promises that a share of its lists stays, whatever so many fakes do, as long as they do not know who "
        f"is in which model. With probability {found.confidence:g} all that is said of one number of fakes and one training is "
        "true. Means over users."
    )


def curves(results: Results) -> tuple[list[str], list[list[str]]]:
    """The certified share of a list by number of fakes, a row a victim and list length."""
    found = results.promises
    if found is None:
        return [], []
    numbers = [each for each in FEW if each <= found.fakes[-1]]
    head = ["victim, list", *(f"{each} fake{'s' if each > 1 else ''}" for each in numbers), "something up to"]
    rows = [
        [
            f"{victim}, {k}",
            *(f"{number(100 * found.at(victim, k, each)[0], 1)} %" for each in numbers),
            f"{found.most(victim, k)} fakes",
        ]
        for victim, lengths in found.kept.items()
        for k in lengths
    ]
    return head, rows


def measured(results: Results) -> list[list[str]]:
    """Columns are `MEASURED`: what is certified with the fakes of an attack, and what it left; a row an attack and vote."""
    found = results.promises
    frame = results.frame.filter(pl.col("metric").is_in(["certified", "stayed", "broken"]))
    if found is None or frame.is_empty():
        return []
    key = ["victim", "k", "draw", "seed"]
    promised = frame.filter(metric="certified", attack=CLEAN).select(*key, promised="value")
    left = frame.filter(metric="stayed").select(*key, "attack", stayed="value")
    broken = frame.filter(metric="broken").select(*key, "attack", broken="value")
    both = (
        left.join(promised, on=key, how="left")
        .join(broken, on=[*key, "attack"])
        .group_by("victim", "k", "attack", maintain_order=True)
        .agg(pl.mean("promised"), pl.mean("stayed"), pl.sum("broken"))
    )
    place = {name: number for number, name in enumerate(results.attacks)}
    found_rows = sorted(both.iter_rows(named=True), key=lambda row: (row["victim"], row["k"], place[row["attack"]]))
    return [
        [
            f"{row['victim']}, {row['k']}", row["attack"], number(100 * (row["promised"] or 0.0), 1),
            number(100 * row["stayed"], 1), f"{row['broken']:.0f}",
        ]
        for row in found_rows
    ]  # fmt: skip
