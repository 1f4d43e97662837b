"""Gradient passing; its profile gradient is checked beside the others' in test_hypergradient.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sharpap.attacks.profiles import to_csr
from sharpap.config import build
from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.recommenders.graph import Graph
from sharpap.surrogates import GradientPassing, PairwiseSurrogate

ROWS = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32)


def graph() -> Graph:
    return Graph.normalised(Pattern.from_csr(csr_array(ROWS)))


def test_a_users_gradient_reaches_the_other_owners_of_what_he_owns():
    """In one step; nobody without a path to him, and as far as the hops go."""
    net = graph()
    pair = torch.zeros(4, 2), torch.zeros(4, 2)
    pair[0][0] = 1.0
    every = torch.ones(net.pattern.nnz, dtype=torch.bool)
    users, items = GradientPassing(rounds=1)(net, every, pair)
    assert (users[:, 0] > 0).tolist() == [True, True, False, False]
    assert (items[:, 0] > 0).tolist() == [True, True, False, False]
    users, items = GradientPassing(rounds=2)(net, every, pair)
    assert (users[:, 0] > 0).tolist() == [True, True, True, False]
    assert (items[:, 0] > 0).tolist() == [True, True, True, False]


def test_it_is_the_sum_of_powers_and_its_own_transpose():
    net, passing = graph(), GradientPassing(odd=0.5, even=3.0, rounds=2)
    apart = torch.tensor([True, False, True, True, False, True])
    scale = 1 / np.sqrt(ROWS.sum(1))[:, None] / np.sqrt(ROWS.sum(0))
    half = np.zeros_like(ROWS)
    half[tuple(np.argwhere(ROWS).T)] = apart
    whole, parted = (np.block([[np.zeros((4, 4)), B], [B.T, np.zeros((4, 4))]]) for B in (ROWS * scale, half * scale))
    power = np.linalg.matrix_power
    total = np.eye(8) + 0.5 * (parted + power(parted, 3)) + 3 * (power(whole, 2) + power(whole, 4))
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(8, 3, generator=generator) for _ in range(2))
    passed = torch.cat(passing(net, apart, (a[:4], a[4:])))
    np.testing.assert_allclose(passed.numpy(), total @ a.numpy(), rtol=1e-4, atol=1e-5)
    assert float((b * passed).sum()) == pytest.approx(float((torch.cat(passing(net, apart, (b[:4], b[4:]))) * a).sum()))


def test_odd_hops_take_the_edges_that_a_step_would_part():
    net = graph()
    generator = torch.Generator().manual_seed(1)
    theta, grads = ((torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)) for _ in range(2))
    before = theta[0] @ theta[1].T
    after = (theta[0] - 1e-4 * grads[0]) @ (theta[1] - 1e-4 * grads[1]).T
    expected = (after < before)[torch.from_numpy(ROWS) > 0]
    assert torch.equal(GradientPassing().apart(net, theta, grads), expected)
    assert 0 < int(expected.sum()) < len(expected)


def test_fewer_steps_train_as_far(blocks):
    """After a few steps, a model with passing ranks what users own ahead of the rest more often than one without."""

    def accuracy(passing: GradientPassing | None) -> float:
        settings = PairwiseSurrogate(embedding_size=8, epochs=5, unrolled_epochs=1, learning_rate=0.02, passing=passing)
        state = settings.train(blocks, to_csr([], 40), seed=0).embeddings
        scores, owned = (state.users @ state.items.T).numpy(), blocks.toarray() > 0
        return float(np.mean([(scores[u, owned[u]][:, None] > scores[u, ~owned[u]]).mean() for u in range(60)]))

    assert accuracy(GradientPassing()) > accuracy(None) + 0.02


def test_it_is_a_table_of_a_recipe():
    made = build("surrogate", {"name": "bpr-mf", "passing": {"even": 100.0}})
    assert made.passing == GradientPassing(even=100.0)
    assert build("attack", "gradient-passing").passing == GradientPassing()
    with pytest.raises(ConfigError, match="odd"):
        GradientPassing(odd=-1.0)
    with pytest.raises(ConfigError, match="rounds"):
        GradientPassing(rounds=0)
