"""AUSH: fillers of one genuine user, selected items that go with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_generators import SMALL

from sharpap.attacks import AUSH
from sharpap.attacks.generators.aush import Augmenter, companions
from sharpap.attacks.generators.gan import Templates
from sharpap.errors import ConfigError
from sharpap.threat import Budget, Goal

GOAL = Goal(targets=(12, 31))


def test_candidates_are_what_the_targets_owners_have_most(blocks):
    dense = blocks.toarray()
    held = dense[:, [12, 31]].sum(1) @ dense
    held[[12, 31]] = -1
    found = companions(blocks, GOAL, 8)
    assert held[found].tolist() == sorted(held, reverse=True)[:8]
    assert companions(blocks, GOAL, 38).tolist() != []
    assert not {12, 31} & set(companions(blocks, GOAL, 38).tolist())


@pytest.mark.parametrize("direction", ["promote", "demote"])
def test_profiles_are_one_users_fillers_and_as_many_candidates_as_ordered(blocks, direction):
    attack = AUSH(**SMALL, selected_share=0.5, candidates=2)
    goal = replace(GOAL, direction=direction)
    made = attack.poison(blocks, goal, Budget(fake_users=6, profile_size=10), seed=0)
    chosen, dense = set(made.notes["candidates"]), blocks.toarray()
    free = 8 if direction == "promote" else 10
    assert len(chosen) == 2 * (free // 2)
    for row in made.profiles.toarray():
        items = set(np.flatnonzero(row).tolist())
        assert (items >= {12, 31}) == (direction == "promote")
        assert len(items & chosen) == free // 2
        fillers = list(items - chosen - {12, 31})
        assert len(fillers) == free - free // 2
        # the templates' users have few items beside the candidates, so that some fillers are topped up
        assert dense[:, fillers].sum(1).max() >= 2


def test_selected_items_follow_the_fillers_taste(blocks):
    """A generator that reads the fillers chooses in their block; the same one untrained does not."""
    draw = np.random.default_rng(0)
    chosen = np.r_[0:6, 20:26]
    templates = Templates.of(blocks, 4, chosen)
    batch = templates.draw(60, np.random.default_rng(1))
    side = batch.items.numpy().mean(1) > 19.5

    def agreement(generator: Augmenter) -> float:
        with torch.no_grad():
            rows = generator.fake(batch).numpy()[:, chosen]
        return float(np.mean(np.where(side, rows[:, 6:].sum(1), rows[:, :6].sum(1)) / 4))

    attack = AUSH(**SMALL, warm_up=0, generator_rate=0.01)
    generator = Augmenter(attack, blocks, chosen, 4, draw)
    before = agreement(generator)
    optimizer = torch.optim.Adam(generator.theta, lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        generator.penalty(templates.draw(32, draw)).backward()
        optimizer.step()
    assert agreement(generator) > max(before, 0.5) + 0.15


def test_genuine_rows_have_no_more_selected_items_than_fake_ones(blocks):
    chosen = np.r_[0:6, 20:26]
    generator = Augmenter(AUSH(**SMALL), blocks, chosen, 3, np.random.default_rng(0))
    batch = Templates.of(blocks, 4, chosen).draw(60, np.random.default_rng(1))
    rows = generator.real(batch)
    owned = torch.from_numpy(blocks[batch.users].toarray())
    assert (rows[:, chosen] <= owned[:, chosen]).all()
    assert rows[:, chosen].sum(1).tolist() == owned[:, chosen].sum(1).clamp_max(3).tolist()


@pytest.mark.parametrize(
    "bad", [{"selected_share": 1.5}, {"zero_share": -0.1}, {"candidates": 0}, {"discriminator": ()}]
)
def test_refuses_nonsense(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        AUSH(**bad)
