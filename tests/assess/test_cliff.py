"""The bound by number of fakes: kept with the results, shown beside what was measured, and exceeded only with words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from markupsafe import escape

import sharpap
from sharpap.assess import Results
from sharpap.assess.rows import SCHEMA
from sharpap.assess.tables.cliff import Cliffs, beside_bound, verdict
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.data import TargetPool, split, synthetic
from sharpap.recommenders import EASE, WRMF, ItemKNN, Popularity
from sharpap.report import html
from sharpap.report.page import notes
from sharpap.threat import Budget


@pytest.fixture(scope="module")
def results() -> Results:
    return sharpap.stress_test(
        split(synthetic(150, 200, 4000, seed=2), seed=0, name="made"),
        attacks={"random": RandomAttack(), "bandwagon": Bandwagon()},
        victims={"popularity": Popularity(), "wrmf": WRMF(embedding_size=8, epochs=4), "ease": EASE(), "item-knn": ItemKNN()},
        targets=TargetPool(draws=2), budget=Budget(fake_users=8), seeds=2, ks=(5, 10),
    )  # fmt: skip


def test_the_cliff_holds_the_bound_of_the_grid_and_of_other_budgets(results):
    found = results.cliffs
    assert list(found.shares) == ["wrmf", "ease", "item-knn"]
    assert (found.budget, found.budgets[2]) == (8, (0.01, 2))
    rows = results.frame.filter((pl.col("metric") == "reach") & (pl.col("target") == -1))
    for victim in found.shares:
        for k in (5, 10):
            mean = rows.filter((pl.col("victim") == victim) & (pl.col("k") == k))["value"].mean()
            assert found.at(victim, k, 8) == pytest.approx(mean, abs=1e-5)
            shares = [share for _, share in found.curve(victim, k)]
            assert (np.diff(shares) >= 0).all()
            assert found.curve(victim, k)[-1][0] == 15
    assert found.at("popularity", 5, 8) is None
    assert found.at("ease", 5, 150) is None


def test_it_survives_the_disk_and_older_results_have_none(results, tmp_path):
    again = Results.load(results.save(tmp_path / "r"))
    assert again.cliffs == results.cliffs
    assert again.beside_bound.equals(results.beside_bound)
    older = replace(again, provenance={k: v for k, v in again.provenance.items() if k != "reach"})
    assert older.cliffs is None
    assert "How far any attack could reach" not in html(older)


def test_the_report_draws_it_with_what_was_measured(results):
    page = html(results)
    part = page[page.index("How far any attack could reach") :]
    part = part[: part.index("<h2", 10)]
    assert part.count("<polyline") == part.count("<circle") == 3
    assert "Not known for popularity." in part
    assert "none lies above its bound" in part
    share = results.cliffs.at("ease", 10, 2)
    assert f"<td>{100 * share:.1f}</td>" in part
    assert "nan" not in part


def frame(value: float, bound: float) -> pl.DataFrame:
    rows = [("none", "v", 0, 0, "reach", 10, target, bound) for target in (3, 4, -1)]
    rows += [("none", "v", 0, 0, "H", 10, target, 0.9) for target in (3, 4, -1)]
    rows += [("a", "v", 0, 0, "H", 10, target, each) for target, each in ((3, value), (4, 0.0), (-1, value / 2))]
    rows += [("a", "other", 0, 0, "H", 10, 3, 1.0), ("a", "v", 0, 0, "H", 20, 3, 1.0)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("value", "bound", "closest", "above"), [(0.1, 0.4, 0.25, 0), (0.3, 0.2, 1.5, 1), (0.1, 0.0, np.inf, 1)]
)
def test_what_lies_above_its_bound_is_counted(value, bound, closest, above):
    (row,) = beside_bound(frame(value, bound)).to_dicts()
    assert row["closest"] == pytest.approx(closest)
    del row["closest"]
    assert row == {
        "attack": "a", "victim": "v", "k": 10, "hits": value / 2, "bound": bound, "cells": 2, "above": above,
    }  # fmt: skip


def test_the_page_says_why_an_attack_may_lie_above(results):
    assert not any("lie above" in note for note in notes(results))
    rows = [(*row[:7], 0.0) if row[4] in ("reach", "H") else row for row in results.rows]
    place = next(
        i for i, row in enumerate(rows) if row[:2] == ("random", "ease") and row[4:6] == ("H", 5) and row[6] >= 0
    )
    rows[place] = (*rows[place][:7], 0.5)
    above = replace(results, rows=rows)
    (note,) = (note for note in notes(above) if "bound on any attack" in note)
    assert note.startswith("1 of 240 measured shares lie above")
    assert "random on ease in lists of 5" in note
    assert "fakes that lower these can get above it" in note
    assert str(escape(note)) in html(above)
    assert verdict(beside_bound(results.frame.clear())) == ""


def test_a_cliff_is_in_order():
    with pytest.raises(ValueError, match="out of order"):
        Cliffs(users=9, budget=1, fakes=[2, 1], shares={})
    with pytest.raises(ValueError, match="not as long"):
        Cliffs(users=9, budget=1, fakes=[1, 2], shares={"v": {5: [0.5]}})
