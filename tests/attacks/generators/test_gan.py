"""What the learned generators share: templates, the step that keeps a size, the discriminator, the contest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_generators import BUDGET, CONTESTS, GOAL

from sharpap.attacks import UBA
from sharpap.attacks.generators.gan import Discriminator, Templates, keep_best, read, rows_of


def test_the_step_keeps_the_best_of_each_row_and_never_what_has_no_score():
    scores = torch.tensor([[3.0, 1.0, 2.0, -torch.inf], [0.0, -torch.inf, -torch.inf, 5.0]])
    assert keep_best(scores, 2).tolist() == [[1, 0, 1, 0], [1, 0, 0, 1]]
    assert keep_best(scores, 3).tolist() == [[1, 1, 1, 0], [1, 0, 0, 1]]
    assert keep_best(scores, 4).tolist() == [[1, 1, 1, 0], [1, 0, 0, 1]]
    assert not keep_best(scores, 0).any()
    assert keep_best(torch.zeros(2, 0), 0).shape == (2, 0)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_no_gradient_is_lost_to_nan(count):
    scores = torch.tensor([[3.0, 1.0, 2.0, -torch.inf], [0.0, -torch.inf, -torch.inf, 5.0]], requires_grad=True)
    (keep_best(scores, count) * torch.arange(4.0)).sum().backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert scores.grad[scores.detach() == -torch.inf].eq(0).all()


def test_the_steps_derivative_is_that_of_tanh_around_a_cut_that_keeps_the_size():
    """Against finite differences of sum of tanh, the cut solved for anew so that the sum stays."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, generator=generator, dtype=torch.float64)
    weights = torch.randn(6, generator=generator, dtype=torch.float64)
    ordered = scores.sort(descending=True).values
    cut, height = (ordered[1] + ordered[2]) / 2, None
    height = torch.tanh(scores - cut).sum()

    def value(moved: torch.Tensor) -> float:
        low, high = moved.min() - 10, moved.max() + 10
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if torch.tanh(moved - middle).sum() > height else (low, middle)
        return float((weights * torch.tanh(moved - low)).sum())

    leaf = scores[None].clone().requires_grad_()
    (keep_best(leaf, 2) * weights).sum().backward()
    assert leaf.grad is not None
    for item in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[item] = 1e-5
        assert float(leaf.grad[0, item]) == pytest.approx(
            (value(scores + step) - value(scores - step)) / 2e-5, abs=1e-6
        )


def test_templates_are_genuine_profiles_cut_to_size(blocks):
    templates = Templates.of(blocks, 6, np.array([0, 20]))
    batch = templates.draw(40, np.random.default_rng(0))
    assert batch.items.shape == (40, 6)
    assert len(set(batch.users.tolist())) == 40
    for user, items in zip(batch.users, batch.items.numpy(), strict=True):
        own = set(np.flatnonzero(blocks[[user]].toarray())) - {0, 20}
        assert len(set(items)) == 6
        assert not {0, 20} & set(items)
        assert len(own & set(items)) == min(6, len(own))


def test_more_templates_than_users_and_more_items_than_the_catalogue(blocks):
    batch = Templates.of(blocks, 60, np.array([3])).draw(130, np.random.default_rng(0))
    assert batch.items.shape == (130, 39)
    few = Templates.of(blocks, 6, np.array([3]))
    assert few.among(np.zeros(60, bool)) is few
    assert set(few.among(np.arange(60) < 7).draw(5, np.random.default_rng(0)).users) <= set(range(7))


def test_reading_items_is_reading_rows():
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(9, 3, generator=generator), torch.randn(3, generator=generator)
    items = torch.tensor([[1, 4], [8, 0]])
    rows = rows_of(items, 9)
    torch.testing.assert_close(read(items, weight, bias), rows / rows.norm(dim=1, keepdim=True) @ weight + bias)
    assert read(items[:, :0], weight, bias).tolist() == bias.repeat(2, 1).tolist()


@pytest.mark.parametrize(("kind", "bound"), [("logistic", 0.0), ("clipped", 0.1), ("penalised", 10.0)])
def test_each_discriminator_learns_to_tell_two_kinds_of_rows_apart(kind, bound):
    draw = np.random.default_rng(0)

    def rows(first: int) -> torch.Tensor:
        chance = np.full(20, 0.2)
        chance[first : first + 5] = 0.6
        return torch.from_numpy((draw.random((64, 20)) < chance).astype(np.float32))

    judge = Discriminator(20, (16,), draw, rate=3e-3, kind=kind, bound=bound)
    before = judge.told_apart(rows(0), rows(10))
    for _ in range(200):
        judge.learn(rows(0), rows(10))
    assert abs(before - 0.5) < 0.25
    assert judge.told_apart(rows(0), rows(10)) > 0.9
    assert judge.doubt(rows(0)) < judge.doubt(rows(10))
    if kind == "clipped":
        assert max(float(part.detach().abs().max()) for part in judge.theta) <= np.float32(bound)
    if kind == "penalised":
        between = ((rows(0) + rows(10)) / 2).requires_grad_()
        (slope,) = torch.autograd.grad(judge.score(between).sum(), between)
        assert 0.5 < float(slope.norm(dim=1).mean()) < 1.5


@pytest.mark.parametrize("name", CONTESTS)
def test_every_weight_moves_and_the_discriminator_loses_what_it_had(name, many, played):
    made = CONTESTS[name].poison(many, GOAL, BUDGET, seed=0)
    ((generator, before),) = played
    for old, new in zip(before, generator.theta, strict=True):
        assert (old != new.detach()).any()
    seen = [record["discriminator_auc"] for record in made.history]
    assert np.mean(seen[:3]) > 0.6
    assert np.mean(seen[-5:]) < np.mean(seen[:3]) - 0.15
    assert made.profile_sizes.tolist() == [8] * 4


@pytest.mark.parametrize("name", CONTESTS)
def test_without_rounds_nothing_is_learnt_and_profiles_keep_their_size(name, many, played):
    made = replace(CONTESTS[name], rounds=0, warm_up=0).poison(many, GOAL, BUDGET, seed=0)
    ((generator, before),) = played
    assert all(torch.equal(old, new) for old, new in zip(before, generator.theta, strict=True))
    assert made.history == ()
    assert made.profile_sizes.tolist() == [8] * 4


def test_memory_grows_with_users_plus_items_not_with_their_product():
    """10,000 x 10,000 float32 is 400 MB."""
    code = """
import resource, numpy as np
from scipy.sparse import csr_array
from sharpap.attacks import AUSH, GOAT, GSAGAN, LegUP
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Goal
def go(n):
    rng = np.random.default_rng(0)
    train = csr_array((np.ones(10 * n, np.float32), (np.repeat(np.arange(n), 10), rng.integers(0, n, 10 * n))), shape=(n, n))
    train.sum_duplicates(); train.data[:] = 1
    few = dict(rounds=1, warm_up=1, hidden=8, discriminator=(8,), batch_size=64)
    steps = dict(few, attack_steps=1, surrogate=WRMFSurrogate(embedding_size=8, epochs=4, unrolled_epochs=2))
    for attack in (AUSH(**few), GOAT(**few), LegUP(**steps, pretrain_steps=1), GSAGAN(**steps)):
        attack.poison(train, Goal(targets=(1, 2)), Budget(fake_users=100, profile_size=10), seed=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(go(1000), go(10_000))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    small, large = map(float, done.stdout.split())
    assert large - small < 200


@pytest.mark.parametrize("name", CONTESTS)
def test_fakes_are_made_from_the_templates_that_are_named(name, blocks, monkeypatch):
    """Whoever chooses users, `UBA` for one, has them in the batch that becomes the profiles."""
    seen = []
    of_users = Templates.of_users

    def watched(self, users):
        found = of_users(self, users)
        seen.append(found.sources)
        return found

    monkeypatch.setattr(Templates, "of_users", watched)
    quick = replace(CONTESTS[name], rounds=1)
    made = quick.poison(blocks, GOAL, BUDGET, seed=0, templates=np.array([7, 7, 21, 3]))
    assert [each.tolist() for each in seen] == [[7, 7, 21, 3]]
    assert made.num_fake == 4
    assert UBA(attack=quick, most=2).poison(blocks, GOAL, BUDGET, seed=0).attack == f"uba-{made.attack}"
