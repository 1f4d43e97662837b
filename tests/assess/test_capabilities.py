"""Victims that cannot tell everything: what they cannot is not available, in every table, and never guessed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from rich.console import Console

import sharpap
from sharpap.assess import Experiment, Results, run
from sharpap.assess.tables.landscape import transfer_drops
from sharpap.assess.tables.reported import Reported, compare
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import ConfigError, ContractError
from sharpap.metrics import evaluate
from sharpap.recommenders import Capabilities, Popularity, capabilities_of
from sharpap.report import show
from sharpap.report.markdown import markdown
from sharpap.report.page import html
from sharpap.threat import Budget


class Lists:
    """Popularity that shows only lists: the declaration stands on the scorer."""

    def __init__(self, k: int, declared: int | None = None) -> None:
        self.k, self.declared = k, declared or k

    def fit(self, train, *, seed):
        model = Popularity().fit(train, seed=seed)
        return _Shown(model, train, self.k, Capabilities(top_k=self.declared))


class _Shown:
    def __init__(self, model, train, k, capabilities) -> None:
        self.model, self.train, self.k, self.capabilities = model, train, k, capabilities

    def score(self, users):
        scores = self.model.score(users)
        scores[self.train[users].nonzero()] = -np.inf
        cut = np.argsort(-scores, axis=1, kind="stable")[:, self.k :]
        np.put_along_axis(scores, cut, -np.inf, axis=1)
        return scores


class Dice:
    """Another model each time, and it says so: on the recommender."""

    capabilities = Capabilities(deterministic=False)

    def fit(self, train, *, seed):
        return Popularity().fit(train, seed=seed)


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(120, 100, 3000, seed=2), seed=0, name="made")


@pytest.fixture(scope="module")
def results(dataset) -> Results:
    return sharpap.stress_test(
        dataset, attacks={"revadv": RandomAttack(), "sharpap": Bandwagon()},
        victims={"full": Popularity(), "lists": Lists(10), "dice": Dice()},
        targets=TargetPool(draws=2, kind="head"), budget=Budget(fake_users=0.1), seeds=1, ks=(5, 10, 20),
    )  # fmt: skip


def rows(results: Results, victim: str) -> pl.DataFrame:
    return results.frame.filter(pl.col("victim") == victim)


def test_what_lists_tell_is_exact_and_the_rest_is_null(results):
    reaches = pl.col("k").is_in([5, 10])
    full, lists = rows(results, "full"), rows(results, "lists")
    assert lists.height == full.height
    assert lists.filter(reaches).drop("victim").equals(full.filter(reaches).drop("victim"))
    assert full.filter(reaches & (pl.col("metric") == "H"))["value"].max() > 0.05
    assert lists.filter(~reaches)["value"].is_null().all()
    assert full["value"].null_count() == 0
    assert {"rank", "rank_shift"} <= set(lists.filter(~reaches)["metric"])


def test_tables_and_comparisons(results):
    means = {k: results.transfer_matrix("H", k).filter(pl.col("victim") == "lists")["mean"] for k in (10, 20)}
    assert means[10].null_count() == 0
    assert means[20].is_null().all()
    assert results.comparisons("H", 10)["victim"].to_list() == ["full", "lists", "dice"]
    assert results.comparisons("H", 20)["victim"].to_list() == ["full", "dice"]
    assert results.provenance["capabilities"] == {
        "dice": {"top_k": None, "deterministic": False}, "lists": {"top_k": 10, "deterministic": True},
    }  # fmt: skip


def test_reports_say_so(results):
    console = Console(record=True, width=140, force_terminal=False, file=open("/dev/null", "w"))  # noqa: SIM115
    show(results, console, 20)
    console.file.close()
    texts = {"terminal": console.export_text(), "markdown": markdown(results, 20), "html": html(results)}
    for name, text in texts.items():
        plain = " ".join(text.split())
        assert "lists gives only lists of its top 10: longer lists and ranks are not available (n/a)." in plain, name
        assert "dice is declared not deterministic" in plain, name
    for name in ("terminal", "markdown"):
        line = next(line for line in texts[name].splitlines() if "sharpap" in line and "n/a" in line)
        assert line.count("n/a") == 1, name
        assert "nan" not in texts[name].lower(), name
    assert "n/a" not in markdown(results, 10).replace("(n/a)", "")
    assert texts["html"].count(">n/a<") == 2 * 3  # H and N at K = 20: clean and two attacks


def test_what_is_not_available_is_in_no_derived_table(results):
    def figure(k: int, **claim) -> Reported:
        return Reported(claim="made up", attack="sharpap", victim="lists", k=k, **claim)

    for claim in ({"value": 0.1}, {"base": "revadv", "change": 0.1}):
        assert compare(results, [figure(10, **claim)]).height == 1
        assert compare(results, [figure(20, **claim)]).height == 0
    found = SimpleNamespace(
        attack="sharpap", draw=0, k=20, hit_ratio=0.5, atk_sharpness=1.0, hits_lost=0.1, rec_sharpness=1.0
    )
    both = transfer_drops([found], results.frame, ["full", "lists"])  # pyright: ignore
    assert both.equals(transfer_drops([found], results.frame, ["full"]))  # pyright: ignore
    assert both["drop"].is_finite().all()


def test_they_survive_the_disk_and_an_interruption(results, dataset, tmp_path):
    results.save(tmp_path / "out")
    back = Results.load(tmp_path / "out")
    assert back.frame.equals(results.frame)
    assert "n/a" in html(back)
    experiment = Experiment(
        dataset=dataset, attacks={"random": RandomAttack()}, victims={"lists": Lists(10)}, targets=TargetPool(draws=1),
        budget=Budget(fake_users=0.1),
    )  # fmt: skip
    first = run(experiment, cells=tmp_path / "cells")
    again = run(experiment, cells=tmp_path / "cells")
    assert again.frame.equals(first.frame)
    assert again.frame["value"].null_count() > 0
    assert again.provenance["capabilities"] == {"lists": {"top_k": 10, "deterministic": True}}


def test_only_lists_and_a_k_beyond(dataset):
    """Nothing is known: the report still stands."""
    results = sharpap.stress_test(
        dataset, attacks={"random": RandomAttack()}, victims={"lists": Lists(3)}, targets=TargetPool(draws=1),
        budget=Budget(fake_users=0.1), ks=(10,),
    )  # fmt: skip
    assert results.frame["value"].is_null().all()
    for text in (html(results), markdown(results)):
        assert "n/a" in text
    assert "H@10 was measured on no victim under attack." in html(results)


def test_a_wrong_declaration_is_found(dataset):
    train = dataset.train.matrix
    with pytest.raises(ContractError, match="_Shown declares top_k=4 and lists 5 items"):
        evaluate(Lists(5, declared=4).fit(train, seed=0), train, targets=(0,))
    model = Lists(5).fit(train, seed=0)
    model.capabilities = {"top_k": 5}  # pyright: ignore
    with pytest.raises(ContractError, match=r"`capabilities` is a dict.*sharpap.Capabilities"):
        evaluate(model, train, targets=(0,))
    with pytest.raises(ConfigError, match="top_k=0"):
        Capabilities(top_k=0)


def test_recommender_and_scorer_declare_together():
    class With:
        def __init__(self, capabilities=None) -> None:
            self.capabilities = capabilities

    many = Capabilities(top_k=50, deterministic=False)
    assert capabilities_of(object(), With()) == Capabilities()
    assert capabilities_of(With(many), With(Capabilities(top_k=10))) == replace(many, top_k=10)
