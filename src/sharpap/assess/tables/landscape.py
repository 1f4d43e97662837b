"""The loss landscape around a surrogate trained on a poison: how sharp it is, and whether that explains transfer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import TypeAdapter


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """What was measured around one surrogate.

    Attributes:
        attack, draw: which poison.
        k: list length of the attack loss and of `hit_ratio`.
        hit_ratio: H@k of the targets on the surrogate.
        atk_sharpness, rec_sharpness: Keskar's measure of the attack loss (`SmoothHits`) and of the recommendation loss,
            percent of 1 + |loss|.
        shares: steps along the random direction, as shares of each embedding's length.
        atk_line, rec_line: both losses there.
        plane_rows, plane_columns: steps of the plane along the random direction and along the attack loss's gradient with rows
            of the same lengths; empty where it was not measured.
        plane: attack loss there.
    """

    attack: str = ""
    draw: int = 0
    k: int
    hit_ratio: float
    atk_sharpness: float
    rec_sharpness: float
    shares: tuple[float, ...]
    atk_line: tuple[float, ...]
    rec_line: tuple[float, ...]
    plane_rows: tuple[float, ...] = ()
    plane_columns: tuple[float, ...] = ()
    plane: tuple[tuple[float, ...], ...] = ()

    @property
    def hits_lost(self) -> float:
        """The rise behind `atk_sharpness` as a share of |L_atk| at the centre: of the smooth hits, how many the box can cost.

        Promotion's L_atk lies between -1 and 0 and cannot rise by more than |L_atk|, so that `atk_sharpness` grows with the
        hits themselves; this share does not.
        """
        centre = abs(self.atk_line[len(self.atk_line) // 2])
        return self.atk_sharpness / 100 * (1 + centre) / centre if centre else float("nan")


LANDSCAPES = TypeAdapter(list[Landscape])


def landscapes_from(raw: bytes) -> list[Landscape]:
    """Landscapes out of JSON; raises `ValueError` where it is none of theirs."""
    found = LANDSCAPES.validate_json(raw)
    for each in found:
        size, plane = len(each.shares), (len(each.plane_rows), len(each.plane_columns))
        numbers = (each.hit_ratio, each.atk_sharpness, each.rec_sharpness, *each.shares, *each.atk_line, *each.rec_line,
                   *each.plane_rows, *each.plane_columns, *(value for row in each.plane for value in row))  # fmt: skip
        fits = size == len(each.atk_line) == len(each.rec_line) and plane[0] == plane[1] == len(each.plane)
        if not (size and fits and all(len(row) == plane[1] for row in each.plane)):
            raise ValueError("the lines and the plane of a landscape do not fit together")
        if not (0 < each.k < 2**31 and -1 <= each.draw < 2**31 - 1 and all(abs(number) <= 1e15 for number in numbers)):
            raise ValueError("a landscape holds a number that no measurement gives")
    return found


def transfer_drops(landscapes: list[Landscape], frame: pl.DataFrame, others: list[str]) -> pl.DataFrame:
    """Sharpness beside transfer, one row a poison.

    Args:
        landscapes: of each poison.
        frame: `Results.frame`.
        others: victims that are not the surrogate's kind.

    Returns:
        attack, draw, surrogate (H@k there), others (mean H@k over them and their seeds), drop (1 - others / surrogate; nan
        where a poison has no hit on the surrogate or no such victim was measured), sharp_atk, lost
        (`Landscape.hits_lost`), sharp_rec.
    """
    hits = frame.filter((pl.col("metric") == "H") & (pl.col("target") == -1) & pl.col("victim").is_in(others))
    hits = hits.drop_nulls("value")  # of victims that give only shorter lists
    rows = []
    for found in landscapes:
        cell = hits.filter(
            (pl.col("attack") == found.attack) & (pl.col("draw") == found.draw) & (pl.col("k") == found.k)
        )
        values = cell["value"].to_numpy()
        mean = float(values.mean()) if len(values) else float("nan")
        drop = 1 - mean / found.hit_ratio if found.hit_ratio else float("nan")
        rows.append(
            (found.attack, found.draw, found.hit_ratio, mean, drop, found.atk_sharpness, found.hits_lost, found.rec_sharpness)
        )  # fmt: skip
    schema = {"attack": pl.String, "draw": pl.Int32} | dict.fromkeys(
        ("surrogate", "others", "drop", "sharp_atk", "lost", "sharp_rec"), pl.Float64
    )
    return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Spearman's rank correlation (nan where it is not defined), its p-value, and the number of poisons."""

    rho: float
    p: float
    n: int


def correlation(table: pl.DataFrame, sharpness: str = "sharp_atk") -> Correlation:
    """Of a column of `transfer_drops` with the drop, over the poisons whose drop is known."""
    known = table.filter(pl.col("drop").is_not_nan())
    first, second = known[sharpness].to_numpy(), known["drop"].to_numpy()
    if known.height < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Correlation(rho=float("nan"), p=float("nan"), n=known.height)
    from scipy.stats import spearmanr  # here: it takes a second to import, and reading results imports this file

    found = spearmanr(first, second)
    return Correlation(rho=float(found.statistic), p=float(found.pvalue), n=known.height)
