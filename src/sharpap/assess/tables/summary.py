"""Tables of results: transfer matrix, paired comparison, accuracy before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from sharpap.significance import Interval, holm, interval, repetitions

CLEAN = "none"  # the attack that the runs without one stand under
UTILITY = ("NDCG", "Recall")


def leading_k(ks: Sequence[int], wanted: int = 10) -> int:
    """The list length that stands first: the usual one where it is measured, else the shortest."""
    return wanted if wanted in ks or not ks else min(ks)


def table(frame: pl.DataFrame, attacks: list[str], victims: list[str], *, metric: str, k: int) -> pl.DataFrame:
    """Mean and 95 % interval of one metric for every attack and victim, the clean run first.

    Columns: attack, victim, mean, low, high, n. Repetitions are target draws, each the mean over seeds; in a frame of one
    draw, and for the clean run's accuracy, they are the seeds. A mean is NaN where nothing was measured (every training
    failed), null where the victim cannot tell.
    """
    by_seed = _single(frame)
    part = _aggregate(frame, metric, k)
    cells = _by_cell(part, by_seed=by_seed)
    if metric in UTILITY and not by_seed:
        cells |= _by_cell(part.filter(pl.col("attack") == CLEAN), by_seed=True)
    unknown = unavailable(frame, metric, k)
    return _grid(cells, [CLEAN, *attacks], victims, unknown, tested=False).drop("p")


def raised(frame: pl.DataFrame, attacks: list[str], victims: list[str], *, metric: str, k: int) -> pl.DataFrame:
    """Every attack minus no attack, on the same targets and victim seeds.

    Columns: attack, victim, mean, low, high, p (of this cell alone, not corrected), n. NaN and null as in `table`. The clean
    run's accuracy is one value a seed, with which every draw is compared: there the seeds are the repetitions.
    """
    both = _differences(_aggregate(frame, metric, k), CLEAN, metric)
    by_seed = metric in UTILITY or _single(frame)
    return _grid(_by_cell(both, by_seed=by_seed), attacks, victims, unavailable(frame, metric, k), tested=True)


def paired(frame: pl.DataFrame, victims: list[str], attack: str, base: str, *, metric: str, k: int) -> pl.DataFrame:
    """`attack` minus `base` on the same targets and victim seeds, for every victim that can tell the metric.

    Columns: victim, mean, low, high, p, n, p_holm (Holm-corrected over the victims), base_mean.
    """
    unknown = unavailable(frame, metric, k)
    both = _differences(_aggregate(frame, metric, k), base, metric).filter(pl.col("attack") == attack)
    by_seed = _single(frame) or (base == CLEAN and metric in UTILITY)
    cells, bases = (_by_cell(both.with_columns(value=column), by_seed=by_seed) for column in ("value", "before"))
    rows = []
    for victim in (name for name in victims if name not in unknown):
        found = _fields(interval(cells.get((attack, victim), np.empty(0))))
        rows.append((victim, *found, interval(bases.get((attack, victim), np.empty(0))).mean))
    out = pl.DataFrame(rows, schema=_schema("victim") | {"base_mean": pl.Float64}, orient="row")
    return out.with_columns(p_holm=pl.Series(holm(out["p"].to_numpy())))


def utility(frame: pl.DataFrame, attacks: list[str], victims: list[str], *, metric: str, k: int) -> pl.DataFrame:
    """Accuracy for genuine users before and after each attack: attack, victim, clean, mean, change (relative).

    The change is of the seeds that were trained without and with the attack. NaN and null as in `table`.
    """
    part = _aggregate(frame, metric, k)
    levels = {(row[0], row[1]): row[2] for row in part.group_by("attack", "victim").agg(pl.mean("value")).iter_rows()}
    both = _differences(part, CLEAN, metric).group_by("attack", "victim").agg(pl.mean("value"), pl.mean("before"))
    changes = {(row[0], row[1]): row[2] / row[3] if row[3] else float("nan") for row in both.iter_rows()}
    unknown = unavailable(frame, metric, k)
    rows: list[tuple[Any, ...]] = []
    for victim in victims:
        for attack in attacks:
            found = (levels.get((CLEAN, victim)), levels.get((attack, victim)), changes.get((attack, victim)))
            numbers = (None,) * 3 if victim in unknown else (float("nan") if each is None else each for each in found)
            rows.append((attack, victim, *numbers))
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


def _differences(part: pl.DataFrame, base: str, metric: str) -> pl.DataFrame:
    """Every row of `_aggregate` less the base's on the same target draw and victim seed, which stands in "before".

    The clean run's accuracy does not depend on the targets, stands under one draw, and counts for all.
    """
    keys = ["victim", "seed"] if base == CLEAN and metric in UTILITY else ["victim", "draw", "seed"]
    other = part.filter(pl.col("attack") == base).select(*keys, before="value")
    return part.join(other, on=keys).with_columns(value=pl.col("value") - pl.col("before"))


def _single(frame: pl.DataFrame) -> bool:
    """Whether all of a frame is of one target draw."""
    return frame.filter(pl.col("draw") >= 0)["draw"].n_unique() < 2


def _by_cell(part: pl.DataFrame, *, by_seed: bool) -> dict[tuple[str, str], np.ndarray]:
    """The repetitions of every (attack, victim)."""
    cells = part.sort("draw", "seed").group_by("attack", "victim", maintain_order=True).agg("draw", "seed", "value")
    return {
        (attack, victim): repetitions(
            np.array(draws), np.array(seeds), np.array(values), by="seed" if by_seed else "draw"
        )
        for attack, victim, draws, seeds, values in cells.iter_rows()
    }


def _grid(
    cells: dict[tuple[str, str], np.ndarray], attacks: list[str], victims: list[str], unknown: set[str], *, tested: bool
) -> pl.DataFrame:
    rows = []
    for attack in attacks:
        for victim in victims:
            found = _fields(interval(cells.get((attack, victim), np.empty(0)), tested=tested))
            rows.append((attack, victim, *((None,) * 4 if victim in unknown else found[:4]), found[4]))
    return pl.DataFrame(rows, schema=_schema("attack", "victim"), orient="row")


def _fields(found: Interval) -> tuple[float, float, float, float, int]:
    return found.mean, found.low, found.high, found.p, found.n


def _schema(*keys: str) -> dict[str, Any]:
    numbers = dict.fromkeys(("mean", "low", "high", "p"), pl.Float64)
    return dict.fromkeys(keys, pl.String) | numbers | {"n": pl.Int64}
