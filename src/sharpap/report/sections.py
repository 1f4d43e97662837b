"""The sections below the matrix: charts and tables, of a large grid only as much as can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from sharpap.report import charts
from sharpap.report.charts import Bar, Series, intervals, lines, mean_of_draws
from sharpap.report.matrix import CLEAN, label

if TYPE_CHECKING:
    from sharpap.assess.results import Results

DRAWN = 8  # attacks in one chart, at most
BARS = 90  # rows of the chart by victim, at most
ROWS = 150  # rows of a table, at most


def shown(results: Results, k: int) -> list[str]:
    """The attacks that charts draw: all, or where they are too many to tell apart, those strongest over all victims."""
    if len(results.attacks) <= DRAWN:
        return results.attacks
    known = results.transfer_matrix("H", k).drop_nulls("mean").drop_nans("mean").filter(pl.col("attack") != CLEAN)
    order = known.group_by("attack").agg(pl.col("mean").mean()).sort("mean", "attack", descending=[True, False])
    best = set(order["attack"].head(DRAWN))
    return [name for name in results.attacks if name in best]


def lengths(results: Results) -> list[int]:
    """The main list length and the longest."""
    return list(dict.fromkeys((results.main_k, max(results.ks, default=results.main_k))))


def fits(results: Results) -> bool:
    """Whether the chart by victim holds the whole grid."""
    return len(results.victims) * (1 + len(results.attacks)) <= BARS


def by_victim(results: Results, k: int) -> Any:
    """Every attack on every victim; of a large grid, the strongest attack on the most exposed victims."""
    table = results.transfer_matrix("H", k).drop_nulls("mean").drop_nans("mean")
    drawn = shown(results, k) if fits(results) else []  # one colour where each row is another attack's
    groups: list[tuple[float, str, list[dict[str, Any]]]] = []
    for (victim,), part in table.partition_by("victim", as_dict=True, maintain_order=True).items():
        rows = part.to_dicts()
        attacked = [row for row in rows if row["attack"] != CLEAN]
        best = max(attacked, key=lambda row: row["mean"], default=None)
        if not fits(results) and best:
            rows = [*(row for row in rows if row["attack"] == CLEAN), best]
        groups.append((best["mean"] if best else 0.0, victim, rows))
    if not fits(results):
        groups = sorted(groups, key=lambda group: -group[0])[: BARS // 3]
    return intervals([(victim, [_bar(row, drawn) for row in rows]) for _, victim, rows in groups], x_label=f"H@{k}, %")


def _bar(row: dict[str, Any], drawn: list[str]) -> Bar:
    attack = row["attack"]
    kind = "genuine" if attack == CLEAN else charts.style(drawn, attack) if attack in drawn else "s3"
    mean, low, high = (100 * row[name] for name in ("mean", "low", "high"))
    return Bar(label=label(attack), style=kind, mean=mean, low=low, high=high)


def paired(results: Results, k: int) -> list[dict[str, Any]]:
    """Every attack with a worst case against its base, and else the last attack against the one before it."""
    names = results.attacks
    if not results.pairs and names[1:]:
        rows = results.paired(names[-1], names[-2], "H", k).to_dicts()
        return [_pair(names[-1], names[-2], rows, whole=len(rows) <= ROWS)]
    if not results.pairs:
        return []
    found = results.comparisons("H", k)
    parts = found.partition_by("attack", "base", as_dict=True)
    whole = found.height <= ROWS
    return [_pair(*pair, parts[pair].to_dicts() if pair in parts else [], whole=whole) for pair in results.pairs]


def _pair(attack: str, base: str, rows: list[dict[str, Any]], *, whole: bool) -> dict[str, Any]:
    """One comparison: its rows, or of a large grid only what they add up to."""
    known = [row for row in rows if row["mean"] == row["mean"]]
    return {
        "attack": attack,
        "base": base,
        "rows": rows if whole else None,
        "victims": len(known),
        "mean": sum(row["mean"] for row in known) / len(known) if known else float("nan"),
        "more": sum(row["mean"] > 0 and row["p_holm"] < 0.05 for row in known),
        "less": sum(row["mean"] < 0 and row["p_holm"] < 0.05 for row in known),
    }


def utility(results: Results, k: int) -> dict[str, Any]:
    """Accuracy before and after: a row for every attack on every victim; of a large grid, one for every victim."""
    from sharpap.assess.tables import summary

    frame = results.frame
    found = summary.utility(frame, results.attacks, results.victims, metric="NDCG", k=k).to_dicts()
    recall = summary.utility(frame, results.attacks, results.victims, metric="Recall", k=k).to_dicts()
    rows = [row | {"recall_clean": r["clean"], "recall": r["mean"]} for row, r in zip(found, recall, strict=True)]
    if len(rows) <= ROWS:
        return {"rows": rows, "by_victim": []}
    victims = []
    for victim in results.victims:
        known = [r for r in rows if r["victim"] == victim and r["change"] is not None and r["change"] == r["change"]]
        if known:
            worst = min(known, key=lambda row: row["change"])
            mean = sum(row["change"] for row in known) / len(known)
            victims.append(worst | {"average": mean})
    return {"rows": [], "by_victim": victims}


def failed(results: Results) -> list[dict[str, Any]]:
    """What went wrong, each with how often and the first place."""
    kinds: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in results.cells:
        if cell.error:
            first = {
                "victim": cell.victim,
                "attack": label(cell.attack),
                "error": cell.error,
                "traceback": cell.traceback,
            }
            kinds.setdefault((cell.error, cell.victim), first | {"times": 0})["times"] += 1
    return list(kinds.values())


def convergence(figures: dict[str, Any], drawn: list[str]) -> Any:
    """The surrogate's hit ratio over the outer epochs of each attack."""
    series = []
    for attack, facts in _drawn(figures, drawn):
        runs = [
            [(float(record["epoch"]), 100 * float(record["surrogate_hit_ratio"])) for record in run]
            for run in facts["history"]
            if run and all(map(_is_epoch, run))
        ]
        if not runs:
            continue
        series += mean_of_draws(attack, charts.style(drawn, attack), runs)
    return lines(series, x_label="outer epoch", y_label="H@k on the surrogate, %") if series else ""


def _is_epoch(record: dict[str, Any]) -> bool:
    """An attack of others keeps what it likes."""
    found = [record.get(name) for name in ("epoch", "surrogate_hit_ratio")]
    return all(isinstance(value, (int, float)) and abs(value) < 1e15 for value in found)


def _drawn(figures: dict[str, Any], drawn: list[str]) -> list[tuple[str, dict[str, Any]]]:
    return [(attack, facts) for attack, facts in figures["attacks"].items() if attack in drawn]


def popularity(figures: dict[str, Any], drawn: list[str]) -> Any:
    """How popular the items of fake and genuine profiles are."""
    if not figures["genuine"]:
        return ""
    series = [Series(label="genuine users", style="genuine", points=_shares([figures["genuine"]["popularity"]]))]
    for attack, facts in _drawn(figures, drawn):
        series.append(Series(label=attack, style=charts.style(drawn, attack), points=_shares(facts["popularity"])))
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


def sizes(figures: dict[str, Any], drawn: list[str]) -> Any:
    """How long fake and genuine profiles are."""
    if not figures["genuine"]:
        return ""
    genuine = figures["genuine"]["size_percentiles"]
    top = max([genuine[98], *(size for facts in figures["attacks"].values() for size in facts["sizes"])])
    shown = [(min(size, top), float(percent)) for percent, size in enumerate(genuine)]
    series = [Series(label="genuine users", style="genuine", points=shown)]
    for attack, facts in _drawn(figures, drawn):
        sizes = sorted(facts["sizes"])
        if sizes:
            steps = [(0.0, 0.0)]
            for place, size in enumerate(sizes):
                steps += [(float(size), 100 * place / len(sizes)), (float(size), 100 * (place + 1) / len(sizes))]
            series.append(Series(label=attack, style=charts.style(drawn, attack), points=[*steps, (float(top), 100.0)]))
    return lines(series, x_label="items in a profile", y_label="% of users", y_max=100)


def targets(results: Results, figures: dict[str, Any], k: int, drawn: list[str]) -> list[dict[str, Any]]:
    """One row a (draw, target): H@k with each attack of the charts, the mean over victims and seeds."""
    part = results.frame.filter((pl.col("metric") == "H") & (pl.col("k") == k) & (pl.col("target") >= 0))
    means = part.group_by("draw", "target", "attack").agg(pl.col("value").mean()).sort("draw", "target")
    values = {(row["draw"], row["target"], row["attack"]): row["value"] for row in means.iter_rows(named=True)}
    rows = []
    for draw, target in sorted({(draw, target) for draw, target, _ in values})[:ROWS]:
        known = figures["targets"].get(str(target), {"label": str(target), "interactions": None})
        hits = [values.get((draw, target, attack)) for attack in [CLEAN, *drawn]]
        rows.append({"draw": draw + 1, "label": known["label"], "interactions": known["interactions"], "hits": hits})
    return rows


def times(results: Results) -> list[tuple[str, str]]:
    """Mean wall time of each victim's training with its evaluation, and of each attack's crafting."""
    found = results.costs
    first = pl.concat([found.filter(step="training").head(2 * DRAWN), found.filter(step="crafting").head(DRAWN)])
    return [(f"{row['step']} {row['name']}", f"{row['mean_seconds']:.1f} s") for row in first.iter_rows(named=True)]
