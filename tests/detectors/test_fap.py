"""FAP: propagation against a dense formula, seeds of both kinds, and how an evaluation tells it some fakes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from sharpap.assess.audit.detection import detect
from sharpap.attacks import CopyAttack
from sharpap.detectors import FAP, ProfileSize, RarityDeviation, suspicion
from sharpap.errors import ConfigError
from sharpap.threat import Budget, Goal

GOAL = Goal(targets=(5, 17))


@pytest.fixture
def planted(blocks):
    """The two taste groups and nine fakes that copy genuine users and hold two targets."""
    return CopyAttack().poison(blocks, GOAL, Budget(fake_users=9), seed=0)


def test_three_rounds_are_averages_over_items_and_users(blocks):
    x = blocks.toarray().astype(float)
    known = np.array([3, 8])
    found = np.zeros(60)
    for _ in range(3):
        found[known] = 1
        found = (x / x.sum(1, keepdims=True)) @ ((x.T @ found) / np.maximum(x.sum(0), 1))
    np.testing.assert_allclose(FAP(steps=3, tolerance=0).suspicion(blocks, seed=0, known=known), found, rtol=1e-9)


def test_it_ends_before_everybody_is_a_fake(blocks):
    known = np.array([3])
    early = FAP().suspicion(blocks, seed=0, known=known)
    late = FAP(steps=20_000, tolerance=0).suspicion(blocks, seed=0, known=known)
    assert late.min() > 0.99
    assert early.max() < 0.5


def test_known_fakes_find_the_others_wherever_rows_stand(blocks, planted):
    everyone = planted.inject(blocks)
    fake = np.arange(69) >= 60
    found = suspicion(FAP(), everyone, seed=0, known=np.array([60, 61, 62]))
    others = np.flatnonzero(fake)[3:]
    assert np.mean(found[others][:, None] > found[:60]) > 0.9
    blind = suspicion(FAP(), everyone, seed=0)
    assert np.mean(blind[others][:, None] > blind[:60]) < np.mean(found[others][:, None] > found[:60])
    turned = suspicion(FAP(), csr_array(everyone[::-1]), seed=0, known=np.array([8, 7, 6]))
    np.testing.assert_allclose(turned[::-1], found)


def test_without_known_fakes_the_most_suspicious_are_seeds(blocks):
    padded = csr_array(vstack([blocks, csr_array((2, 40))]))
    most = np.argsort(-RarityDeviation().suspicion(blocks, seed=0))[:6]
    found = FAP(seeds=0.1).suspicion(padded, seed=0)
    np.testing.assert_allclose(found[:60], FAP().suspicion(blocks, seed=0, known=most))
    assert np.isneginf(found[60:]).all()
    other = FAP(seeds=0.1, detector=ProfileSize()).suspicion(blocks, seed=0)
    assert not np.allclose(other, found[:60])
    np.testing.assert_array_equal(FAP().suspicion(blocks, seed=0, known=np.arange(0)), FAP().suspicion(blocks, seed=0))


@dataclass(frozen=True, kw_only=True)
class Witness:
    """Keeps what it is told."""

    told: int
    seen: ClassVar[list[list[bytes]]] = []

    def suspicion(self, train, *, seed, known=None):
        self.seen.append([] if known is None else [train[[row]].indices.tobytes() for row in known])
        return np.arange(train.shape[0], dtype=float)


def test_an_evaluation_tells_fakes_to_whoever_asks_and_does_not_count_them(blocks, planted):
    fakes = {planted.profiles[[row]].indices.tobytes() for row in range(9)}
    Witness.seen.clear()
    chosen = {"asks": Witness(told=3), "greedy": Witness(told=50), "does not": Witness(told=0)}
    asks, greedy, silent = detect(blocks, {"copy": {0: planted}}, chosen)
    assert [len(each) for each in Witness.seen] == [3, 4, 0]  # at most half of nine
    assert all(set(each) <= fakes for each in Witness.seen)
    assert [asks.told, greedy.told, silent.told] == [3, 4, 0]
    assert asks.label == "asks (told 3 fakes)"
    assert silent.label == "does not"
    assert asks.guessing == pytest.approx(6 / 66)
    assert asks.lost <= 6  # those it was told are left out first
    Witness.seen.clear()
    (untold,) = detect(blocks, {"copy": {0: planted}}, {"asks": Witness(told=3)}, tell=False)
    assert Witness.seen == [[]]
    assert untold.told == 0


def test_being_told_is_worth_something(blocks):
    made = {draw: CopyAttack().poison(blocks, GOAL, Budget(fake_users=9), seed=draw) for draw in range(8)}
    told, blind = detect(blocks, {"copy": made}, {"fap": FAP(told=3), "blind": FAP()})
    assert told.auc.mean > blind.auc.mean + 0.1
    assert told.average_precision.mean > blind.average_precision.mean


@pytest.mark.parametrize(
    ("options", "message"), [({"seeds": 1.0}, "seeds"), ({"told": -1}, "told"), ({"steps": 0}, "steps")]
)
def test_settings_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        FAP(**options)
