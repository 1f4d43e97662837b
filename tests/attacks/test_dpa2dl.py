"""DPA2DL: the poison loss, poison training, and how profiles are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sharpap.attacks import DPA2DL, Poison, SharpnessAware
from sharpap.errors import ConfigError
from sharpap.surrogates.neumf import NeuMFNet
from sharpap.threat import Budget, Goal

SMALL = DPA2DL(
    embedding_size=4, hidden=(8, 4), epochs=20, batch_size=256, group_size=3, k=3, rivals=8, users_per_step=40
)
GOAL = Goal(targets=(12, 31))
FAKES = np.arange(60, 63)


def items(made: Poison) -> bytes:
    return made.profiles.indices.tobytes()


@pytest.fixture(scope="module")
def net(blocks):
    """Trained on the genuine rows, with room for three fake users."""
    net = NeuMFNet.new(63, 40, 4, (8, 4), np.random.default_rng(0))
    optimizer = torch.optim.Adam(net.parameters, lr=0.02)
    SMALL._train(net, optimizer, blocks, np.random.default_rng(1), 30.0)
    return net


def in_float64(net: NeuMFNet) -> NeuMFNet:
    users, items, *layers, head = (part.detach().double().requires_grad_() for part in net.parameters)
    return NeuMFNet(users, items, layers, head)


def test_logits_of_pairs_are_the_recommenders_scores(net):
    """`NeuMFModel.score` is written apart from `NeuMFNet.logits`."""
    scores = net.model().score(np.arange(63))
    np.testing.assert_allclose(
        net.logits(net.users[:, None], net.items[None]).detach().numpy(), scores, rtol=1e-4, atol=1e-5
    )


def test_look_and_poison_loss_match_brute_force(net, blocks):
    users = np.array([3, 17, 40, 59])
    found = SMALL.look(net, blocks, GOAL, users)
    scores, owned = net.model().score(users), blocks[users].toarray() > 0
    per_target = []
    for column, target in enumerate(GOAL.targets):
        terms = []
        for row in range(len(users)):
            assert bool(found.eligible[row, column]) == (not owned[row, target])
            rivals = sorted(scores[row, [i for i in range(40) if not owned[row, i] and i not in GOAL.targets]])
            log_k, log_t = (np.log(1 / (1 + np.exp(-float(x)))) for x in (rivals[-3], scores[row, target]))
            if not owned[row, target]:
                terms.append(max(log_k - log_t, -SMALL.kappa))
        per_target.append(np.mean(terms))
    value = SMALL.poison_loss(net, net.users, net.items, found).detach()
    assert float(value) == pytest.approx(np.mean(per_target), rel=1e-4)


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_poison_loss_gradient_matches_finite_differences(kappa, net, blocks):
    double = in_float64(net)
    found = SMALL.look(net, blocks, GOAL, np.arange(60))
    found = replace(found, eligible=found.eligible.double())
    attack = replace(SMALL, kappa=kappa)
    grads = torch.autograd.grad(attack.poison_loss(double, double.users, double.items, found), double.parameters)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        along = [torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in grads]

        def value(t: float, along: list[torch.Tensor] = along) -> float:
            moved = [part.detach() + t * move for part, move in zip(double.parameters, along, strict=True)]
            at = NeuMFNet(moved[0], moved[1], moved[2:-1], moved[-1])
            return float(attack.poison_loss(at, at.users, at.items, found).detach())

        expected = sum(float((grad * move).sum()) for grad, move in zip(grads, along, strict=True))
        assert abs(expected) > 1e-3
        assert (value(1e-6) - value(-1e-6)) / 2e-6 == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_poison_training_raises_the_targets_and_leaves_the_surrogate_alone(net, blocks):
    before = [part.detach().clone() for part in net.parameters]
    poisoned, _ = SMALL.poison_training(net, blocks, blocks, FAKES, GOAL, seed=0)
    normal, _ = replace(SMALL, poison_weight=0.0).poison_training(net, blocks, blocks, FAKES, GOAL, seed=0)

    def ranks(of: NeuMFNet) -> float:
        scores = of.model().score(np.arange(60))
        return float(np.mean([(scores > scores[:, [target]]).sum(1).mean() for target in GOAL.targets]))

    def loss(of: NeuMFNet) -> float:
        return float(SMALL.poison_loss(of, of.users, of.items, SMALL.look(of, blocks, GOAL, np.arange(60))).detach())

    assert ranks(poisoned) < ranks(normal) - 2
    assert loss(poisoned) < loss(normal) - 0.2
    assert all(torch.equal(part, old) for part, old in zip(net.parameters, before, strict=True))


def test_a_fake_user_is_taught_its_targets(net, blocks):
    """With the poison loss off, only the group's own pairs can raise the targets for the fake users."""
    normal, _ = replace(SMALL, poison_weight=0.0).poison_training(net, blocks, blocks, FAKES, GOAL, seed=0)
    targets = list(GOAL.targets)
    gain = normal.model().score(FAKES)[:, targets] - net.model().score(FAKES)[:, targets]
    others = normal.model().score(np.arange(60))[:, targets] - net.model().score(np.arange(60))[:, targets]
    assert gain.mean() > others.mean() + 0.1


def test_selection_takes_the_best_by_score_times_chance_and_resets():
    """Four items of equal score and a target: two by two, then the first two again after the reset."""
    scores, chance = np.array([9.0, 0.0, 0.0, 0.0, 0.0], np.float32), np.ones(5, np.float32)
    pinned = np.array([0])
    attack = replace(SMALL, decay=0.5)
    assert attack.select(scores, chance, pinned, 2).tolist() == [0, 1, 2]
    assert chance.tolist() == [1, 0.5, 0.5, 1, 1]
    assert attack.select(scores, chance, pinned, 2).tolist() == [0, 3, 4]
    assert chance.tolist() == [1, 1, 1, 1, 1]
    uneven = np.array([0.0, 3.0, -2.0, -2.1, -2.2], np.float32)
    first = attack.select(uneven, chance, pinned, 1)
    assert first.tolist() == attack.select(uneven, chance, pinned, 1).tolist() == [0, 1]  # 0.95 / 2 still beats 0.12


def test_decay_makes_profiles_differ(blocks):
    def distinct(attack: DPA2DL) -> tuple[int, int]:
        made = attack.poison(blocks, GOAL, Budget(fake_users=6, profile_size=8), seed=0).profiles
        return len({tuple(made[[row]].indices.tolist()) for row in range(6)}), len(set(made.indices.tolist()))

    (some, narrow), (every, wide) = distinct(replace(SMALL, decay=1.0)), distinct(replace(SMALL, decay=0.3))
    assert every == 6 >= some
    assert wide > narrow


def test_worst_case_changes_the_outcome_and_seeds_repeat_it(blocks):
    budget = Budget(fake_users=6, profile_size=12)
    wary = replace(SMALL, worst_case=SharpnessAware(rho=0.1))
    base, worst, again, other = (
        attack.poison(blocks, GOAL, budget, seed=seed) for attack, seed in ((SMALL, 0), (wary, 0), (wary, 0), (wary, 1))
    )
    assert (base.attack, worst.attack) == ("dpa2dl", "dpa2dl-sharpap")
    assert worst.history[0]["attack_loss"] > base.history[0]["attack_loss"]
    assert items(base) != items(worst)
    assert items(worst) == items(again)
    assert worst.history == again.history
    assert items(worst) != items(other)
    none = replace(SMALL, worst_case=SharpnessAware(rho=0)).poison(blocks, GOAL, budget, seed=0)
    assert items(base) == items(none)
    clean = replace(SMALL, worst_case=SharpnessAware(clean_share=1.0)).poison(blocks, GOAL, budget, seed=0)
    assert items(base) == items(clean)


@pytest.mark.parametrize(
    "bad",
    [
        {"hidden": ()},
        {"group_size": 0},
        {"decay": 0.0},
        {"kappa": -1.0},
        {"tune_epochs": -0.1},
        {"worst_case": SharpnessAware(every_step=5)},
    ],
)
def test_refuses_nonsense(bad):
    with pytest.raises(ConfigError):
        DPA2DL(**bad)


def test_refuses_to_demote(blocks):
    with pytest.raises(ConfigError, match="only promote"):
        SMALL.poison(blocks, Goal(targets=(1,), direction="demote"), Budget(), seed=0)
