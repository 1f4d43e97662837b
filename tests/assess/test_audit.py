"""An audit's answers: figures that can be made again by hand, levels between budgets, remedies that remove what they say."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import asdict, dataclass, replace
from html import unescape

import numpy as np
import pytest
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.assess import Experiment
from sharpap.assess.audit.audit import Audit, audit
from sharpap.assess.audit.audit_report import AuditReport
from sharpap.assess.audit.measured import Figures
from sharpap.assess.work.cells import CellStore
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.cli.console import finite
from sharpap.data import TargetPool, split, synthetic
from sharpap.defenses import SAM, Regularised
from sharpap.detectors import ProfileSize
from sharpap.errors import ConfigError, TrainingError
from sharpap.metrics import Interval, evaluate, hit_ratio
from sharpap.recommenders import EASE, WRMF, Capabilities, FactorModel, Popularity
from sharpap.recommenders.calls import fit
from sharpap.report.audit import audit_html, audit_page
from sharpap.seeds import derive_seed
from sharpap.threat import Budget

PLAN = Audit(
    attacks={"random": RandomAttack(), "bandwagon": Bandwagon()},
    budgets=(0.02, 0.2),
    draws=2,
    pools=("unpopular", "head"),
)
VICTIM = WRMF(embedding_size=8, epochs=4)


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(150, 200, 4000, seed=2), seed=0, name="made")


@pytest.fixture(scope="module")
def found(dataset) -> AuditReport:
    return audit(dataset, VICTIM, PLAN, name="wrmf")


def test_a_figure_can_be_made_again_by_hand(found, dataset):
    train = dataset.train.matrix
    mine = next(each for each in found.screening if each.attack == "bandwagon")
    plan = Experiment(
        dataset=dataset,
        attacks={},
        victims={"wrmf": VICTIM},
        targets=TargetPool(draws=2),
        budget=Budget(fake_users=mine.share),
    )
    hits, change = [], []
    for draw, goal in enumerate(plan.goals()):
        poison = Bandwagon().poison(train, goal, plan.budget, seed=plan.attack_seed(draw))
        seen = []
        for matrix in (poison.inject(train), train):
            model = VICTIM.fit(matrix, seed=plan.victim_seed(draw), valid=dataset.valid.matrix)
            seen.append(evaluate(model, train, targets=goal.targets, held_out=dataset.test.matrix, ks=(10,)))
        hits.append(hit_ratio(seen[0].ranks, 10).mean())
        change.append(seen[0].ndcg[10] / seen[1].ndcg[10] - 1)
    assert mine.hits.mean == pytest.approx(np.mean(hits))
    assert mine.accuracy is not None
    assert mine.accuracy.mean == pytest.approx(np.mean(change))
    assert mine.fakes == round(mine.share * dataset.num_users)


def test_everything_asked_for_is_there(found, dataset):
    assert [each.share for each in found.curve] == [0.02, 0.2]
    assert [each.pool for each in found.pools] == ["unpopular", "head"]
    assert found.pools[1].before > found.pools[0].before
    assert sum(group.users for group in found.groups) == int((np.diff(dataset.train.matrix.indptr) > 0).sum())
    assert [group.high for group in found.groups] == sorted(group.high for group in found.groups)
    most = max(each.hits.mean for each in found.screening)
    assert found.strongest in {each.attack for each in found.screening if each.hits.mean == most}
    fakes = found.breaking.fakes
    assert fakes == round(found.breaking.share * dataset.num_users)
    most = found.curve[-1].fakes
    assert [each.removed for each in found.remedies] == [most, most, 0]
    for each in found.remedies[:-1]:
        assert each.caught is not None
        assert each.lost == pytest.approx(each.removed - each.caught * fakes, abs=1)
    assert [each.name for each in found.remedies] == [
        f"leave out the {most} users that co-visits suspects most",
        f"leave out the {most} users that deg-sim suspects most",
        "regularised",
    ]
    assert {(each.attack, each.detector) for each in found.detections} == {
        (attack, detector) for attack in PLAN.attacks for detector in PLAN.detectors
    }


def test_a_remedy_can_be_made_again_by_hand(found, dataset):
    """Leave out those whom the detector suspects, train what is left, and look for the targets."""
    train = dataset.train.matrix
    remedy, detector = found.remedies[1], PLAN.removals["deg-sim"]
    plan = Experiment(
        dataset=dataset, attacks={}, victims={"x": VICTIM}, targets=TargetPool(draws=2),
        budget=Budget(fake_users=found.breaking.share),
    )  # fmt: skip
    caught, hits, price = [], [], []
    for draw, goal in enumerate(plan.goals()):
        attack = PLAN.attacks[found.strongest]
        everyone = attack.poison(train, goal, plan.budget, seed=plan.attack_seed(draw)).inject(train)
        seed = plan.victim_seed(draw)
        seen = []
        for rows in (everyone, train):
            scores = detector.suspicion(rows, seed=derive_seed(seed, "detector"))
            out = np.argsort(-scores, kind="stable")[: remedy.removed]
            if rows is everyone:
                caught.append((out >= dataset.num_users).sum() / (everyone.shape[0] - dataset.num_users))
            dense, valid = rows.toarray(), dataset.valid.matrix.toarray()
            dense[out], valid[out[out < dataset.num_users]] = 0, 0
            model = VICTIM.fit(csr_array(dense), seed=seed, valid=csr_array(valid))
            seen.append(evaluate(model, train, targets=goal.targets, held_out=dataset.test.matrix, ks=(10,)))
        plain = VICTIM.fit(train, seed=seed, valid=dataset.valid.matrix)
        accurate = evaluate(plain, train, targets=(), held_out=dataset.test.matrix, ks=(10,)).ndcg[10]
        hits.append(hit_ratio(seen[0].ranks, 10).mean())
        price.append(seen[1].ndcg[10] / accurate - 1)
    assert remedy.caught == pytest.approx(np.mean(caught))
    assert remedy.worth.hits.mean == pytest.approx(np.mean(hits))
    assert remedy.worth.price is not None
    assert remedy.worth.price.mean == pytest.approx(np.mean(price))


def test_remedies_are_judged_where_the_attack_gets_through(found):
    through = [each for each in found.curve if each.hits.mean >= 0.01 and each.hits.mean > each.before]
    assert found.breaking == (through[0] if through else found.curve[-1])


def test_the_page_opens_with_a_verdict_and_says_how_accurate_the_model_is(found, dataset):
    points = [
        replace(found.curve[0], before=0.0, fakes=fakes, reach=reach, hits=Interval(mean=mean, low=0, high=1, p=1, n=2))
        for fakes, mean, reach in ((3, 0.001, 0.1), (15, 0.04, 0.5))
    ]
    page = audit_page(replace(found, curve=points, ndcg=0.1, yardstick=("wrmf", 0.2)))
    assert "It holds to 3 fake users (2 %) and gives way at 15 (10 %), where 4.00 % of the lists hold a target." in page
    assert "It lies 50 % behind, so it is not tuned" in page
    assert "as long as the other items keep their scores: 10.0 % with 3, 50.0 % with 15. No attack tried got" in page
    assert "| 15 | 10 % | 4.00 % (0.00 to 100.00) | 50.0 % |" in page
    above = [replace(points[0], reach=0.0005), points[1]]
    assert "The measured hits lie above it" in audit_page(replace(found, curve=above))
    unknown = [replace(each, reach=None, hits=replace(each.hits, mean=0.0)) for each in points]
    page = audit_page(replace(found, curve=unknown, ndcg=0.2, yardstick=("wrmf", 0.2)))
    assert "It holds: with up to 15 fake users" in page
    assert "no bound is known" in page
    assert "not tuned" not in page
    name, best = found.yardstick
    made = fit(
        {"wrmf": WRMF(), "ease": EASE()}[name],
        dataset.train.matrix,
        dataset.valid.matrix,
        seed=derive_seed(0, "victim", 0),
    )
    again = evaluate(made, dataset.train.matrix, targets=(), held_out=dataset.test.matrix, ks=(10,)).ndcg[10]
    assert best == pytest.approx(again)


def test_levels_lie_between_the_budgets_that_miss_and_reach_them(found):
    def at(*means: float, before: float = 0.0) -> AuditReport:
        points = [
            replace(
                found.curve[0], before=before, fakes=10 * (place + 1), hits=Interval(mean=mean, low=0, high=1, p=1, n=2)
            )
            for place, mean in enumerate(means)
        ]
        return replace(found, curve=points)

    report = at(0.002, 0.02, 0.06)
    assert report.needed(0.01) == (10, 20)
    assert report.needed(0.001) == (None, 10)
    assert report.needed(0.1) == (30, None)
    page = audit_page(report)
    assert "between 10 and 20 fake users" in page
    assert "not reached with 30 fake users" in page
    already = at(0.02, 0.03, 0.06, before=0.015)
    assert already.needed(0.01) == (None, 0)
    assert already.needed(0.05) == (20, 30)
    assert "1 % of lists**: none, 1.50 % of lists hold a target without any attack" in audit_page(already)
    assert "none, 1.50 %" in audit_html(already)


def test_the_page_answers_every_question(found):
    page = audit_page(found)
    for question in (
        "How many fake users",
        "Which attack",
        "Who is hit",
        "cost genuine users",
        "visible",
        "would help",
    ):
        assert question in page
    assert f"{100 * found.screening[0].hits.mean:.2f} %" in page


def test_the_html_page_holds_every_figure_of_the_markdown_and_escapes_names(found):
    nasty = replace(found, recommender='<script>alert("x")</script>')
    html, text = audit_html(nasty), audit_page(nasty)
    plain = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    cells = [cell.strip() for line in text.splitlines() if line.startswith("| ") for cell in line.strip("|").split("|")]
    figures = [cell for cell in cells if re.search(r"\d", cell)]
    assert len(figures) > 30
    assert [figure for figure in figures if figure not in plain] == []
    assert "How exposed is <script>" not in html
    assert html.count("<script>") == 1  # the page's own, for colours
    assert not re.search(r"\b(?:src|href)=\"(?!#)", html)


CALLS: list[int] = []


@dataclass(frozen=True)
class Counting:
    """Popularity that counts its trainings."""

    def fit(self, train: csr_array, *, seed: int) -> FactorModel:
        CALLS.append(seed)
        return Popularity().fit(train, seed=seed)


def test_an_audit_goes_on_from_its_store(dataset, tmp_path):
    plan, store = replace(PLAN, pools=("unpopular",)), CellStore(tmp_path)
    first = audit(dataset, Counting(), plan, store=store)
    trained = len(CALLS)
    again = audit(dataset, Counting(), plan, store=store)
    assert first == again
    # clean, two attacks with few fakes and, since neither gets through, with many, two removals without attack and with it
    assert trained == 2 * (1 + 2 + 2 + 4)
    assert len(CALLS) == trained


def test_several_processes_find_the_same(dataset, found):
    assert audit(dataset, VICTIM, PLAN, name="wrmf", jobs=2) == found


def test_a_recommender_that_fails_is_named_with_advice(dataset):
    class Broken:
        def fit(self, train: csr_array, *, seed: int):
            raise ValueError("no GPU")

    with pytest.raises(TrainingError, match=r"Broken failed on the clean data: ValueError: no GPU.*check-recommender"):
        audit(dataset, Broken(), PLAN)


@dataclass(frozen=True)
class Deadly:
    """Kills the process it is trained in."""

    def fit(self, train: csr_array, *, seed: int):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class FiveBest:
    """Popularity that only gives lists of five."""

    capabilities = Capabilities(top_k=5)

    def fit(self, train: csr_array, *, seed: int):
        return _Lists(train)


class _Lists:
    def __init__(self, train: csr_array) -> None:
        self.train = train
        self.counts = np.asarray(train.sum(0), dtype=np.float64)

    def score(self, users: np.ndarray) -> np.ndarray:
        scores = np.tile(self.counts, (len(users), 1))
        scores[self.train[users].toarray() > 0] = -np.inf
        edge = -np.sort(-scores, axis=1, kind="stable")[:, [4]]
        listed = scores >= edge
        listed &= np.cumsum(listed, axis=1) <= 5
        return np.where(listed, scores, -np.inf)


def test_a_recommender_of_short_lists_is_audited_within_them(dataset):
    with pytest.raises(ConfigError, match=r"lists of 5.*Set k=5"):
        audit(dataset, FiveBest(), PLAN)
    found = audit(dataset, FiveBest(), replace(PLAN, k=5))
    assert found.pools[1].before > 0  # popular items are in lists
    assert found.ndcg is not None
    assert not found.remedies
    assert "not available for a recommender that gives only lists" in audit_page(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgets": (0.05, 0.01)}, "ascending"),
        ({"draws": 1}, "draws=1"),
        ({"attacks": {}}, "at least one attack"),
        ({"k": 0}, "k=0"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(PLAN, **change)


def test_nothing_is_trained_twice_without_a_store_either(dataset):
    before = len(CALLS)
    audit(dataset, Counting(), replace(PLAN, pools=("unpopular",)))
    assert len(CALLS) - before == 2 * (1 + 2 + 2 + 4)


def test_a_defence_that_cannot_be_tried_is_said_and_ends_nothing(dataset):
    plan = replace(PLAN, pools=("unpopular",), removals={}, defenses={"sam": SAM(), "regularised": Regularised()})
    found = audit(dataset, VICTIM, plan)
    assert [each.name for each in found.remedies] == ["regularised"]
    assert "gradient steps" in found.failed["sam"]
    assert "Could not be tried: sam:" in audit_page(found)
    assert "Could not be tried: sam:" in audit_html(found)
    unable = audit(dataset, Popularity(), replace(PLAN, pools=("unpopular",), removals={}))
    assert "no reg or regularization" in unable.failed["regularised"]


def test_where_no_attack_has_a_hit_the_ranks_decide_and_the_page_says_so(dataset):
    """The last attack of the suite leaves the targets higher, which is worked out by hand."""
    attacks = {"random": RandomAttack(), "bandwagon": Bandwagon()}
    plan = replace(PLAN, attacks=attacks, budgets=(0.03,), defenses={}, removals={}, pools=("unpopular",))
    found = audit(dataset, Popularity(), plan)
    assert [each.hits.mean for each in found.screening] == [0, 0]
    budget, train = Budget(fake_users=0.03), dataset.train.matrix
    made = Experiment(dataset=dataset, attacks={}, victims={"x": VICTIM}, targets=TargetPool(draws=2), budget=budget)
    ranks = dict.fromkeys(attacks, 0.0)
    for name, attack in attacks.items():
        for draw, goal in enumerate(made.goals()):
            poison = attack.poison(train, goal, budget, seed=made.attack_seed(draw))
            counts = poison.inject(train).sum(0)
            for target in goal.targets:
                others = np.array(
                    [(counts > counts[target]) | ((counts == counts[target]) & (np.arange(200) < target))]
                )
                ranks[name] += (others & (train.toarray() == 0))[train.toarray()[:, target] == 0].sum()
    assert ranks["random"] != ranks["bandwagon"]
    assert found.strongest == min(ranks, key=lambda name: ranks[name])
    page = audit_page(found)
    assert "no attack puts the targets" in page
    assert f"the attack is {found.strongest}, which came nearest" in page
    assert "there is no exposure to take away" in page


def test_a_share_has_no_interval_beyond_a_hundred_percent(found):
    high = replace(found.pools[0], hits=Interval(mean=0.97, low=0.93, high=1.01, p=0, n=3))
    assert "97.00 % (93.00 to 100.00)" in audit_page(replace(found, pools=[high]))
    low = replace(found.pools[0], hits=Interval(mean=0.01, low=-0.02, high=0.04, p=0, n=3))
    assert "1.00 % (0.00 to 4.00)" in audit_page(replace(found, pools=[low]))


def test_a_worker_that_dies_twice_is_an_error_with_advice(dataset):
    with pytest.raises(TrainingError, match=r"failed on the clean data: The process that worked on it died twice"):
        audit(dataset, Deadly(), PLAN, jobs=2)


def test_budgets_below_the_bound_are_not_crafted_and_the_first_answers_come_early(dataset, monkeypatch):
    """With a bound that leaves the smaller budget less than a per cent."""
    monkeypatch.setattr(Figures, "_reach", lambda self, clean, fakes: 0.004 if fakes < 10 else 0.5)
    said: list[tuple[str, str]] = []

    class Told:
        def start(self, description, total):
            return self

        def finish(self, task): ...

        def advance(self, steps=1, *, note=None): ...

        def event(self, kind, **fields):
            said.append((kind, str(fields.get("message") or fields.get("fakes"))))

    detectors = {"profile-size": ProfileSize()}
    plan = replace(PLAN, budgets=(0.007, 0.2), pools=("unpopular",), detectors=detectors, removals={}, defenses={})
    with progress.reporting(Told()):
        report = audit(dataset, Popularity(), plan, name="popularity")
    few, many = report.curve
    assert (few.tried, many.tried) == (False, True)
    assert few.hits.mean == few.reach == 0.004
    assert few.accuracy is None
    assert [each.share for each in report.screening] == [0.2, 0.2]
    assert not [fields for kind, fields in said if kind == "poison" and fields == "0.7%"]
    answers = [text for kind, text in said if kind == "so far"]
    assert "At most, any attack:" in answers[0]
    assert "1 of 2 target sets" in answers[1]
    page = audit_page(report)
    assert "at most 0.40 %, not tried" in page
    assert "not tried" in audit_html(report)
    assert json.loads(json.dumps(finite(asdict(report))))["curve"][0]["tried"] is False
