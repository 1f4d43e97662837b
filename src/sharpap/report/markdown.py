"""Results as Markdown tables, for documents and pull requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from sharpap.report import promises, sharpness, worth
from sharpap.report.matrix import CLEAN
from sharpap.report.page import failures, inapplicable, notes, standing_rows
from sharpap.report.template import hundredfold, number
from sharpap.text import printable

# An underscore inside a word is no markup, and names of settings have many.
_MARKUP = re.compile(r"[\\`*\[\]<>#|~&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")

if TYPE_CHECKING:
    from sharpap.assess.results import Results


def markdown(results: Results, k: int | None = None, metric: str = "H") -> str:
    """Transfer matrix and paired comparison of a metric of targets, sharpness, accuracy and costs at list length k."""
    from sharpap.assess.tables import summary

    k = k or results.main_k
    parts = [
        f"{metric}@{k} in percent, mean over target draws (95 % interval):",
        _transfer(results, metric, k),
        *map(escaped, filter(None, (failures(results), *notes(results)))),
    ]
    if results.pairs:
        parts += [
            "With the worst case minus without, percentage points, same targets and victim seeds:",
            _paired(results, metric, k),
        ]
    if left_out := inapplicable(results):
        parts.append(escaped(left_out))
    if results.reported().height:
        parts.append(_reported(results))
    if metric == "H" and (judged := worth.rows(results, k)):
        parts += [worth.ABOUT, table(worth.head(k), judged)]
    if promised := results.promises:
        parts += [escaped(f"{promises.TITLE}. {promises.about(promised)}"), table(*promises.curves(results))]
        parts += [table(promises.MEASURED, left)] if (left := promises.measured(results)) else []
    if results.sharpness:
        parts += [
            "Sharpness around a fresh WRMF surrogate of each poison (percent of 1 + |loss|), beside the share of its hits "
            "lost on other victims; means over target draws:",
            _sharpness(results),
            sharpness.caption(results),
        ]
    found = summary.utility(results.frame, results.attacks, results.victims, metric="NDCG", k=k).to_dicts()
    if found and not all(row["mean"] is not None and isnan(row["mean"]) for row in found):
        rows = []
        for victim in results.victims:
            mine = [row for row in found if row["victim"] == victim]
            rows.append([victim, number(mine[0]["clean"]), *(number(row["mean"]) for row in mine)])
        parts += [f"NDCG@{k} of genuine users:", table(["victim", "no attack", *results.attacks], rows)]
    parts += [
        "Seconds of one process, earlier calls and other machines included (a training with its evaluation):",
        _costs(results),
    ]
    facts = results.provenance
    if "wall_seconds" in facts:
        machine = facts["machine"]
        parts.append(
            f"{len(results.cells)} trainings; the last call took {facts['wall_seconds'] / 60:.1f} minutes, peak memory "
            f"{(facts.get('peak_memory_mib') or 0) / 1024:.1f} GiB, {machine['cpus']} CPUs ({escaped(machine['processor'])})"
            + (f", {escaped(machine['gpu'])}" if machine.get("gpu") else "")
            + (f", revision {machine['git_revision']}." if machine["git_revision"] else ".")
        )
    return "\n\n".join(parts)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of plain texts, which are escaped; the first column is text, the others are numbers."""
    lines = [map(escaped, head), ["---", *["---:"] * (len(head) - 1)], *(map(escaped, row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Text from data so that Markdown shows it as it is: no markup, no HTML, no end of the line or cell."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def _transfer(results: Results, metric: str, k: int) -> str:
    from sharpap.assess.tables.accuracy import standings

    found = results.transfer_matrix(metric, k)
    torn = results.torn
    rows = []
    for attack in [CLEAN, *results.attacks]:
        cells = ["no attack" if attack == CLEAN else attack]
        for row in (row for row in found.iter_rows(named=True) if row["attack"] == attack):
            mean, low, high = (number(hundredfold(row[name]), 2) for name in ("mean", "low", "high"))
            mark = " †" if (row["attack"], row["victim"]) in torn else ""
            cells.append((mean if row["low"] is None or isnan(row["low"]) else f"{mean} ({low} to {high})") + mark)
        rows.append(cells)
    if metric == "H":
        rows += [[name, *texts] for name, texts in standing_rows(standings(results, k), k).items()]
    return table(["attack", *results.victims], rows)


def _paired(results: Results, metric: str, k: int) -> str:
    rows = []
    for row in results.comparisons(metric, k).iter_rows(named=True):
        span = "–" if isnan(row["low"]) else f"{100 * row['low']:+.2f} to {100 * row['high']:+.2f}"
        cells = [
            f"{row['attack']}, {row['victim']}",
            number(100 * row["base_mean"], 2),
            f"{100 * row['mean']:+.2f}",
            span,
        ]
        rows.append([*cells, number(row["p_holm"], 3), str(row["n"])])
    return table(["attack, victim", "base", "difference", "95 % interval", "p (Holm)", "draws"], rows)


def _costs(results: Results) -> str:
    found = results.costs
    rows = [
        [f"{row['step']} {row['name']}", str(row["n"]), f"{row['mean_seconds']:.1f}", f"{row['total_seconds']:.0f}"]
        for row in found.iter_rows(named=True)
    ]
    rows.append(["all", "", "", f"{found['total_seconds'].sum():.0f}"])
    return table(["step", "times", "mean", "sum"], rows)


def _sharpness(results: Results) -> str:
    rows = [
        [
            row["attack"], number(100 * row["surrogate"], 3), number(100 * row["others"], 3), number(row["drop"], 2),
            number(row["sharp_atk"], 3), number(row["lost"], 2),
            number(row["sharp_rec"], 3),
        ]
        for row in sharpness.summary(results)
    ]  # fmt: skip
    head = [
        f"H@{results.sharpness[0].k} on the surrogate, %",
        "on other victims, %",
        "drop",
        "sharpness of L_atk",
        "hits lost in the box",
        "of L_rec",
    ]
    return table(["attack", *head], rows)


def _reported(results: Results) -> str:
    rows = []
    for row in results.reported().iter_rows(named=True):
        mark = "+" if row["kind"] == "change" else ""
        span = "–" if isnan(row["low"]) else f"{100 * row['low']:{mark}.1f} to {100 * row['high']:{mark}.1f} %"
        figures = [f"{100 * row[name]:{mark}.1f} %" for name in ("reported", "measured")]
        rows.append([row["claim"], *figures, span, row["verdict"]])
    return table(["claim", "reported", "measured", "95 % interval", "verdict"], rows)
