"""The detector against a dense principal component analysis, its score against all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from sharpap.attacks import Bandwagon
from sharpap.metrics import detection_auc, suspicion
from sharpap.threat import Budget, Goal


def test_suspicion_is_minus_the_squared_loadings_of_a_dense_pca(blocks):
    dense = blocks.toarray().astype(float)
    z = (dense - dense.mean(1, keepdims=True)) / dense.std(1, keepdims=True)
    values, vectors = np.linalg.eigh(z @ z.T)
    loadings = vectors[:, np.argsort(-values)[:3]]
    np.testing.assert_allclose(suspicion(blocks), -(loadings**2).sum(1), atol=1e-8)


def test_auc_counts_all_pairs():
    draw = np.random.default_rng(0)
    scores, fake = draw.integers(0, 5, 40).astype(float), draw.random(40) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[fake] for b in scores[~fake]]
    assert detection_auc(scores, fake) == pytest.approx(np.mean(pairs))
    assert np.isnan(detection_auc(scores, np.zeros(40, bool)))


def test_bandwagon_profiles_stand_out_on_real_data(ml100k):
    """The source reports nearly perfect detection of such attacks."""
    train = ml100k.train.matrix
    made = Bandwagon().poison(train, Goal(targets=(5,)), Budget(fake_users=0.05), seed=0)
    everyone = made.inject(train)
    fake = np.arange(everyone.shape[0]) >= train.shape[0]
    assert detection_auc(suspicion(everyone), fake) > 0.8


def test_users_without_interactions_are_not_suspected(blocks):
    padded = csr_array(vstack([blocks, csr_array((2, blocks.shape[1]))]))
    found = suspicion(padded)
    assert np.isneginf(found[-2:]).all()
    np.testing.assert_allclose(found[:-2], suspicion(blocks), atol=1e-8)
