"""Profiles written and read back, and profiles from elsewhere."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import scipy.sparse

from sharpap.attacks import RandomAttack
from sharpap.attacks.poison_io import SUFFIXES, load_poison, save_poison
from sharpap.data import read_interactions
from sharpap.errors import DataError
from sharpap.threat import Budget, Goal


@pytest.fixture
def train(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(f"u{rng.integers(20)},film {rng.integers(30):02d}\n" for _ in range(300))
    (tmp_path / "data.csv").write_text("user,item\n" + rows)
    return read_interactions(tmp_path / "data.csv")


@pytest.fixture
def poison(train):
    goal = Goal(targets=(2, 8))
    return RandomAttack().poison(train.matrix, goal, Budget(fake_users=4, profile_size=6), seed=1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip_with_provenance(suffix, train, poison, tmp_path):
    path = save_poison(poison, tmp_path / f"out{suffix}", train)
    back = load_poison(path, train)
    assert sorted(map(tuple, back.profiles.toarray())) == sorted(map(tuple, poison.profiles.toarray()))
    assert (back.goal, back.attack, back.seed) == (poison.goal, "random", 1)
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {"data.csv", f"out{suffix}"} | (set() if suffix == ".npz" else {f"out{suffix}.json"})


def test_what_other_libraries_see(train, poison, tmp_path):
    save_poison(poison, tmp_path / "x.inter", train)
    lines = (tmp_path / "x.inter").read_text().splitlines()
    assert lines[0] == "user_id:token\titem_id:token"
    assert lines[1].startswith("fake-0\tfilm ")
    save_poison(poison, tmp_path / "x.npz", train)
    assert (scipy.sparse.load_npz(tmp_path / "x.npz") != poison.profiles).nnz == 0
    assert pl.read_parquet(save_poison(poison, tmp_path / "x.parquet", train)).columns == ["user_id", "item_id"]
    assert json.loads((tmp_path / "x.parquet.json").read_text())["target_ids"] == ["film 02", "film 08"]


def test_profiles_from_elsewhere(train, tmp_path):
    (tmp_path / "mine.csv").write_text("user,item\nbot1,film 03\nbot1,film 04\nbot2,film 03\n")
    with pytest.raises(DataError, match="does not say which items"):
        load_poison(tmp_path / "mine.csv", train)
    made = load_poison(tmp_path / "mine.csv", train, Goal(targets=(3,)))
    assert made.profiles.toarray().sum() == 3
    assert made.profiles.indices.tolist() == [3, 4, 3]
    assert made.attack == "mine"


def test_what_does_not_fit_is_refused(train, poison, tmp_path):
    (tmp_path / "mine.csv").write_text("user,item\nbot1,film 99\n")
    with pytest.raises(DataError, match="Items the data does not have: film 99"):
        load_poison(tmp_path / "mine.csv", train, Goal(targets=(3,)))
    scipy.sparse.save_npz(tmp_path / "small.npz", scipy.sparse.eye_array(3, format="csr"))
    with pytest.raises(DataError, match="cover 3 items, the data 30"):
        load_poison(tmp_path / "small.npz", train, Goal(targets=(3,)))
    with pytest.raises(DataError, match=r"Cannot write profiles as .xlsx"):
        save_poison(poison, tmp_path / "x.xlsx", train)
    save_poison(poison, tmp_path / "x.csv", train)
    (tmp_path / "x.csv.json").write_text("{broken")
    with pytest.raises(DataError, match=r"x\.csv\.json: The file is not valid JSON"):
        load_poison(tmp_path / "x.csv", train)
