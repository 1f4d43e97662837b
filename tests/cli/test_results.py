"""`sharpap results` against polars done by hand on the folder's own table."""

from __future__ import annotations

import csv
import json
from contextlib import suppress

import polars as pl
import pytest

from sharpap.cli.results import export
from sharpap.report.latex import latex
from sharpap.text import printable

GRID = ["run", "--data", "synthetic", "--set", "data.users=80", "--set", "data.items=90", "--set", "data.interactions=1200",
        "--attack", "random", "--attack", "bandwagon", "--victim", "popularity", "--victim", "ease", "-q"]  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two runs on the same draws with other budgets, and one on other targets."""
    import sys

    from sharpap.cli import main

    home = tmp_path_factory.mktemp("runs")
    kinds = {"small": ["--fakes", "3"], "large": ["--fakes", "9"], "other": ["--seed", "1"]}
    old = sys.argv
    for name, more in kinds.items():
        sys.argv = ["sharpap", *GRID, "--draws", "3", "-o", str(home / name), "--store", str(home / "store"), *more]
        with suppress(SystemExit):  # tests below would miss what a failed run did not write
            main()
    sys.argv = old
    return home


def measured(folder):
    return pl.read_parquet(folder / "results.parquet").filter(pl.col("target") == -1)


def test_means_are_those_of_the_table(sharpap, folders):
    code, text, err = sharpap("results", folders / "large", "--metric", "all", "--k", 10, "--k", 50, "--json")
    assert code == 0, err
    found = pl.DataFrame(json.loads(text))
    assert set(found["k"]) == {0, 10, 50}
    assert set(found["run"]) == {"large"}
    by_hand = measured(folders / "large").group_by("attack", "victim", "metric", "k").agg(pl.col("value").mean())
    both = found.join(by_hand, on=["attack", "victim", "metric", "k"])
    assert both.height == found.drop_nulls("mean").height > 30
    assert (both["mean"] - both["value"]).abs().max() < 1e-12
    assert set(found["failed"]) == {0}


def test_filters_and_pivot(sharpap, folders):
    one = ["--attack", "bandwagon", "--victim", "ease", "--metric", "N", "--k", 50]
    (row,) = json.loads(sharpap("results", folders / "large", *one, "--json")[1])
    wanted = measured(folders / "large").filter(
        (pl.col("attack") == "bandwagon")
        & (pl.col("victim") == "ease")
        & (pl.col("metric") == "N")
        & (pl.col("k") == 50)
    )
    assert row["mean"] == pytest.approx(wanted["value"].mean())
    both = [folders / "small", folders / "large"]
    pivoted = pl.DataFrame(json.loads(sharpap("results", *both, "--pivot", "--k", 50, "--metric", "N", "--json")[1]))
    assert pivoted.columns == ["run", "metric", "k", "attack", "popularity", "ease"]
    assert pivoted["run"].to_list() == ["small"] * 3 + ["large"] * 3
    assert pivoted["attack"].to_list() == ["none", "random", "bandwagon"] * 2
    assert pivoted.row(5)[5] == pytest.approx(row["mean"])
    rows = json.loads(sharpap("results", folders / "large", *one, "--rows", "--json")[1])
    assert len(rows) == 3 * (1 + 5)  # draws x (mean and five targets)


def test_two_runs_are_compared_draw_by_draw(sharpap, folders):
    code, text, err = sharpap(
        "results", folders / "small", folders / "large", "--compare", "--metric", "rank", "--json"
    )
    assert code == 0, err
    key = ["attack", "victim", "draw", "seed", "metric", "k"]
    both = measured(folders / "small").join(measured(folders / "large"), on=key, suffix="_after")
    for row in json.loads(text):
        part = both.filter(
            (pl.col("attack") == row["attack"]) & (pl.col("victim") == row["victim"]) & (pl.col("metric") == "rank")
        )
        assert row["n"] == 3
        assert row["change"] == pytest.approx((part["value_after"] - part["value"]).mean())
        assert row["before"] == pytest.approx(part["value"].mean())
        assert row["low"] <= row["change"] <= row["high"]
    assert {row["change"] for row in json.loads(text) if row["attack"] == "none"} == {0.0}


def test_what_is_asked_wrongly_is_answered(sharpap, folders, tmp_path):
    small, other = folders / "small", folders / "other"
    for args, word in [
        ([small, "--attack", "bandwagn"], "Did you mean 'bandwagon'"),
        ([small, "--metric", "HR"], "no metric 'HR'"),
        ([small, "--k", 7], "no K = 7"),
        ([small, "--compare"], "Name two folders"),
        ([small, other, "--compare"], "different targets or seed"),
        ([small, small], "named twice"),
        ([small, "--pivot", "--rows"], "exclude each other"),
        ([small, "-o", tmp_path / "x.xlsx"], "no known suffix"),
    ]:
        code, _, err = sharpap("results", *args)
        assert code == 2
        assert word in err
    assert sharpap("results", tmp_path)[0] == 1
    (tmp_path / "x.csv").write_text("mine")
    code, _, err = sharpap("results", small, "-o", tmp_path / "x.csv")
    assert code == 2
    assert (tmp_path / "x.csv").read_text() == "mine"


def test_exports_hold_the_same_numbers(sharpap, folders, tmp_path):
    shown = sharpap("results", folders / "small")[1]
    assert "popularity" in shown
    assert "bandwagon" in shown
    for suffix in ("parquet", "csv"):
        code, text, err = sharpap("results", folders / "small", "-o", tmp_path / f"t.{suffix}")
        assert code == 0, err
        assert "rows written" in text
    assert pl.read_csv(tmp_path / "t.csv").equals(pl.read_parquet(tmp_path / "t.parquet"))
    sharpap("results", folders / "small", "--pivot", "-o", tmp_path / "t.tex")
    tex = (tmp_path / "t.tex").read_text()
    assert tex.count("\\\\\n") == 1 + 3 * 2
    assert r"\begin{tabular}{llrlrr}" in tex


def test_formulas_do_not_reach_a_spreadsheet(tmp_path):
    names = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "plain", "a=b", "", "\n=1"]
    export(pl.DataFrame({"attack": names, "value": [-1.5] * len(names)}), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["attack"] for row in rows] == [
        f"'{printable(name)}" if name[:1] in tuple("=+-@\t\n") and name else name for name in names
    ]
    assert {row["value"] for row in rows} == {"-1.5"}  # numbers stay numbers
    export(pl.DataFrame({"=evil": [1]}), tmp_path / "t2.csv")
    assert (tmp_path / "t2.csv").read_text().startswith("'=evil")


def test_latex_is_escaped():
    text = latex(
        pl.DataFrame({"a_b": ["50 % & $x$ #1 {y} \\input{z} ~^"], "v": [float("nan")], "n": [None], "w": [0.5]})
    )
    assert r"a\_b" in text
    assert r"50 \% \& \$x\$ \#1 \{y\} \textbackslash{}input\{z\} \textasciitilde{}\textasciicircum{}" in text
    assert "& -- & -- & 0.5000" in text


RAW = "\x1b]0;owned\x07\u202egnp.exe\x9b31m"


def test_control_characters_of_names_reach_no_file(tmp_path):
    """Those that drive a terminal, hide text or turn it round, in what is opened in a pager, an editor or a spreadsheet."""
    table = pl.DataFrame({"victim": [RAW], RAW: [0.5], printable(RAW): [0.25]})
    for suffix in (".csv", ".tex"):
        export(table, tmp_path / f"t{suffix}")
        text = (tmp_path / f"t{suffix}").read_text("utf-8")
        assert not [mark for mark in text if not mark.isprintable() and mark != "\n"]
        assert text.count("x1b") == 3
    export(table, tmp_path / "t.parquet")
    assert pl.read_parquet(tmp_path / "t.parquet").equals(table)


def test_hits_stand_beside_the_bound_on_any_attack(sharpap, folders):
    code, text, err = sharpap("results", folders / "small", folders / "large", "--bound", "--k", 10, "--json")
    assert code == 0, err
    found = pl.DataFrame(json.loads(text))
    assert found.select("run", "attack", "victim").rows() == [
        (run, attack, "ease") for run in ("small", "large") for attack in ("random", "bandwagon")
    ]
    by_hand = measured(folders / "large").filter((pl.col("k") == 10) & (pl.col("victim") == "ease"))
    for column, metric, attack in (("bound", "reach", "none"), ("hits", "H", "bandwagon")):
        mean = by_hand.filter((pl.col("metric") == metric) & (pl.col("attack") == attack))["value"].mean()
        assert found.row(3, named=True)[column] == pytest.approx(mean)
    code, text, err = sharpap("results", folders / "small", "--bound", "--victim", "popularity")
    assert code == 2
    assert "no victim 'popularity'" in err


def test_how_far_any_attack_could_get_without_one(sharpap, tmp_path):
    """The same targets, seed and data as a run's: the same bound."""
    data = ["--data", "synthetic", *GRID[3:9]]
    run = [
        "run",
        *data,
        "--attack",
        "random",
        "--victim",
        "item-knn",
        "--draws",
        2,
        "--set",
        "victims.item-knn.shrinkage=3",
    ]
    assert sharpap(*run, "-o", tmp_path / "r", "-q")[0] == 0
    shares = json.loads((tmp_path / "r" / "provenance.json").read_text())["reach"]["shares"]["item-knn"]
    asked = ["reach", "item-knn", *data, "--draws", 2, "--set", "shrinkage=3"]
    found = json.loads(sharpap(*asked, "--json")[1])["reach"]["shares"]["item-knn"]
    assert 0 < shares["10"][0] < 1
    assert found["10"] == shares["10"]
    text = sharpap(*asked)[1]
    assert "10 % (8)" in text
    assert "as long as the other items keep the scores" in text
    code, text, _ = sharpap("reach", "popularity", *data)
    assert code == 0
    assert "no bound is known" in text
