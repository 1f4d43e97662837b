"""Detectors of groups: each finds a planted one, by the rule of its source."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_array

from sharpap.config import build
from sharpap.data.interactions import canonical_csr
from sharpap.detectors import Autoencoder, CoVisits, DenseBlock, in_windows, suspicion
from sharpap.detectors.statistics import item_popularity
from sharpap.errors import ConfigError
from sharpap.metrics import detection_auc, detection_average_precision

FAKES = 20


@pytest.fixture(scope="module")
def planted() -> csr_array:
    """300 users who choose among 200 items by popularity, and 20 who share six rare items and choose the rest alike."""
    draw = np.random.default_rng(0)
    chance = np.clip(3 / np.arange(1, 201) ** 0.9, 0.01, 0.6)
    dense = draw.random((300 + FAKES, 200)) < chance
    dense[300:, 190:196] = True
    dense[:, 0] = True
    return canonical_csr(dense.astype(np.float32))


FAKE = np.arange(300 + FAKES) >= 300


def by_hand(train: csr_array, offset: float = 5.0) -> tuple[list[int], list[int]]:
    """Rows in the order in which they go, and rows of the densest block, without a tree."""
    dense = train.toarray() * (1 / np.log(item_popularity(train) + offset))
    rows, columns = list(range(train.shape[0])), list(range(train.shape[1]))
    gone, best = [], (-1.0, [0])
    while rows or columns:
        left = dense[np.ix_(rows, columns)]
        density = left.sum() / (len(rows) + len(columns))
        best = max(best, (density + 1e-12 * len(gone), list(rows)), key=lambda each: each[0])
        held = np.concatenate([left.sum(1), left.sum(0)])
        least = int(np.argmin(held))
        if least < len(rows):
            gone.append(rows.pop(least))
        else:
            columns.pop(least - len(rows))
    return gone, best[1]


def test_dense_block_peels_as_one_does_by_hand(blocks):
    # with weights that never tie, the order of users says nothing
    detector = DenseBlock()
    scores = suspicion(detector, blocks, seed=0)
    gone, block = by_hand(blocks)
    assert list(detector.block(blocks, seed=0)) == sorted(block)
    assert np.corrcoef(np.argsort(np.argsort(scores)), np.argsort(gone))[0, 1] > 0.95  # ties apart
    assert set(np.argsort(scores)[-len(block) :]) == set(block)


def test_dense_block_finds_a_planted_block():
    draw = np.random.default_rng(1)
    dense = draw.random((400, 400)) < 0.02
    dense[-15:, -12:] = True
    train = canonical_csr(dense.astype(np.float32))
    assert set(range(385, 400)) <= set(DenseBlock().block(train, seed=0))
    assert len(DenseBlock().block(train, seed=0)) < 30
    assert detection_average_precision(suspicion(DenseBlock(), train, seed=0), np.arange(400) >= 385) > 0.9


def test_covisits_are_the_mean_deviance_of_the_best_pairs(blocks):
    x = blocks.toarray() > 0
    count = x.sum(0)
    expected = []
    for held in x:
        values = []
        for a, b in itertools.combinations(np.flatnonzero(held & (count > 1) & (count <= 30)), 2):
            n, chance = (x[:, a] & x[:, b]).sum(), count[a] * count[b] / len(x)
            values.append(2 * (n * np.log(n / chance) - n + chance) if n > chance else 0.0)
        expected.append(sum(sorted(values)[::-1][:4]) / 4)
    found = CoVisits(pairs=4, partners=40, common=0.5).suspicion(blocks, seed=0)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_covisits_do_not_depend_on_blocks(planted, monkeypatch):
    whole = CoVisits().suspicion(planted, seed=0)
    monkeypatch.setattr("sharpap.detectors.covisits.BLOCK_ENTRIES", 50)
    np.testing.assert_allclose(CoVisits().suspicion(planted, seed=0), whole)


def test_covisits_find_who_shares_targets_and_nothing_else(planted):
    assert detection_average_precision(suspicion(CoVisits(), planted, seed=0), FAKE) > 0.95


def test_a_burst_is_seen_in_windows_where_items_alone_say_little():
    draw = np.random.default_rng(2)
    dense = draw.random((300, 60)) < 0.3
    group = np.arange(300) >= 290
    dense[290:, :4] = True
    train = canonical_csr(dense.astype(np.float32))
    times = draw.random(train.nnz) * 400 * 86_400
    rows = np.repeat(np.arange(300), np.diff(train.indptr))
    times[(rows >= 290) & (train.indices < 4)] = 100.5 * 86_400
    plain = detection_average_precision(suspicion(CoVisits(common=1, pairs=6), train, seed=0), group)
    for shifted in (False, True):
        windows = in_windows(train, times, 2, shifted=shifted)
        assert windows.nnz == train.nnz
        assert detection_average_precision(suspicion(CoVisits(common=1, pairs=6), windows, seed=0), group) > max(
            0.95, plain
        )
    assert plain < 0.9
    with pytest.raises(ConfigError, match="times"):
        in_windows(train, times[:-1], 2)


def test_the_autoencoder_rebuilds_what_users_have_in_common():
    draw = np.random.default_rng(3)
    dense = np.zeros((320, 100), bool)
    for user in range(300):
        half = user % 2 * 50
        dense[user, half + draw.choice(50, 12, replace=False)] = True
    for user in range(300, 320):  # as long, from both groups
        dense[user, draw.choice(100, 12, replace=False)] = True
    train = canonical_csr(dense.astype(np.float32))
    fake = np.arange(320) >= 300
    assert detection_auc(suspicion(Autoencoder(), train, seed=0), fake) > 0.95
    untrained = suspicion(Autoencoder(epochs=0), train, seed=0)
    assert untrained.mean() == pytest.approx(np.log(100), abs=0.1)


@pytest.mark.parametrize("name", ["isolation-forest", "local-outlier-factor"])
def test_a_few_profiles_of_another_kind_are_outliers(name, planted):
    pytest.importorskip("sklearn")
    strange = planted.toarray()[:300]
    strange[-5:] = 0
    strange[-5:, 100:] = np.random.default_rng(4).random((5, 100)) < 0.3
    found = suspicion(build("detector", name), canonical_csr(strange), seed=0)
    assert detection_auc(found, np.arange(300) >= 295) > 0.9


def test_outliers_say_what_they_need(planted, monkeypatch):
    monkeypatch.setattr("sharpap.detectors.base.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs scikit-learn"):
        suspicion(build("detector", "isolation-forest"), planted, seed=0)
    from sharpap.assess.audit.detection import detectors

    assert "isolation-forest" not in detectors()
    assert "dense-block" in detectors()


def test_on_embeddings_scores_are_those_of_scikit_learn():
    neighbors, ensemble = pytest.importorskip("sklearn.neighbors"), pytest.importorskip("sklearn.ensemble")
    from sharpap.detectors import user_embeddings

    draw = np.random.default_rng(6)
    train = canonical_csr((draw.random((80, 50)) < 0.2).astype(np.float32))
    numbers = user_embeddings(train, 16, seed=0)
    expected = -neighbors.LocalOutlierFactor(n_neighbors=20).fit(numbers).negative_outlier_factor_
    found = build("detector", "local-outlier-factor-embeddings").suspicion(train, seed=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    forest = ensemble.IsolationForest(n_estimators=500, random_state=1).fit(numbers)
    found = build("detector", {"name": "isolation-forest-embeddings", "trees": 500}).suspicion(train, seed=0)
    assert np.corrcoef(found, -forest.score_samples(numbers))[0, 1] > 0.9  # another draw of trees
