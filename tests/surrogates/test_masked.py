"""RAPU-G's masks against the complete iteration over all pairs, and the gradient through masked epochs against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sharpap.errors import ConfigError, TrainingError
from sharpap.kernels import Pattern
from sharpap.seeds import rng
from sharpap.surrogates import Embeddings, MaskedWRMFSurrogate, WRMFSurrogate

N, F, M, D = 24, 3, 15, 4
SIGMA, DISTURBED = 0.3, 0.5


def dense_mask(R: np.ndarray, S: np.ndarray) -> np.ndarray:
    """The mask of the source on full arrays: True where a pair stays in the loss."""

    def normal(x: np.ndarray | float) -> np.ndarray:
        return np.exp(-((np.asarray(x) / SIGMA) ** 2) / 2) / (np.sqrt(2 * np.pi) * SIGMA)

    present = R > 0
    gamma, eta = np.full((len(R), 1), 0.8), np.full((len(R), 1), 0.8)
    iota, zeta = np.full((1, R.shape[1]), 0.8), np.full((1, R.shape[1]), 0.8)
    for _ in range(500):
        a, b = (gamma + iota) / 2, (eta + zeta) / 2
        right, wrong = b * normal(R - S), (1 - b) * normal(R - DISTURBED)
        seen = a * (right + wrong)
        observed = present | (seen / (seen + 1 - a) >= 0.5)
        fine = np.where(observed, right / (right + wrong), np.nan)
        after = (
            observed.mean(1, keepdims=True), observed.mean(0, keepdims=True),
            np.nanmean(fine, 1, keepdims=True), np.nanmean(fine, 0, keepdims=True),
        )  # fmt: skip
        settled = all(np.allclose(new, old) for new, old in zip(after, (gamma, iota, eta, zeta), strict=True))
        gamma, iota, eta, zeta = after
        if settled:
            break
    return observed & (np.nan_to_num(fine) >= 0.5)


def as_dense(mask, R: csr_array) -> np.ndarray:
    kept = np.ones(R.shape, dtype=bool)
    kept[mask.rows, mask.columns] = False
    rows = np.repeat(np.arange(R.shape[0]), np.diff(R.indptr))[mask.present]
    kept[rows, R.indices[mask.present]] = False
    return kept


@pytest.mark.parametrize(("crowded", "cut"), [(False, 0.5), (True, 0.25)])
def test_masks_match_the_complete_iteration_where_every_kind_of_pair_is_left_out(crowded, cut):
    """Given scores: close to the data, some absent pairs scored high, some present ones low. Crowded: half of one row and of
    one column look unobserved, so that the list must start lower."""
    generator = np.random.default_rng(0)
    R = (generator.random((80, 50)) < 0.2).astype(np.float64)
    S = R + 0.15 * generator.standard_normal(R.shape)
    S[(R == 0) & (generator.random(R.shape) < 0.05)] += 0.9
    S[(R == 1) & (generator.random(R.shape) < 0.1)] -= 1.2
    if crowded:
        S[0, np.flatnonzero(R[0] == 0)[:22]] = 0.95
        S[np.flatnonzero(R[:, 0] == 0)[:35], 0] = 0.95
    matrix = csr_array(R)
    made = MaskedWRMFSurrogate().mask(Pattern.from_csr(matrix), torch.from_numpy(S), torch.eye(50, dtype=torch.float64))
    kept = dense_mask(R, S)
    assert (~kept & (R == 1)).sum() > 20
    assert (~kept & (R == 0)).sum() > 50
    assert made.cut == cut
    np.testing.assert_array_equal(as_dense(made, matrix), kept)
    assert made.share == pytest.approx(kept.mean())


def test_a_mask_that_is_no_short_list_is_refused(data, monkeypatch):
    monkeypatch.setattr("sharpap.surrogates.mask._FEW", 0)
    with pytest.raises(TrainingError, match="look unobserved"):
        SURROGATE.train(*data, seed=7)


def test_masks_of_a_real_surrogate_match_the_complete_iteration(ml100k):
    train = ml100k.train.matrix
    trained = WRMFSurrogate(positive_weight=20.0, reg=20.0).train(train, csr_array((0, train.shape[1])), seed=0)
    users, items = trained.embeddings.users, trained.embeddings.items
    made = MaskedWRMFSurrogate().mask(trained.pattern, users, items)
    kept = dense_mask(train.toarray().astype(np.float64), (users @ items.T).double().numpy())
    out = int((~kept).sum())
    assert out > 3000
    assert int((as_dense(made, train) != kept).sum()) < 0.003 * out


SURROGATE = MaskedWRMFSurrogate(
    embedding_size=D, epochs=25, unrolled_epochs=20, learning_rate=0.05, reg=0.5, precision="float64", masked_epochs=6
)


def train_by_autograd(X: torch.Tensor, genuine: csr_array, seed: int) -> tuple[list[torch.Tensor], list[float]]:
    """Dense training with complete masks in the last epochs, on the autograd graph; also the shares that stay in."""
    settings, generator = SURROGATE, rng(seed, "wrmf-surrogate")
    R = torch.from_numpy(genuine.toarray()).double()
    theta = [
        torch.from_numpy(generator.standard_normal((rows, D), dtype=np.float32) * np.float32(0.1))
        .double()
        .requires_grad_()
        for rows in (N + F, M)
    ]
    first, second = ([torch.zeros_like(part) for part in theta] for _ in range(2))
    shares = []
    for t in range(1, settings.epochs + 1):
        scores = theta[0] @ theta[1].T
        full = torch.cat([R, X if t > settings.epochs - settings.unrolled_epochs else X.detach()])
        pairs = full * settings.positive_weight * (1 - scores) ** 2 + (1 - full) * settings.negative_weight * scores**2
        weight = torch.ones(N + F, M, dtype=torch.float64)
        if t > settings.epochs - settings.masked_epochs:
            kept = torch.from_numpy(dense_mask(R.numpy(), scores[:N].detach().numpy())).double()
            shares.append(float(kept.mean()))
            weight[:N] = kept / kept.mean()
        loss = (weight * pairs).sum() + settings.reg * sum(part.square().sum() for part in theta)
        grads = torch.autograd.grad(loss, theta, create_graph=True)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, grads, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads, strict=True)]
        theta = [
            part - settings.learning_rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            for part, m, v in zip(theta, first, second, strict=True)
        ]
    return theta, shares


def test_the_gradient_through_masked_epochs_matches_autograd(data):
    genuine, fake = data
    trained = SURROGATE.train(genuine, fake, seed=7)
    direction = Embeddings(*(torch.from_numpy(np.random.default_rng(3).standard_normal((rows, D))) for rows in (N, M)))
    ours = trained.profile_gradient(direction).rows(torch.arange(F))
    X = torch.from_numpy(fake.toarray()).double().requires_grad_()
    (users, items), shares = train_by_autograd(X, genuine, seed=7)
    assert len(shares) == 6
    assert max(shares) < 1
    torch.testing.assert_close(trained.embeddings.users, users[:N].detach(), rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(trained.embeddings.items, items.detach(), rtol=1e-8, atol=1e-9)
    loss = (users[:N] * direction.users).sum() + (items * direction.items).sum()
    (theirs,) = torch.autograd.grad(loss, X)
    assert theirs.abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7 * float(theirs.abs().max()))


def test_no_masked_epoch_is_the_plain_surrogate(data):
    plain = WRMFSurrogate(positive_weight=20.0, reg=20.0, embedding_size=D, epochs=8).train(*data, seed=1)
    same = MaskedWRMFSurrogate(embedding_size=D, epochs=8, masked_epochs=0).train(*data, seed=1)
    torch.testing.assert_close(plain.embeddings.items, same.embeddings.items, rtol=0, atol=0)
    other = MaskedWRMFSurrogate(embedding_size=D, epochs=8, masked_epochs=2).train(*data, seed=1)
    assert (plain.embeddings.items - other.embeddings.items).abs().max() > 1e-4


@pytest.mark.parametrize("bad", [{"masked_epochs": 61}, {"sigma": 0.0}, {"disturbed": 0.6}, {"em_steps": 0}])
def test_refuses_nonsense(bad):
    with pytest.raises(ConfigError):
        MaskedWRMFSurrogate(**bad)
