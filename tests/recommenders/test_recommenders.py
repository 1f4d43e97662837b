"""Own recommenders against implicit on the same data, and against dense references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix

from sharpap.errors import ConfigError, TrainingError
from sharpap.kernels import Pattern, bpr
from sharpap.kernels.bpr import Negatives, bpr_gradient
from sharpap.metrics import evaluate
from sharpap.recommenders import (
    BPRMF,
    EASE,
    NGCF,
    SGL,
    VGCL,
    WRMF,
    BiasedMF,
    FactorModel,
    ItemKNN,
    LightGCN,
    MultVAE,
    NeuMF,
    Popularity,
    Recommender,
    SimGCL,
    XSimGCL,
)
from sharpap.recommenders.calls import fit
from sharpap.recommenders.contrastive import crowd, info_nce
from sharpap.recommenders.graph import Graph, mean
from sharpap.recommenders.neighbours import learnt_item_weights
from sharpap.recommenders.training import initial_factors
from sharpap.recommenders.vgcl import agreement, k_means
from sharpap.seeds import rng

ALL = [Popularity(), WRMF(), WRMF(solver="adam", epochs=60), BPRMF(epochs=100), LightGCN(epochs=60)]
SMALL = {"embedding_size": 8, "epochs": 20}
OTHERS = [
    SGL(**SMALL), SGL(augmentation="node-drop", **SMALL), SGL(augmentation="random-walk", **SMALL), SimGCL(**SMALL),
    XSimGCL(**SMALL), VGCL(clusters=4, **SMALL), NGCF(**SMALL), BiasedMF(**SMALL), BiasedMF(loss="logistic", **SMALL),
    NeuMF(hidden=(8, 4), dropout=0.1, **SMALL), MultVAE(hidden=16, latent=4, epochs=5), EASE(reg=5.0), ItemKNN(),
    ItemKNN(item_weights="learnt"),
]  # fmt: skip


def ndcg(model, dataset, k: int = 10) -> float:
    return evaluate(model, dataset.train.matrix, targets=(), held_out=dataset.test.matrix, ks=(k,)).ndcg[k]


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")  # implicit's advice about threads
def test_wrmf_reaches_implicits_accuracy(ml100k):
    """Same objective, same settings: mean NDCG@10 of three seeds within 2 % of implicit's ALS."""
    from implicit.als import AlternatingLeastSquares

    train = csr_matrix(ml100k.train.matrix)
    ours, theirs = [], []
    for seed in range(3):
        ours.append(ndcg(WRMF(positive_weight=20.0, reg=100, epochs=15).fit(ml100k.train.matrix, seed=seed), ml100k))
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


@pytest.mark.parametrize(
    "model",
    [WRMF(), BPRMF(), LightGCN(), SGL(), SimGCL(), XSimGCL(), VGCL(), NGCF(), BiasedMF(), NeuMF(), MultVAE(), EASE(),
     ItemKNN(), ItemKNN(item_weights="learnt")],
    ids=lambda model: f"{type(model).__name__}-{getattr(model, 'item_weights', '')}",
)  # fmt: skip
def test_every_model_beats_popularity_by_far(model, ml100k):
    floor = ndcg(Popularity().fit(ml100k.train.matrix, seed=0), ml100k)
    assert ndcg(fit(model, ml100k.train.matrix, ml100k.valid.matrix, seed=0), ml100k) > 1.5 * floor


def test_both_solvers_of_wrmf_reach_the_same_loss(blocks):
    def loss(model: FactorModel, settings: WRMF) -> float:
        R = blocks.toarray().astype(np.float64)
        S = model.user_factors.astype(np.float64) @ model.item_factors.T.astype(np.float64)
        W = np.where(R > 0, settings.positive_weight, settings.negative_weight)
        return float((W * (R - S) ** 2).sum() + settings.reg * (
            np.square(model.user_factors).sum() + np.square(model.item_factors).sum()
        ))  # fmt: skip

    als = WRMF(positive_weight=20.0, embedding_size=8, epochs=200, reg=5, cg_steps=8)
    weight = {"positive_weight": 20.0, "reg": 5}
    gradient = WRMF(**weight, embedding_size=8, epochs=600, solver="adam", learning_rate=0.05)
    assert loss(als.fit(blocks, seed=0), als) == pytest.approx(loss(gradient.fit(blocks, seed=0), als), rel=0.01)


def test_bpr_gradient_matches_autograd(blocks):
    """The fused kernel and the one for other devices, against autograd of the loss as it is written."""
    pattern = Pattern.from_csr(blocks)
    generator = torch.Generator().manual_seed(0)
    U, V = (torch.randn(rows, 5, generator=generator, dtype=torch.float64, requires_grad=True) for rows in blocks.shape)
    negatives = Negatives.draw(pattern, np.random.default_rng(0))
    rows, columns = pattern.rows.long(), pattern.indices.long()
    drawn = torch.from_numpy(negatives.of(rows.numpy(), columns.numpy()))
    assert not (drawn == columns).any()
    theirs = torch.autograd.grad(
        -torch.nn.functional.logsigmoid((U[rows] * (V[columns] - V[drawn])).sum(1)).sum(), (U, V)
    )
    for mine in (
        bpr_gradient(negatives, U.detach(), V.detach()),
        bpr._torch_gradient(negatives, U.detach(), V.detach()),
    ):
        for part, other in zip(mine, theirs, strict=True):
            torch.testing.assert_close(part, other)


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
    E = np.concatenate(initial_factors(n, m, 4, model.init_std, 2))
    mean = sum(np.linalg.matrix_power(A, layer) @ E for layer in range(4)) / 4
    np.testing.assert_allclose(np.concatenate([found.user_factors, found.item_factors]), mean, atol=1e-5)


def test_als_gives_the_same_bytes_wherever_its_arrays_lie():
    """Small arrays beside one another on a heap that changes; one training in two hundred used to differ."""
    generator = np.random.default_rng(0)
    train = csr_array((generator.random((300, 200)) < 0.08).astype(np.float32))
    heap, found = [], set()
    for _ in range(400):
        heap.append(np.empty(generator.integers(1, 5000), np.uint8))
        if len(heap) > 50:
            heap.pop(int(generator.integers(50)))
        found.add(WRMF(embedding_size=16, epochs=3).fit(train, seed=1).item_factors.tobytes())
    assert len(found) == 1


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


def test_fake_users_change_neither_start_nor_negatives_of_the_genuine_ones(blocks):
    """So that a victim with and without poison differs by the poison alone."""
    more = csr_array(np.concatenate([blocks.toarray(), np.ones((3, 40), np.float32)]))
    alone, joined = (initial_factors(*matrix.shape, 4, 0.1, 7) for matrix in (blocks, more))
    np.testing.assert_array_equal(alone[0], joined[0][:60])
    np.testing.assert_array_equal(alone[1], joined[1])
    rows, columns = np.repeat(np.arange(60), 40), np.tile(np.arange(40), 60)
    first, second = (
        Negatives.draw(Pattern.from_csr(matrix), np.random.default_rng(3)).of(rows, columns)
        for matrix in (blocks, more)
    )
    np.testing.assert_array_equal(first, second)
    counts = np.bincount(first, minlength=40)
    assert (first != columns).all()
    assert abs(counts - 60).max() < 6 * 60**0.5  # uniform over the other items


def test_rows_and_items_without_interactions_are_harmless():
    train = csr_array(np.array([[1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 0, 0]], dtype=np.float32))
    for model in (WRMF(embedding_size=2), BPRMF(embedding_size=2, epochs=5), LightGCN(embedding_size=2, epochs=5)):
        assert np.isfinite(model.fit(train, seed=0).score(np.arange(3))).all()


def test_unknown_solver_is_refused():
    with pytest.raises(ConfigError, match="neither als nor adam"):
        WRMF(solver="sgd")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: type(model).__name__)
def test_conformance_of_every_other_model(model, blocks):
    """Seeded, settings and data untouched, finite scores of the right shape, users without items included."""
    before, data = repr(model), blocks.copy()
    first, again = (model.fit(blocks, seed=1).score(np.array([0, 3, 59])) for _ in range(2))
    assert first.shape == (3, 40)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert repr(model) == before
    assert (blocks != data).nnz == 0
    assert isinstance(model, Recommender)
    empty = csr_array(np.vstack([blocks.toarray()[:20], np.zeros((1, 40))]).astype(np.float32))
    assert np.isfinite(model.fit(empty, seed=0).score(np.array([20]))).all()


def test_ease_matches_its_definition(blocks):
    """Column j is the ridge regression of item j on all others."""
    weights = np.asarray(EASE(reg=5.0).fit(blocks, seed=0).weights)
    X = blocks.toarray().astype(np.float64)
    for j in (0, 17):
        others = np.delete(np.arange(40), j)
        A = X[:, others]
        beta = np.linalg.solve(A.T @ A + 5 * np.eye(39), A.T @ X[:, j])
        np.testing.assert_allclose(weights[others, j], beta, atol=1e-4)
        assert weights[j, j] == 0
    with pytest.raises(TrainingError, match="dense matrix"):
        EASE(most_items=39).fit(blocks, seed=0)


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured", "ignore:Method expects CSR input")  # implicit's advice
def test_item_knn_matches_implicits_cosine(ml100k):
    from implicit.nearest_neighbours import CosineRecommender

    train = ml100k.train.matrix
    theirs = CosineRecommender(K=21, num_threads=1)  # its 21 hold the item itself
    theirs.fit(csr_matrix(train).copy(), show_progress=False)
    ours = ItemKNN(neighbours=20).fit(train, seed=0).weights.T.tocsr()  # a row is now a scored item, as in implicit
    for item in range(0, train.shape[1], 97):
        row = theirs.similarity[item].toarray().ravel()
        row[item] = 0
        mine = ours[[item]].toarray().ravel()
        np.testing.assert_allclose(np.sort(mine)[::-1][:20], np.sort(row)[::-1][:20], atol=1e-5)


def test_learnt_item_weights_raise_the_likelihood(blocks):
    similarity = ItemKNN(neighbours=15).fit(blocks, seed=0).weights
    dense = blocks.toarray()

    def likelihood(w: np.ndarray) -> float:
        score = dense @ (w[:, None] * similarity.toarray())
        return float(np.log(np.maximum(score, 1e-6) / score.sum(1, keepdims=True))[dense > 0].mean())

    learnt = learnt_item_weights(blocks, similarity, 50, 0.1)
    assert learnt.mean() == pytest.approx(1)
    assert likelihood(learnt) > likelihood(np.ones(40)) + 1e-3


def test_normalised_graph_of_a_thinned_pattern(blocks):
    pattern = Pattern.from_csr(blocks)
    keep = torch.rand(pattern.nnz, generator=torch.Generator().manual_seed(0)) > 0.3
    graph = Graph.normalised(pattern, keep)
    A = np.zeros(blocks.shape)
    A[pattern.rows[keep], pattern.indices[keep]] = 1
    A /= np.sqrt(np.maximum(A.sum(1, keepdims=True), 1)) * np.sqrt(np.maximum(A.sum(0), 1))
    users, items = torch.randn(60, 3), torch.randn(40, 3)
    received = graph.step(users, items)
    np.testing.assert_allclose(received[0], A @ items.numpy(), atol=1e-5)
    np.testing.assert_allclose(received[1], A.T @ users.numpy(), atol=1e-5)


def test_the_shifts_of_simgcl_travel_by_themselves(blocks):
    """As a view that is shifted layer by layer: same random numbers, same embeddings, same gradient."""
    encoder = SimGCL(layers=3).encoder(Pattern.from_csr(blocks), seed=0)
    users, items = (torch.randn(size, 4, requires_grad=True) for size in blocks.shape)
    layers = encoder.graph.layers(users, items, 3)[1:]
    apart = [part + moved for part, moved in zip(mean(layers), encoder._drift(layers, rng(0)), strict=True)]
    along = mean(encoder._shifted(users, items, rng(0)))
    for one, other in zip(apart, along, strict=True):
        torch.testing.assert_close(one, other)
        weights = torch.randn(one.shape)
        grads = (
            torch.autograd.grad((part * weights).sum(), (users, items), retain_graph=True) for part in (one, other)
        )
        torch.testing.assert_close(*grads)


def test_contrasts_by_hand():
    one, other = torch.randn(5, 3), torch.randn(5, 3)
    logits = torch.nn.functional.cosine_similarity(one[:, None], other[None], dim=2) / 0.5
    expected = torch.nn.functional.cross_entropy(logits, torch.arange(5))
    torch.testing.assert_close(info_nce(one, other, 0.5), expected)
    first, second = torch.nn.functional.normalize(one), torch.nn.functional.normalize(other)
    alone = crowd(first, second, 0.5) - agreement(first, second, torch.arange(5)) / 0.5
    torch.testing.assert_close(alone, expected)
    members = torch.tensor([7, 2, 7, 7, 2])
    log_p, partners = logits.log_softmax(1), (members[:, None] == members).float()
    expected = -((log_p * partners).sum(1) / partners.sum(1)).mean()
    clusters = crowd(first, second, 0.5) - agreement(first, second, members) / 0.5
    torch.testing.assert_close(clusters, expected)
    nodes = info_nce(one, other, 0.5)
    for temperature in (0.5, 0.2):  # the crowd is shared at one temperature only
        settings = VGCL(temperature=0.5, cluster_temperature=temperature, cluster_weight=0.3)
        encoder = settings.encoder(Pattern.from_csr(csr_array(np.eye(5))), 0)
        own = crowd(first, second, temperature) - agreement(first, second, members) / temperature
        torch.testing.assert_close(encoder._contrast(first, second, members), nodes + 0.3 * own)
    far = info_nce(one, -other, 0.001)  # logits of a thousand
    torch.testing.assert_close(far, torch.nn.functional.cross_entropy(-500 * logits, torch.arange(5)))
    pair = [part.double().requires_grad_() for part in (one, other)]
    assert torch.autograd.gradcheck(lambda a, b: info_nce(a, b, 0.5), pair)
    centres, nearest = k_means(torch.tensor([[0.0], [0.1], [5.0], [5.1]]), torch.tensor([[0.0], [5.0]]))
    assert nearest.tolist() == [0, 0, 1, 1]
    torch.testing.assert_close(centres, torch.tensor([[0.05], [5.05]]))


def test_neumf_scores_in_blocks_equal_its_forward_pass(blocks):
    model = NeuMF(hidden=(8, 4), **SMALL).fit(blocks, seed=0)
    p, q = model.users[[7]].expand(40, -1), model.items
    hidden = torch.cat([p[:, 8:], q[:, 8:]], 1)
    for weight, bias in zip(model.layers[::2], model.layers[1::2], strict=True):
        hidden = torch.relu(hidden @ weight + bias)
    expected = (torch.cat([p[:, :8] * q[:, :8], hidden], 1) @ model.head)[:, 0]
    np.testing.assert_allclose(model.score(np.array([3, 7]), pairs=50)[1], expected, atol=1e-5)
