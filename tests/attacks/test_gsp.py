"""GSPAttack: the k-hot draw and its gradient, the graph of fake edges, and what is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from sharpap.attacks import GSPAttack, SharpnessAware
from sharpap.attacks.gsp import Trial
from sharpap.attacks.k_hot import NEVER, gumbel, k_hot, soft_k_hot
from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.kernels.bpr import Negatives
from sharpap.surrogates.ngcf import FakeGraph, NGCFNet
from sharpap.threat import Budget, Goal

SMALL = GSPAttack(embedding_size=8, warm_up=20, epochs=20, k=3, rivals=8)
GOAL = Goal(targets=(12, 31))


def in_rounds(z: torch.Tensor, k: int) -> torch.Tensor:
    """The sum of k softmaxes written out: each over what no earlier one has as its best."""
    total, left = torch.zeros_like(z), z
    for _ in range(k):
        total = total + left.softmax(1)
        left = left.scatter(1, left.argmax(1, keepdim=True), -torch.inf)
    return total


@pytest.mark.parametrize("k", [1, 4, 8])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_soft_rows_are_k_softmaxes_in_turn(k, temperature):
    generator = torch.Generator().manual_seed(k)
    logits, noise, along = (torch.randn(3, 9, generator=generator, dtype=torch.float64) for _ in range(3))
    logits[:, 8] = NEVER
    logits.requires_grad_()
    soft = soft_k_hot(logits, noise, k, temperature)
    plain = in_rounds((logits + noise)[:, :8] / temperature, k)
    torch.testing.assert_close(soft[:, :8], plain)
    torch.testing.assert_close(soft.sum(1), torch.full((3,), float(k), dtype=torch.float64))
    ours, theirs = (torch.autograd.grad((part * along[:, : part.shape[1]]).sum(), logits)[0] for part in (soft, plain))
    torch.testing.assert_close(ours, theirs)


def test_a_draw_has_k_entries_and_the_gradient_of_its_soft_rows():
    generator = np.random.default_rng(0)
    logits, noise = gumbel((5, 30), generator).requires_grad_(), gumbel((5, 30), generator)
    with torch.no_grad():
        logits[:, 7] = NEVER
    drawn = k_hot(logits, noise, 6, 1.0)
    assert (drawn.detach().round(decimals=5) == 1).sum(1).tolist() == [6] * 5
    assert (drawn.detach().abs() > 1e-5).sum(1).tolist() == [6] * 5
    assert not drawn[:, 7].any()
    along = gumbel((5, 30), generator)
    hard, soft = (
        torch.autograd.grad((part * along).sum(), logits)[0] for part in (drawn, soft_k_hot(logits, noise, 6, 1.0))
    )
    assert hard.abs().max() > 0.1
    torch.testing.assert_close(hard, soft)


def test_draws_follow_the_softmax():
    logits = torch.tensor([0.0, 1.0, -1.0, NEVER]).repeat(4000, 1)
    often = k_hot(logits, gumbel((4000, 4), np.random.default_rng(0)), 1, 1.0).mean(0)
    torch.testing.assert_close(often, logits[0].softmax(0), atol=0.03, rtol=0)


def test_propagation_is_that_of_the_dense_graph_and_so_is_its_gradient(blocks):
    generator = torch.Generator().manual_seed(0)
    fakes = torch.rand(3, 40, generator=generator, dtype=torch.float64).add_(0.2).requires_grad_()
    users, items = (torch.randn(rows, 5, generator=generator, dtype=torch.float64) for rows in (63, 40))
    edges = torch.cat([torch.from_numpy(blocks.toarray()).double(), fakes])
    scaled = edges * edges.sum(1).clamp_min(1).rsqrt()[:, None] * edges.sum(0).clamp_min(1).rsqrt()
    ours = FakeGraph(Pattern.from_csr(blocks), fakes).step(users, items)
    dense = scaled @ items, scaled.T @ users
    along = torch.randn(103, 5, generator=generator, dtype=torch.float64)
    grads = []
    for mine, plain in (ours, dense), (dense, dense):
        torch.testing.assert_close(torch.cat(mine), torch.cat(plain))
        grads.append(torch.autograd.grad((torch.cat(mine) * along).sum(), fakes, retain_graph=True)[0])
    torch.testing.assert_close(*grads)


def test_a_network_without_fake_edges_leaves_fake_users_to_themselves(blocks):
    net = NGCFNet.new(62, 40, 4, 2, np.random.default_rng(0))
    pattern, none = Pattern.from_csr(blocks), torch.zeros(2, 40)
    users, items = net.propagate(FakeGraph(pattern, none))
    with torch.no_grad():
        net.users[60:] += 1
    moved, same = net.propagate(FakeGraph(pattern, none))
    torch.testing.assert_close(users[:60], moved[:60])
    torch.testing.assert_close(items, same)


def test_the_cross_entropy_is_that_of_all_pairs_on_average(blocks):
    trial = Trial.new(SMALL, blocks, GOAL, 3, seed=0)
    generator = torch.Generator().manual_seed(0)
    users, items = torch.randn(63, 8, generator=generator), torch.randn(40, 8, generator=generator)
    edges = (torch.rand(3, 40, generator=generator) < 0.2).float()
    labels = torch.cat([torch.from_numpy(blocks.toarray()), edges])
    exact = binary_cross_entropy_with_logits(users @ items.T, labels)
    draws = [Negatives.draw(trial.pattern, trial.draw) for _ in range(300)]
    mean = np.mean([float(trial.fit(users, items, edges, each)) for each in draws])
    assert mean == pytest.approx(float(exact), rel=0.05)  # negatives are not kept from what the user has


def copies(parts: list[torch.Tensor]) -> list[torch.Tensor]:
    return [part.detach().clone() for part in parts]


def moved(parts: list[torch.Tensor], before: list[torch.Tensor]) -> list[bool]:
    return [not torch.equal(part, old) for part, old in zip(parts, before, strict=True)]


def test_the_generators_weights_move_and_the_loss_falls(blocks):
    """In a published port neither happens: the edges enter the graph without their gradient."""
    trial = Trial.new(SMALL, blocks, GOAL, 4, seed=0)
    before, losses = copies(trial.generator.parameters), []
    for _ in range(40):
        edges = trial.edges(6)
        assert (edges.detach().round() == 1).sum(1).tolist() == [8] * 4
        losses.append(trial.learn(edges, promoting=True)[0])
    assert all(moved(trial.generator.parameters, before))
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.1


def test_the_generator_alone_can_raise_the_targets(blocks):
    """On a trained network that stays as it is, better edges are all that lowers the promotion loss."""
    attack = replace(SMALL, joint=False)
    trial = Trial.new(attack, blocks, GOAL, 12, seed=0)
    for _ in range(200):
        trial.learn(trial.edges(0), promoting=False)
    trial.settings = replace(attack, fit_weight=0.0)
    before = copies(trial.net.parameters)
    trial.optimizer.state.clear()
    losses = [trial.learn(trial.edges(6), promoting=True)[1] for _ in range(80)]
    assert not any(moved(trial.net.parameters, before))
    assert np.mean(losses[-15:]) < np.mean(losses[:15]) - 0.01


def test_the_worst_case_raises_the_promotion_loss_and_changes_the_outcome(blocks):
    plain = replace(SMALL, warm_up=100, epochs=40, learning_rate=0.03)
    wary = replace(plain, worst_case=SharpnessAware(rho=0.1, tau=10.0))
    losses = []
    for attack in (plain, wary):
        trial = Trial.new(attack, blocks, GOAL, 4, seed=0)
        losses.append(trial.learn(trial.edges(6), promoting=True)[1])
    assert losses[1] > losses[0] + 1e-6  # at the same parameters, edges and negatives
    budget = Budget(fake_users=4, profile_size=8)
    base, worst, again, other = (
        attack.poison(blocks, GOAL, budget, seed=seed) for attack, seed in ((plain, 0), (wary, 0), (wary, 0), (wary, 1))
    )
    assert (base.attack, worst.attack) == ("gspattack", "gspattack-sharpap")
    assert base.profiles.indices.tobytes() != worst.profiles.indices.tobytes()
    assert worst.profiles.indices.tobytes() == again.profiles.indices.tobytes()
    assert worst.history == again.history
    assert worst.profiles.indices.tobytes() != other.profiles.indices.tobytes()


def test_joint_training_moves_the_network_towards_the_targets(blocks):
    found = {}
    for joint in (True, False):
        trial = Trial.new(replace(SMALL, joint=joint, promotion_weight=5.0), blocks, GOAL, 4, seed=0)
        found[joint] = [trial.learn(trial.edges(6), promoting=True)[1] for _ in range(30)][-1]
    assert found[True] < found[False] - 0.1


@pytest.mark.parametrize(
    "bad",
    [{"epochs": 0}, {"layers": 0}, {"temperature": 0.0}, {"fit_weight": -1.0}, {"warm_up": -1}, {"width": -1},
     {"worst_case": SharpnessAware(every_step=5)}],
)  # fmt: skip
def test_refuses_nonsense(bad):
    with pytest.raises(ConfigError):
        GSPAttack(**bad)
