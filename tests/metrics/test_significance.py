"""Intervals and corrections against scipy and published examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sharpap.metrics import holm, interval, repetitions


def test_interval_is_students_t():
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    found = interval(values)
    theirs = stats.ttest_1samp(values, 0)
    low, high = theirs.confidence_interval(0.95)
    assert (found.mean, found.low, found.high, found.p) == pytest.approx((values.mean(), low, high, theirs.pvalue))


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(1)
    found = [interval(rng.normal(2, 1, 5)) for _ in range(2000)]
    assert np.mean([each.low < 2 < each.high for each in found]) == pytest.approx(0.95, abs=0.015)


def test_one_repetition_has_no_interval():
    found = interval(np.array([0.4]))
    assert found.mean == 0.4
    assert np.isnan([found.low, found.high, found.p]).all()
    assert interval(np.zeros(3)).p == 1.0
    assert interval(np.full(3, 0.2)).p == 0.25  # three signs alike: 2 of 8


def test_draws_are_the_repetitions_and_seeds_are_averaged():
    draws, seeds, values = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([1.0, 3.0, 5.0, 7.0])
    assert repetitions(draws, seeds, values).tolist() == [2.0, 6.0]
    assert repetitions(draws, seeds, values, by="seed").tolist() == [3.0, 5.0]
    assert repetitions(draws[:2], seeds[:2], values[:2], by="seed").tolist() == [1.0, 3.0]
    assert repetitions(draws[:2], seeds[:2], values[:2]).tolist() == [2.0]  # of several draws one is left


def test_holm_by_hand():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(holm(np.array([np.nan, 0.02]))[0])
    assert holm(np.array([np.nan, 0.02]))[1] == pytest.approx(0.02)
