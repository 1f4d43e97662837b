"""How accurate each victim of a grid is beside the best that is known for its data: an exposure counts only beside that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sharpap.assess.tables import summary
from sharpap.config.sections import catalogue_name
from sharpap.tuned import tuned

if TYPE_CHECKING:
    from sharpap.assess.results import Results

BEHIND = 0.10


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One victim's accuracy without attack.

    Attributes:
        ndcg: NDCG@k of genuine users, mean over seeds; None where it is not known.
        behind: how far below the best it lies, as a share of that; None where it is not known.
        reach: the most that H@k could be with the run's number of fakes, mean over draws; None where no bound is known.
    """

    ndcg: float | None
    behind: float | None
    reach: float | None

    @property
    def weak(self) -> bool:
        """Whether it lies so far behind that nobody would deploy it."""
        return self.behind is not None and self.behind > BEHIND


def standings(results: Results, k: int) -> dict[str, Standing]:
    """By victim; the best is that of the run and of the tuned settings of its dataset, where there are some."""
    frame = results.frame
    accuracy, bounds = (
        {row["victim"]: row["mean"] for row in summary.table(frame, [], results.victims, metric=metric, k=k).to_dicts()}
        for metric in ("NDCG", "reach")
    )
    known = [value for value in accuracy.values() if value is not None and np.isfinite(value)]
    known += [each.test[str(k)] for each in tuned(catalogue_name(results.config)).values() if str(k) in each.test]
    best = max(known, default=0.0)

    def stands(victim: str) -> Standing:
        value, bound = accuracy[victim], bounds[victim]
        ndcg = None if value is None or not np.isfinite(value) else float(value)
        return Standing(
            ndcg=ndcg, behind=None if ndcg is None or best <= 0 else max(0.0, 1 - ndcg / best),
            reach=None if bound is None or not np.isfinite(bound) else float(bound),
        )  # fmt: skip

    return {victim: stands(victim) for victim in results.victims}


def remarks(found: dict[str, Standing]) -> list[str]:
    """What is to be said of victims that are not as accurate as they could be."""
    return [
        f"‡ {victim} is {100 * each.behind:.0f} % less accurate than the best on this data: not tuned, its exposure says "
        "little."
        for victim, each in found.items()
        if each.weak and each.behind is not None
    ]
