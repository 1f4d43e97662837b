"""CLeaR: the dispersion of a spectrum, the rank loss, training on a copy, and how profiles are chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sharpap.attacks import CLeaR, Poison, SharpnessAware
from sharpap.attacks.clear import dispersion, embeddings, poisoned, rank_loss
from sharpap.attacks.worst_case import Identity, trained_against
from sharpap.errors import ConfigError
from sharpap.recommenders import WRMF, SimGCL
from sharpap.recommenders.pairwise import Learner
from sharpap.surrogates import Embeddings
from sharpap.threat import Budget, Goal

SMALL = CLeaR(
    surrogate=SimGCL(embedding_size=8, epochs=40, contrast_size=64),
    epochs=3,
    poison_steps=4,
    tune_steps=4,
    k=3,
    rivals=8,
)
GOAL = Goal(targets=(12, 31))
FILLERS = np.array([[0, 1, 2], [20, 21, 22], [5, 25, 30]])


@pytest.fixture(scope="module")
def learner(blocks):
    """Trained on the genuine rows and three fake ones."""
    assert isinstance(SMALL.surrogate, SimGCL)
    learner = Learner.new(SMALL.surrogate, poisoned(blocks, FILLERS, GOAL), 0)
    for _ in range(40):
        learner.step()
    return learner


def rows_with_a_direction() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(30, 6, generator=generator, dtype=torch.float64)
    rows[:, 0] += 2
    counts = torch.randint(0, 4, (30,), generator=generator).double()
    return rows, counts


def test_dispersion_is_the_part_along_the_leading_singular_direction():
    rows, counts = rows_with_a_direction()
    repeated = rows.repeat_interleave(counts.long(), 0)
    left, values, right = torch.linalg.svd(repeated, full_matrices=False)
    leading = values[0] * torch.outer(left[:, 0], right[0])
    about = torch.ones(6, dtype=torch.float64)
    torch.testing.assert_close(dispersion(rows, counts, about, 200), leading.abs().mean())


def test_one_power_step_is_the_sources_formula():
    rows, counts = rows_with_a_direction()
    H = rows.repeat_interleave(counts.long(), 0)
    about = torch.linspace(-1, 2, 6, dtype=torch.float64)
    r = H.T @ H @ about
    without = H - H @ torch.outer(r, r) / r.norm() ** 2
    torch.testing.assert_close(dispersion(rows, counts, about, 1), torch.nn.functional.l1_loss(without, H))


@pytest.mark.parametrize("power_steps", [1, 3])
def test_dispersion_gradient_matches_finite_differences(power_steps):
    rows, counts = rows_with_a_direction()
    about = torch.linspace(-1, 2, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda H: dispersion(H, counts, about, power_steps), rows.requires_grad_())


def spectrum(theta: list[torch.Tensor], learner: Learner) -> torch.Tensor:
    """Singular values of the final embeddings, as shares of their energy."""
    with torch.no_grad():
        values = torch.linalg.svdvals(torch.cat(learner.encoder.final(*theta))).square()
    return values / values.sum()


def test_the_dispersion_term_flattens_the_surrogates_spectrum(learner, blocks):
    def shares(weight: float) -> torch.Tensor:
        attack = replace(SMALL, dispersion_weight=weight, poison_steps=20)
        return spectrum(attack.poison_training(learner, blocks, GOAL, seed=0)[0], learner)

    without, with_it = shares(0.0), shares(20.0)
    assert with_it[0] < 0.8 * without[0]
    entropy = [-(part * part.log()).sum() for part in (without, with_it)]
    assert entropy[1] > entropy[0] + 0.05


def test_the_rank_term_raises_the_targets_and_leaves_the_surrogate_alone(learner, blocks):
    kept = [part.detach().clone() for part in learner.theta]
    attack = replace(SMALL, dispersion_weight=0.0, poison_steps=10)
    theta, _ = attack.poison_training(learner, blocks, GOAL, seed=0)
    with torch.no_grad():
        before, after = (embeddings(learner, each, 60) for each in (learner.theta, theta))

    def ranks(at: Embeddings) -> float:
        scores = at.users @ at.items.T
        return float(np.mean([(scores > scores[:, [target]]).sum(1).float().mean() for target in GOAL.targets]))

    assert ranks(after) < ranks(before) - 2
    losses = [float(rank_loss(at, SMALL.look(at, blocks, GOAL))[0]) for at in (before, after)]
    assert losses[1] < losses[0] - 0.05
    assert all(torch.equal(part, old) for part, old in zip(learner.theta, kept, strict=True))


def test_rank_loss_matches_brute_force(learner, blocks):
    with torch.no_grad():
        at = embeddings(learner, learner.theta, 60)
    value, edge = rank_loss(at, SMALL.look(at, blocks, GOAL))
    scores, owned = (at.users @ at.items.T).numpy(), blocks.toarray() > 0
    per_target = []
    for target in GOAL.targets:
        terms = []
        for user in range(60):
            free = [item for item in range(40) if not owned[user, item] and item not in GOAL.targets]
            kth = sorted(free, key=lambda item: -scores[user, item])[2]
            assert int(edge[user]) == kth
            if not owned[user, target]:
                terms.append(scores[user, kth] - scores[user, target])
        per_target.append(np.mean(terms))
    assert float(value) == pytest.approx(np.mean(per_target), rel=1e-4)


def test_fillers_are_what_the_copy_recommends_to_a_fake_user(learner):
    chosen = SMALL.select(learner, learner.theta, 60, GOAL, 5)
    with torch.no_grad():
        users, items = learner.encoder.final(*learner.theta)
    scores = (users[60:] @ items.T).numpy()
    for row, own in zip(chosen, scores, strict=True):
        assert not set(GOAL.targets) & set(row.tolist())
        rest = np.setdiff1d(np.arange(40), [*row, *GOAL.targets])
        assert own[row].min() >= own[rest].max()


def test_training_goes_on_in_place_on_another_graph(learner, blocks):
    """`Learner.on`: the parameters are the same memory, the propagation is over the other profiles."""
    moved = learner.on(poisoned(blocks, FILLERS[::-1], GOAL))
    assert moved.theta is learner.theta
    with torch.no_grad():
        here, there = learner.encoder.final(*learner.theta), moved.encoder.final(*moved.theta)
    assert not torch.allclose(here[0][60], there[0][60])
    torch.testing.assert_close(moved.counts[0], learner.counts[0])


def test_the_worst_case_is_somewhere_else_and_raises_the_loss(learner, blocks):
    with torch.no_grad():
        at = embeddings(learner, learner.theta, 60)
    found, about, seen = SMALL.look(at, blocks, GOAL), torch.ones(8), []

    def loss(here: Embeddings) -> torch.Tensor:
        seen.append(here)
        return SMALL.attack_loss(here, found, about)

    base = trained_against(Identity(), at, loss, seed=0)
    worst = trained_against(SharpnessAware(rho=0.05), at, loss, seed=0)
    assert float(worst) > float(base) + 1e-3
    assert (seen[-1].items - at.items).norm() > 0.01
    assert (seen[-1].users - at.users).norm() > 0.01


def items(made: Poison) -> bytes:
    return made.profiles.indices.tobytes()


def test_worst_case_changes_the_outcome_and_seeds_repeat_it(blocks):
    budget, wary = Budget(fake_users=4, profile_size=8), replace(SMALL, worst_case=SharpnessAware(rho=0.1))
    base, worst, again, other = (
        attack.poison(blocks, GOAL, budget, seed=seed) for attack, seed in ((SMALL, 0), (wary, 0), (wary, 0), (wary, 1))
    )
    assert (base.attack, worst.attack) == ("clear", "clear-sharpap")
    assert items(base) != items(worst)
    assert items(worst) == items(again)
    assert worst.history == again.history
    assert items(worst) != items(other)
    none = replace(SMALL, worst_case=SharpnessAware(rho=0)).poison(blocks, GOAL, budget, seed=0)
    assert items(base) == items(none)


@pytest.mark.parametrize(
    "bad",
    [{"surrogate": WRMF()}, {"epochs": 0}, {"poison_steps": 0}, {"power_steps": 0}, {"dispersion_weight": -1.0},
     {"worst_case": SharpnessAware(every_step=5)}],
)  # fmt: skip
def test_refuses_nonsense(bad):
    with pytest.raises(ConfigError):
        CLeaR(**bad)


def test_refuses_to_demote(blocks):
    with pytest.raises(ConfigError, match="only promote"):
        SMALL.poison(blocks, Goal(targets=(1,), direction="demote"), Budget(), seed=0)
