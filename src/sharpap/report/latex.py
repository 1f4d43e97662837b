"""Tables for a paper: LaTeX with booktabs rules."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import polars as pl

from sharpap.report.matrix import CLEAN, label
from sharpap.report.template import hundredfold, number
from sharpap.text import printable

if TYPE_CHECKING:
    from sharpap.assess.results import Results

_TEX = str.maketrans(
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {mark: "\\" + mark for mark in "&%$#_{}"}
)


def latex(table: pl.DataFrame) -> str:
    """A tabular of any table; texts are escaped, undefined numbers are dashes."""
    rows = [[tex(shown(value, "--")) for value in row] for row in table.iter_rows()]
    return tabular("".join("l" if kind == pl.String else "r" for kind in table.dtypes), table.columns, rows)


def transfer(results: Results, k: int, metric: str) -> str:
    """The transfer matrix in percent: means with half their 95 % interval, the highest of each victim in bold."""
    found = results.transfer_matrix(metric, k)
    best = {
        victim: max((row["mean"] for row in part.iter_rows(named=True) if _known(row["mean"])), default=None)
        for (victim,), part in found.filter(pl.col("attack") != CLEAN).partition_by("victim", as_dict=True).items()
    }
    rows = []
    for attack in [CLEAN, *results.attacks]:
        line = [tex(label(attack))]
        for row in found.filter(pl.col("attack") == attack).iter_rows(named=True):
            mean = tex(number(hundredfold(row["mean"]), 2)).replace("–", "--")
            if attack != CLEAN and row["mean"] and row["mean"] == best[row["victim"]]:
                mean = rf"\textbf{{{mean}}}"
            half = rf" $\pm$ {100 * (row['high'] - row['mean']):.2f}" if _known(row["high"]) else ""
            line.append(mean + half)
        rows.append(line)
    return tabular("l" + "r" * len(results.victims), [f"{metric}@{k}, %", *results.victims], rows)


def tabular(columns: str, head: list[str], rows: list[list[str]]) -> str:
    """A tabular of cells that are LaTeX already, under a head of plain texts."""
    body = [f"{' & '.join(row)} \\\\" for row in rows]
    start = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", f"{' & '.join(map(tex, head))} \\\\", "\\midrule"]
    return "\n".join([*start, *body, "\\bottomrule", "\\end{tabular}", ""])


def tex(text: str) -> str:
    """Plain text as LaTeX shows it."""
    return printable(text).translate(_TEX)


def shown(value: Any, missing: str) -> str:
    """A cell as text; what is not known is `missing`."""
    if value is None or value != value:
        return missing
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _known(value: float | None) -> bool:
    return value is not None and not isnan(value)
