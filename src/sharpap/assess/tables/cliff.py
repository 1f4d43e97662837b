"""The cliff: the most that any fakes could do to each victim, by their number, and whether an attack got above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import polars as pl
from pydantic import Field

from sharpap.threat import SHARES

if TYPE_CHECKING:
    from sharpap.metrics import Evaluation, Reach

_Whole = Annotated[int, Field(strict=True, ge=0, le=2**53)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]
TINY = 1e-9


@dataclass(frozen=True, kw_only=True)
class Cliffs:
    """Bounds of the victims of one grid, means over targets and trainings (`metrics.reach`).

    Attributes:
        users: genuine users with interactions.
        budget: fakes of the grid, at most.
        fakes: (f,) ascending numbers of fakes.
        shares: victim and list length to the most that H@K could be with each number of fakes; victims without a known bound
            are left out.
    """

    users: _Whole
    budget: _Whole
    fakes: list[_Whole]
    shares: dict[str, dict[int, list[_Share]]]

    def __post_init__(self) -> None:
        if list(self.fakes) != sorted(set(self.fakes)):
            raise ValueError("the numbers of fakes are out of order")
        if any(len(curve) != len(self.fakes) for curves in self.shares.values() for curve in curves.values()):
            raise ValueError("a bound is not as long as the numbers of fakes")

    def curve(self, victim: str, k: int) -> list[tuple[int, float]]:
        """(number of fakes, share) up to the largest of `SHARES` or the grid's budget; empty where no bound is known."""
        most = max(self.budget, round(SHARES[-1] * self.users))
        found = zip(self.fakes, self.shares.get(victim, {}).get(k, []), strict=False)
        return [(fakes, share) for fakes, share in found if fakes <= most]

    def at(self, victim: str, k: int, fakes: int) -> float | None:
        """With so many fakes; None where that is not known."""
        return next((share for number, share in self.curve(victim, k) if number >= fakes), None)

    @property
    def budgets(self) -> list[tuple[float, int]]:
        """(share, number of fakes) of the budgets that tables show."""
        return [(share, max(1, round(share * self.users))) for share in SHARES]

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def cliffs(clean: Mapping[tuple[str, int], Evaluation | None], budget: int) -> Cliffs | None:
    """Of clean trainings by victim and seed, None for one that failed; None where no bound is known for any victim."""
    known: dict[str, list[Reach]] = {}
    users = 0
    for (victim, _), found in clean.items():
        if found is not None and found.reach is not None and np.isfinite(found.reach.mean).all():
            known.setdefault(victim, []).append(found.reach)
            users = found.num_users
    shares = {
        victim: dict(zip(found[0].ks, np.mean([each.mean for each in found], axis=0).round(6).tolist(), strict=True))
        for victim, found in known.items()
    }
    fakes = next(iter(known.values()))[0].fakes if known else ()
    return Cliffs(users=users, budget=budget, fakes=list(fakes), shares=shares) if known else None


def beside_bound(frame: pl.DataFrame) -> pl.DataFrame:
    """Measured hits beside their bound, from `Results.frame`: one row an attack, victim and list length.

    Columns: attack, victim, k, hits and bound (means), closest (the largest share of its bound that any target got in any
    training), cells (targets x draws x seeds compared), above (how many of them lie above their bound).
    """
    key = ["victim", "draw", "seed", "k", "target"]
    each = frame.filter(pl.col("target") >= 0)
    bounds = each.filter(pl.col("metric") == "reach").select(*key, bound="value")
    measured = each.filter((pl.col("metric") == "H") & (pl.col("attack") != "none")).drop_nulls("value")
    ratio = pl.when(pl.col("value") <= TINY).then(0.0).otherwise(pl.col("value") / pl.col("bound"))
    return (
        measured.join(bounds, on=key, maintain_order="left")
        .drop_nans(["value", "bound"])
        .group_by("attack", "victim", "k", maintain_order=True)
        .agg(
            hits=pl.mean("value"), bound=pl.mean("bound"), closest=ratio.max(), cells=pl.len(),
            above=(pl.col("value") > pl.col("bound") + TINY).sum(),
        )
    )  # fmt: skip


def verdict(found: pl.DataFrame) -> str:
    """What `beside_bound` says, in words; "" where nothing could be compared."""
    cells, above = int(found["cells"].sum()), int(found["above"].sum())
    if not cells:
        return ""
    if not above:
        share = found["closest"].max()
        return (
            f"Of {cells:,} measured shares (one a target, training, attack and list length) none lies above its bound; the "
            f"nearest has {100 * float(share or 0):.0f} % of it."  # pyright: ignore[reportArgumentType]
        )
    worst = found.filter(pl.col("above") > 0).sort("closest", descending=True).row(0, named=True)
    return (
        f"{above:,} of {cells:,} measured shares lie above the bound on any attack, first {worst['attack']} on "
        f"{worst['victim']} in lists of {worst['k']}. The bound takes the scores of the other items as they are without fakes, "
        "and for its second part users' factors: fakes that lower these can get above it."
    )
