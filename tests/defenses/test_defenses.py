"""Who is left out, what a vote counts, and that a defended recommender is a victim like any other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.sparse import csr_array

from sharpap.attacks import RandomAttack
from sharpap.config import build, describe
from sharpap.defenses import Bagging, Defended, RemoveSuspicious
from sharpap.detectors import PCAVarSelect
from sharpap.errors import ConfigError
from sharpap.recommenders import WRMF, Capabilities, Popularity
from sharpap.threat import Budget, Goal


@dataclass(frozen=True)
class Recording:
    """Keeps what it was trained on."""

    seen: list

    def __deepcopy__(self, memo):
        return self

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None):
        self.seen.append((train, valid))
        return Popularity().fit(train, seed=seed)


def test_the_most_suspicious_lose_their_rows_and_nobody_else_does(ml100k):
    train, recorder = ml100k.train.matrix, Recording([])
    poison = RandomAttack().poison(train, Goal(targets=(5,)), Budget(fake_users=10), seed=0)
    everyone = poison.inject(train)
    defense = RemoveSuspicious(users=10)
    defense.fit(recorder, everyone, ml100k.valid.matrix, seed=1)
    used, valid = recorder.seen[0]
    out = np.flatnonzero(np.diff(used.indptr) == 0)
    assert len(set(out) & set(range(train.shape[0], train.shape[0] + 10))) >= 5  # random profiles stand out
    assert sorted(defense.suspects(everyone, seed=1)) == list(out[np.diff(everyone.indptr)[out] > 0])
    kept = np.setdiff1d(np.arange(everyone.shape[0]), out)
    assert (used[kept] != everyone[kept]).nnz == 0
    assert used.shape == everyone.shape
    assert valid.shape == ml100k.valid.matrix.shape


def test_a_share_counts_users_with_interactions_and_never_takes_all(blocks):
    active = int((np.diff(blocks.indptr) > 0).sum())
    assert len(RemoveSuspicious(users=0.1).suspects(blocks, seed=0)) == round(0.1 * active)
    assert len(RemoveSuspicious(users=10**6).suspects(blocks, seed=0)) == active - 1


def test_a_vote_is_the_share_of_lists_an_item_is_in(blocks):
    train, defense = blocks, Bagging(models=4, users=0.5, listed=3)
    recorder = Recording([])
    model = defense.fit(recorder, train, seed=0)
    scores = model.score(np.arange(train.shape[0]))
    for user in range(train.shape[0]):
        lists = []
        for used, _ in recorder.seen:
            if used[[user]].nnz:
                assert used[[user]].nnz == train[[user]].nnz
                ranked = np.argsort(-Popularity().fit(used, seed=0).score(np.array([0]))[0], kind="stable")
                lists.append([item for item in ranked if item not in train[[user]].indices][:3])
        if lists:
            votes = np.bincount(np.concatenate(lists), minlength=train.shape[1]) / len(lists)
            broken = scores[user] - votes
            assert (broken >= 0).all()
            assert (broken < 1 / len(lists)).all()  # ties are broken by less than a vote


def test_every_user_is_scored(blocks):
    model = Bagging(models=1, users=0.2).fit(WRMF(embedding_size=4, epochs=2), blocks, seed=0)
    assert np.isfinite(model.score(np.arange(blocks.shape[0]))).all()


def test_a_recipe_names_a_defended_victim():
    table = {
        "name": "defended", "recommender": {"name": "wrmf", "epochs": 3},
        "defense": {"name": "remove", "users": 7, "detector": {"name": "wdma"}},
    }  # fmt: skip
    made = build("victim", table)
    assert made.recommender == WRMF(epochs=3)
    assert made.defense.users == 7
    assert made.defense.detector.kind == "wdma"
    assert build("victim", describe(made, "victim")) == made
    assert describe(Defended(defense=RemoveSuspicious(detector=PCAVarSelect(components=5))))["defense"]["detector"] == {
        "name": "pca-varselect", "components": 5,
    }  # fmt: skip


def test_recommenders_of_lists_are_refused(blocks):
    @dataclass(frozen=True)
    class Lists:
        capabilities = Capabilities(top_k=5)

        def fit(self, train, *, seed): ...

    with pytest.raises(ConfigError, match=r"RemoveSuspicious needs all scores.*Lists"):
        Defended(recommender=Lists()).fit(blocks, seed=0)


@pytest.mark.parametrize("make", [lambda: RemoveSuspicious(users=0), lambda: RemoveSuspicious(users=1.5)])
def test_settings_are_checked(make):
    with pytest.raises(ConfigError, match="users="):
        make()
    with pytest.raises(ConfigError, match="models=0"):
        Bagging(models=0)
