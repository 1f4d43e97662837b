"""Profile features and embeddings against dense formulas; the order of users says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from sharpap.detectors import FEATURE_NAMES, profile_features, user_embeddings


@pytest.fixture
def found(blocks):
    return dict(zip(FEATURE_NAMES, profile_features(blocks, seed=0).T, strict=True))


def test_popularity_features_are_those_of_each_profile(blocks, found):
    dense = blocks.toarray() > 0
    level = np.log(np.maximum(dense.sum(0), 1))
    for user, held in enumerate(dense):
        mine = np.sort(level[held])
        assert found["size"][user] == pytest.approx(np.log(len(mine)))
        assert found["mean_popularity"][user] == pytest.approx(mine.mean())
        assert found["std_popularity"][user] == pytest.approx(mine.std(), abs=1e-6)
        assert found["min_popularity"][user] == mine[0]
        assert found["max_popularity"][user] == mine[-1]
        assert found["quartile_popularity"][user] == mine[(len(mine) - 1) // 4]


def test_shares_count_the_ends_of_the_catalogue(blocks, found):
    dense = blocks.toarray() > 0
    popularity = dense.sum(0)
    # of all interactions, a fifth at most lies with the rarest items; the most popular ones are the last to be needed
    rare = [item for item in range(40) if popularity[popularity <= popularity[item]].sum() <= 0.2 * blocks.nnz]
    popular = [item for item in range(40) if popularity[popularity <= popularity[item]].sum() > 0.8 * blocks.nnz]
    np.testing.assert_allclose(found["rare_share"], dense[:, rare].sum(1) / dense.sum(1))
    np.testing.assert_allclose(found["popular_share"], dense[:, popular].sum(1) / dense.sum(1))
    assert rare
    assert popular


def test_likeness_and_the_explained_share_are_those_of_rows_of_length_one(blocks, found):
    rows = blocks.toarray().astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    near = rows @ rows.T
    np.testing.assert_allclose(found["likeness"], (near.sum(1) - 1) / (len(rows) - 1))
    directions = np.linalg.svd(rows)[2][:16]
    np.testing.assert_allclose(found["explained"], ((rows @ directions.T) ** 2).sum(1), atol=1e-8)


def test_embeddings_have_the_inner_products_of_the_leading_part(blocks):
    rows = blocks.toarray().astype(float)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(rows)
    expected = (u[:, :5] * s[:5]) @ (u[:, :5] * s[:5]).T
    mine = user_embeddings(blocks, 5, seed=0)
    np.testing.assert_allclose(mine @ mine.T, expected, atol=1e-7)


def test_the_order_of_users_says_nothing_and_those_without_items_get_zeros(blocks):
    padded = csr_array(vstack([blocks, csr_array((2, blocks.shape[1]))]))
    order = np.random.default_rng(0).permutation(padded.shape[0])
    straight, mixed = profile_features(padded, seed=0), profile_features(csr_array(padded[order]), seed=0)
    np.testing.assert_allclose(mixed, straight[order], atol=1e-6)
    assert not straight[-2:].any()
