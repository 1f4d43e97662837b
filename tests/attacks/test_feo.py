"""FEO: the look-ahead, the goal-oriented loss, the divergence, and how profiles are read off the trained embeddings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from sharpap.attacks import FEO, Poison, SharpnessAware
from sharpap.attacks.scan import scan
from sharpap.errors import ConfigError
from sharpap.surrogates.base import Embeddings
from sharpap.threat import Budget, Goal

SMALL = FEO(embedding_size=4, epochs=3, batch_size=256, k=3, rivals=8, expected_hit_ratio=0.2)
GOAL = Goal(targets=(12, 31))
TARGETS = list(GOAL.targets)


@pytest.fixture(scope="module")
def tables():
    """Embeddings of 60 genuine users, 3 fakes and 40 items."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(rows, 4, generator=generator, dtype=torch.float64) for rows in (63, 40))


def items(made: Poison) -> bytes:
    return made.profiles.indices.tobytes()


def test_look_ahead_is_a_step_on_the_loss_over_the_whole_catalogue(tables):
    """The mean item stands for all of them: here the loss is taken as written, with every score."""
    users, all_items = tables
    fakes, moving = users[60:], all_items.clone().requires_grad_()
    scores, lengths = fakes @ moving.T, fakes.square().sum(1)[:, None] + moving.square().sum(1)
    loss = softplus(scores.mean(1, keepdim=True) - scores[:, TARGETS])
    loss = loss + SMALL.reg * (lengths[:, TARGETS] + lengths.mean(1, keepdim=True))
    (slope,) = torch.autograd.grad(loss.sum(), moving)
    expected = all_items - SMALL.look_ahead_rate * slope
    torch.testing.assert_close(SMALL.look_ahead(fakes, all_items, GOAL), expected)
    assert not torch.equal(expected[TARGETS], all_items[TARGETS])


def test_only_as_many_pairs_count_as_the_expected_hit_ratio_asks_for(tables, blocks):
    users, all_items = tables
    here = Embeddings(users[:60], all_items)
    found = scan(here, blocks, GOAL, k=3, rivals=8)
    value, grad = SMALL.attack_loss(here, found)
    scores, owned = (users[:60] @ all_items.T).numpy(), blocks.toarray() > 0
    losses = []
    for user in range(60):
        rivals = [scores[user, item] for item in range(40) if not owned[user, item] and item not in TARGETS]
        edge = sorted(rivals)[-3]
        losses += [(np.log1p(np.exp(edge - scores[user, t])), user) for t in TARGETS if not owned[user, t]]
    counted = sorted(losses)[: int(0.2 * len(losses))]
    assert value == pytest.approx(np.mean([loss for loss, _ in counted]))
    assert {user for _, user in counted} == set(torch.nonzero(grad.users.abs().sum(1)).flatten().tolist())
    assert set(torch.nonzero(grad.items.abs().sum(1)).flatten().tolist()) <= set(TARGETS)


def test_the_slope_of_the_fakes_goes_through_the_look_ahead(tables, blocks):
    users, all_items = tables
    slope, record = SMALL.attack_slope(users, all_items, slice(60, 63), blocks, GOAL, None, seed=0)
    base = SMALL.look_ahead(users[60:], all_items, GOAL).detach()
    found = scan(Embeddings(users[:60], base), blocks, GOAL, k=3, rivals=8)
    edges = users[:60] @ base.T
    edges = edges.gather(1, found.rivals).topk(3, dim=1).values[:, -1:]  # constants of the loss

    def value(fakes: torch.Tensor) -> float:
        after = SMALL.look_ahead(fakes, all_items, GOAL).detach()
        gap = (edges - users[:60] @ after[TARGETS].T)[found.eligible > 0]
        return float(softplus(gap).topk(int(0.2 * len(gap)), largest=False).values.mean())

    assert value(users[60:]) == pytest.approx(record["attack_loss"])
    along = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    change = (value(users[60:] + 1e-5 * along) - value(users[60:] - 1e-5 * along)) / 2e-5
    assert abs(change) > 1e-6
    assert float((slope * along).sum()) == pytest.approx(change, rel=1e-4)


def test_divergence_is_less_for_fakes_among_genuine_users_and_its_slope_leads_there(tables):
    genuine = torch.cat([torch.eye(4, dtype=torch.float64)[:1] + 0.1 * tables[0][:60]])
    near, far = genuine[:3].clone(), -genuine[:3]

    def value(fakes: torch.Tensor) -> torch.Tensor:
        return SMALL.divergence(fakes, genuine, np.random.default_rng(0))

    assert value(near) < value(far)
    far.requires_grad_()
    (slope,) = torch.autograd.grad(value(far), far)
    assert value(far.detach() - slope) < value(far.detach())


def test_the_worst_case_is_a_perturbation_that_raises_the_loss(tables, blocks):
    users, all_items = tables
    seen = []

    class Watched(SharpnessAware):
        def __call__(self, embeddings, loss, *, seed, fit=None):
            worst = super().__call__(embeddings, loss, seed=seed, fit=fit)
            seen.append((float(worst.plus(embeddings.times(-1)).norm()), loss(embeddings)[0], loss(worst)[0]))
            return worst

    wary = replace(SMALL, worst_case=Watched(rho=0.1))
    slope, record = wary.attack_slope(users, all_items, slice(60, 63), blocks, GOAL, None, seed=0)
    ((length, before, after),) = seen
    assert length > 0
    assert after > before
    assert record["attack_loss"] == pytest.approx(after)
    plain, _ = SMALL.attack_slope(users, all_items, slice(60, 63), blocks, GOAL, None, seed=0)
    assert not torch.equal(slope, plain)


def test_worst_case_changes_the_profiles_and_no_radius_leaves_them(blocks):
    make = partial(FEO.poison, train=blocks, goal=GOAL, budget=Budget(fake_users=4, profile_size=8), seed=0)
    base, worst = make(SMALL), make(replace(SMALL, worst_case=SharpnessAware(rho=0.5, tau=10.0)))
    assert (base.attack, worst.attack) == ("feo", "feo-sharpap")
    assert base.history != worst.history
    assert items(base) == items(make(replace(SMALL, worst_case=SharpnessAware(rho=0.0))))


def test_the_embeddings_of_the_fakes_serve_the_attack(blocks):
    """The same training with and without the steps on the attack loss: with them the loss ends lower."""
    data = SMALL.poison(blocks, GOAL, Budget(fake_users=3, profile_size=2), seed=0).inject(blocks)
    longer = replace(SMALL, epochs=8, attack_weight=30.0)
    ends = [each.group_scores(blocks, data, 3, GOAL, seed=0) for each in (longer, replace(longer, attack_weight=0.0))]
    assert ends[0][1]["attack_loss"] < ends[1][1]["attack_loss"]
    assert not np.allclose(ends[0][0], ends[1][0])


def test_fillers_are_the_best_by_score_within_the_limit():
    scores, pinned = np.array([[9.0, 5, 4, 3, 2, 1]] * 3), np.array([0])
    free = SMALL.fillers(scores, pinned, 2)
    assert [each.tolist() for each in free] == [[1, 2]] * 3
    once = replace(SMALL, filler_limit=1).fillers(scores, pinned, 2)
    assert [each.tolist() for each in once] == [[1, 2], [3, 4], [5, 1]]  # nothing else is left for the third


def test_limit_and_groups_of_fakes(blocks):
    """Within a group no filler is shared; the next group starts to count anew."""
    attack = replace(SMALL, filler_limit=1, step_user=2)
    made = attack.poison(blocks, GOAL, Budget(fake_users=4, profile_size=10), seed=0)
    fillers = [set(made.profiles[[row]].indices.tolist()) - set(TARGETS) for row in range(4)]
    assert all(len(each) == 8 for each in fillers)
    assert not fillers[0] & fillers[1]
    assert not fillers[2] & fillers[3]
    assert len(made.history) == 2


@pytest.mark.parametrize(
    "bad",
    [
        {"expected_hit_ratio": 0.0},
        {"filler_limit": 0},
        {"step_user": 0},
        {"kl_weight": -1.0},
        {"worst_case": SharpnessAware(every_step=1)},
    ],
)
def test_refuses_nonsense(bad):
    with pytest.raises(ConfigError):
        FEO(**bad)


def test_refuses_to_demote(blocks):
    with pytest.raises(ConfigError, match="only promote"):
        SMALL.poison(blocks, Goal(targets=(1,), direction="demote"), Budget(), seed=0)
