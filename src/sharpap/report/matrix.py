"""The transfer matrix: as a table that needs no script, and as the data that the page's script sorts, filters and opens."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from sharpap.report.template import escape, hundredfold, number

if TYPE_CHECKING:
    from sharpap.assess.results import Results

CLEAN = "none"
UTILITY = ("NDCG", "Recall")
SCALE = 1_000_000
STEPS = 10
SINGLE_VALUES = 250_000  # values of single trainings in the page, at most: about 1.5 MB
PLAIN_CELLS = 20_000  # cells in tables for readers without scripts, at most: about 1 MB
SMALL = 400  # cells up to which intervals stand in the table from the start


def table(results: Results, metric: str, k: int) -> dict[str, Any]:
    """Rows of cells with mean, interval and colour step; colour on a square-root scale, so that small differences show."""
    found = results.transfer_matrix(metric, k)
    best = found["mean"].drop_nulls().drop_nans().max() or 0.0
    failed = results.torn
    cells = [row | {"step": _step(row["mean"], best)} for row in found.iter_rows(named=True)]
    for cell in cells:
        cell["failed"] = (cell["attack"], cell["victim"]) in failed
    width = len(results.victims)
    rows = [
        {"attack": attack, "label": label(attack), "cells": cells[place * width : (place + 1) * width]}
        for place, attack in enumerate([CLEAN, *results.attacks])
    ]
    return {"metric": metric, "k": k, "rows": rows, "intervals": len(cells) <= SMALL}


def notebook(results: Results, k: int) -> str:
    """H at k in percent as a small HTML table, as notebooks show it."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ["H@" + str(k) + ", %", *results.victims])
    rows = []
    for row in table(results, "H", k)["rows"]:
        cells = "".join(f"<td>{number(hundredfold(cell['mean']), 2)}</td>" for cell in row["cells"])
        rows.append(f"<tr><th>{escape(row['label'])}</th>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def plain_tables(results: Results, k: int) -> list[dict[str, Any]] | None:
    """The other list lengths and N, for readers without scripts; None where that would be too much for a page."""
    wanted = [(metric, each) for metric in ("H", "N") for each in results.ks if (metric, each) != ("H", k)]
    if len(wanted) * len(results.victims) * (1 + len(results.attacks)) > PLAIN_CELLS:
        return None
    return [table(results, metric, each) for metric, each in wanted]


def facts(results: Results, k: int) -> dict[str, Any]:
    """What the script needs, JSON-ready: names, figures of every cell, values of single trainings, failures.

    Cells are numbered attack x victim with the clean run first; single values are flat: cell x draw x seed. All shares are
    whole millionths. None is "not measured"; `unknown` lists the victims that cannot tell a figure.
    """
    grid = _Grid(results)
    sets = _sets(results, k)
    figures: dict[str, Any] = {}
    room = SINGLE_VALUES
    for metric, each in sets:
        size = len(grid.attacks) * len(grid.victims) * len(grid.draws) * len(grid.seeds)
        figures[f"{metric}@{each}"] = grid.figures(metric, each) | (
            {"runs": grid.runs(metric, each)} if size <= room else {}
        )
        room -= size
    return {
        "attacks": grid.attacks, "victims": grid.victims, "draws": [draw + 1 for draw in grid.draws],
        "seeds": [seed + 1 for seed in grid.seeds], "k": k, "ks": results.ks,
        "metrics": list(dict.fromkeys(metric for metric, _ in sets)),
        "intervals": len(grid.attacks) * len(grid.victims) <= SMALL,
        "figures": figures, "pairs": _pairs(results, grid, sets), "failures": _failures(results, grid),
        "targets": _targets(results, grid),
    }  # fmt: skip


def _sets(results: Results, k: int) -> list[tuple[str, int]]:
    """Metrics and list lengths, those that readers want first in front."""
    known = set(
        results.frame.filter(pl.col("value").is_not_nan()).select("metric", "k").unique().iter_rows()
    )  # nulls too: a victim that cannot tell is shown as n/a
    metrics = [metric for metric in ("H", "N", "NDCG", "Recall") if any((metric, each) in known for each in results.ks)]
    ks = [k, *(each for each in results.ks if each != k)]
    return [(metric, each) for each in ks for metric in metrics] or [("H", k)]


class _Grid:
    """Numbers for attacks, victims, draws and seeds, and the figures in that order."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.attacks, self.victims = [CLEAN, *results.attacks], results.victims
        frame = results.frame
        self.draws = sorted(draw for draw in frame["draw"].unique() if draw >= 0) or [0]
        self.seeds = sorted(frame["seed"].unique()) or [0]

    def figures(self, metric: str, k: int) -> dict[str, Any]:
        """Mean and half interval of every cell, the same of its difference from the clean run, p, and n."""
        from sharpap.assess.tables import summary

        results = self.results
        level = results.transfer_matrix(metric, k)
        change = summary.raised(results.frame, self.attacks, self.victims, metric=metric, k=k)
        unknown = summary.unavailable(results.frame, metric, k)
        return {
            "mean": _whole(level["mean"]), "half": _whole(level["high"] - level["mean"]), "n": level["n"].to_list(),
            "change": _whole(change["mean"]), "change_half": _whole(change["high"] - change["mean"]),
            "p": [None if p is None or isnan(p) else float(f"{p:.2g}") for p in change["p"]],
            "unknown": [place for place, victim in enumerate(self.victims) if victim in unknown],
        }  # fmt: skip

    def runs(self, metric: str, k: int) -> list[int | None]:
        """The value of every single training."""
        shape = (len(self.attacks), len(self.victims), len(self.draws), len(self.seeds))
        values = np.full(shape, np.nan)
        part = self.results.frame.filter(
            (pl.col("metric") == metric) & (pl.col("k") == k) & (pl.col("target") == -1) & (pl.col("draw") >= 0)
        )
        axes = (self.attacks, self.victims, self.draws, self.seeds)
        places = tuple(
            _places(part[name], axis) for name, axis in zip(("attack", "victim", "draw", "seed"), axes, strict=True)
        )
        values[places] = part["value"].fill_null(float("nan")).to_numpy()
        if metric in UTILITY:  # the clean run's accuracy does not depend on the targets and stands under the first draw
            values[0] = values[0, :, :1]
        return _whole(values.ravel().tolist())


def _pairs(results: Results, grid: _Grid, sets: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """What a worst case adds: for each pair and set, difference, half interval and corrected p by victim."""
    numbers = {name: place for place, name in enumerate(grid.attacks)}
    found = [{"attack": numbers[attack], "base": numbers[base], "figures": {}} for attack, base in results.pairs]
    places = {pair: place for place, pair in enumerate(results.pairs)}
    for metric, k in sets if found else []:
        for row in results.comparisons(metric, k).iter_rows(named=True):
            figures = found[places[row["attack"], row["base"]]]["figures"].setdefault(f"{metric}@{k}", {})
            half, p = row["high"] - row["mean"], row["p_holm"]
            figures[grid.victims.index(row["victim"])] = [
                *_whole([row["mean"], half]), None if isnan(p) else float(f"{p:.2g}"),
            ]  # fmt: skip
    return found


def _failures(results: Results, grid: _Grid) -> list[dict[str, Any]]:
    """Failed trainings by what went wrong."""
    kinds: dict[tuple[str, str], list[list[int]]] = {}
    attacks = {name: place for place, name in enumerate(grid.attacks)}
    victims = {name: place for place, name in enumerate(grid.victims)}
    for cell in results.cells:
        if cell.error:
            where = [attacks[cell.attack], victims[cell.victim], cell.draw + 1, cell.seed + 1]
            kinds.setdefault((cell.error, cell.traceback), []).append(where)
    return [
        {"error": error, "traceback": trace, "cells": cells} for (error, trace), cells in kinds.items()
    ]  # one text for a victim that always fails alike


def _targets(results: Results, grid: _Grid) -> list[list[str]]:
    """The titles of each draw's targets, as far as they are few."""
    known = results.provenance.get("figures", {}).get("targets", {})
    pairs = results.frame.filter(pl.col("target") >= 0).select("draw", "target").unique().sort("draw", "target").rows()
    titles = [
        [known.get(str(target), {"label": str(target)})["label"] for own, target in pairs if own == draw]
        for draw in grid.draws
    ]
    return titles if sum(map(len, titles)) <= 500 else [[] for _ in grid.draws]


def label(attack: str) -> str:
    """An attack's name for readers."""
    return "no attack" if attack == CLEAN else attack


def _step(mean: float | None, best: Any) -> int:
    return 0 if not best or mean is None or isnan(mean) else round(STEPS * sqrt(max(mean, 0) / best))


def _places(names: pl.Series, axis: list[Any]) -> np.ndarray:
    numbers = {name: place for place, name in enumerate(axis)}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _whole(values: Iterable[float | None]) -> list[int | None]:
    return [None if value is None or isnan(value) else round(SCALE * value) for value in values]
