"""One piece of work after the other, in this process."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from sharpap.assess.work.pieces import Made, Piece, Work


class Serial:
    """One piece after the other, here."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.waiting: Piece | None = None

    @property
    def free(self) -> bool:
        """See `Backend`."""
        return self.waiting is None

    @property
    def busy(self) -> bool:
        """See `Backend`."""
        return self.waiting is not None

    def submit(self, piece: Piece) -> None:
        """See `Backend`."""
        self.waiting = piece

    def next(self) -> tuple[Piece, Made]:
        """See `Backend`."""
        if self.waiting is None:
            raise RuntimeError("Nothing was handed in.")
        piece, self.waiting = self.waiting, None
        return piece, self.work.do(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
