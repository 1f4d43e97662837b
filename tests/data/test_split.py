"""Splits keep every pair once, and what they promise about users and time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st

from sharpap.data import (
    Interactions,
    LeaveOneOut,
    RandomSplit,
    TemporalSplit,
    given,
    read_interactions,
    split,
    synthetic,
)
from sharpap.errors import ConfigError, DataError


def timed(seed: int = 0, users: int = 40, items: int = 60) -> Interactions:
    made = synthetic(users, items, 600, seed=seed, min_items=1)
    rows, columns = made.entries()
    times = np.random.default_rng(seed).permutation(made.nnz).astype(float)
    timed, _ = Interactions.from_pairs(rows, columns, user_ids=made.user_ids, item_ids=made.item_ids, timestamps=times)
    return timed


def keys(part: Interactions) -> set[int]:
    rows, columns = part.entries()
    return set((rows * part.num_items + columns).tolist())


@pytest.mark.parametrize(
    "how", [RandomSplit(valid=0.15, test=0.2), LeaveOneOut(), LeaveOneOut(by="random"), TemporalSplit()]
)
@settings(max_examples=15, deadline=None)
@hypothesis_given(seed=st.integers(0, 1000))
def test_parts_are_a_partition_and_every_user_keeps_a_training_item(how, seed):
    made = timed(seed)
    parts = split(made, how, seed=seed)
    train, valid, test = (keys(part) for part in (parts.train, parts.valid, parts.test))
    assert train | valid | test == keys(made)
    assert len(train) + len(valid) + len(test) == made.nnz
    assert (parts.train.user_counts[made.user_counts > 0] > 0).all()


def test_random_split_holds_out_each_users_share():
    made = timed()
    parts = split(made, RandomSplit(valid=0.1, test=0.25), seed=3)
    counts = made.user_counts
    assert (np.abs(parts.test.user_counts - 0.25 * counts) <= 0.5).all()
    assert keys(split(made, RandomSplit(), seed=3).test) == keys(split(made, RandomSplit(), seed=3).test)
    assert keys(split(made, RandomSplit(), seed=3).test) != keys(split(made, RandomSplit(), seed=4).test)


def test_leave_one_out_takes_the_latest():
    made = timed()
    parts = split(made, LeaveOneOut())
    for user in range(made.num_users):
        if made.user_counts[user] >= 3:
            latest = [part.timestamps[part.matrix.indptr[user] : part.matrix.indptr[user + 1]] for part in
                      (parts.train, parts.valid, parts.test)]  # fmt: skip
            assert latest[0].max() < latest[1][0] < latest[2][0]


def test_of_equal_times_any_may_be_left_out():
    made = timed()
    tied = Interactions.from_csr(made.matrix, timestamps=np.zeros(made.nnz))
    held = [split(tied, LeaveOneOut(), seed=seed).test for seed in range(2)]
    assert keys(held[0]) != keys(held[1])
    last = [made.matrix.indices[end - 1] for end in made.matrix.indptr[1:]]
    assert sum(np.array(last)[held[0].entries()[0]] == held[0].matrix.indices) < 0.5 * held[0].nnz


def test_temporal_split_cuts_at_points_in_time():
    made = timed()
    parts = split(made, TemporalSplit(valid=0.1, test=0.2))
    assert parts.test.timestamps.min() > parts.valid.timestamps.max()
    assert parts.test.nnz == pytest.approx(0.2 * made.nnz, abs=made.num_users)


def test_splits_that_need_time_say_so():
    with pytest.raises(DataError, match="no timestamps"):
        split(synthetic(20, 30, 100), TemporalSplit())
    with pytest.raises(ConfigError, match="less than 1"):
        RandomSplit(valid=0.5, test=0.6)


def test_given_unites_vocabularies_and_removes_leaks(tmp_path):
    (tmp_path / "a.csv").write_text("user,item\nx,1\nx,2\ny,3\n")
    (tmp_path / "b.csv").write_text("user,item\nx,2\nx,9\ny,1\n")
    train, test = (read_interactions(tmp_path / name) for name in ("a.csv", "b.csv"))
    made = given(train, test, valid_share=0)
    assert made.train.item_ids.tolist() == [1, 2, 3, 9]
    assert made.test.nnz == 2
    assert made.source["test_pairs_also_in_train"] == 1
    assert made.valid.nnz == 0
