"""Top-k lists and exact ranks against a stable full sort, ties included."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from sharpap.errors import ContractError
from sharpap.kernels import item_ranks, search, stored, topk, topk_scores
from sharpap.kernels.search import _topk_torch


def sorted_items(row: np.ndarray) -> np.ndarray:
    return np.argsort(-row, kind="stable")


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(1, 60), levels=st.integers(1, 8), masked=st.floats(0, 1))
def test_lists_and_ranks_match_a_stable_sort(seed, m, levels, masked):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (5, m)).astype(np.float32)  # few levels: many ties
    scores[rng.random((5, m)) < masked] = -np.inf
    k = int(rng.integers(1, m + 1))
    items, values = topk_scores(scores, k)
    ranks = item_ranks(scores, np.arange(m))
    for row in range(5):
        order = sorted_items(scores[row])
        expected = [item if np.isfinite(scores[row, item]) else -1 for item in order[:k]]
        assert items[row].tolist() == expected
        assert values[row].tolist() == scores[row, order[:k]].tolist()
        assert ranks[row, order].tolist() == list(range(m))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_from_factors_with_exclusions(seed):
    rng = np.random.default_rng(seed)
    U, V = rng.standard_normal((30, 4)).astype(np.float32), rng.standard_normal((25, 4)).astype(np.float32)
    exclude = csr_array(random_array((30, 25), density=0.5, rng=rng))
    users = rng.permutation(30)[:11]
    items, _ = topk(U, V, 6, exclude=exclude, users=users)
    dense = (U @ V.T).astype(np.float64)
    dense[exclude.toarray() > 0] = -np.inf
    for row, user in enumerate(users):
        listed = items[row][items[row] >= 0]
        assert not exclude.toarray()[user, listed].any()
        free = np.isfinite(dense[user]).sum()
        assert len(listed) == min(6, free)
        np.testing.assert_allclose(dense[user, listed], np.sort(dense[user])[::-1][: len(listed)], rtol=1e-5)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_the_torch_path_gives_the_same_lists(device):
    """What a GPU runs, checked on the CPU as well."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng = np.random.default_rng(0)
    U, V = (rng.integers(-2, 3, shape).astype(np.float32) for shape in ((50, 3), (40, 3)))  # whole numbers: exact ties
    exclude = csr_array(random_array((50, 40), density=0.9, rng=rng))
    users = rng.permutation(50)[:20]
    ours = topk(U, V, 9, exclude=exclude, users=users)
    theirs = _topk_torch(torch.from_numpy(U).to(device), torch.from_numpy(V).to(device), 9, exclude, users)
    assert np.array_equal(ours[0], theirs[0])
    assert np.array_equal(ours[1], theirs[1])
    with pytest.raises(ContractError, match="k=41"):
        topk(torch.from_numpy(U).to(device), torch.from_numpy(V).to(device), 41, users=users)


def test_k_must_fit():
    with pytest.raises(ContractError, match="k=4"):
        topk_scores(np.zeros((2, 3), np.float32), 4)
    with pytest.raises(ContractError, match="k=4"):
        topk(np.zeros((2, 2), np.float32), np.zeros((3, 2), np.float32), 4)


def test_no_array_of_users_x_items_is_made():
    """30,000 x 40,000 float32 scores would be 4.8 GB; ranking all of them must stay far below."""
    code = """
import resource, numpy as np
from scipy.sparse import csr_array
from sharpap.kernels import topk
from sharpap.metrics import evaluate
from sharpap.recommenders import FactorModel
rng = np.random.default_rng(0)
U, V = rng.standard_normal((30_000, 4), dtype=np.float32), rng.standard_normal((40_000, 4), dtype=np.float32)
train = csr_array((np.ones(30_000, np.float32), (np.arange(30_000), rng.integers(0, 40_000, 30_000))), shape=(30_000, 40_000))
train.sort_indices()
topk(U[:64], V, 10, exclude=train)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
topk(U, V, 10, exclude=train)
evaluate(FactorModel(user_factors=U, item_factors=V, log={}), train, targets=(1, 2), held_out=train, ks=(10,))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(grown.stdout) < 600


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), precision=st.sampled_from([np.float32, np.float64]))
def test_the_search_gives_the_lists_of_a_full_sort(seed, precision):
    """Small blocks, lengths that differ much, whole numbers: pruned, many blocks, many ties."""
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(1, 40)), int(rng.integers(1, 60))
    length = rng.integers(0, 5, (m, 1)) ** 2
    U, V = rng.integers(-2, 3, (n, 3)).astype(precision), (rng.integers(-1, 2, (m, 3)) * length).astype(precision)
    exclude = csr_array(random_array((n, m), density=0.3, rng=rng))
    without = rng.permutation(m)[: int(rng.integers(0, m + 1))]
    k = int(rng.integers(1, m + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "USERS", 7)
        patch.setattr(search, "ITEMS", 5)
        items, values = topk(U, V, k, exclude=exclude, without=without)
    dense = U @ V.T
    dense[exclude.toarray() > 0] = -np.inf
    dense[:, without] = -np.inf
    for row in range(n):
        order = sorted_items(dense[row])[:k]
        assert items[row].tolist() == [item if np.isfinite(dense[row, item]) else -1 for item in order]
        assert values[row].tolist() == dense[row, order].tolist()


def test_the_search_stops_where_no_item_can_matter(monkeypatch):
    """Of a thousand items three are long: the blocks after the first are never multiplied."""
    rng = np.random.default_rng(0)
    U, V = (rng.random(shape).astype(np.float32) for shape in ((8, 4), (1000, 4)))
    V[[5, 500, 900]] += 10
    monkeypatch.setattr(search, "ITEMS", 50)
    products = []
    mm = torch.mm
    monkeypatch.setattr(torch, "mm", lambda a, b, out: products.append(b.shape[1]) or mm(a, b, out=out))
    items, _ = topk(U, V, 3)
    assert products == [50]
    assert np.sort(items, axis=1).tolist() == [[5, 500, 900]] * 8


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), columns=st.lists(st.integers(0, 8), max_size=6))
def test_stored_says_who_has_which_item(seed, columns):
    """Against the dense matrix; any order, columns twice, none at all, rows without entries."""
    matrix = csr_array(random_array((7, 9), density=0.3, rng=np.random.default_rng(seed)))
    chosen = np.array(columns, dtype=np.int64)
    np.testing.assert_array_equal(stored(matrix, chosen), matrix.toarray()[:, chosen] != 0)
