"""What a defence takes from an attack and what it costs: one judgement for the audit, the report and the tables of the docs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from sharpap.assess.tables.summary import CLEAN
from sharpap.significance import Interval, interval

if TYPE_CHECKING:
    from sharpap.assess.results import Results

Verdict = Literal["helps", "may help", "does not help", "nothing to take"]
VERDICTS: tuple[Verdict, ...] = ("helps", "may help", "does not help", "nothing to take")
HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Worth:
    """One defence of one recommender against one attack.

    Attributes:
        before: H@k of the recommender without attack, mean over target draws.
        plain: under the attack, without the defence.
        hits: under the attack, with the defence.
        change: `hits` minus `plain`, paired by draw.
        draws: how many have an exposure to take away, and in how many of those the defence takes half of it or more.
        price: relative change of NDCG@k that the defence makes without attack, paired by training; None without held-out
            interactions.
    """

    before: float
    plain: Interval
    hits: Interval
    change: Interval
    draws: tuple[int, int]
    price: Interval | None = None

    @property
    def taken(self) -> float:
        """Share of the exposure that it takes away, of the means; 0 where there is none."""
        exposure = self.plain.mean - self.before
        return (self.plain.mean - self.hits.mean) / exposure if exposure > 0 else 0.0

    @property
    def verdict(self) -> Verdict:
        """It helps if it takes half of the exposure in every draw, and may help if it does so in the mean."""
        exposed, halved = self.draws
        if self.plain.mean <= self.before:
            return "nothing to take"
        if self.taken < HALF:
            return "does not help"
        return "helps" if exposed == halved else "may help"


def worth(
    before: ArrayLike, plain: ArrayLike, defended: ArrayLike, *, accurate: ArrayLike = (), after: ArrayLike = (),
) -> Worth:  # fmt: skip
    """Judge a defence.

    Args:
        before, plain, defended: H@k by target draw: without attack, under it, and under it with the defence.
        accurate, after: NDCG@k without attack by training, without the defence and with it; empty where it is not known.
    """
    start, without, within = (np.asarray(values, dtype=float) for values in (before, plain, defended))
    exposed = without > start
    halved = exposed & (without - within >= HALF * (without - start))
    own, other = np.asarray(accurate, dtype=float), np.asarray(after, dtype=float)
    return Worth(
        before=float(start.mean()), plain=interval(without), hits=interval(within), change=interval(within - without),
        draws=(int(exposed.sum()), int(halved.sum())),
        price=interval(other / own - 1) if len(own) and (own > 0).all() else None,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Row:
    """A defended victim of a grid beside the same recommender without the defence.

    Attributes:
        victim, base: their names in tables.
        accuracy: NDCG@k of the defended one without attack, mean over trainings; None where it is not known.
        worths: by attack.
    """

    victim: str
    base: str
    accuracy: float | None
    worths: dict[str, Worth] = field(default_factory=dict)

    @property
    def strongest(self) -> str:
        """The attack that has most hits on the recommender without the defence."""
        return max(self.worths, key=lambda attack: self.worths[attack].plain.mean)


def rows(results: Results, k: int) -> list[Row]:
    """Every defended victim whose recommender is in the grid without a defence, too, under every attack that both have."""
    frame = results.frame.filter((pl.col("target") == -1) & (pl.col("k") == k) & pl.col("metric").is_in(["H", "NDCG"]))
    values: dict[tuple[str, str, str], dict[Any, float]] = {}
    for attack, victim, draw, seed, metric, value in frame.select(
        "attack", "victim", "draw", "seed", "metric", "value"
    ).iter_rows():
        if value is not None and np.isfinite(value):
            values.setdefault((attack, victim, metric), {})[draw, seed] = value
    found = []
    for victim in results.victims:
        base = undefended(results.config.get("victims", {}), victim)
        if base is None:
            continue
        accuracy = list(values.get((CLEAN, victim, "NDCG"), {}).values())
        worths = {
            attack: judged
            for attack in results.attacks
            if (judged := _judged(values, attack, base, victim)) is not None
        }
        if worths:
            mean = float(np.mean(accuracy)) if accuracy else None
            found.append(Row(victim=victim, base=base, accuracy=mean, worths=worths))
    return found


def undefended(victims: dict[str, Any], victim: str) -> str | None:
    """The victim of a recipe in full that is this one without its defence; None where it has none, or that is not there."""
    table = victims.get(victim)
    if not isinstance(table, dict) or table.get("name") != "defended":
        return None
    inner = table.get("recommender")
    return next((name for name, other in victims.items() if other == inner), None)


def _judged(values: dict[tuple[str, str, str], dict[Any, float]], attack: str, base: str, victim: str) -> Worth | None:
    """Of the cells that both have: target draws are the repetitions, each the mean of its trainings."""
    start, plain, within = (
        values.get(key, {}) for key in ((CLEAN, base, "H"), (attack, base, "H"), (attack, victim, "H"))
    )
    shared = sorted(start.keys() & plain.keys() & within.keys())
    if not shared:
        return None
    draws = np.array([draw for draw, _ in shared])
    hits = [[np.mean([part[key] for key in shared if key[0] == draw]) for draw in np.unique(draws)]
            for part in (start, plain, within)]  # fmt: skip
    accurate, after = (values.get((CLEAN, name, "NDCG"), {}) for name in (base, victim))
    both = sorted(accurate.keys() & after.keys())
    return worth(*hits, accurate=[accurate[key] for key in both], after=[after[key] for key in both])
