"""A certified victim in a grid: its promise, what attacks left of its lists, and that no attack breaks the first."""

from __future__ import annotations

import pytest
from rich.console import Console

from sharpap import split, stress_test, synthetic
from sharpap.assess import Results
from sharpap.assess.audit.audit import Audit, audit
from sharpap.assess.tables.promises import promises
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.data import TargetPool
from sharpap.defenses import CertifiedBagging, Defended, certify
from sharpap.detectors import ProfileSize
from sharpap.recommenders import Popularity
from sharpap.report.audit import audit_html, audit_page
from sharpap.report.page import html
from sharpap.report.terminal import show
from sharpap.threat import Budget

VOTE = CertifiedBagging(models=150, users=4, listed=2)
ATTACKS = {"random": RandomAttack(), "bandwagon": Bandwagon()}


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(60, 40, 900, seed=1), seed=0, name="made")


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    return tmp_path_factory.mktemp("promised")


@pytest.fixture(scope="module")
def grid(dataset, folder) -> Results:
    victims = {"popularity": Popularity(), "vote": Defended(recommender=Popularity(), defense=VOTE)}
    return stress_test(
        dataset, victims=victims, attacks=ATTACKS, ks=(5, 8), targets=TargetPool(draws=1, size=2), budget=Budget(fake_users=1),
        store=folder / "store", out=folder / "out",
    )  # fmt: skip


def value(grid: Results, **place):
    found = grid.frame.filter(**place)["value"].to_list()
    assert len(found) == 1
    return found[0]


def test_what_is_certified_and_what_stayed_are_those_of_the_very_votes(grid, dataset):
    from sharpap.assess import Experiment

    train = dataset.train.matrix
    plan = Experiment(
        dataset=dataset, attacks={}, victims={"x": Popularity()}, targets=TargetPool(draws=1, size=2),
        budget=Budget(fake_users=1),
    )  # fmt: skip
    seed = plan.victim_seed(0)
    before = VOTE.fit(Popularity(), train, dataset.valid.matrix, seed=seed)
    goal = plan.goal(0)
    fakes = Bandwagon().poison(train, goal, plan.budget, seed=plan.attack_seed(0))
    after = VOTE.fit(Popularity(), fakes.inject(train), dataset.valid.matrix, seed=seed)
    for k in (5, 8):
        promised = certify(before, [1], k=k).kept[:, 0]
        assert promised.max() > 0
        assert value(grid, metric="certified", k=k, victim="vote") == pytest.approx(promised.mean() / k)
        stayed = before.lists(k).multiply(after.lists(k)[: train.shape[0]]).sum(1)
        assert value(grid, metric="stayed", k=k, attack="bandwagon") == pytest.approx(stayed.mean() / k)
        assert value(grid, metric="broken", k=k, attack="bandwagon") == (stayed < promised).sum()


def test_no_attack_that_was_run_breaks_a_promise(grid):
    assert grid.frame.filter(metric="broken")["value"].sum() == 0
    assert grid.frame.filter(metric="broken").height == 2 * 2
    for row in grid.frame.filter(metric="certified").iter_rows(named=True):
        left = grid.frame.filter(metric="stayed", k=row["k"], draw=row["draw"])["value"]
        assert 0 < row["value"] <= left.min() <= 1


def test_curves_fall_and_say_how_far_they_reach(grid):
    found = grid.promises
    assert found is not None
    assert list(found.kept) == ["vote"]
    for k, curve in found.kept["vote"].items():
        assert curve == sorted(curve, reverse=True)
        assert found.at("vote", k, 1)[0] == pytest.approx(
            value(grid, metric="certified", k=k, draw=0, victim="vote"), abs=1e-6
        )
        assert found.at("vote", k, 10**6) == (0.0, 0.0)
        most = found.most("vote", k)
        assert found.at("vote", k, most)[0] > 0
    assert promises({("x", 0): None}) is None


def test_every_page_shows_certified_beside_measured(grid, capsys):
    show(grid, Console(width=200))
    both = grid.frame.filter(metric="stayed", k=8, attack="random")["value"].mean()
    for page in (grid.to_markdown(), html(grid), capsys.readouterr().out):
        assert "What no fakes can take away" in page
        line = next(each for each in page.splitlines() if "vote, 8" in each and "random" in each)
        assert f"{100 * both:.1f}" in line
    bare = Results(dataset=None, config={}, rows=[row for row in grid.rows if row[1] == "popularity"])
    assert "What no fakes can take away" not in bare.to_markdown()


def test_a_store_and_a_folder_keep_the_promise(grid, dataset, folder):
    victims = {"popularity": Popularity(), "vote": Defended(recommender=Popularity(), defense=VOTE)}
    again = stress_test(
        dataset, victims=victims, attacks=ATTACKS, ks=(5, 8), targets=TargetPool(draws=1, size=2), budget=Budget(fake_users=1),
        store=folder / "store",
    )  # fmt: skip
    assert again.rows == grid.rows
    assert [cell.train_seconds for cell in again.cells] == [cell.train_seconds for cell in grid.cells]
    read = Results.load(folder / "out")
    assert read.promises == grid.promises
    assert read.to_markdown().split("Seconds of one")[0] == grid.to_markdown().split("Seconds of one")[0]


def test_an_audit_says_up_to_how_many_fakes_something_is_certified(dataset):
    plan = Audit(
        attacks={"bandwagon": Bandwagon()}, budgets=(0.02,), draws=2, size=2, pools=("unpopular",), k=8, removals={},
        detectors={"profile-size": ProfileSize()},
        defenses={"certified-bagging": VOTE},
    )  # fmt: skip
    found = audit(dataset, Popularity(), plan)
    promised, stayed = found.remedies[0].promised, found.remedies[0].stayed
    assert promised is not None
    assert stayed is not None
    curve, most = promised.kept["certified-bagging"][8], promised.most("certified-bagging", 8)
    assert 0 < curve[0] <= 1
    assert stayed >= promised.at("certified-bagging", 8, found.breaking.fakes)[0]
    line = (
        f"Certified: {100 * curve[0]:.2f} % of a list stays whatever 1 fake does, something of some list up to {most}"
    )
    for page in (audit_page(found), audit_html(found)):
        assert line in page
        assert f"{100 * stayed:.2f} % stayed" in page
