"""Detectors that learn from simulated fakes: what they learn from, whom they may not learn from, and what they find."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from scipy.sparse import csr_array

from sharpap.assess.audit.detection import detect, unseen
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.config import build
from sharpap.config.registry import name_of
from sharpap.data import load
from sharpap.detectors import CoDetector, DegreeSAD, ProfileClassifier, SemiSAD, Simulating, suspicion
from sharpap.detectors.codetector import _least_squares, _Part, user_sppmi
from sharpap.errors import ConfigError
from sharpap.metrics import detection_auc
from sharpap.threat import Budget, Goal

pytest.importorskip("sklearn")

OURS = [DegreeSAD(), ProfileClassifier(), SemiSAD(), CoDetector(sweeps=3)]


@pytest.fixture(scope="module")
def world():
    """Users with tastes and a long tail; (matrix, fake rows) under attacks."""
    train = load("synthetic", users=250, items=150, interactions=6000).train.matrix
    rare = tuple(map(int, np.argsort(np.bincount(train.indices, minlength=150), kind="stable")[:3]))

    def poisoned(attack):
        everyone = attack.poison(train, Goal(targets=rare), Budget(fake_users=15), seed=1).inject(train)
        return everyone, np.arange(everyone.shape[0]) >= train.shape[0]

    return train, poisoned


@dataclass(frozen=True, kw_only=True)
class Seen(Simulating):
    """Keeps what it is given to learn from."""

    kept: ClassVar[list[tuple[csr_array, int]]] = []

    def _judged(self, everyone, genuine, seed):
        self.kept.append((everyone, genuine))
        return np.zeros(genuine)


def test_simulated_fakes_have_targets_and_lengths_of_their_own(world):
    train, _ = world
    Seen.kept.clear()
    Seen(attacks=(RandomAttack(), Bandwagon()), simulated=0.2, draws=4).suspicion(train, seed=3)
    ((everyone, genuine),) = Seen.kept
    users = int((np.diff(train.indptr) > 0).sum())
    assert genuine == users
    assert everyone.shape[0] - genuine == round(0.2 * users)
    fakes = everyone[genuine:].toarray()
    lengths = fakes.sum(1)
    assert set(lengths) <= set(np.diff(train.indptr))
    assert len(set(lengths)) > 3
    shared = fakes[lengths == lengths[0]].all(0)
    assert shared.sum() >= 5  # one group, one set of targets
    assert not fakes[:, shared].all()


def test_a_user_is_judged_by_what_has_not_learnt_from_that_user(world, monkeypatch):
    train, _ = world
    learnt = []

    class Memory:
        def fit(self, columns, labels):
            self.rows = {tuple(row) for row in columns[~labels]}
            learnt.append(len(self.rows))

        def predict_proba(self, columns):
            known = np.array([tuple(row) in self.rows for row in columns], dtype=float)
            return np.column_stack([1 - known, known])

    monkeypatch.setattr("sharpap.detectors.simulated._classifier", lambda kind, seed: Memory())
    monkeypatch.setattr(DegreeSAD, "columns", lambda self, everyone, *, seed: np.arange(everyone.shape[0])[:, None])
    found = suspicion(DegreeSAD(folds=4), train, seed=0)
    assert (found[np.isfinite(found)] == 0).all()
    assert len(learnt) == 4


@pytest.mark.parametrize(
    ("detector", "attack"),
    [(DegreeSAD(), "random"), (SemiSAD(), "random"), (CoDetector(), "random"), (ProfileClassifier(), "copy")],
    ids=lambda each: type(each).__name__,
)
def test_an_attack_that_was_not_simulated_is_ranked_above_chance(detector, attack, ml100k):
    train = ml100k.train.matrix
    poison = build("attack", attack).poison(train, Goal(targets=(1500, 1600)), Budget(fake_users=0.05), seed=0)
    blind = unseen(detector, attack)
    assert isinstance(blind, Simulating)
    assert len(blind.attacks) == len(detector.attacks) - 1
    found = suspicion(blind, poison.inject(train), seed=0)
    assert detection_auc(found, np.arange(len(found)) >= train.shape[0]) > 0.7


@pytest.mark.parametrize("detector", OURS, ids=lambda each: type(each).__name__)
def test_fakes_of_a_simulated_kind_are_found_again_and_in_any_order(detector, world):
    _, poisoned = world
    everyone, fake = poisoned(RandomAttack())
    known = replace(detector, attacks=(RandomAttack(),))
    found = suspicion(known, everyone, seed=0)
    assert detection_auc(found, fake) > 0.65
    np.testing.assert_array_equal(suspicion(known, everyone, seed=0), found)
    turned = suspicion(known, csr_array(everyone[::-1]), seed=0)[::-1]
    np.testing.assert_allclose(turned, found, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("detector", OURS, ids=lambda each: type(each).__name__)
def test_scores_belong_to_rows_without_the_help_of_suspicion(detector, world):
    train, _ = world
    known = np.diff(train.indptr) > 0
    straight = detector.suspicion(train, seed=0)
    turned = detector.suspicion(csr_array(train[::-1]), seed=0)[::-1]
    np.testing.assert_allclose(turned[known], straight[known], rtol=1e-6, atol=1e-9)


def test_an_evaluation_takes_the_tested_attack_out_of_what_is_simulated(world):
    train, _ = world
    poison = RandomAttack().poison(train, Goal(targets=(3,)), Budget(fake_users=10), seed=0)
    given = []

    @dataclass(frozen=True, kw_only=True)
    class Watched(Seen):
        def suspicion(self, train, *, seed):
            given.append(tuple(name_of("attack", each) for each in self.attacks))
            return np.zeros(train.shape[0])

    detect(train, {"a run's own name": {0: poison}}, {"watched": Watched()})
    assert given == [("average", "bandwagon", "segment", "copy")]
    with pytest.raises(ConfigError, match="simulates only random"):
        detect(train, {"x": {0: poison}}, {"watched": Watched(attacks=(RandomAttack(),))})


def test_every_simulated_attack_is_known_by_the_name_that_its_profiles_bear(world):
    train, _ = world
    for each in Seen().attacks:
        made = each.poison(train, Goal(targets=(3,)), Budget(fake_users=2), seed=0)
        assert made.attack == name_of("attack", each)


def test_attacks_are_named_in_a_table():
    made = build("detector", {"name": "degree-sad", "attacks": ["random", {"name": "bandwagon", "popular_share": 0.2}]})
    assert made == DegreeSAD(attacks=(RandomAttack(), Bandwagon(popular_share=0.2)))
    with pytest.raises(ConfigError, match="attacks"):
        DegreeSAD(attacks=())
    with pytest.raises(ConfigError, match="simulated"):
        DegreeSAD(simulated=0.0)


def test_degrees_are_mean_range_and_lower_quartile_of_popularity(blocks):
    x = blocks.toarray().astype(bool)
    popularity = x.sum(0)
    expected = []
    for row in x:
        own = np.sort(popularity[row])
        expected.append([own.mean(), own.max() - own.min(), own[int((len(own) - 1) / 4)]])
    np.testing.assert_allclose(DegreeSAD().columns(blocks, seed=0), expected)


def test_sppmi_is_the_dense_formula(blocks, monkeypatch):
    monkeypatch.setattr("sharpap.detectors.codetector.BLOCK_ENTRIES", 500)
    x = blocks.toarray().astype(float)
    shared = x @ x.T
    np.fill_diagonal(shared, 0)
    shared[shared <= 2] = 0
    total = shared.sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log2(shared * total.sum() / np.outer(total, total)) - np.log2(1.2)
    expected = np.where(np.isfinite(value) & (value > 0), value, 0)
    found = user_sppmi(blocks, negatives=1.2, common=2, contexts=60).toarray()  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(found, expected / expected.max(), atol=1e-12)
    few = user_sppmi(blocks, negatives=1.2, common=2, contexts=3).toarray()  # pyright: ignore[reportArgumentType]
    assert (few > 0).sum(1).max() == 3
    row = int(np.argmax((expected > 0).sum(1)))
    np.testing.assert_allclose(np.sort(few[row])[-3:], np.sort(found[row])[-3:])


def test_least_squares_solve_both_factorisations_together(blocks, monkeypatch):
    monkeypatch.setattr("sharpap.detectors.codetector.BLOCK_ENTRIES", 100)  # eleven rows at a time
    draw = np.random.default_rng(0)
    x = blocks.toarray().astype(float)
    Q, G = draw.standard_normal((40, 3)), draw.standard_normal((60, 3))
    company = csr_array(np.triu(draw.random((60, 60)), 50))
    found = _least_squares([_Part(blocks, Q, 2.0, 0.5), _Part(company, G, 0.7, 0.0)], 1.5)
    for user in (0, 7, 59):
        weight, pairs = np.where(x[user] > 0, 2.0, 0.5), company.toarray()[user]
        there = 0.7 * (pairs > 0)
        gram = Q.T @ (weight[:, None] * Q) + G.T @ (there[:, None] * G) + 1.5 * np.eye(3)
        np.testing.assert_allclose(found[user], np.linalg.solve(gram, Q.T @ (weight * x[user]) + G.T @ (there * pairs)))


def test_users_in_one_company_get_factors_alike(world):
    """The second factorisation moves factors, and its weight says how much."""
    train, _ = world
    train = train[np.diff(train.indptr) > 0]
    plain = CoDetector(sweeps=3, co_weight=0.0).columns(train, seed=0)
    joint = CoDetector(sweeps=3, co_weight=5.0).columns(train, seed=0)
    assert not np.allclose(plain, joint)
    near = user_sppmi(train, negatives=1, common=4, contexts=100).toarray()

    def agreement(factors):
        unit = factors / np.linalg.norm(factors, axis=1, keepdims=True)
        off = ~np.eye(len(unit), dtype=bool)
        return np.corrcoef((unit @ unit.T)[off], near[off])[0, 1]

    assert agreement(joint) > agreement(plain)


def test_rounds_without_labels_move_fakes_out_of_the_genuine_class(world):
    _, poisoned = world
    everyone, fake = poisoned(RandomAttack())
    own = SemiSAD(attacks=(RandomAttack(),))
    once, often = (suspicion(replace(own, steps=steps), everyone, seed=0) for steps in (1, 30))
    assert not np.allclose(once, often)
    assert (often[fake] > 0).mean() >= (once[fake] > 0).mean() > 0.5
