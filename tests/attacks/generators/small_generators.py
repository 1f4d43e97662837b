"""Small attacks of each kind, for the tests of the generators."""

from __future__ import annotations

from typing import Any

from sharpap.attacks import AUSH, GOAT, GSAGAN, LegUP
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Goal

GOAL = Goal(targets=(5, 33))
BUDGET = Budget(fake_users=4, profile_size=8)
SURROGATE = WRMFSurrogate(embedding_size=4, epochs=12, unrolled_epochs=8)
SMALL: dict[str, Any] = {"rounds": 40, "batch_size": 32}
GUIDED: dict[str, Any] = SMALL | {"surrogate": SURROGATE, "k": 3, "rivals": 8}
CONTESTS = {
    "aush": AUSH(**SMALL),
    "goat": GOAT(**SMALL, neighbours=10, embedding_size=8),
    "gsa-gan": GSAGAN(**GUIDED, attack_steps=0),
    "leg-up": LegUP(**GUIDED, attack_steps=0, discriminator_steps=1),
}
