"""Tables of results: transfer matrix, paired comparison, accuracy before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from sharpap.assess.experiment import CLEAN
from sharpap.metrics import Interval, holm, interval, repetitions


def table(frame: pl.DataFrame, attacks: list[str], victims: list[str], *, metric: str, k: int) -> pl.DataFrame:
    """Mean and 95 % interval of one metric for every attack and victim, the clean run first.

    Columns: attack, victim, mean, low, high, n. Repetitions are target draws, each the mean over seeds; with one draw they
    are the seeds. A mean is NaN where nothing was measured (every training failed), null where the victim cannot tell.
    """
    cells = _by_cell(_aggregate(frame, metric, k))
    unknown = unavailable(frame, metric, k)
    return _grid(cells, [CLEAN, *attacks], victims, unknown).drop("p")


def raised(frame: pl.DataFrame, attacks: list[str], victims: list[str], *, metric: str, k: int) -> pl.DataFrame:
    """Every attack minus no attack, on the same targets and victim seeds; the clean run's accuracy counts for every draw.

    Columns: attack, victim, mean, low, high, p (of this cell alone, not corrected), n. NaN and null as in `table`.
    """
    part = _aggregate(frame, metric, k)
    keys = ["victim", "seed"] if metric in ("NDCG", "Recall") else ["victim", "draw", "seed"]
    clean = part.filter(pl.col("attack") == CLEAN).select(*keys, before="value")
    both = part.join(clean, on=keys).with_columns(value=pl.col("value") - pl.col("before"))
    return _grid(_by_cell(both), attacks, victims, unavailable(frame, metric, k))


def paired(frame: pl.DataFrame, victims: list[str], attack: str, base: str, *, metric: str, k: int) -> pl.DataFrame:
    """`attack` minus `base` on the same targets and victim seeds, for every victim that can tell the metric.

    Columns: victim, mean, low, high, p, n, p_holm (Holm-corrected over the victims), base_mean.
    """
    part = _aggregate(frame, metric, k)
    unknown = unavailable(frame, metric, k)
    mine, other = (part.filter(pl.col("attack") == name) for name in (attack, base))
    other = other.select("victim", "draw", "seed", base="value")
    both = mine.join(other, on=["victim", "draw", "seed"]).with_columns(value=pl.col("value") - pl.col("base"))
    base_means = dict(both.group_by("victim").agg(pl.col("base").mean()).iter_rows())
    cells = _by_cell(both)
    rows = []
    for victim in (name for name in victims if name not in unknown):
        found = _fields(interval(cells.get((attack, victim), np.empty(0))))
        rows.append((victim, *found, base_means.get(victim, float("nan"))))
    out = pl.DataFrame(rows, schema=_schema("victim") | {"base_mean": pl.Float64}, orient="row")
    return out.with_columns(p_holm=pl.Series(holm(out["p"].to_numpy())))


def utility(frame: pl.DataFrame, attacks: list[str], victims: list[str], *, metric: str, k: int) -> pl.DataFrame:
    """Accuracy for genuine users before and after each attack: attack, victim, clean, mean, change (relative).

    NaN and null as in `table`.
    """
    part = _aggregate(frame, metric, k)
    means = {
        (row["attack"], row["victim"]): row["value"]
        for row in part.group_by("attack", "victim").agg(pl.col("value").mean()).iter_rows(named=True)
    }
    unknown = unavailable(frame, metric, k)
    rows: list[tuple[Any, ...]] = []
    for victim in victims:
        if victim in unknown:
            rows += [(attack, victim, None, None, None) for attack in attacks]
            continue
        clean = means.get((CLEAN, victim), float("nan"))
        for attack in attacks:
            after = means.get((attack, victim), float("nan"))
            rows.append((attack, victim, clean, after, after / clean - 1 if clean else float("nan")))
    schema = {"attack": pl.String, "victim": pl.String, "clean": pl.Float64, "mean": pl.Float64, "change": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def unavailable(frame: pl.DataFrame, metric: str, k: int) -> set[str]:
    """Victims that cannot tell a metric: they give only lists, and shorter ones."""
    part = frame.filter((pl.col("metric") == metric) & (pl.col("k") == k) & pl.col("value").is_null())
    return set(part["victim"].unique())


def _aggregate(frame: pl.DataFrame, metric: str, k: int) -> pl.DataFrame:
    """Rows of one metric, aggregated over targets, without undefined values."""
    return frame.filter(
        (pl.col("metric") == metric)
        & (pl.col("k") == k)
        & (pl.col("target") == -1)
        & pl.col("value").is_not_null()
        & pl.col("value").is_not_nan()
    )


def _by_cell(part: pl.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """The repetitions of every (attack, victim)."""
    cells = part.sort("draw", "seed").group_by("attack", "victim", maintain_order=True).agg("draw", "seed", "value")
    return {
        (attack, victim): repetitions(np.array(draws), np.array(seeds), np.array(values))
        for attack, victim, draws, seeds, values in cells.iter_rows()
    }


def _grid(
    cells: dict[tuple[str, str], np.ndarray], attacks: list[str], victims: list[str], unknown: set[str]
) -> pl.DataFrame:
    rows = []
    for attack in attacks:
        for victim in victims:
            found = _fields(interval(cells.get((attack, victim), np.empty(0))))
            rows.append((attack, victim, *((None,) * 4 if victim in unknown else found[:4]), found[4]))
    return pl.DataFrame(rows, schema=_schema("attack", "victim"), orient="row")


def _fields(found: Interval) -> tuple[float, float, float, float, int]:
    return found.mean, found.low, found.high, found.p, found.n


def _schema(*keys: str) -> dict[str, Any]:
    numbers = dict.fromkeys(("mean", "low", "high", "p"), pl.Float64)
    return dict.fromkeys(keys, pl.String) | numbers | {"n": pl.Int64}
