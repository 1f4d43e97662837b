"""Attacks whose profiles are genuine ones, or grow as a genuine one does: Copy and Probe.

They have no loss to differentiate, so no worst case applies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import (
    IntArray,
    copied_profiles,
    crafted,
    draw_items,
    item_counts,
    pinned_items,
    to_csr,
)
from sharpap.kernels import mask_rows, stacked, topk_scores
from sharpap.recommenders import ItemKNN, Recommender
from sharpap.recommenders.calls import fit, score_blocks
from sharpap.seeds import derive_seed
from sharpap.settings import Settings
from sharpap.threat import Allowance, Budget, Goal


@dataclass(frozen=True, kw_only=True)
class CopyAttack:
    """Targets plus the items of one genuine user, sampled to the profile's size and topped up with popular items.

    Source: Fan et al. 2021, *Attacking black-box recommendations via copying cross-domain user profiles*, for the idea.
    Deviations: the users are of the same data and drawn at random, without replacement and none with hardly an item; there
    they are of another domain, chosen by reinforcement learning. `UBA` chooses them by uplift.
    """

    imitates: ClassVar[bool] = True
    aims_at_users: ClassVar[bool] = True

    def poison(
        self, train: csr_array, goal: Goal, budget: Budget, *, seed: int, templates: IntArray | None = None
    ) -> Poison:
        """See `Attack`. `templates` are the users that are copied; None: drawn, of the goal's where it names some."""

        def rows(allowance: Allowance, generator: np.random.Generator) -> list[IntArray]:
            return copied_profiles(train, goal, allowance, generator, sources=templates)

        return crafted("copy", self, train, goal, budget, seed, rows)


@dataclass(frozen=True, kw_only=True)
class Probe(Settings):
    """Targets plus what a recommender shows: fakes begin with a few popular items and take in every list they get.

    Each round trains the recommender on the genuine rows and the fakes so far, and adds each fake's list to its profile. A
    fake's items are so those that the recommender itself thinks belong together. Targets are taken in at the end.

    Attributes:
        recommender: what is probed; the attacker trains its own.
        seed_items: items that a fake begins with, drawn by popularity.
        list_length: items of one list.

    Source: O'Mahony, Hurley and Silvestre 2005, *Recommender systems: attack types and strategies* (probe attack). Deviations:
    binary feedback; an item-based recommender by default, where theirs is user-based.
    """

    recommender: Recommender = field(default_factory=ItemKNN)
    seed_items: int = 5
    list_length: int = 10

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. One training a list."""

        def rows(allowance: Allowance, generator: np.random.Generator) -> list[IntArray]:
            pinned = pinned_items(goal)
            free = allowance.profile_size - len(pinned)
            popularity = item_counts(train) + 1e-3
            popularity[list(goal.targets)] = 0
            own = [draw_items(popularity, min(self.seed_items, free), generator) for _ in range(allowance.num_fake)]
            lists = range(self.seed_items, free, self.list_length)
            with progress.task("Probe: lists", len(lists)) as task:
                for number, held in enumerate(lists):
                    shown = self._shown(train, own, goal, min(self.list_length, free - held), derive_seed(seed, number))
                    own = [np.concatenate([mine, more[more >= 0]]) for mine, more in zip(own, shown, strict=True)]
                    task.advance()
            return [np.concatenate([pinned, mine]).astype(np.int64) for mine in own]

        return crafted("probe", self, train, goal, budget, seed, rows)

    def _shown(self, train: csr_array, own: list[IntArray], goal: Goal, count: int, seed: int) -> list[IntArray]:
        """(fakes, count) items of each fake's list, without targets and what it has; -1 where there is no more."""
        num_users, num_items = train.shape
        data = stacked(train, to_csr(own, num_items))
        model = fit(self.recommender, data, seed=seed)
        shown = []
        for part, scores in score_blocks(model, np.arange(num_users, num_users + len(own)), num_items):
            scores[:, list(goal.targets)] = -np.inf
            mask_rows(scores, part, data.indptr, data.indices)
            shown.extend(topk_scores(scores, count)[0])
        return shown
