"""`Poison`: the fake profiles an attack made, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

from sharpap.data.interactions import canonical_csr
from sharpap.errors import ContractError
from sharpap.threat import Goal


@dataclass(frozen=True, eq=False, kw_only=True)
class Poison:
    """Fake profiles with their provenance.

    Attributes:
        profiles: (num_fake, num_items) binary CSR, made canonical on construction.
        goal: what they were made for.
        attack: name of the attack.
        settings: JSON-ready settings of the attack.
        seed: the seed it was given.
        data_fingerprint: `Interactions.fingerprint` of the training data (empty: unknown).
        seconds: wall time of crafting.
        history: one JSON-ready record per outer epoch, e.g. {"epoch": 3, "attack_loss": 1.2,
            "surrogate_hit_ratio": 0.01}; empty for heuristics.
        notes: further JSON-ready facts, e.g. surrogate training figures.
    """

    profiles: csr_array
    goal: Goal
    attack: str
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    data_fingerprint: str = ""
    seconds: float = 0.0
    history: tuple[dict[str, Any], ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "profiles", canonical_csr(self.profiles))

    @property
    def num_fake(self) -> int:
        """Number of fake users."""
        return self.profiles.shape[0]

    @cached_property
    def profile_sizes(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(num_fake,) items per profile."""
        return np.diff(self.profiles.indptr).astype(np.int64)

    def inject(self, train: csr_array) -> csr_array:
        """Genuine rows first and unchanged, fake rows appended: (num_users + num_fake, num_items) CSR."""
        if train.shape[1] != self.profiles.shape[1]:
            raise ContractError(
                f"The profiles cover {self.profiles.shape[1]} items, the training data {train.shape[1]}.",
                hint="Poison and data must share one item vocabulary.",
            )
        return canonical_csr(vstack([train, self.profiles], format="csr"))
