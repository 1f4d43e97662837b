"""The scan of the full ranking, and the losses over it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, vstack

from sharpap.attacks import (
    CrossEntropy,
    Hinge,
    MeanScore,
    SmoothHits,
    WilcoxonMannWhitney,
)
from sharpap.attacks.scan import scan
from sharpap.surrogates import Embeddings
from sharpap.threat import Goal


def test_scan_matches_brute_force(blocks, trained):
    embeddings, found = trained
    scores, owned = (embeddings.users @ embeddings.items.T).numpy(), blocks.toarray() > 0
    hits = []
    for column, target in enumerate((5, 33)):
        outcomes = []
        for user in range(60):
            rivals = [i for i in range(40) if not owned[user, i] and i not in (5, 33)]
            order = sorted(rivals, key=lambda i: (-scores[user, i], i))
            assert found.rivals[user].tolist()[: len(order)] == order[:12]
            assert bool(found.eligible[user, column]) == (not owned[user, target])
            if not owned[user, target]:
                outcomes.append(scores[user, target] > scores[user, order[3]])
        hits.append(np.mean(outcomes))
    assert found.hit_ratio == pytest.approx(np.mean(hits))
    assert float(found.weights.sum()) == pytest.approx(1)


def test_scan_with_fewer_items_than_the_list_is_long():
    """Everything fits into the list, so that every target is a hit; who has nothing else to be shown moves no ranking."""
    train = csr_array(np.array([[1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 1]], np.float32))
    torch.manual_seed(0)
    found = scan(Embeddings(torch.randn(3, 2), torch.randn(4, 2)), train, Goal(targets=(1,)), k=9, rivals=20)
    assert found.hit_ratio == 1.0
    assert found.rivals.shape == (3, 9)
    assert set(found.rivals[0].tolist()) == {2, 3}
    assert found.eligible.squeeze(1).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "objective",
    [
        SmoothHits(),
        SmoothHits(bandwidth=0.5),
        SmoothHits(longer=6, longer_bandwidth=0.4),
        SmoothHits(longer=6, longer_bandwidth=0.4, geometric=True),
        CrossEntropy(),
        WilcoxonMannWhitney(bandwidth=0.5),
        MeanScore(),
        Hinge(kappa=0.5),
    ],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_objective_gradients_match_finite_differences(objective, sign, trained):
    embeddings, found = trained
    found = replace(found, sign=sign)
    _, grad = objective.value_and_grad(embeddings, found)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        direction = Embeddings(
            *(
                torch.randn(part.shape, generator=generator, dtype=torch.float64)
                for part in (embeddings.users, embeddings.items)
            )
        )

        def along(t: float, direction: Embeddings = direction) -> float:
            moved = Embeddings(embeddings.users + t * direction.users, embeddings.items + t * direction.items)
            return objective.value_and_grad(moved, found)[0]

        slope = (along(1e-6) - along(-1e-6)) / 2e-6
        expected = float((grad.users * direction.users).sum() + (grad.items * direction.items).sum())
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_a_relative_bandwidth_is_a_share_of_the_spread_of_margins(trained):
    """By hand, and so that stretching all scores changes nothing but the length of the gradient."""
    embeddings, found = trained
    scores = embeddings.users @ embeddings.items.T
    edge = scores.gather(1, found.rivals).topk(found.k, dim=1).values[:, -1:]
    margins = (scores[:, found.targets] - edge).numpy()
    weights = found.weights.numpy()
    mean = np.average(margins, weights=weights)
    spread = np.average((margins - mean) ** 2, weights=weights) ** 0.5
    relative = SmoothHits(bandwidth=0.5, relative=True)
    value, grad = relative.value_and_grad(embeddings, found)
    expected, _ = SmoothHits(bandwidth=0.5 * spread).value_and_grad(embeddings, found)
    assert value == pytest.approx(expected)
    stretched = Embeddings(embeddings.users * 8, embeddings.items)
    again, longer = relative.value_and_grad(stretched, found)
    assert again == pytest.approx(value)
    torch.testing.assert_close(longer.items, grad.items)


def test_a_longer_list_is_counted_by_its_share(trained):
    embeddings, found = trained
    both = SmoothHits(bandwidth=0.3, longer=6, longer_bandwidth=0.7, longer_share=0.25)
    short = SmoothHits(bandwidth=0.3).value_and_grad(embeddings, found)
    long = SmoothHits(bandwidth=0.7).value_and_grad(embeddings, replace(found, k=6))
    value, grad = both.value_and_grad(embeddings, found)
    assert value == pytest.approx(0.75 * short[0] + 0.25 * long[0])
    torch.testing.assert_close(grad.users, 0.75 * short[1].users + 0.25 * long[1].users)
    torch.testing.assert_close(grad.items, 0.75 * short[1].items + 0.25 * long[1].items)


def test_a_geometric_loss_weighs_relative_gains(trained):
    """By hand: each list's gradient is divided by its own count, so that a list nobody is won in yet is not drowned."""
    embeddings, found = trained
    options = {"bandwidth": 0.02, "longer": 6, "longer_bandwidth": 0.7, "longer_share": 0.25}
    value, grad = SmoothHits(**options, geometric=True).value_and_grad(embeddings, found)
    short = SmoothHits(bandwidth=0.02).value_and_grad(embeddings, found)
    long = SmoothHits(bandwidth=0.7).value_and_grad(embeddings, replace(found, k=6))
    assert value == pytest.approx(-0.75 * np.log(-short[0]) - 0.25 * np.log(-long[0]))
    torch.testing.assert_close(grad.items, 0.75 * short[1].items / -short[0] + 0.25 * long[1].items / -long[0])
    far = Embeddings(-embeddings.users * 1e4, embeddings.items)
    assert np.isfinite(SmoothHits(bandwidth=1e-3, geometric=True).value_and_grad(far, found)[0])


def test_users_without_interactions_are_nobody_a_scan_looks_at(trained, blocks):
    """An evaluation leaves them out, and so do the attack losses: rows of zeros behind the genuine users change nothing."""
    embeddings, found = trained
    more = csr_array(vstack([blocks, csr_array((20, blocks.shape[1]), dtype=blocks.dtype)]))
    padded = Embeddings(
        torch.cat([embeddings.users, 1e-6 * torch.ones(20, embeddings.users.shape[1])]), embeddings.items
    )
    wider = scan(padded, more, Goal(targets=(5, 33)), k=4, rivals=12)
    assert wider.users.tolist() == found.users.tolist() == list(range(60))
    assert wider.hit_ratio == found.hit_ratio
    (one, grad), (other, wide) = (
        SmoothHits().value_and_grad(at, seen) for at, seen in ((embeddings, found), (padded, wider))
    )
    assert one == pytest.approx(other)
    torch.testing.assert_close(grad.items, wide.items)
    assert not wide.users[60:].any()
