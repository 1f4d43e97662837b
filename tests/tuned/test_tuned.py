"""Tuned settings: they are those of their searches, reach recipes that ask for them, and stand beside what is less accurate."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
from scipy.sparse import csr_array

import sharpap
from sharpap.assess.recipe import experiment_from
from sharpap.assess.tables.accuracy import BEHIND, standings
from sharpap.config import build
from sharpap.config.recipes import read_recipe
from sharpap.config.registry import REGISTRY
from sharpap.config.sections import catalogue_name
from sharpap.config.space import read_space
from sharpap.data import TargetPool
from sharpap.metrics import evaluate
from sharpap.recommenders import EASE, WRMF, Popularity
from sharpap.recommenders.calls import fit
from sharpap.recommenders.wrmf import size_for, weight_for
from sharpap.tuned import spaces, tuned


@pytest.mark.parametrize("name", spaces())
def test_a_usual_space_is_one_of_the_victim_s_settings(name):
    assert name in REGISTRY["victim"]
    for dimension in read_space((f"victim.{key}", value) for key, value in spaces()[name].items()):
        for value in dimension.probes:
            build("victim", {"name": name, dimension.path.removeprefix("victim."): value})


SETS = sorted(
    entry.name.removesuffix(".toml")
    for entry in (resources.files("sharpap") / "tuned").iterdir()
    if entry.name.endswith(".toml") and entry.name != "spaces.toml"
)


@pytest.mark.parametrize(("data", "name"), [(data, name) for data in SETS for name in tuned(data)])
def test_tuned_settings_lie_in_the_space_that_was_searched(data, name):
    found = tuned(data)[name]
    assert set(found.settings) == set(found.space)
    fixed = {key for key, value in found.space.items() if isinstance(value, list) and len(value) == 1}
    assert all(found.space[key] == [found.settings[key]] for key in fixed)
    for dimension in read_space((key, value) for key, value in found.space.items() if key not in fixed):
        assert dimension.holds(found.settings[dimension.path])
    assert 0 < found.valid < 1
    assert set(found.test) == {"10", "20", "50"}


@pytest.mark.parametrize("name", ["", "spaces", "../recipes/demo", "a" * 5_000, "/etc/passwd", "no\0such"])
def test_a_name_from_elsewhere_is_no_path(name):
    assert tuned(name) == {}


def test_the_accuracy_that_is_written_down_is_what_the_settings_reach(ml100k):
    """EASE is deterministic: the very figure. The best of the file is near what the literature knows for this split."""
    found = tuned("ml-100k")["ease"]
    model = EASE(**found.settings).fit(ml100k.train.matrix, seed=0)
    made = evaluate(model, ml100k.train.matrix, targets=(), held_out=ml100k.test.matrix, ks=(10, 20, 50))
    assert {str(k): round(value, 4) for k, value in made.ndcg.items()} == found.test


def test_the_default_of_wrmf_is_near_its_tuned_accuracy(ml100k):
    model = fit(WRMF(), ml100k.train.matrix, ml100k.valid.matrix, seed=1)
    reached = evaluate(model, ml100k.train.matrix, targets=(), held_out=ml100k.test.matrix, ks=(20,)).ndcg[20]
    assert reached > 0.95 * tuned("ml-100k")["wrmf"].test["20"]


def test_the_weight_follows_the_density(ml100k):
    train = ml100k.train.matrix
    users, items = (len(set(part.tolist())) for part in train.nonzero())
    assert weight_for(train) == pytest.approx(0.8 / (train.nnz / (users * items)) ** 0.5)
    assert WRMF(positive_weight=7.0).least_squares(train).positive_weight == 7
    assert WRMF().least_squares(train).reg == 30
    few = train[:40, :60]  # on little data 30 would be above all that there is to learn
    assert WRMF().least_squares(few).reg < 7
    assert WRMF(reg=3.0).least_squares(few).reg == 3


def test_wrmf_has_more_factors_on_sparse_data(ml100k):
    draw = np.random.default_rng(0)
    sparse = csr_array((np.ones(3_000, np.float32), draw.integers(0, 2_000, (2, 3_000))), shape=(2_000, 2_000))
    assert size_for(ml100k.train.matrix) == 64
    assert WRMF(epochs=1).fit(sparse, seed=0).user_factors.shape[1] == size_for(sparse) == 128
    assert WRMF(epochs=1, embedding_size=8).fit(sparse, seed=0).user_factors.shape[1] == 8
    assert build("victim", "wrmf-paper").embedding_size == 64  # what its tables were made with


def test_the_recipe_of_amazon_book_has_its_tuned_victims(data_home):
    recipe = read_recipe("paper/amazon-book")
    experiment, config = experiment_from(recipe)
    assert experiment.dataset.name == "amazon-book"
    assert set(experiment.victims) == {"wrmf", "bpr-mf", "lightgcn"} == set(tuned("amazon-book"))
    for name, found in tuned("amazon-book").items():
        assert config["victims"][name].items() >= found.settings.items()


def test_a_recipe_that_asks_gets_them_and_its_own_settings_come_first():
    recipe = {
        "data": {"source": "ml-100k"}, "tuned": True, "attacks": {"random": {}},
        "victims": {"ease": {}, "mine": {"name": "item-knn", "neighbours": 7}, "popularity": {}},
    }  # fmt: skip
    experiment, config = experiment_from(recipe)
    found = tuned("ml-100k")
    assert experiment.victims["ease"] == EASE(**found["ease"].settings)
    assert config["victims"]["mine"]["neighbours"] == 7
    assert config["victims"]["mine"]["shrinkage"] == found["item-knn"].settings["shrinkage"]
    defended = {"name": "defended", "recommender": "ease", "defense": "bagging"}
    experiment, config = experiment_from(recipe | {"victims": {"safe": defended}})
    assert experiment.victims["safe"].recommender == EASE(**found["ease"].settings)
    assert config["victims"]["safe"]["recommender"]["reg"] == found["ease"].settings["reg"]
    plain, _ = experiment_from(recipe | {"tuned": False})
    assert plain.victims["ease"] == EASE()
    other, _ = experiment_from(recipe | {"data": {"source": "ml-100k", "threshold": 3.0}})
    assert other.victims["ease"] == EASE()  # another preparation is other data
    for split in ("leave-one-out", {"name": "leave-one-out"}):
        left_out, config = experiment_from(
            recipe | {"data": {"source": "ml-100k", "split": split}, "victims": ["sasrec"]}
        )
        assert catalogue_name(config) == "ml-100k-leave-one-out"
        assert vars(left_out.victims["sasrec"]).items() >= tuned("ml-100k-leave-one-out")["sasrec"].settings.items()
        assert experiment_from(config | {"tuned": False})[1] == config  # a results folder's recipe makes the same again
    assert catalogue_name({"data": {"source": "ml-100k", "split": {"name": "leave-one-out", "by": "random"}}}) == ""


def test_what_lies_far_behind_is_said_to_be_untuned(ml100k):
    results = sharpap.stress_test(
        "ml-100k", attacks={"random": sharpap.RandomAttack()}, victims={"popularity": Popularity(), "ease": EASE()},
        targets=TargetPool(draws=1),
    )  # fmt: skip
    found = standings(results, 10)
    best = max(each.test["10"] for each in tuned("ml-100k").values())
    assert found["popularity"].weak
    assert found["popularity"].behind == pytest.approx(1 - found["popularity"].ndcg / max(best, found["ease"].ndcg))
    assert not found["ease"].weak
    assert found["ease"].behind < BEHIND
    assert found["popularity"].reach is None
    assert 0.2 < found["ease"].reach < 0.4
