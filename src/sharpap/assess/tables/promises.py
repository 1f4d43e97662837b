"""What the votes of a grid promise: how much of a user's list stays whatever so many fakes do (docs/defences.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

if TYPE_CHECKING:
    from sharpap.metrics import Evaluation
    from sharpap.metrics.kept import Kept

_Whole = Annotated[int, Field(strict=True, ge=0, le=2**53)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]
_Curves = dict[str, dict[int, list[_Share]]]


@dataclass(frozen=True, kw_only=True)
class Promises:
    """Certified shares of victims that are votes of models, means over users with a list and over trainings.

    Attributes:
        confidence: with which all that is said of one number of fakes and one training is true.
        fakes: (f,) ascending numbers of fakes.
        kept: victim and list length to the share of a list that stays with each number of fakes or fewer, at least.
        some: the same to the share of users of whose list something stays.
    """

    confidence: _Share
    fakes: list[_Whole]
    kept: _Curves
    some: _Curves

    def __post_init__(self) -> None:
        curves = [curve for part in (self.kept, self.some) for found in part.values() for curve in found.values()]
        if list(self.fakes) != sorted(set(self.fakes)) or any(len(curve) != len(self.fakes) for curve in curves):
            raise ValueError("the numbers of fakes are out of order, or a curve is not as long")
        if {name: set(curves) for name, curves in self.kept.items()} != {n: set(c) for n, c in self.some.items()}:
            raise ValueError("kept and some are of different victims")

    def at(self, victim: str, k: int, fakes: int) -> tuple[float, float]:
        """Share of a list that stays, and of users of whose list something does; nothing beyond the largest number."""
        places = [place for place, number in enumerate(self.fakes) if number >= fakes]
        return (self.kept[victim][k][places[0]], self.some[victim][k][places[0]]) if places else (0.0, 0.0)

    def most(self, victim: str, k: int) -> int:
        """The largest number of fakes with which something of some list stays; 0 if there is none."""
        return max((number for number, share in zip(self.fakes, self.kept[victim][k], strict=True) if share), default=0)

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def promises(clean: Mapping[tuple[str, int], Evaluation | None]) -> Promises | None:
    """Of clean trainings by victim and seed, None for one that failed; None where no victim promises anything."""
    known: dict[str, list[Kept]] = {}
    for (victim, _), found in clean.items():
        if found is not None and found.kept is not None and found.kept.known.any():
            known.setdefault(victim, []).append(found.kept)
    if not known:
        return None
    first = next(iter(known.values()))[0]
    curves: tuple[_Curves, _Curves] = ({}, {})
    for victim, trainings in known.items():
        for place, k in enumerate(first.ks):
            counts = [each.least[place][:, each.known] for each in trainings]
            for part, shares in zip(
                curves, ([count / k for count in counts], [count > 0 for count in counts]), strict=True
            ):
                part.setdefault(victim, {})[k] = np.mean([share.mean(1) for share in shares], axis=0).round(6).tolist()
    from sharpap.metrics.kept import CONFIDENCE  # here: reading results imports this file, and needs no model

    return Promises(confidence=CONFIDENCE, fakes=list(first.fakes), kept=curves[0], some=curves[1])
