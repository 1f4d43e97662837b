"""What a paper reports beside what was measured, with a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from sharpap.errors import ConfigError

if TYPE_CHECKING:
    from sharpap.assess.results import Results


@dataclass(frozen=True, kw_only=True)
class Reported:
    """One figure of a paper.

    Attributes:
        claim: in words, for the table.
        attack, base, victim: names in the results; without a base the figure is the attack's own level.
        metric, k: which.
        value: a level, as a fraction (0.64 for 64 %).
        change: attack over base, minus 1 (0.16 for "+16 %"), read as a relative change.
    """

    claim: str
    attack: str
    victim: str
    base: str | None = None
    metric: str = "H"
    k: int = 10
    value: float | None = None
    change: float | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.change is None):
            raise ConfigError(f"Reported figure {self.claim!r} needs either a value or a change.")
        if self.change is not None and self.base is None:
            raise ConfigError(f"Reported figure {self.claim!r} is a change and needs a base.")


def compare(results: Results, figures: list[Reported]) -> pl.DataFrame:
    """Reported and measured side by side.

    Columns: claim, attack, victim, metric, k, kind ("level" or "change"), reported, measured, low, high, verdict. A change is
    relative: the paired difference, and its interval, over the base's mean. Figures whose attack, victim or list length was not
    measured, or cannot tell the metric, are left out.
    """
    rows = []
    for figure in figures:
        needed = {figure.attack, figure.base or figure.attack}
        measured = figure.k in results.ks or not figure.k  # k = 0: metrics without lists
        if not needed <= set(results.attacks) or figure.victim not in results.victims or not measured:
            continue
        if figure.base is None or figure.change is None:
            found = results.transfer_matrix(figure.metric, figure.k).filter(
                (pl.col("attack") == figure.attack) & (pl.col("victim") == figure.victim)
            )
            kind, reported, scale, target = "level", float(figure.value or 0.0), 1.0, None
        else:
            found = results.paired(figure.attack, figure.base, figure.metric, figure.k).filter(
                pl.col("victim") == figure.victim
            )
            base = float(found["base_mean"][0]) if found.height else 0.0
            kind, reported, scale, target = "change", figure.change, 1 / base if base else float("nan"), 0.0
        if found.is_empty() or found["mean"][0] is None:
            continue
        mean, low, high = (float(found[name][0]) * scale for name in ("mean", "low", "high"))
        rows.append(
            (figure.claim, figure.attack, figure.victim, figure.metric, figure.k, kind, reported, mean, low, high,
             verdict(reported, low, high, against=target))
        )  # fmt: skip
    numbers = dict.fromkeys(("reported", "measured", "low", "high"), pl.Float64)
    schema: dict[str, Any] = dict.fromkeys(("claim", "attack", "victim", "metric"), pl.String) | {"k": pl.Int64}
    return pl.DataFrame(rows, schema=schema | {"kind": pl.String} | numbers | {"verdict": pl.String}, orient="row")


def verdict(reported: float, low: float, high: float, *, against: float | None) -> str:
    """What the 95 % interval says of a reported figure.

    "agrees in size": it holds the figure (and, for a change, excludes none); "agrees in direction": it excludes no change, on
    the reported side; "undecided": it holds both the figure and no change; "disagrees": all else. Without an interval
    nothing is decided.
    """
    if low != low or high != high:
        return "undecided (no interval)"
    inside = low <= reported <= high
    if against is None:
        return "agrees in size" if inside else "disagrees"
    if low <= against <= high:
        return "undecided" if inside else "disagrees"
    same = (reported > against) == (low > against)
    return "agrees in size" if inside else "agrees in direction" if same else "disagrees"
