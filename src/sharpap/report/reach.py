"""The report's section on reach: the bound by number of fakes, and the strongest attack's hits beside it."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

import polars as pl

from sharpap.report.charts import Mark, Series, lines, style
from sharpap.report.matrix import CLEAN
from sharpap.report.template import number

if TYPE_CHECKING:
    from sharpap.assess.results import Results
    from sharpap.assess.tables.cliff import Cliffs

DRAWN = 8  # victims in the chart, at most


def section(results: Results, k: int) -> dict[str, Any] | None:
    """Everything the template shows of reach; None where no bound is known, or none was kept."""
    from sharpap.assess.tables.cliff import verdict

    found = results.cliffs
    if found is None:
        return None
    best = {(victim, length): _strongest(results, victim, length) for victim in found.shares for length in results.ks}
    return {
        "chart": chart(found, k, {victim: best[victim, k] for victim in found.shares}),
        "head": head(found),
        "rows": [row | {"best": best[row["victim"], row["k"]]} for row in rows(found, results.ks)],
        "budget": found.budget,
        "verdict": verdict(results.beside_bound),
        "unknown": [victim for victim in results.victims if victim not in found.shares],
        "left_out": len(found.shares) > DRAWN,
    }


def head(found: Cliffs) -> list[str]:
    """The budgets of a table."""
    return [f"{100 * share:g} % ({fakes:,})" for share, fakes in found.budgets]


def rows(found: Cliffs, ks: list[int]) -> list[dict[str, Any]]:
    """One row a victim and list length: the bound in percent with each of the budgets."""
    return [
        {"victim": victim, "k": k, "bounds": [_percent(found.at(victim, k, fakes)) for _, fakes in found.budgets]}
        for victim, curves in found.shares.items()
        for k in ks
        if k in curves
    ]


def _percent(share: float | None) -> str:
    return number(None if share is None else 100 * share, 1)


def chart(found: Cliffs, k: int, best: dict[str, dict[str, Any] | None]) -> Any:
    """The bounds as lines over fakes in percent of the users, and what was measured as dots."""
    names = list(found.shares)[:DRAWN]
    curves = [
        Series(
            label=victim, style=style(names, victim),
            points=[(0.0, nan), *((100 * fakes / found.users, 100 * share) for fakes, share in found.curve(victim, k))],
        )
        for victim in names
    ]  # fmt: skip
    dots = [
        Mark(
            label=f"{row['attack']} on {victim}: {100 * row['mean']:.2f} %", style=style(names, victim),
            x=100 * found.budget / found.users, y=100 * row["mean"],
        )
        for victim in names
        if (row := best.get(victim)) is not None
    ]  # fmt: skip
    return lines(curves, x_label="fake users, % of the genuine ones", y_label=f"H@{k} at most, %", y_max=100, dots=dots)


def _strongest(results: Results, victim: str, k: int) -> dict[str, Any] | None:
    """The attack with most hits on a victim; None where nothing was attacked."""
    known = results.transfer_matrix("H", k).drop_nulls("mean").drop_nans("mean")
    mine = known.filter((pl.col("victim") == victim) & (pl.col("attack") != CLEAN)).sort("mean", "attack")
    return mine.row(-1, named=True) if mine.height else None
