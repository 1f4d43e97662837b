"""`Dataset`: train, validation and test interactions over one vocabulary."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any

from sharpap.data.interactions import Interactions
from sharpap.errors import DataError


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Dataset:
    """What an assessment runs on.

    Attributes:
        name: short name for tables, e.g. "ml-100k".
        train, valid, test: `Interactions` of equal shape and vocabulary, disjoint as pairs.
            `valid` may be empty (early stopping is then off), and so may `test` (no utility metrics).
        source: JSON-ready account of where it came from and how it was prepared and split.
    """

    name: str
    train: Interactions
    valid: Interactions
    test: Interactions
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part, other in (("valid", self.valid), ("test", self.test)):
            if other.matrix.shape != self.train.matrix.shape:
                raise DataError(
                    f"{part} has shape {other.matrix.shape}, but train has {self.train.matrix.shape}.",
                    hint="All parts must share one vocabulary.",
                )
        if self.train.nnz == 0:
            raise DataError(f"Dataset {self.name!r} has no training interaction.")

    def __repr__(self) -> str:
        parts = ", ".join(f"{part} {getattr(self, part).nnz:,}" for part in ("train", "valid", "test"))
        return f"<Dataset {self.name}: {self.num_users:,} users x {self.num_items:,} items; {parts}>"

    def _repr_html_(self) -> str:
        facts = {"users": self.num_users, "items": self.num_items} | {
            part: getattr(self, part).nnz for part in ("train", "valid", "test")
        }
        head = "".join(f"<th>{name}</th>" for name in ("dataset", *facts))
        cells = "".join(f"<td>{value:,}</td>" for value in facts.values())
        return f"<table><tr>{head}</tr><tr><th>{escape(self.name)}</th>{cells}</tr></table>"

    @property
    def num_users(self) -> int:
        """Genuine users."""
        return self.train.num_users

    @property
    def num_items(self) -> int:
        """Items in the catalogue."""
        return self.train.num_items

    @property
    def item_titles(self) -> tuple[str, ...] | None:
        """(num_items,) display names, or None."""
        return self.train.item_titles

    def item_label(self, item: int) -> str:
        """Title if known, else the external id."""
        titles = self.item_titles
        return titles[item] if titles is not None else str(self.train.item_ids[item])

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest over the three parts."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train, self.valid, self.test):
            digest.update(part.fingerprint.encode())
        return digest.hexdigest()
