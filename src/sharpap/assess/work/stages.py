"""Work on several experiments over one dataset: what an audit hands to a backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sharpap.assess.work.pieces import Made, Piece, Work

Stage = tuple[str, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Staged(Piece):
    """A piece of one experiment.

    Attributes:
        stage: which: its target pool and its share of fake users.
        piece: what is to be done there.
    """

    stage: Stage
    piece: Piece


@dataclass(frozen=True, eq=False)
class Stages(Work):
    """Work whose pieces say to which experiment they belong.

    Attributes:
        works: the work of each stage.
    """

    works: Mapping[Stage, Work] = field(default_factory=dict)

    def do(self, piece: Piece) -> Made:
        """Do a piece where it belongs; see `Work.do`."""
        return self.works[piece.stage].do(piece.piece) if isinstance(piece, Staged) else super().do(piece)
