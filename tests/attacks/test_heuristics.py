"""The shilling family: what fillers are drawn from, against the definition of each."""

from __future__ import annotations

import numpy as np
import pytest

from sharpap.attacks import (
    AverageAttack,
    Bandwagon,
    LoveHate,
    PowerItem,
    PowerUser,
    RandomAttack,
    ReverseBandwagon,
    Segment,
)
from sharpap.attacks.profiles import item_counts
from sharpap.errors import ConfigError
from sharpap.threat import Budget, Direction, Goal

TARGETS = (27, 33)


def poison(attack, train, *, size, fakes=3000, direction: Direction = "promote"):
    goal = Goal(targets=TARGETS, direction=direction)
    return attack.poison(train, goal, Budget(fake_users=fakes, profile_size=size), seed=0).profiles.toarray()


def even(items) -> np.ndarray:
    """Each of these items but the targets as likely as the others."""
    chance = np.zeros(40)
    chance[np.setdiff1d(items, TARGETS)] = 1
    return chance / chance.sum()


def dense_in_degree(columns: np.ndarray, neighbours: int, shrinkage: float) -> np.ndarray:
    """How often each column is among the others' nearest, written out."""
    norm = np.sqrt(columns.sum(0))
    cosine = (columns.T @ columns) / (np.outer(norm, norm) + shrinkage)
    np.fill_diagonal(cosine, 0)
    found = np.zeros(columns.shape[1], int)
    for own in cosine:
        nearest = np.argsort(-own, kind="stable")[:neighbours]
        found[nearest[own[nearest] > 0]] += 1
    return found


def most(values: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-values, kind="stable")[:count]


GROUPS = ((27, 1, 2), (27, 33, 2, 3), (4, 5))  # item 2 shares 3 categories with targets, item 3 two, item 1 one
DEFINITIONS = {
    "random": (RandomAttack(), lambda x: even(np.arange(40))),
    "love/hate": (LoveHate(), lambda x: even(np.arange(40))),
    "average": (AverageAttack(), lambda x: np.where(even(np.arange(40)) > 0, x.sum(0), 0)),
    "bandwagon": (Bandwagon(selected_share=1, popular_share=0.2), lambda x: even(most(x.sum(0), 8))),
    "reverse bandwagon": (
        ReverseBandwagon(disliked_share=0.5),
        lambda x: even(np.argsort(x.sum(0), kind="stable")[20:]),
    ),
    "segment by groups": (Segment(groups=GROUPS), lambda x: np.bincount([1, 2, 2, 2, 3, 3], minlength=40)),
    "power items": (PowerItem(power_share=0.2, neighbours=6), lambda x: even(most(dense_in_degree(x, 6, 10.0), 8))),
    "power items by counts": (PowerItem(by="counts", power_share=0.2), lambda x: even(most(x.sum(0), 8))),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_fillers_are_distributed_as_defined(name, blocks):
    """One filler a profile, so that drawing without replacement changes nothing."""
    attack, define = DEFINITIONS[name]
    demotes = isinstance(attack, LoveHate | ReverseBandwagon)
    made = poison(attack, blocks, size=1 if demotes else 3, direction="demote" if demotes else "promote")
    assert (made[:, TARGETS] == (0 if demotes else 1)).all()
    made[:, TARGETS] = 0
    assert (made.sum(1) == 1).all()
    expected = define(blocks.toarray())
    expected = expected / expected.sum()
    assert not made[:, expected == 0].any()
    assert np.abs(made.mean(0) - expected).max() < 0.03  # 3000 draws: three standard errors at one half


def test_average_and_random_do_not_have_one_distribution(blocks):
    popular = most(item_counts(blocks), 6)
    shares = [poison(attack, blocks, size=3)[:, popular].sum() for attack in (AverageAttack(), RandomAttack())]
    assert shares[0] > 2 * shares[1]


def test_without_groups_a_segment_is_what_the_targets_owners_have(blocks):
    """Both targets are of the second taste group: items 20 to 39."""
    made = poison(Segment(segment_share=0.25), blocks, size=8, fakes=20)
    assert made[:, :20].sum() < 0.1 * made.sum()
    dense = blocks.toarray()
    counts, near = dense.sum(0), np.zeros(40)
    for target in TARGETS:
        near += (dense[:, target] @ dense) / (np.sqrt(counts[target] * counts) + 10)
    near[list(TARGETS)] = 0
    assert set(np.flatnonzero(made.any(0))) == {*TARGETS, *most(near, 10)}


@pytest.mark.parametrize(
    ("groups", "message"),
    [(((1, 40),), r"not all in 0\.\.39"), (((-1, 27),), "not all in"), (((1, 2),), "no group holds")],
)
def test_groups_that_do_not_fit(groups, message, blocks):
    with pytest.raises(ConfigError, match=message):
        poison(Segment(groups=groups), blocks, size=3, fakes=1)


@pytest.mark.parametrize("attack", [LoveHate(), ReverseBandwagon()], ids=["love/hate", "reverse bandwagon"])
def test_attacks_that_only_demote_say_so(attack, blocks):
    with pytest.raises(ConfigError, match="can only demote") as told:
        poison(attack, blocks, size=3, fakes=1)
    assert "random" in (told.value.hint or "")


@pytest.mark.parametrize("by", ["in-degree", "counts"])
def test_power_users_are_copied_most_powerful_first(by, blocks):
    dense = blocks.toarray()
    power = dense.sum(1) if by == "counts" else dense_in_degree(dense.T, 7, 10.0)
    made = poison(PowerUser(by=by, neighbours=7), blocks, size=5, fakes=6)
    made[:, TARGETS] = 0
    users = most(power, 6)
    assert (dense[users].sum(1) > 5).all()  # long enough that nothing is topped up
    assert (made <= dense[users]).all()
    assert (made.sum(1) == 3).all()
    assert not (made <= dense[most(-power, 6)]).all()


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (PowerUser, {"by": "fame"}), (PowerItem, {"by": "fame"}), (PowerUser, {"neighbours": 0}),
        (PowerItem, {"power_share": 0.0}), (Segment, {"segment_share": 1.5}), (ReverseBandwagon, {"disliked_share": 0.0}),
    ],
)  # fmt: skip
def test_options_out_of_range(cls, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        cls(**wrong)
