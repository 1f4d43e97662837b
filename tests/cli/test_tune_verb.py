"""`sharpap tune` as a user meets it."""

from __future__ import annotations

import json
import sys

import polars as pl
import pytest

from sharpap.folders import MARKER

DATA = ["--data", "synthetic", "--set", "data.users=80", "--set", "data.items=90", "--set", "data.interactions=1200",
        "--set", "targets.size=2"]  # fmt: skip
BASE = ["tune", "demo", *DATA, "--attack", "random", "--victim", "popularity"]
FAKES = ["--space", "budget.fake_users=1,4,40"]


def test_tune_then_run_the_best(sharpap, tmp_path):
    pytest.importorskip("optuna")
    out = tmp_path / "tuned"
    code, text, err = sharpap(*BASE, *FAKES, "--trials", 6, "-o", out)
    assert code == 0, err
    assert "H@10: the best 6 of 6 candidates" in text
    assert f"sharpap run {out / 'best.toml'}" in text.replace("\n", "")
    assert {entry.name for entry in out.iterdir()} == {
        "cells",
        "best.toml",
        "trials.parquet",
        "study.journal",
        "log.jsonl",
        MARKER,
    }
    assert pl.read_parquet(out / "trials.parquet").height == 6
    code, text, err = sharpap(*BASE, *FAKES, "--trials", 7, "-o", out, "-q", "--json")
    assert code == 0, err
    record = json.loads(text)
    assert [trial["number"] for trial in record["trials"]] == list(range(7))
    assert record["values"] == {"budget.fake_users": 40}
    only = ["--attack", "random", "--victim", "popularity"]
    code, text, err = sharpap("run", out / "best.toml", *only, "-o", tmp_path / "reported", "--json")
    assert code == 0, err
    assert "tuned on" not in err
    rows = {row["attack"]: row["mean"] for row in json.loads(text)["transfer"] if row["k"] == 10}
    assert rows["random"] > rows["none"]
    code, _, err = sharpap("run", out / "best.toml", *only, "--draws", 9, "-o", tmp_path / "all")
    assert code == 0
    assert "6 of the targets are among those the settings were tuned on" in err


def test_without_optuna_the_way_to_it_is_named(sharpap, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = sharpap(*BASE, *FAKES, "-o", tmp_path / "x", "-q")
    assert code == 2
    assert "pip install 'sharpap[tune]'" in err
    assert "Traceback" not in err


BAD = {
    "nothing": ([], "nothing to search"),
    "unknown option": (["--space", "attack.rho=0.1:0.2"], "no option 'rho'"),
    "near miss": (["--space", "budget.fake_user=1,2"], "Did you mean 'fake_users'"),
    "unknown head": (["--space", "atack.rho=0.1:0.2"], "Did you mean 'attack'"),
    "bad range": (["--space", "budget.fake_users=5:1"], "lower end must lie below"),
    "value that does not fit": (["--space", "budget.fake_users=0.5:1.5"], "fake_users"),
    "both": (["--space", "budget.fake_users=1,2", "--space", "victim.reg=1,2"], "cannot be tuned together"),
    "no assignment": (["--space", "rho"], "not of the form"),
    "pruner": ([*FAKES, "--pruner", "best"], "tune.pruner"),
    "trials": ([*FAKES, "--trials", "0"], "must be 1 or more"),
    "named targets": ([*FAKES, "--targets", "7,9"], "tuning needs others"),
    "small pool": ([*FAKES, "--draws", "8"], "without a common target"),
    "plan": ([*FAKES, "--set", "tune.trails=3"], "Did you mean 'trials'"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_are_one_message_with_a_way_out(case, sharpap, tmp_path):
    if case in ("unknown option", "near miss", "value that does not fit"):
        pytest.importorskip("optuna")
    options, words = BAD[case]
    code, _, err = sharpap(*BASE, *options, "-o", tmp_path / "out", "-q")
    assert code in (1, 2)
    assert words in err.replace("\n", " ")
    assert "Traceback" not in err


def test_which_one_must_be_clear(sharpap, tmp_path):
    code, _, err = sharpap("tune", "demo", *DATA, *FAKES, "-o", tmp_path / "out", "-q")
    assert code == 2
    assert "Which attack is to be tuned? There are: random, bandwagon, revadv, sharpap." in err


def test_a_folder_with_other_files_is_left_alone(sharpap, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    code, _, err = sharpap(*BASE, *FAKES, "-o", tmp_path, "--overwrite")
    assert code == 2
    assert "holds other files" in err
    assert (tmp_path / "mine.txt").read_text() == "mine"
