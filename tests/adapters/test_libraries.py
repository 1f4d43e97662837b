"""Adapters beside the libraries themselves: the same ranking, from independently trained models."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from sharpap.adapters import CornacModel, ImplicitModel, LensKitModel, adapt
from sharpap.adapters.seeding import small_seed
from sharpap.errors import ContractError
from sharpap.recommenders.calls import fit
from sharpap.testing import RecommenderTests, example
from sharpap.testing.trial import emptied

COLD, STRANGER, SEED = 33, 75, 5
TRAIN = emptied(example(), STRANGER, COLD)
USERS = np.setdiff1d(np.arange(0, 150, 7), [STRANGER])


def implicit_model(name: str, **settings: Any) -> Any:
    from implicit.als import AlternatingLeastSquares
    from implicit.bpr import BayesianPersonalizedRanking
    from implicit.lmf import LogisticMatrixFactorization
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    made = {
        "als": lambda **more: AlternatingLeastSquares(factors=8, alpha=5, iterations=5, **more),
        "bpr": lambda **more: BayesianPersonalizedRanking(factors=8, iterations=30, **more),
        "lmf": lambda **more: LogisticMatrixFactorization(factors=8, iterations=10, **more),
        "cosine": lambda **_: CosineRecommender(K=20),
        "tfidf": lambda **_: TFIDFRecommender(K=20),
        "bm25": lambda **_: BM25Recommender(K=20),
    }
    return made[name](**settings)


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured", "ignore:Method expects CSR input")  # implicit's advice
@pytest.mark.parametrize("name", ["als", "bpr", "lmf", "cosine", "tfidf", "bm25"])
def test_implicit_ranks_as_its_own_recommend(name):
    theirs = implicit_model(name, random_state=small_seed(SEED), num_threads=1)
    matrix = csr_matrix(TRAIN)
    theirs.fit(matrix, show_progress=False)
    ours = fit(adapt(implicit_model(name)), TRAIN, TRAIN, seed=SEED)
    scores = ours.score(USERS).astype(np.float64)
    own = TRAIN[USERS].toarray() > 0
    for row, user in enumerate(USERS):
        items, values = theirs.recommend(user, matrix[user], N=10, filter_already_liked_items=True)
        np.testing.assert_allclose(scores[row, items], values, rtol=1e-4, atol=1e-5)
        open_scores = np.where(own[row], -np.inf, scores[row])
        np.testing.assert_allclose(np.sort(open_scores)[::-1][: len(items)], values, rtol=1e-4, atol=1e-5)


def test_implicit_takes_a_factory_and_is_seeded():
    model = ImplicitModel(model=lambda: implicit_model("bpr"))
    first, again, other = (model.fit(TRAIN, seed=seed).score(USERS) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


class TestImplicitALS(RecommenderTests):
    recommender = ImplicitModel(model=partial(implicit_model, "als"))


class TestImplicitItemModel(RecommenderTests):
    recommender = adapt(implicit_model("cosine"))


def lenskit_model(name: str) -> Any:
    from lenskit.als import ImplicitMFScorer
    from lenskit.basic import PopScorer
    from lenskit.knn import ItemKNNScorer

    return {
        "mf": lambda: ImplicitMFScorer(embedding_size=8, epochs=5),
        "mf-stored": lambda: ImplicitMFScorer(embedding_size=8, epochs=5, user_embeddings="prefer"),
        "knn": lambda: ItemKNNScorer(max_nbrs=15, feedback="implicit"),
        "pop": PopScorer,
    }[name]()


@pytest.mark.parametrize("name", ["mf", "mf-stored", "knn", "pop"])
@pytest.mark.parametrize("whole", [False, True], ids=["scorer", "pipeline"])
def test_lenskit_ranks_as_its_own_pipeline(name, whole):
    pytest.importorskip("lenskit")
    import pandas as pd
    from lenskit import recommend
    from lenskit.data import from_interactions_df
    from lenskit.pipeline import topn_pipeline
    from lenskit.training import TrainingOptions

    rows, columns = TRAIN.nonzero()
    pipeline = topn_pipeline(lenskit_model(name), n=10)
    data = from_interactions_df(pd.DataFrame({"user_id": rows, "item_id": columns}))
    pipeline.train(data, TrainingOptions(rng=small_seed(SEED)))
    model = topn_pipeline(lenskit_model(name)) if whole else lenskit_model(name)
    scores = fit(adapt(model), TRAIN, TRAIN, seed=SEED).score(USERS)
    own = TRAIN[USERS].toarray() > 0
    for row, user in enumerate(USERS.tolist()):
        theirs = recommend(pipeline, user, n=10)
        np.testing.assert_allclose(scores[row, theirs.ids()], theirs.scores(), rtol=1e-4)
        best = np.sort(np.where(own[row], -np.inf, scores[row]))[::-1][: len(theirs)]
        np.testing.assert_allclose(best, theirs.scores(), rtol=1e-4)
    assert np.isneginf(scores[:, COLD]).all()


def test_lenskit_needs_a_scorer_in_the_pipeline():
    pytest.importorskip("lenskit")
    from lenskit.pipeline import PipelineBuilder

    with pytest.raises(ContractError, match="no component called scorer"):
        LensKitModel(model=PipelineBuilder().build()).fit(TRAIN, seed=0)


def test_lenskit_conforms():
    pytest.importorskip("lenskit")
    from sharpap.testing import check_recommender

    report = check_recommender(adapt(lenskit_model("mf")))
    assert report.ok, report


def cornac_model(name: str) -> Any:
    from cornac.models import BPR, EASE, MF, WMF, ItemKNN

    return {
        "bpr": lambda: BPR(k=8, max_iter=30),
        "mf": lambda: MF(k=8, max_iter=10),
        "item-knn": lambda: ItemKNN(k=15),
        "ease": lambda: EASE(lamb=20),
        "wmf": lambda: WMF(k=4),
    }[name]()


@pytest.mark.parametrize("name", ["bpr", "mf", "item-knn", "ease"])
def test_cornac_ranks_as_its_own_rank(name):
    pytest.importorskip("cornac")
    from cornac.data import Dataset

    rows, columns = (part.tolist() for part in TRAIN.nonzero())
    data = Dataset.from_uir(list(zip(rows, columns, [1.0] * len(rows), strict=True)), seed=small_seed(SEED))
    theirs = cornac_model(name).clone({"seed": small_seed(SEED)}).fit(data)
    raw = {number: item for item, number in data.iid_map.items()}
    scores = fit(adapt(cornac_model(name)), TRAIN, TRAIN, seed=SEED).score(USERS)
    for row, user in enumerate(USERS.tolist()):
        ranked, values = theirs.rank(data.uid_map[user])
        items = [raw[number] for number in ranked]
        np.testing.assert_allclose(scores[row, items], np.asarray(values)[ranked], rtol=1e-4, atol=1e-6)
        assert (np.diff(scores[row, items]) <= 1e-6).all()
    assert np.isneginf(scores[:, COLD]).all()
    assert len(items) == 99


def test_cornac_conforms_and_refuses_a_class():
    models = pytest.importorskip("cornac").models
    from sharpap.testing import check_recommender

    report = check_recommender(adapt(cornac_model("bpr")))
    assert report.ok, report
    with pytest.raises(ContractError, match="Give an instance"):
        CornacModel(model=models.BPR).fit(TRAIN, seed=0)
