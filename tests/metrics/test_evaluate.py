"""Metrics against ir-measures (which calls trec_eval's own code) and against a brute-force reference."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, R, Success, nDCG
from scipy.sparse import csr_array, random_array

from sharpap.errors import ContractError
from sharpap.metrics import any_hit_ratio, evaluate, hit_ratio, mean_rank, ndcg
from sharpap.recommenders import FactorModel

N, M = 60, 45


class Fixed:
    """A scorer with a given score matrix."""

    def __init__(self, scores):
        self.scores = scores

    def score(self, users):
        return self.scores[users]


class Returning(Fixed):
    """A scorer that returns the same array whoever is asked for."""

    def score(self, users):
        return self.scores


def problem(seed: int):
    rng = np.random.default_rng(seed)
    train = csr_array((random_array((N, M), density=0.15, rng=rng)).toarray() > 0).astype(np.float32)
    held = csr_array(((random_array((N, M), density=0.1, rng=rng)).toarray() > 0) & (train.toarray() == 0)).astype(
        np.float32
    )
    scores = rng.permutation(N * M).reshape(N, M).astype(np.float32)  # no ties, which trec_eval breaks its own way
    return train, held, scores


def as_run(scores, train):
    return [
        ir_measures.ScoredDoc(str(user), str(item), float(scores[user, item]))
        for user in range(N)
        for item in range(M)
        if train[user, item] == 0
    ]


@pytest.mark.parametrize("seed", range(4))
def test_accuracy_matches_trec_eval(seed):
    train, held, scores = problem(seed)
    found = evaluate(Fixed(scores), train, targets=(), held_out=held, ks=(5, 10))
    active = [user for user in range(N) if train[[user]].nnz and held[[user]].nnz]
    qrels = [ir_measures.Qrel(str(u), str(i), 1) for u in active for i in held[[u]].indices]
    theirs = ir_measures.calc_aggregate([nDCG @ 5, nDCG @ 10, R @ 5, R @ 10], qrels, as_run(scores, train.toarray()))
    assert found.num_test_users == len(active)
    for k in (5, 10):
        assert found.ndcg[k] == pytest.approx(theirs[nDCG @ k], abs=1e-6)
        assert found.recall[k] == pytest.approx(theirs[R @ k], abs=1e-6)


def test_validation_interactions_are_looked_for_in_the_same_lists():
    train, held, scores = problem(0)
    other = problem(1)[1]
    both = evaluate(Fixed(scores), train, targets=(), held_out=held, valid=other, ks=(5, 10))
    assert both.ndcg == evaluate(Fixed(scores), train, targets=(), held_out=held, ks=(5, 10)).ndcg
    assert both.valid_ndcg == evaluate(Fixed(scores), train, targets=(), held_out=other, ks=(5, 10)).ndcg
    assert evaluate(Fixed(scores), train, targets=(), valid=other, ks=(5, 10)).valid_ndcg == both.valid_ndcg
    assert evaluate(Fixed(scores), train, targets=(), held_out=held).valid_ndcg == {}


@pytest.mark.parametrize("seed", range(4))
def test_exposure_matches_trec_eval_with_the_target_as_the_only_relevant_item(seed):
    train, _, scores = problem(seed)
    targets = (3, 17, 40)
    ranks = evaluate(Fixed(scores), train, targets=targets, ks=(10,)).ranks
    run, dense = as_run(scores, train.toarray()), train.toarray()
    active = np.flatnonzero(dense.sum(1))
    for column, target in enumerate(targets):
        strangers = [user for user in active if dense[user, target] == 0]
        qrels = [ir_measures.Qrel(str(user), str(target), 1) for user in strangers]
        theirs = ir_measures.calc_aggregate([Success @ 10, nDCG @ 10, RR], qrels, run)
        assert hit_ratio(ranks, 10)[column] == pytest.approx(theirs[Success @ 10], abs=1e-6)
        assert ndcg(ranks, 10)[column] == pytest.approx(theirs[nDCG @ 10], abs=1e-6)
        mine = ranks[:, column]
        assert (1 / (mine[mine >= 0] + 1)).mean() == pytest.approx(theirs[RR], abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, M))
def test_brute_force_with_ties_and_unscorable_items(seed, k):
    rng = np.random.default_rng(seed)
    train, _, _ = problem(seed)
    scores = rng.integers(0, 6, (N, M)).astype(np.float64)
    scores[:, 7] = -np.inf
    targets = (2, 7, 30)
    found = evaluate(Fixed(scores), train, targets=targets, ks=(k,))
    dense = train.toarray()
    active = np.flatnonzero(dense.sum(1))
    hits = {target: [] for target in targets}
    anyone = []
    for user in active:
        free = [i for i in range(M) if dense[user, i] == 0 and np.isfinite(scores[user, i])]
        top = sorted(free, key=lambda i: (-scores[user, i], i))[:k]
        for target in targets:
            if dense[user, target] == 0:
                hits[target].append(target in top)
        anyone.append(any(target in top and dense[user, target] == 0 for target in targets))
    expected = [np.mean(hits[target]) for target in targets]
    np.testing.assert_allclose(hit_ratio(found.ranks, k), expected)
    assert any_hit_ratio(found.ranks, k) == pytest.approx(np.mean(anyone))
    assert found.num_users == len(active)
    assert mean_rank(found.ranks)[1] == M + 1


def test_factor_models_and_users_without_history():
    rng = np.random.default_rng(0)
    train, held, _ = problem(0)
    train = train.tolil()
    train[5] = 0
    train = csr_array(train)
    U, V = rng.standard_normal((N, 3), dtype=np.float32), rng.standard_normal((M, 3), dtype=np.float32)
    factors = evaluate(FactorModel(user_factors=U, item_factors=V, log={}), train, targets=(4,), held_out=held)
    dense = evaluate(Fixed(U @ V.T), train, targets=(4,), held_out=held)
    assert np.array_equal(factors.ranks, dense.ranks)
    assert factors.num_users == (np.diff(train.indptr) > 0).sum() < N


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((M, N)), r"shape \(45, 60\) for 60 users and 45 items"),
        (np.full((N, M), np.nan), "NaN"),
        (np.full((N, M), "a"), "not numbers"),
        (np.zeros(N), "returned shape"),
    ],
)
def test_what_a_scorer_may_not_return(scores, message):
    with pytest.raises(ContractError, match=message):
        evaluate(Returning(scores), problem(0)[0], targets=(1,))


def test_integer_scores_are_fine_and_the_scorers_array_is_not_changed():
    train, held, scores = problem(0)
    whole = scores.astype(np.int64)
    before = whole.copy()
    assert (
        evaluate(Fixed(whole), train, targets=(1,), held_out=held).ndcg
        == evaluate(Fixed(scores), train, targets=(1,), held_out=held).ndcg
    )
    assert np.array_equal(whole, before)
