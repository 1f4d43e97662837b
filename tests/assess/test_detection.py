"""What a detector is worth, and what it costs to leave out its suspects."""

from __future__ import annotations

import numpy as np
import pytest

from sharpap.assess.audit.detection import detect, references, retraining
from sharpap.attacks import RandomAttack
from sharpap.data import load
from sharpap.metrics import evaluate, hit_ratio
from sharpap.recommenders import Popularity
from sharpap.threat import Budget, Goal

TARGET = 7
VICTIM = Popularity()


class Informed:
    """Suspects the users who have one item and, for want of more, those with the fewest."""

    def suspicion(self, train, *, seed):
        has = np.bincount(train.nonzero()[0][train.indices == TARGET], minlength=train.shape[0])
        return has * 1000.0 - np.diff(train.indptr)


class Misled:
    """Suspects those with the most items."""

    def suspicion(self, train, *, seed):
        return np.diff(train.indptr).astype(float)


@pytest.fixture(scope="module")
def world():
    dataset = load("synthetic", users=80, items=60, interactions=1500)
    budget = Budget(fake_users=12, profile_size=9)
    poison = RandomAttack().poison(dataset.train.matrix, Goal(targets=(TARGET,)), budget, seed=0)
    return dataset, {"random": {0: poison, 1: poison}}


def test_figures_of_a_detector_and_of_its_removal(world):
    dataset, poisons = world
    train = dataset.train.matrix
    retrain = retraining(dataset, VICTIM, poisons, k=5)
    beside = references(train, poisons, retrain)["random"]
    found = {
        each.detector: each
        for each in detect(train, poisons, {"informed": Informed(), "misled": Misled()}, retrain=retrain)
    }
    misled = found["misled"]
    sizes = np.diff(train.indptr)
    largest = np.sort(sizes)[-12:]
    assert misled.precision.mean == 0
    assert misled.lost == 12
    assert misled.lost_size == pytest.approx(largest.mean() / sizes[sizes > 0].mean())
    assert misled.average_precision.mean < 2 * misled.guessing
    assert misled.guessing == pytest.approx(12 / (12 + (sizes > 0).sum()))
    informed = found["informed"]
    assert informed.auc.mean > 0.9
    assert informed.average_precision.mean > misled.average_precision.mean
    assert informed.lost < 12
    assert informed.auc.n == 2
    assert beside["nobody"]["hits"].mean > beside["the fakes"]["hits"].mean
    assert misled.ndcg is not None
    assert misled.hits is not None
    assert misled.hits.mean >= beside["nobody"]["hits"].mean  # all fakes are still there


def test_removing_the_fakes_alone_is_the_clean_model(world):
    dataset, poisons = world
    poison = poisons["random"][0]
    retrain = retraining(dataset, VICTIM, poisons, k=5)
    fakes = dataset.train.num_users + np.arange(poison.num_fake)
    beside = references(dataset.train.matrix, poisons, retrain)["random"]["the fakes"]
    train = dataset.train.matrix
    clean = VICTIM.fit(train, seed=0)
    seen = evaluate(clean, train, targets=(TARGET,), held_out=dataset.test.matrix, ks=(5,))
    assert beside["ndcg"].mean == pytest.approx(seen.ndcg[5])
    assert beside["hits"].mean == pytest.approx(np.nanmean(hit_ratio(seen.ranks, 5)))
    assert retrain("random", 0, fakes[:3]).hits >= beside["hits"].mean


def test_without_a_victim_nothing_is_trained(world):
    dataset, poisons = world
    (found,) = detect(dataset.train.matrix, poisons, {"misled": Misled()})
    assert found.ndcg is None
    assert found.hits is None
