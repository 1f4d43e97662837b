"""Own recommenders against implicit on the same data, and against dense references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix

from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.metrics import evaluate
from sharpap.recommenders import BPRMF, WRMF, FactorModel, LightGCN, Popularity, Recommender
from sharpap.recommenders.bpr import bpr_gradient

ALL = [Popularity(), WRMF(), WRMF(solver="adam", epochs=60), BPRMF(epochs=100), LightGCN(epochs=60)]


def ndcg(model, dataset, k: int = 10) -> float:
    return evaluate(model, dataset.train.matrix, targets=(), held_out=dataset.test.matrix, ks=(k,)).ndcg[k]


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")  # implicit's advice about threads
def test_wrmf_reaches_implicits_accuracy(ml100k):
    """Same objective, same settings: mean NDCG@10 of three seeds within 2 % of implicit's ALS."""
    from implicit.als import AlternatingLeastSquares

    train = csr_matrix(ml100k.train.matrix)
    ours, theirs = [], []
    for seed in range(3):
        ours.append(ndcg(WRMF(reg=100, epochs=15).fit(ml100k.train.matrix, seed=seed), ml100k))
        model = AlternatingLeastSquares(
            factors=64, regularization=100.0, alpha=20.0, iterations=15, random_state=seed, num_threads=1
        )
        model.fit(train.copy(), show_progress=False)
        theirs.append(
            ndcg(FactorModel(user_factors=model.user_factors, item_factors=model.item_factors, log={}), ml100k)
        )
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.02)


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")  # implicit's advice about threads
def test_bpr_is_at_least_as_accurate_as_implicits(ml100k):
    from implicit.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=64, learning_rate=0.02, regularization=0.01, iterations=200, random_state=0, num_threads=1
    )
    model.fit(csr_matrix(ml100k.train.matrix).copy(), show_progress=False)
    theirs = ndcg(FactorModel(user_factors=model.user_factors[:, :], item_factors=model.item_factors, log={}), ml100k)
    ours = ndcg(BPRMF().fit(ml100k.train.matrix, seed=0, valid=ml100k.valid.matrix), ml100k)
    assert theirs > 0.05
    assert ours > theirs


@pytest.mark.parametrize("model", [WRMF(), BPRMF(), LightGCN()], ids=lambda model: type(model).__name__)
def test_every_model_beats_popularity_by_far(model, ml100k):
    floor = ndcg(Popularity().fit(ml100k.train.matrix, seed=0), ml100k)
    assert ndcg(model.fit(ml100k.train.matrix, seed=0, valid=ml100k.valid.matrix), ml100k) > 1.5 * floor


def test_both_solvers_of_wrmf_reach_the_same_loss(blocks):
    def loss(model: FactorModel, settings: WRMF) -> float:
        R = blocks.toarray().astype(np.float64)
        S = model.user_factors.astype(np.float64) @ model.item_factors.T.astype(np.float64)
        W = np.where(R > 0, settings.positive_weight, settings.negative_weight)
        return float((W * (R - S) ** 2).sum() + settings.reg * (
            np.square(model.user_factors).sum() + np.square(model.item_factors).sum()
        ))  # fmt: skip

    als = WRMF(embedding_size=8, epochs=200, reg=5, cg_steps=8)
    gradient = WRMF(embedding_size=8, epochs=600, reg=5, solver="adam", learning_rate=0.05)
    assert loss(als.fit(blocks, seed=0), als) == pytest.approx(loss(gradient.fit(blocks, seed=0), als), rel=0.01)


def test_bpr_gradient_matches_autograd(blocks):
    pattern = Pattern.from_csr(blocks)
    generator = torch.Generator().manual_seed(0)
    U, V = (torch.randn(rows, 5, generator=generator, dtype=torch.float64, requires_grad=True) for rows in blocks.shape)
    negatives = torch.randperm(blocks.shape[1], generator=generator)
    rows, columns = pattern.rows.long(), pattern.indices.long()
    margin = (U[rows] * (V[columns] - V[negatives[columns]])).sum(1)
    theirs = torch.autograd.grad(-torch.nn.functional.logsigmoid(margin).sum(), (U, V))
    for mine, other in zip(bpr_gradient(pattern, U.detach(), V.detach(), negatives), theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_lightgcn_propagation_matches_the_dense_graph(blocks):
    """With no training step the factors are the mean of A^l E, l = 0 to 3, over the normalised bipartite adjacency."""
    model = LightGCN(embedding_size=4, epochs=1, learning_rate=0.0, layers=3)
    found = model.fit(blocks, seed=2)
    n, m = blocks.shape
    A = np.zeros((n + m, n + m))
    A[:n, n:] = blocks.toarray()
    A[n:, :n] = A[:n, n:].T
    scale = 1 / np.sqrt(np.maximum(A.sum(1), 1))
    A = A * scale[:, None] * scale
    from sharpap.recommenders.training import initial_factors

    E = np.concatenate(initial_factors(n, m, 4, model.init_std, 2))
    mean = sum(np.linalg.matrix_power(A, layer) @ E for layer in range(4)) / 4
    np.testing.assert_allclose(np.concatenate([found.user_factors, found.item_factors]), mean, atol=1e-5)


@pytest.mark.parametrize("model", ALL, ids=lambda model: f"{type(model).__name__}")
def test_same_seed_same_bytes_and_settings_unchanged(model, blocks):
    before = repr(model)
    first, again, other = (model.fit(blocks, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.item_factors, again.item_factors)
    assert isinstance(model, Popularity) or not np.array_equal(first.item_factors, other.item_factors)
    assert repr(model) == before
    assert isinstance(model, Recommender)
    assert first.score(np.array([0, 3])).shape == (2, 40)


def test_early_stopping_keeps_the_best_epoch(blocks):
    rng = np.random.default_rng(0)
    dense = blocks.toarray()
    held = (rng.random(dense.shape) < 0.2) * dense
    train, valid = csr_array(dense - held), csr_array(held)
    log = (
        BPRMF(epochs=400, check_every=5, patience=3, min_epochs=50, learning_rate=0.1)
        .fit(train, seed=0, valid=valid)
        .log
    )
    best = max(score for _, score in log["checks"])
    assert log["valid_ndcg"] == best
    assert dict(log["checks"])[log["epochs"]] == best
    assert 50 <= log["checks"][-1][0] < 400
    assert "valid_ndcg" not in BPRMF(epochs=5).fit(train, seed=0).log


def test_rows_and_items_without_interactions_are_harmless():
    train = csr_array(np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=np.float32))
    for model in (WRMF(embedding_size=2), BPRMF(embedding_size=2, epochs=5), LightGCN(embedding_size=2, epochs=5)):
        assert np.isfinite(model.fit(train, seed=0).score(np.arange(3))).all()


def test_unknown_solver_is_refused():
    with pytest.raises(ConfigError, match="neither als nor adam"):
        WRMF(solver="sgd")  # pyright: ignore[reportArgumentType]
