"""The influence of an added user on the risk against a solved model, and profiles that lower it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sharpap.data.interactions import canonical_csr
from sharpap.defenses import APT, Defended
from sharpap.defenses.apt import Influence, with_profiles
from sharpap.errors import ConfigError
from sharpap.recommenders import WRMF, FactorModel, Popularity
from sharpap.recommenders.calls import Timed
from sharpap.testing import DefenseTests

MODEL = WRMF(embedding_size=5, epochs=30, positive_weight=6.0, reg=10.0, cg_steps=20)


def _items(users: np.ndarray, ratings: np.ndarray, weights: np.ndarray, reg: float) -> np.ndarray:
    """The best item factors for given users, solved densely."""
    found = []
    for item in range(ratings.shape[1]):
        weighted = users * weights[:, [item]]
        found.append(np.linalg.solve(weighted.T @ users + reg * np.eye(users.shape[1]), weighted.T @ ratings[:, item]))
    return np.array(found)


def test_the_influence_is_the_derivative_of_the_risk(blocks):
    ratings, loss = blocks.toarray(), MODEL.least_squares(blocks)
    weights = np.where(ratings > 0, loss.positive_weight, loss.negative_weight)
    users = np.random.default_rng(0).standard_normal((60, 5)) * 0.4
    items = _items(users, ratings, weights, loss.reg)

    def risk(item: int, taste: np.ndarray, small: float) -> float:
        """With a `small` part of a user who has the item, less the same part of one who has not."""
        rows = np.vstack([users, taste, taste])
        more, parts = np.vstack([ratings, np.zeros((2, 40))]), np.vstack([weights, np.zeros((2, 40))])
        more[60, item] = 1
        parts[60, item], parts[61, item] = small * loss.positive_weight, -small * loss.negative_weight
        moved = _items(rows, more, parts, loss.reg)
        return float((weights * (ratings - users @ moved.T) ** 2).sum())

    made = FactorModel(user_factors=users, item_factors=items, log={})
    tastes = np.random.default_rng(1).standard_normal((3, 5)) * 0.4
    found = Influence.of(made, blocks, loss)(torch.from_numpy(tastes)).numpy()
    for row, item in ((0, 3), (1, 17), (2, 39)):
        step = 1e-4
        slope = (risk(item, tastes[row], step) - risk(item, tastes[row], -step)) / (2 * step)
        assert found[row, item] == pytest.approx(slope, rel=1e-4)


def _risk(model: FactorModel, train: csr_array) -> float:
    loss, ratings = MODEL.least_squares(train), train.toarray()
    weights = np.where(ratings > 0, loss.positive_weight, loss.negative_weight)
    return float((weights * (ratings - model.score(np.arange(60))) ** 2).sum())


def test_added_users_lower_the_risk_and_random_ones_less(blocks):
    defense = APT(users=3)
    profiles = defense.profiles(MODEL, blocks, seed=0)
    assert profiles.shape == (3, 40)
    assert (np.diff(profiles.indptr) == round(blocks.nnz / 60)).all()
    draw = np.random.default_rng(0)
    others = np.array([draw.permutation(40)[: profiles[[0]].nnz] for _ in range(3)])
    other = csr_array((np.ones(others.size), (np.repeat(np.arange(3), others.shape[1]), others.ravel())), shape=(3, 40))
    plain, made, random = (
        _risk(MODEL.fit(matrix, seed=0), blocks)
        for matrix in (blocks, with_profiles(blocks, profiles), with_profiles(blocks, canonical_csr(other)))
    )
    assert made < plain
    assert made < random - 2


def test_the_recommender_is_trained_on_the_data_and_the_added_users(blocks):
    seen = []

    class Recording:
        def fit(self, train, *, seed):
            seen.append(train)
            return Popularity().fit(train, seed=seed)

        def __deepcopy__(self, memo):
            return self

    Defended(recommender=Recording(), defense=APT(users=0.1, profile_size=7, rounds=2)).fit(blocks, seed=4)
    assert seen[0].shape == (66, 40)
    assert (seen[0][:60] != blocks).nnz == 0
    assert (np.diff(seen[0].indptr)[60:] <= 7).all()
    profiles = APT(users=0.1, profile_size=7, rounds=2).profiles(WRMF(), blocks, seed=4)
    assert (seen[0][60:] != profiles).nnz == 0


def test_what_cannot_be_is_refused(blocks):
    given: dict[str, Any]
    for given, named in (({"users": 0}, "users=0"), ({"users": 1.0}, "users=1.0"), ({"rounds": 0}, "rounds=0"),
                         ({"profile_size": 0}, "profile_size=0")):  # fmt: skip
        with pytest.raises(ConfigError, match=named):
            APT(**given)
    timed = Timed(recommender=Popularity(), known=blocks, times=np.zeros(blocks.nnz))
    with pytest.raises(ConfigError, match="Popularity reads the order"):
        APT().fit(timed, blocks, seed=0)


class TestAPT(DefenseTests):
    defense = APT(rounds=2)
