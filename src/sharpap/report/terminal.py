"""Results on the terminal."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sharpap.report import promises, worth
from sharpap.report.matrix import CLEAN
from sharpap.report.page import failures, finding, inapplicable, notes, standing_rows
from sharpap.report.template import hundredfold, number
from sharpap.report.width import fits, print_whole

if TYPE_CHECKING:
    from sharpap.assess.results import Results


def show(results: Results, console: Console, k: int | None = None, metric: str = "H") -> None:
    """Matrix and paired comparison of a metric of targets, and accuracy, at list length k; names are never read as markup.

    Without a k there is a matrix for the longest lists, too: an attack that does nothing in short ones may do much there.
    Hits in the group of users that the goal names, if it does, have matrices of their own.
    """
    lengths = [k] if k else sorted({results.main_k, *results.ks[-1:]})
    k = lengths[0]
    for length in lengths:
        _print(console, transfer_table(results, metric, length))
    for length in lengths if metric == "H" and any(row[4] == "segmentH" for row in results.rows) else ():
        _print(console, transfer_table(results, "segmentH", length))
    for attack, base in results.pairs:
        _print(console, paired_table(results, attack, base, metric, k))
    if left_out := inapplicable(results):
        console.print(Text(left_out, style="italic"))
        console.print()
    if results.reported().height:
        _print(console, reported_table(results))
    if any(row[4] == "NDCG" for row in results.rows):
        table = utility_table(results, k)
        _print(console, table if fits(console, table) else utility_table(results, k, turned=True))
    if metric == "H" and (judged := worth.rows(results, k)):
        _print(console, _filled(f"What each defence is worth, lists of {k}", worth.head(k), judged))
    if results.promises:
        _print(console, _filled(promises.TITLE, *promises.curves(results)))
        if left := promises.measured(results):
            _print(console, _filled("What the attacks of this run left", promises.MEASURED, left))
    if failed := [cell for cell in results.cells if cell.error]:
        console.print(Text(failures(results), style="red"))
    for cell in failed[:5]:
        console.print(Text(f"failed: {cell.victim} under {cell.attack}: {cell.error}", style="red"))
    if failed[5:]:
        console.print(Text(f"and {len(failed) - 5} more, in cells.parquet", style="red"))
    for note in notes(results):
        console.print(Text(note))
    console.print(Text(finding(results, k), style="bold"))


def _print(console: Console, table: Table) -> None:
    print_whole(console, table)
    console.print()


def _filled(title: str, head: list[str], rows: list[list[str]]) -> Table:
    table = _table(title)
    for place, name in enumerate(head):
        table.add_column(Text(name), justify="right" if place else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def transfer_table(results: Results, metric: str, k: int) -> Table:
    """Attacks x victims, a metric of targets in percent with the half width of the 95 % interval."""
    draws, seeds = (len({row[column] for row in results.rows}) for column in (2, 3))
    spread = (
        f"mean ± 95 % interval over {draws} target draws"
        if draws > 1
        else f"one target draw, mean ± 95 % of {seeds} seeds"
    )
    table = _table(
        f"Transfer matrix: {metric}@{k} in %",
        "one target draw, one seed: no interval" if draws * seeds == 1 else spread,
    )
    table.add_column("attack")
    for victim in results.victims:
        table.add_column(Text(victim), justify="right")
    rows = {(row["attack"], row["victim"]): row for row in results.transfer_matrix(metric, k).iter_rows(named=True)}
    strongest = min if results.config.get("direction") == "demote" else max
    best = {
        victim: strongest((rows[attack, victim]["mean"] or 0.0 for attack in results.attacks), default=0)
        for victim in results.victims
    }
    torn = results.torn
    from sharpap.assess.tables.accuracy import standings

    found = standings(results, k) if metric == "H" else {}
    for attack in [CLEAN, *results.attacks]:
        cells = []
        for victim in results.victims:
            row = rows[attack, victim]
            text = number(hundredfold(row["mean"]), 2)
            if row["low"] is not None and not isnan(row["low"]):
                text += f" ±{50 * (row['high'] - row['low']):.2f}"
            text += " †" if (attack, victim) in torn else ""
            top = attack != CLEAN and row["mean"] == best[victim]
            cells.append(Text(text, style="bold" if top else ""))
        table.add_row(Text("no attack" if attack == CLEAN else attack), *cells)
    if found:
        table.add_section()
        for name, texts in standing_rows(found, k).items():
            table.add_row(name, *texts)
    return table


def paired_table(results: Results, attack: str, base: str, metric: str, k: int) -> Table:
    """`attack` minus `base` on every victim."""
    table = _table(f"{attack} minus {base}: {metric}@{k} in percentage points", "same targets and victim seeds")
    for name in ("victim", "difference", "95 % interval", "p (Holm)"):
        table.add_column(name, justify="left" if name == "victim" else "right")
    found = results.comparisons(metric, k).filter((pl.col("attack") == attack) & (pl.col("base") == base))
    for row in found.iter_rows(named=True):
        span = "–" if isnan(row["low"]) else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"
        table.add_row(Text(row["victim"]), f"{100 * row['mean']:+.2f}", span, number(row["p_holm"], 3))
    return table


def reported_table(results: Results) -> Table:
    """The recipe's reported figures beside the measured ones."""
    table = _table("Reported and measured", "changes are relative to the base attack")
    for name in ("claim", "reported", "measured", "95 % interval", "verdict"):
        table.add_column(name, justify="left" if name in ("claim", "verdict") else "right")
    for row in results.reported().iter_rows(named=True):
        mark = "+" if row["kind"] == "change" else ""
        span = "–" if isnan(row["low"]) else f"{100 * row['low']:{mark}.1f} to {100 * row['high']:{mark}.1f} %"
        figures = (f"{100 * row[name]:{mark}.1f} %" for name in ("reported", "measured"))
        table.add_row(Text(row["claim"]), *figures, span, row["verdict"])
    return table


def utility_table(results: Results, k: int, turned: bool = False) -> Table:
    """NDCG@k of genuine users before and after: victims x attacks, or `turned` as the transfer matrix stands."""
    from sharpap.assess.tables import summary

    found = summary.utility(results.frame, results.attacks, results.victims, metric="NDCG", k=k)
    lines = [["victim", "no attack", *results.attacks]]
    for victim in results.victims:
        rows = [row for row in found.iter_rows(named=True) if row["victim"] == victim]
        if rows:
            lines.append([victim, number(rows[0]["clean"]), *(number(row["mean"]) for row in rows)])
    if turned:
        lines = [list(column) for column in zip(*lines, strict=True)]
        lines[0][0] = "attack"
    table = _table(f"Accuracy for genuine users: NDCG@{k}")
    for place, name in enumerate(lines[0]):
        table.add_column(Text(name), justify="right" if place else "left")
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    return table


def _table(title: str, caption: str | None = None) -> Table:
    width = max(len(title), len(caption or ""))  # neither is broken over a narrow table
    return Table(
        title=title, caption=caption, title_justify="left", caption_justify="left", title_style="bold", min_width=width
    )
