"""Leg-UP and GSA-GAN: attack steps through the surrogate, thresholds that learn, the worst case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_generators import BUDGET, GOAL, GUIDED

from sharpap.attacks import GSAGAN, LegUP, SharpnessAware
from sharpap.attacks.generators.gan import Templates
from sharpap.errors import ConfigError

ATTACKS: dict[str, Any] = {
    "leg-up": LegUP(**GUIDED, pretrain_steps=60, attack_rate=0.02),
    "gsa-gan": GSAGAN(**GUIDED, attack_rate=0.02),
}


def begun(attack, blocks):
    """A generator, and the templates of the fakes."""
    draw = np.random.default_rng(0)
    templates = Templates.of(blocks, 6, np.array(GOAL.targets))
    generator = attack.begin(templates, np.array(GOAL.targets), draw)
    return generator, templates.draw(4, draw, noise=generator.noise)


def test_thresholds_get_a_gradient_through_the_step(blocks):
    """An item's threshold has minus the sum of its scores' gradients, and the attack moves it."""
    attack = ATTACKS["leg-up"]
    generator, own = begun(attack, blocks)
    before = generator.thresholds.detach().clone()
    optimizer = torch.optim.Adam(generator.theta, lr=0.01)
    attack.attack(generator, optimizer, own, blocks, GOAL, seed=0, number=0)
    assert (generator.thresholds.grad != 0).sum() > 20
    assert (before != generator.thresholds.detach()).sum() > 20
    assert generator.thresholds.grad[list(GOAL.targets)].eq(0).all()


def test_pretraining_rebuilds_templates(blocks):
    generator, own = begun(replace(ATTACKS["leg-up"], pretrain_steps=200), blocks)
    raw, same = begun(replace(ATTACKS["leg-up"], pretrain_steps=0), blocks)
    with torch.no_grad():
        kept, before = (float((g.fake(b) * g.real(b)).sum(1).mean()) for g, b in ((generator, own), (raw, same)))
    assert kept > before + 1


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_steps_reach_every_weight_and_lower_the_attack_loss(name, blocks):
    attack = ATTACKS[name]
    generator, own = begun(attack, blocks)
    optimizer = torch.optim.Adam(generator.theta, lr=0.02)
    losses = []
    for _ in range(30):  # the same surrogate seed, so that only the fakes change
        losses.append(attack.attack(generator, optimizer, own, blocks, GOAL, seed=0, number=0)["attack_loss"])
        assert all(part.grad is not None and part.grad.any() for part in generator.theta)
    assert np.mean(losses[-5:]) < losses[0] - 0.01


@pytest.mark.parametrize("name", ATTACKS)
def test_the_worst_case_is_worse_and_changes_the_generator(name, blocks, played):
    base = replace(ATTACKS[name], rounds=3, attack_steps=4)
    wary = replace(base, worst_case=SharpnessAware(rho=0.1))
    none = replace(base, worst_case=SharpnessAware(rho=0))
    plain, worst, _, _ = (attack.poison(blocks, GOAL, BUDGET, seed=0) for attack in (base, wary, wary, none))
    learnt = [torch.cat([part.detach().flatten() for part in generator.theta]) for generator, _ in played]
    assert (plain.attack, worst.attack) == (name, f"{name}-sharpap")
    first, seen = (
        attack.attack(*_started(attack, blocks), blocks, GOAL, seed=0, number=0)["attack_loss"]
        for attack in (base, wary)
    )
    assert seen > first + 1e-4
    assert (learnt[0] != learnt[1]).float().mean() > 0.5
    assert torch.equal(learnt[1], learnt[2])
    assert torch.equal(learnt[0], learnt[3])


def _started(attack, blocks):
    generator, own = begun(attack, blocks)
    return generator, torch.optim.Adam(generator.theta, lr=0.01), own


def test_profiles_differ_by_their_noise(blocks):
    made = replace(ATTACKS["gsa-gan"], rounds=2, attack_steps=0).poison(blocks, GOAL, BUDGET, seed=0).profiles
    assert len({tuple(row) for row in made.toarray()}) == 4


@pytest.mark.parametrize("direction", ["promote", "demote"])
@pytest.mark.parametrize("name", ATTACKS)
def test_profiles_have_the_templates_size(name, direction, blocks):
    goal = replace(GOAL, direction=direction)
    made = replace(ATTACKS[name], rounds=2, attack_steps=1).poison(blocks, goal, BUDGET, seed=0)
    assert made.profile_sizes.tolist() == [8] * 4
    held = made.profiles.toarray()[:, list(GOAL.targets)]
    assert held.all() if direction == "promote" else not held.any()


@pytest.mark.parametrize(
    ("cls", "bad"),
    [
        (LegUP, {"attack_steps": -1}), (LegUP, {"pretrain_steps": -1}), (LegUP, {"rivals": 0}), (GSAGAN, {"clip": 0.0}),
        (GSAGAN, {"noise_size": 0}), (GSAGAN, {"rounds": -1}), (GSAGAN, {"generator_rate": -1.0}),
    ],
)  # fmt: skip
def test_refuses_nonsense(cls, bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        cls(**bad)


def test_a_worst_case_in_more_steps_than_are_unrolled_is_refused():
    with pytest.raises(ConfigError, match="every_step=8"):
        LegUP(**GUIDED, worst_case=SharpnessAware(every_step=8))
    assert LegUP(worst_case=None) == LegUP()  # pyright: ignore[reportArgumentType]
