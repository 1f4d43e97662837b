"""Detectors against dense formulas, one by one, and against attacks on real data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from sharpap.assess.audit.detection import usable
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.config import build
from sharpap.data.interactions import canonical_csr
from sharpap.detectors import (
    DegSim,
    PCAVarSelect,
    ProfilePopularity,
    ProfileSize,
    RandomScores,
    RarityDeviation,
    UnRAP,
    most_suspicious,
    suspicion,
)
from sharpap.errors import ContractError
from sharpap.metrics import detection_auc
from sharpap.threat import Budget, Goal

NAMES = usable()


def test_pca_is_minus_the_squared_loadings_of_a_dense_pca(blocks):
    dense = blocks.toarray().astype(float)
    z = (dense - dense.mean(1, keepdims=True)) / dense.std(1, keepdims=True)
    values, vectors = np.linalg.eigh(z @ z.T)
    loadings = vectors[:, np.argsort(-values)[:3]]
    np.testing.assert_allclose(PCAVarSelect().suspicion(blocks, seed=0), -(loadings**2).sum(1), atol=1e-8)


def test_unrap_is_the_mean_squared_residue_over_the_variance_of_the_profile(blocks):
    x = blocks.toarray().astype(float)
    residue = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    expected = (residue**2).sum(1) / ((x - x.mean(1, keepdims=True)) ** 2).sum(1)
    np.testing.assert_allclose(UnRAP().suspicion(blocks, seed=0), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["rdma", "wdma", "wda"])
def test_rarity_deviates_from_the_mean_of_each_item(kind, blocks):
    x = blocks.toarray().astype(float)
    count = x.sum(0)
    deviation = x * np.abs(1 - x.mean(0)) / np.maximum(count, 1) ** (2 if kind == "wdma" else 1)
    expected = deviation.sum(1) / (1 if kind == "wda" else x.sum(1))
    np.testing.assert_allclose(RarityDeviation(kind=kind).suspicion(blocks, seed=0), expected, rtol=1e-9)


@pytest.mark.parametrize("weighted", [True, False])
def test_degsim_is_the_mean_cosine_of_the_nearest(weighted, blocks, monkeypatch):
    monkeypatch.setattr("sharpap.detectors.neighbours.BLOCK_ENTRIES", 500)
    x = blocks.toarray().astype(float)
    if weighted:
        x = x * np.log(len(x) / np.maximum(x.sum(0), 1))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    near = x @ x.T
    np.fill_diagonal(near, -1)
    expected = np.sort(near, axis=1)[:, -4:].mean(1)
    found = DegSim(neighbours=4, inverse_popularity=weighted).suspicion(blocks, seed=0)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_sizes_and_popularity_are_distances_from_the_rule(blocks):
    x = blocks.toarray().astype(float)
    length = np.log(x.sum(1))
    expected = np.abs(length - length.mean()) / length.std()
    np.testing.assert_allclose(ProfileSize().suspicion(blocks, seed=0), expected, rtol=1e-9)
    mean = (x @ np.log(np.maximum(x.sum(0), 1))) / x.sum(1)
    residual = mean - np.polyval(np.polyfit(length, mean, 1), length)
    np.testing.assert_allclose(
        ProfilePopularity().suspicion(blocks, seed=0), np.abs(residual) / residual.std(), rtol=1e-7
    )


@pytest.mark.parametrize("name", NAMES)
def test_users_without_interactions_are_not_judged_and_change_nobody_else(name, blocks):
    padded = csr_array(vstack([blocks, csr_array((2, blocks.shape[1]))]))
    found, before = (suspicion(build("detector", name), matrix, seed=0) for matrix in (padded, blocks))
    assert np.isneginf(found[-2:]).all()
    assert np.argmax(found) == np.argmax(before)


@pytest.mark.parametrize("name", NAMES)
def test_where_a_row_stands_changes_nobodys_score(name, blocks):
    order = np.random.default_rng(1).permutation(blocks.shape[0])
    straight = suspicion(build("detector", name), blocks, seed=0)
    mixed = suspicion(build("detector", name), canonical_csr(csr_array(blocks[order])), seed=0)
    distinct = np.unique(blocks.toarray(), axis=0, return_inverse=True, return_counts=True)
    alone = distinct[2][distinct[1]] == 1  # equal profiles may change places
    np.testing.assert_array_equal(mixed[alone[order]], straight[order][alone[order]])


def test_a_detector_that_reads_positions_learns_nothing(blocks):
    class Last:
        def suspicion(self, train, *, seed):
            return np.arange(train.shape[0])

    fake = np.arange(blocks.shape[0]) >= 45
    aucs = [detection_auc(suspicion(Last(), blocks, seed=seed), fake) for seed in range(40)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.1)


def test_guessing_is_guessing(blocks):
    fake = np.arange(blocks.shape[0]) >= 45
    aucs = [detection_auc(suspicion(RandomScores(), blocks, seed=seed), fake) for seed in range(100)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.06)
    assert np.std(aucs) > 0.02


def test_ties_are_not_broken_by_position():
    matrix = canonical_csr(np.tril(np.ones((40, 40))))
    orders = [most_suspicious(np.zeros(40), matrix, seed=seed) for seed in range(60)]
    assert np.mean([order[:20].mean() for order in orders]) == pytest.approx(19.5, abs=2)
    assert list(most_suspicious(np.arange(40.0), matrix, seed=0)) == list(range(39, -1, -1))


@pytest.mark.parametrize(("name", "least"), [("pca-varselect", 0.8), ("rdma", 0.9), ("profile-popularity", 0.8)])
@pytest.mark.parametrize("attack", [RandomAttack(), Bandwagon()])
def test_fakes_of_heuristics_stand_out_on_real_data(name, least, attack, ml100k):
    train = ml100k.train.matrix
    everyone = attack.poison(train, Goal(targets=(5,)), Budget(fake_users=0.05), seed=0).inject(train)
    fake = np.arange(everyone.shape[0]) >= train.shape[0]
    assert detection_auc(suspicion(build("detector", name), everyone, seed=0), fake) > least


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.zeros(3), "shape"), (np.full(60, np.nan), "NaN"), (np.full(60, "high"), "not numbers")],
)
def test_scores_of_the_wrong_form_are_named(value, message, blocks):
    class Wrong:
        def suspicion(self, train, *, seed):
            return value if len(value) == 3 else np.resize(value, train.shape[0])

    with pytest.raises(ContractError, match=message):
        suspicion(Wrong(), blocks, seed=0)
