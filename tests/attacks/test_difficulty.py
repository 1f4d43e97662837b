"""DADA's losses, and the communities that the second one needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sharpap.attacks import DifficultyDiversity, EasyCommunities, difficulty
from sharpap.attacks.communities import communities
from sharpap.attacks.objective import Objective
from sharpap.attacks.scan import Scan
from sharpap.errors import ConfigError, ContractError
from sharpap.surrogates import Embeddings

LOSSES = {
    "easy users": EasyCommunities(diversity=0),
    "communities": EasyCommunities(diversity=1, communities=3),
    "both": EasyCommunities(diversity=0.5, communities=3),
    "original, difficulty": DifficultyDiversity(diversity=0),
    "original, diversity": DifficultyDiversity(difficulty=0),
    "original": DifficultyDiversity(),
}


def with_clean(found: Scan, embeddings: Embeddings, sign: float) -> Scan:
    """The scan with what these losses ask for besides: a clean model's scores and three communities."""
    scores = embeddings.users @ embeddings.items[found.targets].T
    return replace(found, clean=scores - 0.1, communities=torch.arange(len(found.users)) % 3, sign=sign)


def from_scores(scores: Tensor, groups: Tensor) -> tuple[Embeddings, Scan]:
    """A model whose scores are given, so that the gradient of users is that of scores: item 0 is the target, k is 1."""
    users, items = scores.shape
    return Embeddings(scores, torch.eye(items, dtype=scores.dtype)), Scan(
        users=torch.arange(users), rivals=torch.arange(1, items).repeat(users, 1), eligible=torch.ones(users, 1).double(),
        targets=torch.tensor([0]), k=1, hit_ratio=0.0, sign=1.0, won=torch.zeros(users, 1) > 0, communities=groups,
    )  # fmt: skip


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", LOSSES)
def test_every_term_improves_as_users_are_won(name, sign, trained):
    """Raise (to demote: lower) the targets' scores: ever more users are won, the loss falls, and its gradient points there."""
    embeddings, found = trained
    found = with_clean(found, embeddings, sign)
    away = embeddings.users.mean(0)

    def moved(t: float) -> tuple[float, Embeddings, int]:
        items = embeddings.items.clone()
        items[found.targets] += sign * (t - (4 if sign < 0 else 0)) * away
        at = Embeddings(embeddings.users, items)
        edge = (at.users @ items.T).gather(1, found.rivals).topk(found.k, dim=1).values[:, -1:]
        won = int((sign * (at.users @ items[found.targets].T - edge) > 0).sum())
        return *LOSSES[name].value_and_grad(at, found), won

    values, _, won = zip(*(moved(t) for t in (0.0, 0.5, 1.0, 2.0, 4.0)), strict=True)
    assert list(won) == sorted(won)
    assert won[-1] > won[0]
    assert values[-1] < values[0]
    _, grad, _ = moved(0.0)
    assert sign * float((grad.items[found.targets] @ away).sum()) < 0
    with pytest.raises(ContractError, match=r"clean|communities"):
        LOSSES[name].value_and_grad(embeddings, replace(found, clean=None, communities=None))


def slope_along(loss: Objective, embeddings: Embeddings, found: Scan, way: Embeddings) -> tuple[float, float]:
    """The loss's slope along a direction by differences, and by its gradient."""

    def along(t: float) -> float:
        moved = Embeddings(embeddings.users + t * way.users, embeddings.items + t * way.items)
        return loss.value_and_grad(moved, found)[0]

    _, grad = loss.value_and_grad(embeddings, found)
    return (along(1e-6) - along(-1e-6)) / 2e-6, float((grad.users * way.users).sum() + (grad.items * way.items).sum())


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", ["easy users", "communities", "both"])
def test_the_gradient_matches_finite_differences(name, sign, trained, monkeypatch):
    embeddings, found = trained
    found = with_clean(found, embeddings, sign)
    monkeypatch.setattr(difficulty, "spread", lambda margin, weights: 1.3)  # a constant in the gradient
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        parts = (embeddings.users, embeddings.items)
        way = Embeddings(*(torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in parts))
        seen, expected = slope_along(LOSSES[name], embeddings, found, way)
        assert seen == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", ["original, difficulty", "original, diversity", "original"])
def test_the_originals_gradient_matches_finite_differences(name, trained):
    """Along directions that leave the users of the greatest score and the least uplift alone: those are constants in it."""
    embeddings, found = trained
    found = with_clean(found, embeddings, 1.0)
    scores = embeddings.users @ embeddings.items[found.targets].T
    generator = torch.Generator().manual_seed(0)
    clean = scores - 0.1 * torch.rand(scores.shape, generator=generator, dtype=torch.float64)
    found = replace(found, clean=clean)
    edge = (embeddings.users @ embeddings.items.T).gather(1, found.rivals).topk(found.k, dim=1).values[:, -1:]
    outside = (scores <= edge) * found.eligible
    fixed = {int((scores * outside).max(1).values.argmax())}
    fixed |= set(((scores - clean) * outside + (1 - found.eligible) * 1e9).argmin(0).tolist())
    for _ in range(4):
        way = torch.randn(embeddings.users.shape, generator=generator, dtype=torch.float64)
        way[sorted(fixed)] = 0
        seen, expected = slope_along(LOSSES[name], embeddings, found, Embeddings(way, 0 * embeddings.items))
        assert seen == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_the_nearer_to_the_own_threshold_the_heavier():
    """Whatever the scores themselves are: users 0 and 3 have the highest ones and are the farthest from their lists."""
    target = torch.tensor([5.0, 0.2, 1.0, 4.0]).double()
    edge = target + torch.tensor([3.0, 0.1, 0.5, 2.0]).double()
    model, found = from_scores(torch.stack([target, edge, edge - 9], 1), torch.zeros(4, dtype=torch.int64))
    _, grad = EasyCommunities(bandwidth=0.5, diversity=0).value_and_grad(model, found)
    pull = -grad.users[:, 0]
    assert pull.argsort(descending=True).tolist() == [1, 2, 3, 0]
    found = replace(found, clean=torch.zeros(4, 1).double())
    _, grad = DifficultyDiversity(diversity=0).value_and_grad(model, found)
    assert (-grad.users[:, 0]).argsort(descending=True).tolist()[:2] == [0, 3]  # the source: by the score alone


def test_a_community_where_little_is_won_counts_more():
    """Two users with the same margin, in communities of which one has a user who is won: without diversity they are alike."""
    margin = torch.tensor([2.0, -1.0, -1.0, -3.0]).double()
    model, found = from_scores(torch.stack([margin, 0 * margin, margin - 9], 1), torch.tensor([0, 0, 1, 1]))
    for diversity, more in ((0.0, False), (0.5, True), (1.0, True)):
        _, grad = EasyCommunities(diversity=diversity, communities=2).value_and_grad(model, found)
        rich, poor = -grad.users[1, 0], -grad.users[2, 0]
        assert bool(poor > 1.01 * rich) == more
        assert rich > 0


def test_communities_are_of_equal_size_and_hold_the_alike():
    generator = torch.Generator().manual_seed(3)
    centres = torch.nn.functional.normalize(torch.randn(3, 8, generator=generator), dim=1)
    kind = torch.arange(60) % 3
    users = 5 * centres[kind] * (1 + torch.rand(60, 1, generator=generator)) + 0.3 * torch.randn(
        60, 8, generator=generator
    )
    found = communities(users, 3, seed=1)
    assert np.bincount(found).tolist() == [20, 20, 20]
    assert all(len(set(found[kind == each].tolist())) == 1 for each in range(3))
    assert torch.equal(found, communities(users, 3, seed=1))
    assert np.bincount(communities(users, 7, seed=1)).tolist() == [9, 9, 9, 9, 8, 8, 8]
    assert communities(users[:2], 5, seed=0).tolist() == [0, 1]
    assert communities(users[:0], 5, seed=0).tolist() == []


@pytest.mark.parametrize("wrong", [{"bandwidth": 0.0}, {"convexity": 1.0}, {"diversity": 1.5}, {"communities": 0}])
def test_options_out_of_range_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        EasyCommunities(**wrong)
