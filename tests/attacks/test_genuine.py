"""Copy and Probe: profiles that are genuine, or grow as a recommender would have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks import CopyAttack, Probe, RandomAttack
from sharpap.threat import Budget, Goal

GOAL = Goal(targets=(13, 33))


def test_copies_are_parts_of_one_genuine_row_each(blocks):
    made = CopyAttack().poison(blocks, GOAL, Budget(fake_users=20, profile_size=6), seed=0).profiles.toarray()
    made[:, GOAL.targets] = 0
    within = (made[:, None] <= blocks.toarray()[None]).all(2)  # fakes x users
    assert (made.sum(1) == 4).all()
    assert within.any(1).all()
    assert len({tuple(row) for row in made}) > 10
    other = RandomAttack().poison(blocks, GOAL, Budget(fake_users=20, profile_size=6), seed=0).profiles.toarray()
    other[:, GOAL.targets] = 0
    assert (other[:, None] <= blocks.toarray()[None]).all(2).any(1).mean() < 0.3


@dataclass
class Told:
    """Recommends item 39 first, then 38, and so on, and remembers what it was trained on."""

    seen: ClassVar[list[csr_array]] = []

    def fit(self, train: csr_array, *, seed: int) -> Told:
        self.seen.append(train)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return np.tile(np.arange(40.0), (len(users), 1))


def test_probes_take_in_the_lists_that_they_are_shown(blocks):
    """Seeds of 3, two lists of 4: the second training has the seeds and the first lists, and no training has targets."""
    Told.seen.clear()
    probe = Probe(recommender=Told(), seed_items=3, list_length=4)
    made = probe.poison(blocks, GOAL, Budget(fake_users=5, profile_size=13), seed=0).profiles.toarray()
    fakes = [each.toarray()[60:] for each in Told.seen]
    assert [row.sum(1).tolist() for row in fakes] == [[3] * 5, [7] * 5]
    assert all((each[:60] != blocks).nnz == 0 for each in Told.seen)
    assert not any(row[:, GOAL.targets].any() for row in fakes)
    for row, seeds in zip(made, fakes[0], strict=True):
        shown = [item for item in range(39, -1, -1) if not seeds[item] and item not in GOAL.targets][:8]
        assert set(np.flatnonzero(row)) == {*GOAL.targets, *np.flatnonzero(seeds), *shown}


def test_a_probe_that_asks_item_knn_stays_in_one_taste(blocks):
    """One seed item, of one of two groups of 20 items; a uniform profile has about half of either."""
    made = Probe(seed_items=1, list_length=3).poison(blocks, GOAL, Budget(fake_users=20, profile_size=9), seed=0)
    rows = made.profiles.toarray()
    rows[:, GOAL.targets] = 0
    first = rows[:, :20].sum(1) / rows.sum(1)
    assert np.maximum(first, 1 - first).mean() > 0.9


def test_a_probe_has_seeds_alone_where_the_profile_holds_no_list(blocks):
    made = Probe(seed_items=9).poison(blocks, GOAL, Budget(fake_users=3, profile_size=5), seed=0)
    assert (made.profile_sizes == 5).all()
