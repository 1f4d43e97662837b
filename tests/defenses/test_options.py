"""T-CE and R-CE: which pairs are left out, how pairs are weighed, and that planted false interactions lose their say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn.functional import binary_cross_entropy_with_logits as measure

from sharpap.data.interactions import canonical_csr
from sharpap.defenses import RCE, TCE, Defended, Regularised
from sharpap.errors import ConfigError
from sharpap.recommenders import EASE, WRMF, BiasedMF, NeuMF, Popularity
from sharpap.recommenders.denoising import mean_loss, share_at
from sharpap.testing import DefenseTests

LOGITS = torch.tensor([2.0, -3.0, 0.5, -1.0, 1.5, -2.0])
LABELS = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
SMALL: dict[str, Any] = {"embedding_size": 4, "epochs": 4, "batch_size": 512}


def test_the_worst_interactions_are_left_out_and_no_negative_ever():
    logits = LOGITS.clone().requires_grad_()
    loss = mean_loss(measure, logits, LABELS, 0.5, 0.0)
    kept = [0, 2, 4, 5]  # of four interactions the two with the largest loss are 1 and 3
    assert loss.item() == pytest.approx(measure(LOGITS[kept], LABELS[kept]).item())
    loss.backward()
    assert logits.grad is not None
    assert torch.nonzero(logits.grad == 0)[:, 0].tolist() == [1, 3]


def test_pairs_count_by_their_own_probability_which_takes_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    probability = torch.where(LABELS > 0, torch.sigmoid(LOGITS), 1 - torch.sigmoid(LOGITS))
    loss = mean_loss(measure, logits, LABELS, 0.0, 0.7)
    expected = (probability**0.7 * -probability.log()).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    plain = (torch.sigmoid(LOGITS) - LABELS) / len(LABELS)
    assert logits.grad.numpy() == pytest.approx((plain * probability**0.7).numpy(), rel=1e-5)


def test_without_options_the_loss_is_the_plain_one():
    assert mean_loss(measure, LOGITS, LABELS, 0.0, 0.0).item() == measure(LOGITS, LABELS).item()


def test_the_share_grows_by_equal_parts():
    made = NeuMF(truncate=0.2, truncate_epochs=4)
    assert [share_at(made, epoch) for epoch in (1, 2, 3, 5, 9)] == pytest.approx([0, 0.05, 0.1, 0.2, 0.2])


@pytest.mark.parametrize("made", [BiasedMF(loss="logistic", **SMALL), NeuMF(**SMALL)])
def test_options_change_the_training_and_the_defence_sets_them(made, blocks):
    users = np.arange(60)
    plain = made.fit(blocks, seed=0).score(users)
    for defense, options in (
        (TCE(truncate=0.3, truncate_epochs=2), {"truncate": 0.3, "truncate_epochs": 2}),
        (RCE(reweight=0.5), {"reweight": 0.5}),
    ):
        found = Defended(recommender=made, defense=defense).fit(blocks, seed=0).score(users)
        assert np.array_equal(found, replace(made, **options).fit(blocks, seed=0).score(users))
        assert not np.allclose(found, plain)


def test_interactions_that_nothing_explains_lose_their_say(blocks):
    """Ten users with one random item each, of few owners: with T-CE their scores of it rise less."""
    draw = np.random.default_rng(0)
    users, items = np.arange(10), draw.integers(30, 40, 10)
    noisy = canonical_csr(blocks + csr_array((np.ones(10, np.float32), (users, items)), shape=blocks.shape))
    added = np.asarray(blocks[users, items]).ravel() == 0
    made = BiasedMF(loss="logistic", embedding_size=8, epochs=40, learning_rate=0.05, reg=0.0, batch_size=4096)
    gaps = []
    for each in (made, replace(made, truncate=0.3, truncate_epochs=5)):
        scores = each.fit(noisy, seed=1).score(np.arange(60))
        true = np.mean([scores[user, blocks[[user]].indices].mean() for user in users])
        gaps.append(true - scores[users, items][added].mean())
    assert gaps[1] > gaps[0]


def test_regularised_is_the_same_model_with_another_reg(blocks):
    users = np.arange(60)
    for made, name in ((WRMF(embedding_size=4, epochs=3, reg=2.0), "reg"), (EASE(reg=20.0), "reg")):
        found = Defended(recommender=made, defense=Regularised(factor=3.0)).fit(blocks, seed=0).score(users)
        own = replace(made, **{name: 3 * getattr(made, name)})
        np.testing.assert_allclose(
            found, own.fit(blocks, seed=0).score(users), rtol=1e-3, atol=1e-6
        )  # LAPACK's threads
    chosen = WRMF(embedding_size=4, epochs=3)
    found = Regularised(factor=2.0).fit(chosen, blocks, seed=0).score(users)
    own = replace(chosen, reg=2 * chosen.least_squares(blocks).reg)
    assert np.array_equal(found, own.fit(blocks, seed=0).score(users))


@pytest.mark.parametrize("defense", [TCE(), RCE(), Regularised()])
def test_recommenders_without_the_setting_are_refused(blocks, defense):
    with pytest.raises(ConfigError, match="Popularity"):
        defense.fit(Popularity(), blocks, seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BiasedMF(truncate=0.1), "loss='squared'"), (lambda: NeuMF(truncate=1.0), "truncate=1.0"),
        (lambda: NeuMF(truncate=0.1, reweight=0.1), "two methods"), (lambda: NeuMF(reweight=-1.0), "reweight=-1.0"),
        (lambda: TCE(truncate=0.0), "truncate=0.0"), (lambda: RCE(reweight=0.0), "reweight=0.0"),
        (lambda: Regularised(factor=0.0), "factor=0.0"),
        (lambda: Regularised().fit(WRMF(reg=0.0), csr_array(np.eye(4)), seed=0), "reg=0.0"),
    ],
)  # fmt: skip
def test_settings_are_checked(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


class TestTCE(DefenseTests):
    defense = TCE(truncate=0.2, truncate_epochs=1)
    recommender = NeuMF(**SMALL)


class TestRCE(DefenseTests):
    defense = RCE()
    recommender = NeuMF(**SMALL)


class TestRegularised(DefenseTests):
    defense = Regularised()
    recommender = WRMF(embedding_size=4, epochs=3)
