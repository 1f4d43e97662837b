"""AUC and precision of a detector against all pairs and against all orders of ties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sharpap.metrics import detection_auc, detection_average_precision, detection_precision


def test_auc_counts_all_pairs():
    draw = np.random.default_rng(0)
    scores, fake = draw.integers(0, 5, 40).astype(float), draw.random(40) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[fake] for b in scores[~fake]]
    assert detection_auc(scores, fake) == pytest.approx(np.mean(pairs))
    assert np.isnan(detection_auc(scores, np.zeros(40, bool)))


def test_average_precision_adds_up_over_thresholds():
    scores = np.array([4.0, 3.0, 3.0, 2.0, 1.0, -np.inf])
    fake = np.array([True, False, True, False, True, True])
    # thresholds 4, 3 and 1 find one fake each, among 1, 3 and 5 users; the last user is not judged
    assert detection_average_precision(scores, fake) == pytest.approx((1 / 1 + 2 / 3 + 3 / 5) / 3)
    assert np.isnan(detection_average_precision(scores, np.zeros(6, bool)))


@pytest.mark.parametrize("seed", range(5))
def test_auc_and_average_precision_are_those_of_scikit_learn(seed):
    witness = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(seed)
    scores, fake = draw.integers(0, 12, 80).astype(float), draw.random(80) < 0.2
    assert detection_auc(scores, fake) == pytest.approx(witness.roc_auc_score(fake, scores))
    assert detection_average_precision(scores, fake) == pytest.approx(witness.average_precision_score(fake, scores))


@pytest.mark.parametrize("n", [1, 3, 4, None])
def test_precision_is_the_mean_over_all_orders_of_ties(n):
    scores = np.array([3.0, 1.0, 1.0, 0.0, 1.0, -np.inf])
    fake = np.array([False, True, False, False, True, False])
    orders = [
        order
        for order in itertools.permutations(range(5))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    wanted = n or 2
    expected = np.mean([fake[list(order[:wanted])].mean() for order in orders])
    assert detection_precision(scores, fake, n) == pytest.approx(expected)
