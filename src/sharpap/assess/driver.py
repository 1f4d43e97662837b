"""The store of a run whose work is done elsewhere: this process looks things up and keeps them, workers see no disk of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

from sharpap.assess.cells import CellStore
from sharpap.assess.work import Craft, Explore, Made, Piece, Train, Work
from sharpap.attacks import Poison
from sharpap.data import Interactions


class _Missing(BaseException):
    """No such record; not an `Exception`, so that no foreign code's handler takes it."""

    def __init__(self, key: dict[str, Any]) -> None:
        self.key = key


class _Asked(CellStore):
    """A store that says under which key a record would lie, instead of letting it be made."""

    def load_poison(self, key: dict[str, Any], train: Interactions) -> Any:
        return super().load_poison(key, train) or _missing(key)

    def load_cell(self, key: dict[str, Any]) -> Any:
        return super().load_cell(key) or _missing(key)

    def load_landscape(self, key: dict[str, Any]) -> Any:
        return super().load_landscape(key) or _missing(key)


class Driver:
    """Takes finished work from a store before anyone is asked to do it, and puts in what comes back.

    Attributes:
        remote: the work as others get it: without the store.
    """

    def __init__(self, work: Work) -> None:
        self.store = work.store
        self.train = work.experiment.dataset.train
        self.asked = work if work.store is None else replace(work, store=_Asked(work.store.folder))
        self.attacks = work.experiment.attacks
        self.remote = replace(work, store=None)
        self.keys: dict[Piece, dict[str, Any]] = {}

    def find(self, piece: Piece) -> Made | None:
        """What is known of a piece: it was done before, or is a finished poison."""
        given = isinstance(piece, Craft) and isinstance(self.attacks[piece.attack], Poison)
        if self.store is None and not given:
            return None
        try:
            return self.asked.do(piece)
        except _Missing as missing:
            self.keys[piece] = missing.key
            return None

    def keep(self, piece: Piece, made: Made) -> None:
        """Store what did not fail."""
        key = self.keys.pop(piece, None)
        if self.store is None or key is None or made.error:
            return
        if isinstance(piece, Craft):
            self.store.save_poison(key, made.value)
        elif isinstance(piece, Train):
            self.store.save_cell(key, *made.value)
        elif isinstance(piece, Explore):
            self.store.save_landscape(key, made.value)


def _missing(key: dict[str, Any]) -> NoReturn:
    raise _Missing(key)
