"""`sharpap evaluate`: what it measured stands in its folder, and can be made again from there."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import polars as pl
import pytest

DATA = ["--data", "synthetic", "--set", "data.users=60", "--set", "data.items=40", "--set", "data.interactions=600"]


@pytest.fixture
def profiles(sharpap, tmp_path):
    """A file of profiles that demote items 0 and 7."""
    path = tmp_path / "down.npz"
    direction = ["--targets", "0,7", "--set", "direction=demote"]
    code, text, err = sharpap("attack", "random", *DATA, "--fakes", 3, *direction, "-o", path)
    assert code == 0, err
    assert "pushing 0, 7 down" in text
    return path


def values(folder):
    frame = pl.read_parquet(folder / "results.parquet")
    return frame.filter((pl.col("metric") == "H") & (pl.col("k") == 10))


@pytest.mark.parametrize(
    ("more", "items", "direction"),
    [([], [0, 7], "demote"), (["--targets", "1"], [1], "demote"), (["--set", "direction=promote"], [0, 7], "promote")],
)
def test_its_folder_says_what_was_measured_and_makes_it_again(more, items, direction, profiles, sharpap, tmp_path):
    out, again = tmp_path / "out", tmp_path / "again"
    code, _, err = sharpap("evaluate", profiles, *DATA, "--victim", "popularity", "-o", out, *more)
    assert code == 0, err
    config = tomllib.loads((out / "config.toml").read_text())
    assert (config["targets"]["items"], config["direction"]) == (items, direction)
    assert set(values(out)["target"]) == {-1, *items}
    with np.load(out / "poison" / "down-draw0.npz") as stored:
        assert json.loads(stored["provenance"].tobytes())["direction"] == direction
    profiles.unlink()
    code, _, err = sharpap("run", out / "config.toml", "-o", again)
    assert code == 0, err
    assert values(again).equals(values(out))


def test_runs_with_other_targets_are_not_compared(profiles, sharpap, tmp_path):
    for name, more in {"a": [], "b": ["--targets", "1"]}.items():
        assert sharpap("evaluate", profiles, *DATA, "--victim", "popularity", "-o", tmp_path / name, *more)[0] == 0
    code, _, err = sharpap("results", tmp_path / "a", tmp_path / "b", "--compare")
    assert code == 2
    assert "different targets or seed" in err


@pytest.mark.parametrize("setting", ["budget.fake_users=3", "attacks.sharpap.epochs=5", "targets.size=2"])
def test_what_finished_profiles_cannot_take_is_refused(setting, profiles, sharpap):
    code, _, err = sharpap("evaluate", profiles, *DATA, "--victim", "popularity", "--set", setting)
    assert code == 2
    assert "assessed as they are" in err


def test_quiet_hides_progress_and_no_warning(profiles, sharpap):
    other = [*DATA[:-1], "data.interactions=700"]
    code, out, err = sharpap("evaluate", profiles, *other, "--victim", "popularity", "-q", "--json")
    assert code == 0
    assert json.loads(out)["metric"] == "H"
    assert "crafted on other data" in err
    assert "cell" not in err
