"""The worst case within its ball, its bounds and its controls."""

from __future__ import annotations

import pytest
import torch

from sharpap.attacks import (
    Identity,
    RandomDirection,
    RevAdv,
    SharpnessAware,
    SmoothHits,
)
from sharpap.attacks.worst_case import mixed
from sharpap.errors import ConfigError, ContractError
from sharpap.surrogates import ALSSurrogate, Embeddings, WRMFSurrogate


def distance(a: Embeddings, b: Embeddings) -> Embeddings:
    return Embeddings(a.users - b.users, a.items - b.items)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("ball", ["global", "row", "adaptive"])
def test_worst_case_raises_the_loss_within_its_ball(ball, steps, trained):
    embeddings, found = trained
    objective = SmoothHits(bandwidth=0.3)

    def loss(e):
        return objective.value_and_grad(e, found)

    worst = SharpnessAware(ball=ball, rho=0.05, steps=steps)(embeddings, loss, seed=0)
    moved = distance(worst, embeddings)
    assert float(moved.norm()) > 0  # a published implementation loses its perturbation on a copy
    assert loss(worst)[0] > loss(embeddings)[0]
    random = RandomDirection(ball=ball, rho=0.05)(embeddings, loss, seed=0)
    assert loss(worst)[0] > loss(random)[0]
    if steps == 1:  # the control moves the same rows, and as far
        for ours, theirs in zip(vars(moved).values(), vars(distance(random, embeddings)).values(), strict=True):
            assert ((ours.norm(dim=1) > 0) == (theirs.norm(dim=1) > 0)).all()
            if ball == "row":
                torch.testing.assert_close(ours.norm(dim=1), theirs.norm(dim=1))
    if ball == "global":
        assert float(moved.norm()) <= 0.05 * float(embeddings.norm()) * (1 + 1e-9)
    if ball == "row":
        for part, whole in ((moved.users, embeddings.users), (moved.items, embeddings.items)):
            assert (part.norm(dim=1) <= 0.05 * whole.norm(dim=1) * (1 + 1e-9)).all()
    if ball == "adaptive":
        scaled = torch.cat([(moved.users / embeddings.users).ravel(), (moved.items / embeddings.items).ravel()])
        assert float(scaled.norm()) <= 0.05 * len(scaled) ** 0.5 * (1 + 1e-9)


def test_one_step_is_the_closed_form(trained):
    embeddings, found = trained
    objective = SmoothHits()
    _, grad = objective.value_and_grad(embeddings, found)
    worst = SharpnessAware(ball="global", rho=0.7, relative=False)(
        embeddings, lambda e: objective.value_and_grad(e, found), seed=0
    )
    torch.testing.assert_close(worst.items - embeddings.items, 0.7 * grad.items / grad.norm())
    same = SharpnessAware(rho=0)(embeddings, lambda e: objective.value_and_grad(e, found), seed=0)
    assert same is embeddings


def test_tau_bounds_the_recommendation_loss_and_clean_share_averages(trained):
    embeddings, found = trained

    def loss(e):
        return SmoothHits(bandwidth=0.3).value_and_grad(e, found)

    def fit(e):
        return 1.0 + float(distance(e, embeddings).norm()) ** 2

    worst = SharpnessAware(rho=0.5, tau=0.01)(embeddings, loss, seed=0, fit=fit)
    assert 0 < fit(worst) - 1 <= 0.01
    free = SharpnessAware(rho=0.5)(embeddings, loss, seed=0, fit=fit)
    assert fit(free) > 1.01
    with pytest.raises(ContractError, match="recommendation loss"):
        SharpnessAware(tau=0.1)(embeddings, loss, seed=0)
    value, grad = mixed(loss, embeddings, free, 0.25)
    assert value == pytest.approx(0.25 * loss(embeddings)[0] + 0.75 * loss(free)[0])
    torch.testing.assert_close(grad.items, 0.25 * loss(embeddings)[1].items + 0.75 * loss(free)[1].items)
    assert mixed(loss, embeddings, Identity()(embeddings, loss, seed=0), 0.5)[0] == loss(embeddings)[0]


@pytest.mark.parametrize(
    "bad",
    [{"rho": -1.0}, {"rho": float("nan")}, {"ball": "cube"}, {"steps": 0}, {"tau": -1.0}, {"clean_share": 2.0},
     {"every_step": -1}],
)  # fmt: skip
def test_worst_case_refuses_nonsense(bad):
    with pytest.raises(ConfigError):
        SharpnessAware(**bad)


@pytest.mark.parametrize(
    ("surrogate", "others"),
    [(ALSSurrogate(), ()), (WRMFSurrogate(), (ALSSurrogate(),)), (WRMFSurrogate(unrolled_epochs=2), ())],
)
def test_a_worst_case_in_every_step_needs_unrolled_steps(surrogate, others):
    with pytest.raises(ConfigError, match="every_step=2 needs a surrogate that unrolls more"):
        RevAdv(surrogate=surrogate, others=others, worst_case=SharpnessAware(every_step=2))
