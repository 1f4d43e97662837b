"""Settings of an audited recommender at other values: which, with what figures, and what is advised."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from html import unescape

import numpy as np
import pytest
from scipy.sparse import csr_array

from sharpap.assess import Experiment
from sharpap.assess.audit.audit import Audit, audit
from sharpap.assess.audit.audit_report import AuditReport, Path, Remedy, Step
from sharpap.assess.audit.vary import own_value, quick, variants
from sharpap.assess.tables.worth import worth
from sharpap.assess.work.cells import CellStore
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.config.varied import Vary, read
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import ConfigError
from sharpap.metrics import Interval, evaluate, hit_ratio
from sharpap.recommenders import BPRMF, EASE, WRMF, FactorModel, ItemKNN, Popularity
from sharpap.recommenders.calls import fit
from sharpap.report.audit import audit_html, audit_page
from sharpap.threat import Budget

PLAN = Audit(
    attacks={"bandwagon": Bandwagon()},
    budgets=(0.02, 0.2),
    draws=2,
    pools=("unpopular", "head"),
    removals={},
    defenses={},
)
OWN = EASE(reg=50.0)
CALLS: list[float] = []


@dataclass(frozen=True)
class Counting:
    """Popularity that counts its trainings by its setting, and cannot be trained with a negative one."""

    power: float = 1.0

    def fit(self, train: csr_array, *, seed: int) -> FactorModel:
        CALLS.append(self.power)
        if self.power < 0:
            raise ValueError("no such power")
        return Popularity().fit(train, seed=seed)


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(150, 200, 4000, seed=2), seed=0, name="made")


@pytest.fixture(scope="module")
def found(dataset) -> AuditReport:
    values = {10.0: EASE(reg=10.0), 50.0: OWN, 500.0: EASE(reg=500.0)}
    return audit(dataset, OWN, PLAN, name="ease", vary={"reg": values}, origin="Settings given: reg=50.")


def interval_of(mean: float, high: float | None = None) -> Interval:
    return Interval(mean=mean, low=mean, high=mean if high is None else high, p=0.5, n=3)


def step(value: float, valid: float | None, hits: float, *, more: float = -0.001, **more_facts) -> Step:
    facts = {"ndcg": valid, "current": False} | more_facts
    return Step(value=value, valid=valid, hits=interval_of(hits), more=interval_of(more), reach=0.5, **facts)


def test_a_row_can_be_made_again_by_hand(found, dataset):
    """The same profiles as the audited model's, and its own clean training, draw by draw."""
    train, share = dataset.train.matrix, found.breaking.share
    plan = Experiment(
        dataset=dataset, attacks={}, victims={"x": OWN}, targets=TargetPool(draws=2), budget=Budget(fake_users=share)
    )
    hits, valid, test = [], [], []
    for draw, goal in enumerate(plan.goals()):
        poison = Bandwagon().poison(train, goal, plan.budget, seed=plan.attack_seed(draw))
        attacked = fit(EASE(reg=500.0), poison.inject(train), dataset.valid.matrix, seed=0)
        hits.append(hit_ratio(evaluate(attacked, train, targets=goal.targets, ks=(10,)).ranks, 10).mean())
        clean = fit(EASE(reg=500.0), train, dataset.valid.matrix, seed=0)
        for matrix, into in ((dataset.valid.matrix, valid), (dataset.test.matrix, test)):
            into.append(evaluate(clean, train, targets=(), held_out=matrix, ks=(10,)).ndcg[10])
    row = found.paths[0].steps[-1]
    assert row.value == 500.0
    assert row.hits is not None
    assert row.hits.mean == pytest.approx(np.mean(hits))
    assert row.valid == pytest.approx(np.mean(valid))
    assert row.ndcg == pytest.approx(np.mean(test))
    assert row.more is not None
    assert row.more.mean == pytest.approx(row.hits.mean - found.breaking.hits.mean)
    assert row.reach is not None  # EASE has a bound


def test_the_audited_value_stands_among_the_others_with_the_same_figures(found):
    path = found.paths[0]
    assert [each.value for each in path.steps] == [10.0, 50.0, 500.0]
    assert path.current.value == 50.0
    assert path.current.hits == found.breaking.hits
    assert path.current.ndcg == found.ndcg
    assert path.current.reach == found.breaking.reach
    assert path.current.more is None


def test_pages_show_every_value_with_its_price(found):
    text = audit_page(found)
    plain = " ".join(unescape(re.sub(r"<[^>]+>", " ", audit_html(found))).split())
    for each in found.paths[0].steps:
        assert each.valid is not None
        assert each.hits is not None
        assert re.search(
            rf"\| {each.value:g}( \(audited\))? \| {each.valid:.4f} \| .*{100 * each.hits.mean:.2f} %", text
        )
        assert f"{each.valid:.4f}" in plain
    assert "50 (audited)" in text
    assert "50 (audited)" in plain
    assert "The attacks do not look at the recommender" in text
    assert "Settings given: reg=50." in text
    assert "Settings given: reg=50." in plain


def test_a_bound_that_is_not_known_is_no_number_and_a_value_that_failed_says_why(found):
    path = Path(setting="reg", steps=[
        step(1.0, 0.2, 0.02, current=True), replace(step(2.0, 0.2, 0.01), reach=None), Step(value=3.0, error="diverged"),
    ])  # fmt: skip
    page = audit_page(replace(found, paths=[path]))
    assert "| not known |" in page
    assert "| 3 | failed |" in page
    assert "reg 3 failed: diverged" in page
    assert "No other setting of the recommender was tried" in audit_page(replace(found, paths=[]))


def test_advice_is_the_least_hit_of_the_accurate_values():
    def advised(*steps: Step) -> float:
        return Path(setting="reg", steps=list(steps)).advised.value  # pyright: ignore[reportReturnType]

    own = step(1.0, 0.200, 0.02, current=True)
    assert advised(own, step(10.0, 0.195, 0.005), step(100.0, 0.150, 0.0)) == 10.0
    assert advised(own, step(10.0, 0.195, 0.03)) == 1.0
    # an audited model that is not tuned itself sets no standard
    assert advised(step(1.0, 0.100, 0.0, current=True), step(10.0, 0.2, 0.01)) == 10.0
    # without validation data test data decides
    assert advised(replace(own, valid=None), replace(step(10.0, None, 0.0), ndcg=0.1)) == 1.0


def test_advice_says_what_it_costs_and_whether_it_is_certain(found):
    own = step(1.0, 0.2, 0.02, current=True)
    better = step(10.0, 0.195, 0.005)
    page = audit_page(replace(found, paths=[Path(setting="reg", steps=[own, better])]))
    assert f"reg 10 instead of 1: 0.50 % of the lists instead of 2.00 % with {found.breaking.fakes} fakes" in page
    assert "NDCG@10 0.1950 instead of 0.2000 (-2.5 %)" in page
    assert "not certain" not in page
    unsure = replace(better, more=interval_of(-0.001, high=0.001))
    assert "not certain" in audit_page(replace(found, paths=[Path(setting="reg", steps=[own, unsure])]))
    worse = step(10.0, 0.1, 0.0)
    page = audit_page(replace(found, paths=[Path(setting="reg", steps=[own, worse])]))
    assert "none leaves the attack fewer lists than the audited one" in page


def test_each_remedy_has_its_verdict_and_its_price(found):
    worst = replace(found.breaking, before=0.0, hits=interval_of(0.03))

    def remedy(name: str, *hits: float, removed: int = 0, after: float = 0.2) -> Remedy:
        judged = worth([0, 0], [0.02, 0.04], hits, accurate=[0.2, 0.2], after=[after, after])
        caught = 0.5 if removed else None
        return Remedy(name=name, removed=removed, caught=caught, lost=removed, worth=judged, accuracy=None)

    made = [
        remedy("vote", 0.03, 0.03), remedy("leave out 3", 0.01, 0.01, removed=3, after=0.19),
        remedy("bagging", 0.019, 0.0, after=0.21),
    ]  # fmt: skip
    page = audit_page(replace(found, breaking=worst, remedies=made))
    lists = f"of the lists instead of 3.00 % with {worst.fakes} fakes"
    advice = [line for line in page.splitlines() if line.startswith("- This ")]
    assert advice == [
        f"- This helps: leave out 3. 1.00 % {lists}, half of it or more taken in 2 of 2 target sets. "
        f"Its price: -5.0 % of NDCG@10 without attack, 3 genuine users left out.",
        f"- This may help: bagging. 0.95 % {lists}, half of it or more taken in 1 of 2 target sets. "
        f"Its price: +5.0 % of NDCG@10 without attack.",
        f"- This does not help: vote. 3.00 % {lists}. Its price: +0.0 % of NDCG@10 without attack.",
    ]
    assert "whatever their true number" in page
    assert "whatever their true number" not in audit_page(replace(found, breaking=worst, remedies=made[:1]))
    assert "This " not in audit_page(replace(found, breaking=replace(worst, hits=interval_of(0.0)), remedies=[
        replace(made[0], worth=worth([0, 0], [0, 0], [0, 0]))
    ])).split("What would help?")[1].split("|")[0]  # fmt: skip


def test_nothing_is_trained_twice_and_a_value_that_fails_ends_nothing(dataset, tmp_path):
    own, store = Counting(), CellStore(tmp_path)
    vary = {"power": {1.0: own, 2.0: Counting(2.0), -1.0: Counting(-1.0)}}
    CALLS.clear()
    first = audit(dataset, own, PLAN, vary=vary, store=store)
    assert CALLS.count(2.0) == 2 * 2  # without attack and with it
    assert CALLS.count(1.0) == 2 * (2 + 2 + 1)  # two clean pools, two budgets, the other pool
    assert "no such power" in first.paths[0].steps[-1].error
    failures = CALLS.count(-1.0)
    assert audit(dataset, own, PLAN, vary=vary, store=store) == first
    assert (CALLS.count(1.0), CALLS.count(2.0)) == (10, 4)
    assert failures > 0


def test_several_processes_find_the_same(dataset, found):
    values = {10.0: EASE(reg=10.0), 50.0: OWN, 500.0: EASE(reg=500.0)}
    again = audit(dataset, OWN, PLAN, name="ease", vary={"reg": values}, origin="Settings given: reg=50.", jobs=2)
    assert again == found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("reg=1,0.5", Vary(setting="reg", values=(1, 0.5))),
        ("victim.recommender.reg = 1e-3, 2", Vary(setting="recommender.reg", values=(1e-3, 2))),
        ("loss=bpr,top1", Vary(setting="loss", values=("bpr", "top1"))),
        ("flag=true,false", Vary(setting="flag", values=(True, False))),
        (
            "code=__import__('os'),[1]",
            Vary(setting="code", values=("__import__('os')", "[1]")),
        ),  # text, never evaluated
        ("reg", Vary(setting="reg")),
        ("reg=1,1", Vary(setting="reg", values=(1,))),
    ],
)
def test_what_is_asked_for(text, wanted):
    assert read(text) == wanted
    assert [type(value) for value in read(text).values] == [type(value) for value in wanted.values]


@pytest.mark.parametrize("text", ["", "=1", "reg=", "reg=1,,2", "a..b=1", "reg=nan", "reg=1,inf"])
def test_what_is_no_request(text):
    with pytest.raises(ConfigError, match="--vary"):
        read(text)


def test_own_values_are_found(dataset):
    train = dataset.train.matrix
    assert own_value(WRMF(reg=3.0), "wrmf", {}, "reg", train) == 3.0
    assert own_value(WRMF(), "wrmf", {}, "reg", train) == WRMF().least_squares(train).reg
    assert own_value(WRMF(), "wrmf", {}, "positive_weight", train) == WRMF().least_squares(train).positive_weight
    assert own_value(Counting(), "x:y", {"power": 7}, "power", train) == 7
    assert own_value(Popularity(), "popularity", {}, "reg", train) is None


def test_values_around_the_own_one():
    asked = Vary(setting="reg")
    made = variants(asked, lambda value: EASE(reg=float(value or 0)), OWN, 50.0, given={})
    assert list(made) == [12.5, 25.0, 50.0, 100.0, 200.0]
    assert made[50.0] is OWN
    given = {2.0: EASE(reg=2.0), 90.0: EASE(reg=90.0)}
    assert list(variants(asked, lambda value: OWN, OWN, 50.0, given=given)) == [2.0, 50.0, 90.0]
    assert list(variants(asked, lambda value: OWN, OWN, None, given=given)) == [2.0, 90.0, None]
    with pytest.raises(ConfigError, match="around its own, it is not known"):
        variants(asked, lambda value: OWN, OWN, None, given={})


def test_families_that_train_in_a_moment_have_a_path_by_default(dataset):
    train = dataset.train.matrix
    own = WRMF(reg=2.0)
    path = quick(own, train)["reg"]
    assert [(value, each.reg) for value, each in path.items()] == [
        (value, value) for value in (0.5, 1.0, 2.0, 4.0, 8.0)
    ]  # pyright: ignore[reportAttributeAccessIssue]
    assert path[2.0] is own
    assert len(quick(WRMF(), train)["reg"]) == 5
    assert list(quick(ItemKNN(shrinkage=5.0), train)["shrinkage"]) == [0.0, 5.0, 20.0, 100.0, 500.0]
    assert not quick(BPRMF(), train)
    assert not quick(Popularity(), train)


def test_attacks_are_compared_with_the_most_fakes_where_none_gets_through_with_few(dataset):
    """On popularity few fakes move nothing, and who comes nearest with them need not win with many."""
    plan = replace(
        PLAN, attacks={"random": RandomAttack(), "bandwagon": Bandwagon()}, budgets=(0.02, 0.9), pools=("unpopular",)
    )
    found = audit(dataset, Popularity(), plan)
    assert {each.share for each in found.screening} == {0.9}
    assert max(each.hits.mean for each in found.screening) == found.breaking.hits.mean > 0
    few = audit(dataset, Popularity(), replace(plan, budgets=(0.02,)))
    assert {each.share for each in few.screening} == {0.02}
