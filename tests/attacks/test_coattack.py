"""CoAttack: what makes it one training for model and attack."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sharpap.attacks import CoAttack, Hinge, SharpnessAware
from sharpap.attacks.coattack import poisoned
from sharpap.errors import ConfigError, TrainingError
from sharpap.surrogates import Embeddings, GradientPassing
from sharpap.threat import Budget, Goal

SMALL = {
    "embedding_size": 6,
    "epochs": 30,
    "attack_epochs": 15,
    "k": 4,
    "rivals": 12,
    "positive_weight": 20.0,
    "reg": 2.0,
}
GOAL, BUDGET = Goal(targets=(5, 33)), Budget(fake_users=4, profile_size=9)


def test_the_model_learns_to_recommend_the_targets_in_the_same_training(blocks):
    """Without the attack loss the targets stay where they were."""
    history = CoAttack(**SMALL, attack_weight=5.0).poison(blocks, GOAL, BUDGET, seed=0).history
    assert [entry["epoch"] for entry in history] == list(range(16, 31))
    assert history[-1]["attack_loss"] < history[0]["attack_loss"]
    assert history[-1]["surrogate_hit_ratio"] > history[0]["surrogate_hit_ratio"]
    idle = CoAttack(**SMALL, attack_weight=0.0).poison(blocks, GOAL, BUDGET, seed=0).history
    assert history[-1]["surrogate_hit_ratio"] > idle[-1]["surrogate_hit_ratio"]


def test_profiles_are_what_the_model_scores_best():
    fakes = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    items = torch.tensor([[9.0, 9.0], [3.0, 1.0], [2.0, 2.0], [1.0, 3.0], [0.5, 4.0]])
    rows = CoAttack.filled(fakes, items, np.array([0]), 3)
    assert [row.tolist() for row in rows] == [[0, 1, 2], [0, 4, 3]]


def test_fakes_are_trained_with_the_fillers_that_were_read_off(blocks, monkeypatch):
    """With the targets alone at first; each refill goes into the next steps of training."""
    seen = []

    def spy(train, rows):
        seen.append([sorted(row.tolist()) for row in rows])
        return poisoned(train, rows)

    monkeypatch.setattr("sharpap.attacks.coattack.poisoned", spy)
    made = CoAttack(**SMALL, refill=4).poison(blocks, GOAL, BUDGET, seed=0)
    assert seen[0] == [[5, 33]] * 4
    assert len(seen) == 1 + 4  # after 4, 8 and 12 of 15 steps, and at the end
    assert all(len(row) == 9 and {5, 33} <= set(row) for rows in seen[1:] for row in rows)
    kept = [made.profiles.indices[a:b] for a, b in zip(made.profiles.indptr, made.profiles.indptr[1:], strict=False)]
    assert [sorted(row.tolist()) for row in kept] == seen[-1]


def test_passing_spreads_the_gradients_of_the_same_training(blocks):
    """With weights of 0 it is ordinary training."""
    plain, none, passed = (
        CoAttack(**SMALL, passing=passing).poison(blocks, GOAL, BUDGET, seed=0)
        for passing in (None, GradientPassing(odd=0.0, even=0.0), GradientPassing())
    )
    assert (plain.profiles != none.profiles).nnz == 0
    assert plain.history == none.history
    assert passed.history[-1]["attack_loss"] != pytest.approx(plain.history[-1]["attack_loss"], rel=0.1)
    assert (plain.profiles != passed.profiles).nnz > 0


def test_it_aims_at_the_goals_users(blocks):
    """Their lists alone are counted."""
    some = Goal(targets=GOAL.targets, users=tuple(range(12)))
    aimed, broad = (CoAttack(**SMALL).poison(blocks, goal, BUDGET, seed=0) for goal in (some, GOAL))
    assert CoAttack().aims_at_users
    assert aimed.history[0]["attack_loss"] != broad.history[0]["attack_loss"]


def test_the_worst_case_is_elsewhere_and_worse(blocks, trained):
    embeddings, found = trained
    attack = CoAttack(**SMALL, worst_case=SharpnessAware(rho=0.1))
    pattern = poisoned(blocks, [np.array([1, 5, 9])] * 3)
    users = torch.cat([embeddings.users, torch.zeros(3, embeddings.users.shape[1], dtype=torch.float64)])
    weights = {"positive_weight": 20.0, "negative_weight": 1.0, "reg": 2.0}
    value, grad = attack.attack_gradient(embeddings, found, pattern, users, weights, seed=0)
    clean, base = Hinge().value_and_grad(embeddings, found)
    assert value > clean + 1e-3
    assert (grad.items - base.items).abs().max() > 1e-3
    names = [
        CoAttack(**SMALL, worst_case=ball).poison(blocks, GOAL, BUDGET, seed=0)
        for ball in (None, SharpnessAware(tau=0.1))
    ]
    assert [made.attack for made in names] == ["coattack", "coattack-sharpap"]


def test_hinge_counts_nobody_who_is_won_by_more_than_kappa(trained):
    embeddings, found = trained
    far = Embeddings(embeddings.users, embeddings.items.clone())
    far.items[found.targets] += 50 * embeddings.users.mean(0)
    scores = far.users @ far.items.T
    edge = scores.gather(1, found.rivals).topk(found.k, dim=1).values[:, -1:]
    won = bool((scores[:, found.targets] - edge > 0.2)[found.eligible > 0].all())
    value, grad = Hinge(kappa=0.2).value_and_grad(far, found)
    assert won
    assert value == pytest.approx(-0.2)
    assert not grad.items.any()


def test_what_does_not_fit_is_refused(blocks):
    with pytest.raises(ConfigError, match="only promote"):
        CoAttack().poison(blocks, Goal(targets=(5,), direction="demote"), BUDGET, seed=0)
    with pytest.raises(TrainingError, match="diverged"):
        CoAttack(**SMALL, learning_rate=1e20).poison(blocks, GOAL, BUDGET, seed=0)
    with pytest.raises(ConfigError, match="attack_epochs"):
        CoAttack(epochs=5, attack_epochs=6)
    with pytest.raises(ConfigError, match="every_step"):
        CoAttack(worst_case=SharpnessAware(every_step=2))
