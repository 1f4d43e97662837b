"""Ranks and lists from tiles are those of whole rows of scores, ties, own items and short lists included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from sharpap.kernels import item_ranks, mask_rows, ranks_and_lists, tiles, topk_scores


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", (7, 16))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000), n=st.integers(1, 40), m=st.integers(1, 60), k=st.integers(0, 9), t=st.integers(1, 20),
    dtype=st.sampled_from([np.float32, np.float64]),
)  # fmt: skip
def test_as_from_whole_rows(seed, n, m, k, t, dtype):
    """Whole numbers as factors: sums are exact, and most scores are ties."""
    draw = np.random.default_rng(seed)
    U, V = (draw.integers(-2, 3, (rows, 3)).astype(dtype) for rows in (n, m))
    owned = csr_array(random_array((n, m), density=draw.choice([0.0, 0.3, 0.9]), rng=draw))
    owned.data[:] = 1
    users, items, k = np.sort(draw.permutation(n)[: n // 2 + 1]), draw.integers(0, m, t), min(k, m)
    ranks, lists = ranks_and_lists(U, V, items, k, exclude=owned, users=users)
    scores = np.ascontiguousarray(U[users] @ V.T)
    mask_rows(scores, users, owned.indptr, owned.indices)
    has = owned[users].toarray()[:, items] > 0
    np.testing.assert_array_equal(np.where(has, -1, ranks), np.where(has, -1, item_ranks(scores, items)))
    assert ranks.flags.c_contiguous  # what is summed over users comes out the same to the last digit
    assert lists.shape == (len(users), k)
    if k:
        np.testing.assert_array_equal(lists, topk_scores(scores, k)[0])


def test_ranks_are_those_of_a_sort():
    """An outside witness: numpy's stable sort."""
    draw = np.random.default_rng(0)
    U, V = draw.standard_normal((30, 8)), draw.standard_normal((50, 8))
    V[17] = V[3]
    nothing = csr_array((30, 50))
    ranks, lists = ranks_and_lists(
        torch.from_numpy(U), torch.from_numpy(V), np.arange(50), 12, exclude=nothing, users=np.arange(30)
    )
    order = np.argsort(-(U @ V.T), axis=1, kind="stable")
    np.testing.assert_array_equal(lists, order[:, :12])
    np.testing.assert_array_equal(np.take_along_axis(ranks, order, 1), np.tile(np.arange(50), (30, 1)))


def test_long_rows_are_counted_in_parts():
    draw = np.random.default_rng(0)
    scores = draw.integers(0, 900, (4, 40_000)).astype(np.float32)
    items = np.array([0, 16_384, 39_999, 20_000])
    above = (scores[:, None] > scores[:, items, None]).sum(2)
    before = [[(scores[row, :item] == scores[row, item]).sum() for item in items] for row in range(4)]
    np.testing.assert_array_equal(item_ranks(scores, items), above + before)
    order = np.argsort(-scores, axis=1, kind="stable")
    np.testing.assert_array_equal(topk_scores(scores, 70)[0], order[:, :70])
