"""APR, VAT, SAM, ASAM and AWP: how far the model moves, what a step makes of it, and who can be trained so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from sharpap.config import build
from sharpap.defenses import APR, ASAM, AWP, SAM, VAT, Bagging, Defended
from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.kernels.bpr import Negatives
from sharpap.kernels.triples import Triples
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_loss
from sharpap.recommenders import BPRMF, EASE, NGCF, SGL, VGCL, WRMF, LightGCN, SimGCL, XSimGCL, calls
from sharpap.recommenders.perturb import EmbeddingAdversary, WeightAdversary, moved

SMALL: dict[str, Any] = {"embedding_size": 4, "epochs": 6, "learning_rate": 0.05}
ADAM = WRMF(embedding_size=4, epochs=40, solver="adam", positive_weight=5.0, reg=1.0)
PAIRWISE = [
    BPRMF(**SMALL), LightGCN(**SMALL), NGCF(**SMALL), SGL(**SMALL, contrast_size=32), SimGCL(**SMALL, contrast_size=32),
    XSimGCL(**SMALL, contrast_size=32), VGCL(**SMALL, contrast_size=32, clusters=3, cluster_every=4),
]  # fmt: skip
STRONG = [APR(eps=0.5, start=2), VAT(eps=0.5, start=2), SAM(rho=0.1), ASAM(rho=0.1), AWP(gamma=0.1)]


def fit(*args: Any, **more: Any) -> Any:
    """`calls.fit`, of a factor model."""
    return calls.fit(*args, **more)


def kind(made: object) -> str:
    return type(made).__name__


def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def norm(parts) -> float:
    return float(torch.cat([part.flatten() for part in parts]).norm())


def test_sam_moves_along_the_gradient_by_its_share_of_all_parameters():
    parts = tensors((7, 3), (5, 3))
    grads = [part.cos() for part in parts]
    found = SAM(rho=0.2).offsets(parts, grads)
    assert norm(found) == pytest.approx(0.2 * norm(parts))
    for offset, grad in zip(found, grads, strict=True):
        torch.testing.assert_close(offset / norm(found), grad / norm(grads))


def test_asam_moves_by_its_share_of_the_parameters_length_in_its_own_ball():
    parts = tensors((7, 3), (5, 3))
    grads = [part.cos() for part in parts]
    settings = ASAM(rho=0.2, eta=0.05)
    scales = [part.abs() + 0.05 for part in parts]
    found = settings.offsets(parts, grads)
    scaled = [offset / scale for offset, scale in zip(found, scales, strict=True)]
    assert norm(scaled) == pytest.approx(0.2 * norm([p / s for p, s in zip(parts, scales, strict=True)]))
    steep = [grad * scale for grad, scale in zip(grads, scales, strict=True)]
    for offset, way in zip(scaled, steep, strict=True):
        torch.testing.assert_close(offset / norm(scaled), way / norm(steep))  # the worst point of that ball


def test_awp_moves_each_layer_by_its_share_of_it_and_no_bias():
    parts = tensors((7, 3), (5, 3), (3,))
    grads = [part.cos() * scale for part, scale in zip(parts, (1, 100, 1), strict=True)]
    found = AWP(gamma=0.2).offsets(parts, grads)
    for offset, part, grad in zip(found[:2], parts, grads, strict=False):
        assert norm([offset]) == pytest.approx(0.2 * norm([part]))
        torch.testing.assert_close(offset / offset.norm(), grad / grad.norm())
    assert not found[2].any()


def test_offsets_of_no_gradient_are_nothing():
    parts = tensors((4, 2))
    for defense in (SAM(), ASAM(), AWP()):
        assert not defense.offsets(parts, [torch.zeros(4, 2, dtype=torch.float64)])[0].any()


def test_vat_scales_by_how_well_a_user_is_fitted(blocks):
    pattern = Pattern.from_csr(blocks)
    P, Q = (part.float() for part in tensors((60, 4), (40, 4)))
    triples = Triples.at(Negatives.draw(pattern, np.random.default_rng(0)), P, Q)
    losses = triples.user_losses().double()
    found = VAT(eps=0.3, user_weight=1.5).radius(triples)
    theirs = 0.3 * 1.5 / (1 + torch.exp(1 - losses.mean() / losses))
    torch.testing.assert_close(found.double(), theirs, rtol=1e-5, atol=1e-6)
    assert found[losses.argmin()] == found.max() > found[losses.argmax()] > 0
    assert (APR(eps=0.3).radius(triples) == 0.3).all()


def test_vat_leaves_users_without_interactions_out_of_the_mean(blocks):
    dense = blocks.toarray()
    dense[:30] = 0
    P, Q = (part.float() for part in tensors((60, 4), (40, 4)))
    whole, half = (
        Triples.at(Negatives.draw(Pattern.from_csr(type(blocks)(matrix)), np.random.default_rng(0)), table, Q)
        for matrix, table in ((dense, P), (dense[30:], P[30:]))
    )
    losses = whole.user_losses()[30:]
    assert VAT().radius(whole)[30:].mean() == pytest.approx(
        float((0.6 * torch.sigmoid(losses.mean() / losses - 1)).mean()), rel=1e-4
    )
    assert half.user_losses().shape == (30,)


@pytest.mark.parametrize("recommender", PAIRWISE, ids=kind)
@pytest.mark.parametrize("defense", [SAM(rho=0.0), ASAM(rho=0.0), AWP(gamma=0.0)], ids=kind)
def test_weights_that_do_not_move_give_the_plain_model_to_the_byte(recommender, defense, blocks):
    """Two gradients a step, with one set of random numbers and one state of the encoder."""
    plain, same = (fit(recommender, blocks, seed=1, perturb=perturb) for perturb in (None, defense))
    assert plain.user_factors.tobytes() == same.user_factors.tobytes()
    assert plain.item_factors.tobytes() == same.item_factors.tobytes()


def test_factors_of_wrmf_that_do_not_move_give_the_plain_model(blocks):
    plain, same = (fit(ADAM, blocks, seed=1, perturb=perturb) for perturb in (None, SAM(rho=0.0)))
    np.testing.assert_allclose(plain.item_factors, same.item_factors, atol=1e-4)


@pytest.mark.parametrize("recommender", PAIRWISE[:3], ids=kind)
@pytest.mark.parametrize("defense", [APR(eps=0.0, start=0), VAT(eps=0.0, start=0)], ids=kind)
def test_embeddings_that_do_not_move_count_the_plain_loss_twice(recommender, defense, blocks):
    """Adam does not see the factor two, but regularisation does."""
    weak = type(recommender)(**SMALL, reg=1e-3)
    twice = type(recommender)(**SMALL, reg=2e-3)
    plain, same = fit(weak, blocks, seed=1), fit(twice, blocks, seed=1, perturb=defense)
    np.testing.assert_allclose(plain.item_factors, same.item_factors, atol=1e-4)


@pytest.mark.parametrize("recommender", PAIRWISE, ids=kind)
@pytest.mark.parametrize("defense", STRONG, ids=kind)
def test_every_pairwise_model_can_be_trained_so(recommender, defense, blocks):
    plain, first, again = (fit(recommender, blocks, seed=1, perturb=each) for each in (None, defense, defense))
    assert np.isfinite(first.item_factors).all()
    assert first.item_factors.tobytes() == again.item_factors.tobytes()
    assert np.abs(first.item_factors - plain.item_factors).max() > 1e-4


def test_a_step_follows_the_gradient_at_the_moved_factors(blocks):
    """One plain step of descent would do: Adam's first step shows the sign of what it was given."""
    settings = WRMF(embedding_size=4, epochs=1, solver="adam", positive_weight=5.0, reg=1.0, learning_rate=1e-3)
    start = fit(WRMF(**{**vars(settings), "learning_rate": 0.0}), blocks, seed=0)
    theta = [torch.from_numpy(part) for part in (start.user_factors, start.item_factors)]
    pattern, weights = Pattern.from_csr(blocks), {"positive_weight": 5.0, "negative_weight": 1.0}
    offsets = SAM(rho=0.3).offsets(theta, wrmf_gradient(pattern, theta[0], theta[1], **weights, reg=0.0))
    there = [part + offset for part, offset in zip(theta, offsets, strict=True)]
    grads = wrmf_gradient(pattern, there[0], there[1], **weights, reg=0.0)
    found = fit(settings, blocks, seed=0, perturb=SAM(rho=0.3))
    for part, grad, now in zip(theta, grads, (found.user_factors, found.item_factors), strict=True):
        np.testing.assert_allclose(now - part.numpy(), -1e-3 * np.sign((grad + 2 * part).numpy()), atol=2e-6)


@pytest.mark.parametrize("defense", [SAM(rho=0.2), AWP(gamma=0.2)], ids=kind)
def test_flat_training_ends_where_the_loss_rises_less(defense, blocks):
    pattern, weights = Pattern.from_csr(blocks), {"positive_weight": 5.0, "negative_weight": 1.0, "reg": 0.0}

    def rise(model) -> float:
        theta = [torch.from_numpy(part) for part in (model.user_factors, model.item_factors)]
        here = wrmf_loss(pattern, theta[0], theta[1], **weights)
        with moved(theta, defense.offsets(theta, wrmf_gradient(pattern, theta[0], theta[1], **weights))):
            return wrmf_loss(pattern, theta[0], theta[1], **weights) - here

    plain, flat = (
        np.mean([rise(fit(ADAM, blocks, seed=seed, perturb=each)) for seed in range(3)]) for each in (None, defense)
    )
    assert 0 < flat < 0.9 * plain


@pytest.mark.parametrize("defense", [APR(eps=0.5), VAT(eps=0.5)], ids=kind)
def test_adversarial_training_ends_where_moved_interactions_are_told_better(defense, blocks):
    pattern, settings = Pattern.from_csr(blocks), BPRMF(embedding_size=4, epochs=80, learning_rate=0.05, reg=1e-3)

    def loss(model) -> float:
        parts = torch.from_numpy(model.user_factors), torch.from_numpy(model.item_factors)
        triples = Triples.at(Negatives.draw(pattern, np.random.default_rng(5)), *parts)
        return float(torch.nn.functional.softplus(-triples.moved_margins(APR(eps=0.5).radius(triples))).mean())

    plain, hardened = (loss(fit(settings, blocks, seed=0, perturb=each)) for each in (None, defense))
    assert hardened < plain


def test_moved_parameters_come_back_to_the_bit():
    parts = [part.float() for part in tensors((5, 3))]
    before = parts[0].clone()
    with moved(parts, [torch.full((5, 3), 1e8)]):
        assert not torch.equal(parts[0], before)
    assert torch.equal(parts[0], before)


@pytest.mark.parametrize("defense", [APR(start=4), VAT(start=4)], ids=kind)
def test_before_the_start_training_is_plain_and_nothing_is_kept(defense, blocks):
    held = (np.random.default_rng(0).random(blocks.shape) < 0.2) * blocks.toarray()
    train, valid = type(blocks)(blocks.toarray() - held), type(blocks)(held)
    short = BPRMF(embedding_size=4, epochs=4)
    plain, same = (fit(short, train, seed=1, perturb=each) for each in (None, defense))
    assert plain.item_factors.tobytes() == same.item_factors.tobytes()
    longer = BPRMF(embedding_size=4, epochs=30, check_every=2, patience=1, min_epochs=10)
    log = fit(longer, train, valid, seed=1, perturb=defense).log
    assert log["checks"][0][0] == 16


@pytest.mark.parametrize("defense", STRONG, ids=kind)
def test_others_are_refused_with_a_hint(defense, blocks):
    with pytest.raises(ConfigError, match=rf"{kind(defense)} moves the model.*EASE cannot") as error:
        Defended(recommender=EASE(), defense=defense).fit(blocks, seed=0)
    assert "bpr-mf" in str(error.value.hint)
    with pytest.raises(
        ConfigError, match="squared one" if isinstance(defense, (APR, VAT)) else "alternates least squares"
    ):
        Defended(recommender=WRMF(), defense=defense).fit(blocks, seed=0)


def test_a_recommender_of_ones_own_can_take_part(blocks):
    seen = []

    @dataclass(frozen=True)
    class Own:
        def fit(self, train, *, seed, perturb=None):
            seen.append(perturb)
            return BPRMF(**SMALL).fit(train, seed=seed)

    Defended(recommender=Own(), defense=SAM()).fit(blocks, seed=0)
    assert seen == [SAM()]


def test_defences_are_of_two_kinds_and_nest(blocks):
    assert all(isinstance(each, EmbeddingAdversary) != isinstance(each, WeightAdversary) for each in STRONG)
    inner = Defended(recommender=BPRMF(**SMALL), defense=APR())
    model = Defended(recommender=inner, defense=Bagging(models=2)).fit(blocks, seed=0)
    assert np.isfinite(model.score(np.arange(60))).all()


@pytest.mark.parametrize("name", ["apr", "vat", "sam", "asam", "awp"])
def test_recipes_name_them(name):
    made = build("victim", {"name": "defended", "recommender": "lightgcn", "defense": {"name": name}})
    assert kind(made.defense) == name.upper()


@pytest.mark.parametrize(
    "make", [lambda: APR(eps=-1.0), lambda: VAT(user_weight=-1.0), lambda: SAM(rho=-0.1), lambda: AWP(gamma=-0.1)]
)
def test_strengths_are_not_negative(make):
    with pytest.raises(ConfigError, match="must be 0 or more"):
        make()
