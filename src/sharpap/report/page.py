"""The HTML report: one page, nothing loaded from anywhere."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import tomli_w

from sharpap.files import write_text
from sharpap.report import matrix, promises, reach, sections, sharpness, tradeoff, worth
from sharpap.report.matrix import CLEAN
from sharpap.report.template import island, number, render

if TYPE_CHECKING:
    from sharpap.assess.results import Results
    from sharpap.assess.tables.accuracy import Standing


def write_html(results: Results, path: Path) -> Path:
    """Write the report of `results` to `path`, atomically."""
    write_text(path, html(results))
    return path


def html(results: Results) -> str:
    """The report as a string. All text from the data is escaped by the template engine."""
    return render("report.html.j2", ["matrix.js", "detail.js"], **context(results))


def notes(results: Results) -> list[str]:
    """A sentence on every victim that cannot tell everything, or is not deterministic, and on target draws that overlap."""
    found = []
    drawn = results.frame.filter((pl.col("target") >= 0) & (pl.col("draw") >= 0)).select("draw", "target").unique()
    if drawn["target"].n_unique() < drawn.height:
        found.append(
            "Target draws share items, as the pool holds too few: they are not independent, and the intervals too narrow."
        )
    from sharpap.assess.tables.accuracy import remarks, standings
    from sharpap.assess.tables.cliff import verdict

    found += remarks(standings(results, results.main_k))
    beside = results.beside_bound
    found += [verdict(beside)] if beside["above"].sum() else []
    for victim, can in results.provenance.get("capabilities", {}).items():
        if can["top_k"] is not None:
            found.append(
                f"{victim} gives only lists of its top {can['top_k']}: longer lists and ranks are not available (n/a)."
            )
        if not can["deterministic"]:
            found.append(
                f"{victim} is declared not deterministic: the same seed gives another model each time, and its differences "
                "hold that noise."
            )
    return found


def standing_rows(found: dict[str, Standing], k: int) -> dict[str, list[str]]:
    """What stands below a transfer matrix: the bound on any attack, and each victim's accuracy."""
    return {
        "bound, any attack": ["not known" if each.reach is None else number(100 * each.reach, 1) for each in found.values()],
        f"NDCG@{k}, no attack": [number(each.ndcg) + (" ‡" if each.weak else "") for each in found.values()],
    }  # fmt: skip


def failures(results: Results) -> str:
    """How many trainings failed; "" if none."""
    failed = sum(bool(cell.error) for cell in results.cells)
    return f"{failed} of {len(results.cells)} trainings failed and are left out (†)." if failed else ""


def inapplicable(results: Results) -> str:
    """Which attacks the comparison with and without the worst case leaves out, and why; "" if there is none."""
    names = results.without_loss if results.pairs else []
    return f"Not applicable to {', '.join(names)}: without an attack loss there is no worst case." if names else ""


def context(results: Results) -> dict[str, Any]:
    """Everything the template shows."""
    from sharpap.assess.tables.accuracy import standings

    provenance = results.provenance
    figures = provenance.get("figures", {"attacks": {}, "targets": {}, "genuine": None})
    k = results.main_k
    data = provenance.get("dataset", {})
    drawn = sections.shown(results, k)
    promised = results.promises
    return {
        "title": f"SharpAP on {data.get('name', '?')}",
        "data": data,
        "k": k,
        "headline": headline(results, k),
        "finding": finding(results, k),
        "notes": notes(results),
        "victims": results.victims,
        "matrix": matrix.table(results, "H", k),
        "plain": matrix.plain_tables(results, k),
        "standings": standing_rows(standings(results, k), k),
        "island": island(matrix.facts(results, k)),
        "intervals": sections.by_victim(results, k),
        "all_bars": sections.fits(results),
        "paired": sections.paired(results, k),
        "inapplicable": inapplicable(results),
        "reach": reach.section(results, k),
        "reported": results.reported().to_dicts(),
        "utility": sections.utility(results, k),
        "sharpness": sharpness.section(results, drawn),
        "tradeoff": tradeoff.section(results),
        "worth": [(worth.head(each), worth.rows(results, each)) for each in sections.lengths(results)],
        "worth_about": worth.ABOUT,
        "promised": promised
        and {
            "title": promises.TITLE,
            "about": promises.about(promised),
            "curves": promises.curves(results),
            "measured": (promises.MEASURED, promises.measured(results)),
        },
        "convergence": sections.convergence(figures, drawn),
        "popularity": sections.popularity(figures, drawn),
        "sizes": sections.sizes(figures, drawn),
        "drawn": drawn,
        "targets": sections.targets(results, figures, k, drawn),
        "attacks": results.attacks,
        "failed": sections.failed(results),
        "num_failed": sum(bool(cell.error) for cell in results.cells),
        "cells": len(results.cells),
        "times": sections.times(results),
        "config": tomli_w.dumps(results.config),
        "provenance": provenance,
        "draws": len({row[2] for row in results.rows}),
        "seeds": len({row[3] for row in results.rows}),
        "interrupted": provenance.get("interrupted", False),
        "when": datetime.fromisoformat(provenance["started"]).strftime("%d %B %Y, %H:%M UTC")
        if "started" in provenance
        else "",
    }


def headline(results: Results, k: int) -> dict[str, Any] | None:
    """The cell that an attack moved most, without attack and with it, and what it costs genuine users; None without an attack.

    Of victims that are far from the best accuracy only where there is no other: what they show says little. Moved: upwards, or
    downwards where the attacks demote; the highest, or lowest, where two moved as far.
    """
    from sharpap.assess.tables import summary
    from sharpap.assess.tables.accuracy import standings

    table = results.transfer_matrix("H", k)
    attacked = table.filter(pl.col("attack") != CLEAN).drop_nulls("mean").drop_nans("mean").to_dicts()
    if not attacked:
        return None
    found = standings(results, k)
    accurate = [row for row in attacked if not found[row["victim"]].weak]
    chosen = bool(accurate) and len(accurate) < len(attacked)
    attacked = accurate or attacked
    sign = -1 if results.config.get("direction") == "demote" else 1
    before = {row["victim"]: row for row in table.filter(pl.col("attack") == CLEAN).iter_rows(named=True)}

    def moved(row: dict[str, Any]) -> tuple[float, float]:
        start = before[row["victim"]]["mean"]
        return sign * (row["mean"] - (start if start is not None and start == start else 0.0)), sign * row["mean"]

    worst = max(attacked, key=moved)
    clean = before[worst["victim"]]
    accuracy = summary.utility(results.frame, [worst["attack"]], [worst["victim"]], metric="NDCG", k=k)
    return {
        "worst": worst, "clean": clean, "change": accuracy["change"][0], "demote": sign < 0, "gain": moved(worst)[0],
        "chosen": chosen,
    }  # fmt: skip


def finding(results: Results, k: int) -> str:
    """The result in one sentence: the most exposed victim."""
    found = headline(results, k)
    if found is None:
        if results.attacks:
            return f"H@{k} was measured on no victim under attack."
        stopped = results.provenance.get("interrupted")
        return "Stopped before a victim was trained under attack." if stopped else "Nothing was attacked."
    worst, clean = found["worst"], found["clean"]
    if worst["mean"] == 0 and not found["demote"]:
        return f"No target item came into the top {k} of any user."
    most = (
        ("Most exposed of the accurate victims" if found["chosen"] else "Most exposed")
        if found["gain"] > 0
        else f"Nothing was {'lowered' if found['demote'] else 'gained'}; nearest came"
    )
    return (
        f"{most}: {worst['victim']} under {worst['attack']}. A target item stands in the top {k} of "
        f"{100 * worst['mean']:.2f} % of the users who do not have it; without attack, {100 * clean['mean']:.2f} %."
    )
