"""The HTML report: one page, nothing loaded from anywhere."""

from __future__ import annotations

from datetime import datetime
from math import isnan, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import tomli_w
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from sharpap.files import write_text
from sharpap.report import charts, sharpness
from sharpap.report.charts import Bar, Series, intervals, lines, mean_of_draws

if TYPE_CHECKING:
    from sharpap.assess.results import Results

CLEAN = "none"


def write_html(results: Results, path: Path) -> Path:
    """Write the report of `results` to `path`, atomically."""
    write_text(path, html(results))
    return path


def html(results: Results) -> str:
    """The report as a string. All text from the data is escaped by the template engine."""
    environment = Environment(
        loader=PackageLoader("sharpap.report"), autoescape=select_autoescape(default=True), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = number
    environment.filters["hundredfold"] = hundredfold
    environment.filters["percent"] = lambda value: (
        number(value) if value is None or isnan(value) else f"{100 * value:+.1f} %"
    )
    return environment.get_template("report.html.j2").render(**context(results))


def number(value: float | None, digits: int = 4) -> str:
    """Fixed digits; a dash for what was not measured (NaN), n/a for what the victim cannot tell (None)."""
    return "n/a" if value is None else "–" if isnan(value) else f"{value:.{digits}f}"


def hundredfold(value: float | None) -> float | None:
    """A share in percent; None stays None."""
    return None if value is None else 100 * value


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


def context(results: Results) -> dict[str, Any]:
    """Everything the template shows."""
    provenance = results.provenance
    figures = provenance.get("figures", {"attacks": {}, "targets": {}, "genuine": None})
    k = main_k(results)
    matrices = [_matrix(results, each) for each in results.ks]
    failed = [cell for cell in results.cells if cell.error]
    data = provenance.get("dataset", {})
    return {
        "title": f"SharpAP on {data.get('name', '?')}",
        "data": data,
        "k": k,
        "finding": finding(results, k),
        "notes": notes(results),
        "matrices": matrices,
        "intervals": _intervals(results, k),
        "paired": _paired(results, k),
        "reported": results.reported().to_dicts(),
        "utility": _utility(results, k),
        "sharpness": sharpness.section(results),
        "convergence": _convergence(results, figures),
        "popularity": _popularity(figures),
        "sizes": _sizes(figures),
        "targets": _targets(results, figures, k),
        "attacks": results.attacks,
        "failed": failed,
        "cells": len(results.cells),
        "times": _times(results, figures),
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


def style(results: Results, attack: str) -> str:
    """The colour class of an attack: the same one in every chart."""
    return "genuine" if attack == CLEAN else charts.style(results.attacks, attack)


def _label(attack: str) -> str:
    return "no attack" if attack == CLEAN else attack


def _matrix(results: Results, k: int) -> dict[str, Any]:
    """The heat map of one list length; colour on a square-root scale, so that small differences show."""
    table = results.transfer_matrix("H", k)
    best = table["mean"].drop_nulls().drop_nans().max() or 0.0
    rows = []
    for attack in [CLEAN, *results.attacks]:
        cells = []
        for row in table.filter(pl.col("attack") == attack).iter_rows(named=True):
            heat = 0.0 if not best or row["mean"] is None or isnan(row["mean"]) else sqrt(max(row["mean"], 0) / best)
            cells.append(row | {"heat": round(100 * heat)})
        rows.append({"attack": _label(attack), "cells": cells})
    return {"k": k, "victims": results.victims, "rows": rows}


def _intervals(results: Results, k: int) -> Any:
    table = results.transfer_matrix("H", k)
    groups = []
    for victim in results.victims:
        rows = table.filter((pl.col("victim") == victim) & pl.col("mean").is_not_null()).iter_rows(named=True)
        bars = [
            Bar(
                label=_label(row["attack"]), style=style(results, row["attack"]), mean=row["mean"], low=row["low"],
                high=row["high"],
            )
            for row in rows
        ]  # fmt: skip
        if bars:
            groups.append((victim, bars))
    return intervals(groups, x_label=f"H@{k}")


def _paired(results: Results, k: int) -> list[dict[str, Any]]:
    """Every attack with a worst case against its base, and else the last attack against the one before it."""
    names = results.attacks
    if not results.pairs and names[1:]:
        rows = results.paired(names[-1], names[-2], "H", k).to_dicts()
        return [{"attack": names[-1], "base": names[-2], "rows": rows}]
    found = results.comparisons("H", k).to_dicts()
    return [
        {
            "attack": attack,
            "base": base,
            "rows": [row for row in found if (row["attack"], row["base"]) == (attack, base)],
        }
        for attack, base in results.pairs
    ]


def _utility(results: Results, k: int) -> list[dict[str, Any]]:
    from sharpap.assess import summary

    frame = results.frame
    found = summary.utility(frame, results.attacks, results.victims, metric="NDCG", k=k).to_dicts()
    recall = summary.utility(frame, results.attacks, results.victims, metric="Recall", k=k).to_dicts()
    return [row | {"recall_clean": r["clean"], "recall": r["mean"]} for row, r in zip(found, recall, strict=True)]


def _convergence(results: Results, figures: dict[str, Any]) -> Any:
    series = []
    for attack, facts in figures["attacks"].items():
        runs = [
            [(float(record["epoch"]), float(record["surrogate_hit_ratio"])) for record in run]
            for run in facts["history"]
            if run
        ]
        if not runs:
            continue
        series += mean_of_draws(attack, style(results, attack), runs)
    return lines(series, x_label="outer epoch", y_label="H@k on the surrogate") if series else ""


def _popularity(figures: dict[str, Any]) -> Any:
    if not figures["genuine"]:
        return ""
    series = [Series(label="genuine users", style="genuine", points=_shares([figures["genuine"]["popularity"]]))]
    for index, (attack, facts) in enumerate(figures["attacks"].items()):
        series.append(Series(label=attack, style=f"s{index % 6}", points=_shares(facts["popularity"])))
    return lines(series, x_label="item popularity percentile", y_label="% of profile items")


def _shares(histograms: list[list[int]]) -> list[tuple[float, float]]:
    """Percent of the mass in each of the bins, as steps."""
    totals = [sum(column) for column in zip(*histograms, strict=True)]
    mass = sum(totals) or 1
    width = 100 / len(totals)
    return [
        point
        for index, total in enumerate(totals)
        for point in ((index * width, 100 * total / mass), ((index + 1) * width, 100 * total / mass))
    ]


def _sizes(figures: dict[str, Any]) -> Any:
    if not figures["genuine"]:
        return ""
    genuine = figures["genuine"]["size_percentiles"]
    top = max([genuine[98], *(size for facts in figures["attacks"].values() for size in facts["sizes"])])
    shown = [(min(size, top), float(percent)) for percent, size in enumerate(genuine)]
    series = [Series(label="genuine users", style="genuine", points=shown)]
    for index, (attack, facts) in enumerate(figures["attacks"].items()):
        sizes = sorted(facts["sizes"])
        if sizes:
            steps = [(0.0, 0.0)]
            for place, size in enumerate(sizes):
                steps += [(float(size), 100 * place / len(sizes)), (float(size), 100 * (place + 1) / len(sizes))]
            series.append(Series(label=attack, style=f"s{index % 6}", points=[*steps, (float(top), 100.0)]))
    return lines(series, x_label="items in a profile", y_label="% of users", y_max=100)


def _targets(results: Results, figures: dict[str, Any], k: int) -> list[dict[str, Any]]:
    """One row a (draw, target): H@k with each attack, the mean over victims and seeds."""
    part = results.frame.filter((pl.col("metric") == "H") & (pl.col("k") == k) & (pl.col("target") >= 0))
    means = part.group_by("draw", "target", "attack").agg(pl.col("value").mean()).sort("draw", "target")
    values = {(row["draw"], row["target"], row["attack"]): row["value"] for row in means.iter_rows(named=True)}
    rows = []
    for draw, target in sorted({(draw, target) for draw, target, _ in values}):
        known = figures["targets"].get(str(target), {"label": str(target), "interactions": None})
        hits = [values.get((draw, target, attack)) for attack in [CLEAN, *results.attacks]]
        rows.append({"draw": draw + 1, "label": known["label"], "interactions": known["interactions"], "hits": hits})
    return rows


def _times(results: Results, figures: dict[str, Any]) -> list[tuple[str, str]]:
    frame = results.cell_frame
    trained = frame.group_by("victim", maintain_order=True).agg(pl.col("train_seconds").mean())
    rows = [(f"training {row['victim']}", f"{row['train_seconds']:.1f} s") for row in trained.iter_rows(named=True)]
    for attack, facts in figures["attacks"].items():
        seconds = facts.get("seconds") or [0.0]
        rows.append((f"crafting {attack}", f"{sum(seconds) / len(seconds):.1f} s"))
    return rows


def finding(results: Results, k: int) -> str:
    """The result in one sentence: the most exposed victim."""
    table = results.transfer_matrix("H", k)
    attacked = table.filter(pl.col("attack") != CLEAN).drop_nulls("mean").drop_nans("mean").to_dicts()
    if not attacked:
        return "Nothing was attacked." if not results.attacks else f"H@{k} was measured on no victim under attack."
    worst = max(attacked, key=lambda row: row["mean"])
    clean = next(r for r in table.iter_rows(named=True) if r["attack"] == CLEAN and r["victim"] == worst["victim"])
    return (
        f"Most exposed: {worst['victim']} under {worst['attack']}. A target item stands in the top {k} of "
        f"{100 * worst['mean']:.2f} % of the users who do not have it; without attack, {100 * clean['mean']:.2f} %."
    )
