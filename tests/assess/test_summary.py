"""Tables of an unbalanced grid: what failed must not make what is left look surer, or better, than it is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from sharpap.assess.rows import SCHEMA
from sharpap.assess.tables import summary


def frame(*rows):
    """(attack, draw, seed, metric, value) of victim v at k 10."""
    full = [(attack, "v", draw, seed, metric, 10, -1, value) for attack, draw, seed, metric, value in rows]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def only(table, attack):
    return (
        table.filter(pl.col("attack") == attack).row(0, named=True)
        if "attack" in table.columns
        else table.row(0, named=True)
    )


def test_seeds_of_the_one_draw_that_is_left_are_no_draws():
    hits = [("none", draw, seed, "H", 0.0) for draw in range(3) for seed in range(3)]
    hits += [("whole", draw, seed, "H", 0.1 * draw + 0.01 * seed) for draw in range(3) for seed in range(3)]
    hits += [("torn", 0, seed, "H", 0.5 + 0.01 * seed) for seed in range(3)]  # its draws 1 and 2 failed
    table = summary.table(frame(*hits), ["whole", "torn"], ["v"], metric="H", k=10)
    assert only(table, "whole")["n"] == 3
    torn = only(table, "torn")
    assert (torn["n"], torn["mean"]) == (1, pytest.approx(0.51))
    assert np.isnan([torn["low"], torn["high"]]).all()
    pair = summary.paired(frame(*hits), ["v"], "torn", "whole", metric="H", k=10).row(0, named=True)
    assert pair["n"] == 1
    assert np.isnan(pair["p"])
    one = frame(*(row for row in hits if row[1] == 0))
    assert only(summary.table(one, ["torn"], ["v"], metric="H", k=10), "torn")["n"] == 3


def test_a_change_of_accuracy_is_paired_by_seed_and_its_error_holds_the_clean_runs():
    rng = np.random.default_rng(0)
    clean = {seed: 0.3 + 0.05 * rng.standard_normal() for seed in range(4)}
    rows = [("none", 0, seed, "NDCG", value) for seed, value in clean.items()]
    after = {(d, s): 0.3 + 0.001 * rng.standard_normal() for d in range(5) for s in range(4)}
    rows += [("a", d, s, "NDCG", value) for (d, s), value in after.items()]
    found = only(summary.raised(frame(*rows), ["a"], ["v"], metric="NDCG", k=10), "a")
    differences = [np.mean([after[d, s] for d in range(5)]) - clean[s] for s in range(4)]
    test = stats.ttest_1samp(differences, 0)
    assert (found["n"], found["mean"], found["p"]) == (
        4,
        pytest.approx(np.mean(differences)),
        pytest.approx(test.pvalue),
    )
    pair = summary.paired(frame(*rows), ["v"], "a", "none", metric="NDCG", k=10).row(0, named=True)
    assert (pair["mean"], pair["p"], pair["n"]) == (found["mean"], found["p"], 4)
    assert pair["base_mean"] == pytest.approx(np.mean(list(clean.values())))
    levels = summary.table(frame(*rows), ["a"], ["v"], metric="NDCG", k=10)
    assert (only(levels, "none")["n"], only(levels, "a")["n"]) == (4, 5)
    single = frame(*(row for row in rows if row[2] == 0))  # one seed: nothing is known of its noise
    assert np.isnan(only(summary.raised(single, ["a"], ["v"], metric="NDCG", k=10), "a")["p"])


def test_accuracy_is_compared_on_the_seeds_that_both_have():
    rows = [
        ("none", 0, 0, "NDCG", 0.1),
        ("none", 0, 1, "NDCG", 0.3),
        ("a", 0, 0, "NDCG", 0.1),
        ("a", 1, 0, "NDCG", 0.1),
    ]
    found = only(summary.utility(frame(*rows), ["a"], ["v"], metric="NDCG", k=10), "a")
    assert (found["clean"], found["mean"]) == (pytest.approx(0.2), pytest.approx(0.1))
    assert found["change"] == pytest.approx(0.0)
    lost = only(summary.utility(frame(*rows[2:]), ["a"], ["v"], metric="NDCG", k=10), "a")
    assert lost["mean"] == pytest.approx(0.1)
    assert np.isnan([lost["clean"], lost["change"]]).all()


def test_the_base_of_a_pair_is_its_mean_over_draws():
    rows = [("b", 0, 0, "H", 0.2), ("b", 0, 1, "H", 0.2), ("b", 0, 2, "H", 0.2), ("b", 1, 0, "H", 0.4)]
    rows += [("a", draw, seed, "H", value + 0.1) for _, draw, seed, _, value in rows]
    found = summary.paired(frame(*rows), ["v"], "a", "b", metric="H", k=10).row(0, named=True)
    assert (found["mean"], found["base_mean"]) == (pytest.approx(0.1), pytest.approx(0.3))
