"""The HTML report: one page, nothing loaded from anywhere."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import tomli_w

from sharpap.files import write_text
from sharpap.report import matrix, sections, sharpness
from sharpap.report.matrix import CLEAN
from sharpap.report.template import island, render

if TYPE_CHECKING:
    from sharpap.assess.results import Results


def write_html(results: Results, path: Path) -> Path:
    """Write the report of `results` to `path`, atomically."""
    write_text(path, html(results))
    return path


def html(results: Results) -> str:
    """The report as a string. All text from the data is escaped by the template engine."""
    return render("report.html.j2", ["matrix.js", "detail.js"], **context(results))


def notes(results: Results) -> list[str]:
    """A sentence on every victim that cannot tell everything, or is not deterministic."""
    found = []
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


def inapplicable(results: Results) -> str:
    """Which attacks the comparison with and without the worst case leaves out, and why; "" if there is none."""
    names = results.without_loss if results.pairs else []
    return f"Not applicable to {', '.join(names)}: without an attack loss there is no worst case." if names else ""


def context(results: Results) -> dict[str, Any]:
    """Everything the template shows."""
    provenance = results.provenance
    figures = provenance.get("figures", {"attacks": {}, "targets": {}, "genuine": None})
    k = main_k(results)
    data = provenance.get("dataset", {})
    drawn = sections.shown(results, k)
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
        "island": island(matrix.facts(results, k)),
        "intervals": sections.by_victim(results, k),
        "all_bars": sections.fits(results),
        "paired": sections.paired(results, k),
        "inapplicable": inapplicable(results),
        "reported": results.reported().to_dicts(),
        "utility": sections.utility(results, k),
        "sharpness": sharpness.section(results, drawn),
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


def main_k(results: Results) -> int:
    """The list length that tables show first: 10 where it was measured."""
    return 10 if 10 in results.ks else (results.ks or [10])[0]


def headline(results: Results, k: int) -> dict[str, Any] | None:
    """The most exposed cell, without attack and with it, and what its attack costs genuine users; None without an attack."""
    from sharpap.assess import summary

    table = results.transfer_matrix("H", k)
    attacked = table.filter(pl.col("attack") != CLEAN).drop_nulls("mean").drop_nans("mean").to_dicts()
    if not attacked:
        return None
    worst = max(attacked, key=lambda row: row["mean"])
    clean = table.filter((pl.col("attack") == CLEAN) & (pl.col("victim") == worst["victim"])).row(0, named=True)
    accuracy = summary.utility(results.frame, [worst["attack"]], [worst["victim"]], metric="NDCG", k=k)
    return {"worst": worst, "clean": clean, "change": accuracy["change"][0]}


def finding(results: Results, k: int) -> str:
    """The result in one sentence: the most exposed victim."""
    found = headline(results, k)
    if found is None:
        return "Nothing was attacked." if not results.attacks else f"H@{k} was measured on no victim under attack."
    worst, clean = found["worst"], found["clean"]
    if worst["mean"] == 0:
        return f"No target item came into the top {k} of any user."
    return (
        f"Most exposed: {worst['victim']} under {worst['attack']}. A target item stands in the top {k} of "
        f"{100 * worst['mean']:.2f} % of the users who do not have it; without attack, {100 * clean['mean']:.2f} %."
    )
