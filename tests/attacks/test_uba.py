"""UBA: uplift, its exact allocation, and the templates it hands on."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharpap.attacks import UBA, CopyAttack, Poison, RandomAttack, RevAdv
from sharpap.attacks.uba import allocate, three_hops
from sharpap.errors import ConfigError
from sharpap.recommenders import WRMF
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Goal

GOAL = Goal(targets=(12, 31))
QUICK = RevAdv(
    surrogate=WRMFSurrogate(embedding_size=4, epochs=4, unrolled_epochs=2), epochs=1, finalists=1, final_seeds=1
)


def numbers(made: Poison) -> dict[int, int]:
    users, counts = np.unique(made.notes["templates"], return_counts=True)
    return dict(zip(users.tolist(), counts.tolist(), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    gains=st.lists(st.lists(st.integers(-3, 9), min_size=3, max_size=3), min_size=1, max_size=4),
    budget=st.integers(1, 8),
)
def test_allocation_is_the_best_there_is(gains, budget):
    table = np.array(gains, float)
    counts = allocate(table, budget)
    worth = np.column_stack([np.zeros(len(table)), table])

    def value(numbers) -> float:
        return sum(worth[user, number] for user, number in enumerate(numbers))

    every = [each for each in product(range(4), repeat=len(table)) if sum(each) <= budget]
    assert counts.sum() <= budget
    assert value(counts) == max(map(value, every))


def test_paths_are_entries_of_the_third_power_of_the_adjacency(blocks):
    dense, users = blocks.toarray(), np.array([3, 17, 40])
    adjacency = np.block([[np.zeros((60, 60)), dense], [dense.T, np.zeros((40, 40))]])
    power = np.linalg.matrix_power(adjacency, 3)[:60, 60:]
    expected = [sum(power[user, t] for t in GOAL.targets if not dense[user, t]) for user in users]
    np.testing.assert_allclose(three_hops(blocks, users, GOAL.targets), expected)


def test_uplift_by_paths_grows_with_the_fakes_and_is_nothing_for_owners(blocks):
    users = np.arange(60)
    gains = UBA(most=3).gains(blocks, GOAL, users, 8, np.random.default_rng(0), seed=0)
    assert gains.shape == (60, 3)
    owners = blocks.toarray()[:, list(GOAL.targets)].all(1)
    assert (np.diff(gains[~owners]) > 0).all()
    assert (gains[owners] == 0).all()


def test_uplift_by_retraining_is_what_retraining_gives(blocks):
    attack = UBA(uplift="retraining", most=2, trials=2, k=5, recommender=WRMF(embedding_size=4, epochs=3))
    users, goal = np.arange(20), Goal(targets=(12,))
    gains = attack.gains(blocks, goal, users, 8, np.random.default_rng(0), seed=0)
    again = attack.gains(blocks, goal, users, 8, np.random.default_rng(0), seed=0)
    np.testing.assert_array_equal(gains, again)
    assert set(np.unique(gains)) <= {-1, -0.5, 0, 0.5, 1}
    assert gains.max() > 0  # twenty or forty fakes among sixty users win somebody


def test_the_fakes_go_to_the_users_with_uplift_within_the_bound(blocks):
    goal = Goal(targets=GOAL.targets, users=tuple(range(30)))
    made = UBA(attack=CopyAttack(), most=3).poison(blocks, goal, Budget(fake_users=8, profile_size=8), seed=0)
    found = numbers(made)
    assert sum(found.values()) == 8
    assert max(found.values()) <= 3
    assert set(found) <= set(range(30))
    assert made.attack == "uba-copy"
    again = UBA(attack=CopyAttack(), most=3).poison(blocks, goal, Budget(fake_users=8, profile_size=8), seed=0)
    assert (made.profiles != again.profiles).nnz == 0
    gains = UBA(most=3).gains(blocks, goal, np.arange(30), 8, np.random.default_rng(0), seed=0)
    rich = np.argsort(gains[:, -1])[-10:]
    assert len(set(found) & set(rich.tolist())) == len(found)


def test_fakes_beyond_what_uplift_asks_for_are_still_made(blocks):
    goal = Goal(targets=GOAL.targets, users=(3, 4))
    made = UBA(attack=CopyAttack(), most=1).poison(blocks, goal, Budget(fake_users=5, profile_size=8), seed=0)
    assert made.num_fake == 5
    assert set(numbers(made)) <= {3, 4}


def test_revadv_starts_from_the_templates(blocks):
    """One outer epoch changes nothing, so that the profiles are where it started."""
    templates = np.array([7, 7, 21])
    made = QUICK.poison(blocks, GOAL, Budget(fake_users=3, profile_size=5), seed=0, templates=templates)
    for row, user in enumerate(templates):
        own = set(blocks[[user]].indices.tolist())
        fillers = set(made.profiles[[row]].indices.tolist()) - set(GOAL.targets)
        assert len(fillers & own) == min(3, len(own - set(GOAL.targets)))


def test_names_and_refusals(blocks):
    made = UBA(attack=QUICK).poison(blocks, GOAL, Budget(fake_users=3, profile_size=5), seed=0)
    assert made.attack == "uba"
    with pytest.raises(ConfigError, match="does not start from rows"):
        UBA(attack=RandomAttack())
    with pytest.raises(ConfigError, match="most=0"):
        UBA(most=0)
    with pytest.raises(ConfigError, match="only promote"):
        UBA().poison(blocks, Goal(targets=(1,), direction="demote"), Budget(), seed=0)
