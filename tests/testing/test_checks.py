"""Each check sees the defect it is for, and says so; SharpAP's own models and attacks pass the suites."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest

from sharpap.adapters import adapt
from sharpap.attacks import Bandwagon, Poison, RandomAttack, RevAdv
from sharpap.attacks.profiles import to_csr
from sharpap.defenses import SAM, VAT, Bagging, RemoveSuspicious
from sharpap.detectors import FAP, DegSim, PCAVarSelect, ProfilePopularity, ProfileSize, RarityDeviation, UnRAP
from sharpap.errors import ContractError, SharpAPError
from sharpap.recommenders import BPRMF, WRMF, ItemKNN, LightGCN, Popularity
from sharpap.surrogates import WRMFSurrogate
from sharpap.testing import AttackTests, DefenseTests, DetectorTests, RecommenderTests, check_recommender, recommender
from sharpap.testing.attack import CHECKS, Siege
from sharpap.testing.detector import DEFENSE_CHECKS, DETECTOR_CHECKS, Shield, Watchman
from sharpap.testing.finding import Doubt
from sharpap.testing.trial import Trial

SMALL = {"embedding_size": 8, "epochs": 20}


class TestWRMF(RecommenderTests):
    recommender = WRMF(embedding_size=8)


class TestBPRMF(RecommenderTests):
    recommender = BPRMF(**SMALL)


class TestLightGCN(RecommenderTests):
    recommender = LightGCN(**SMALL)


class TestItemKNN(RecommenderTests):
    recommender = ItemKNN(neighbours=20)


class TestPopularity(RecommenderTests):
    recommender = Popularity()


class TestBandwagon(AttackTests):
    attack = Bandwagon()


class TestRevAdv(AttackTests):
    surrogate = WRMFSurrogate(embedding_size=4, epochs=8, unrolled_epochs=4)
    attack = RevAdv(surrogate=surrogate, epochs=2, k=3, rivals=6, finalists=1, final_seeds=1)


class TestPCAVarSelect(DetectorTests):
    detector = PCAVarSelect()


class TestDegSim(DetectorTests):
    detector = DegSim()


class TestFAP(DetectorTests):
    detector = FAP()


class TestUnRAP(DetectorTests):
    detector = UnRAP()


class TestRarityDeviation(DetectorTests):
    detector = RarityDeviation(kind="wda")


class TestProfilePopularity(DetectorTests):
    detector = ProfilePopularity()


class TestProfileSize(DetectorTests):
    detector = ProfileSize()


class TestRemoveSuspicious(DefenseTests):
    defense = RemoveSuspicious(users=3)


class TestBagging(DefenseTests):
    defense = Bagging(models=3)
    recommender = WRMF(embedding_size=4, epochs=2)


class TestVAT(DefenseTests):
    defense = VAT(start=2)
    recommender = BPRMF(embedding_size=4, epochs=5)


class TestSAM(DefenseTests):
    defense = SAM()
    recommender = WRMF(embedding_size=4, epochs=5, solver="adam")


class Good:
    """Item neighbours, by hand: the one that every defect below is put into."""

    def fit(self, train, *, seed):
        self.train, self.weights = train, (train.T @ train).toarray()
        np.fill_diagonal(self.weights, 0)
        self.found = self.train @ self.weights + np.random.default_rng(seed).normal(size=train.shape) * 1e-6
        return self

    def score(self, users):
        return self.found[users]


class NoFit:
    score = Good.score


class OtherNames(Good):
    def fit(self, interactions, weights):
        return self


class Raises(Good):
    def fit(self, train, *, seed):
        raise ValueError("matrix is singular")


class NoScore:
    def fit(self, train, *, seed):
        return 3


class Swapped(Good):
    def score(self, users):
        return self.found[users].T


class UsersAsItems(Good):
    def fit(self, train, *, seed):
        return super().fit(train.T.tocsr(), seed=seed)

    def score(self, users):
        return self.found[users % 100]


class Everyone(Good):
    def score(self, users):
        return self.found


class OneNumber(Good):
    def score(self, users):
        return self.found[users, 0]


class FewerColumns(Good):
    def score(self, users):
        return self.found[users][:, np.diff(self.train.tocsc().indptr) > 0]


class Words(Good):
    def score(self, users):
        return self.found[users].astype(str)


class NotANumber(Good):
    def score(self, users):
        return np.where(self.weights.sum(0) == 0, np.nan, self.found[users])


class Infinite(Good):
    def score(self, users):
        return np.where(self.train[users].toarray() > 0, np.inf, self.found[users])


class Unseeded(Good):
    def fit(self, train, *, seed):
        super().fit(train, seed=seed)
        self.found += 5 * np.random.default_rng().normal(size=train.shape)
        return self


class NearlySeeded(Good):
    count = itertools.count(1)

    def fit(self, train, *, seed):
        super().fit(train, seed=seed)
        self.found += next(self.count) * 1e-5
        return self


class ByPosition(Good):
    def score(self, users):
        return self.found[np.sort(users)]


class OverTheBatch(Good):
    def score(self, users):
        found = self.found[users]
        return found - found.mean(0) * (len(users) > 1)


class Chance(Good):
    def fit(self, train, *, seed):
        super().fit(train, seed=seed)
        self.found = np.random.default_rng(seed).normal(size=train.shape)
        return self


class OneList(Good):
    """By popularity, under another name."""

    def fit(self, train, *, seed):
        super().fit(train, seed=seed)
        self.found = np.tile(train.sum(0) + 1.0, (train.shape[0], 1))
        self.found[: len(self.found) // 2] *= 2  # the same list, from other scores
        return self


class TopPop(OneList):
    """Without the user's own items."""

    def score(self, users):
        return np.where(self.train[users].toarray() > 0, -np.inf, self.found[users])


class MixedRows(Good):
    def score(self, users):
        return self.found[(users + 40) % len(self.found)]


class Overwrites(Good):
    def fit(self, train, *, seed):
        super().fit(train.copy(), seed=seed)
        train.data *= 2
        return self


class GenuineOnly(Good):
    def fit(self, train, *, seed):
        return super().fit(train[:150], seed=seed)


class MovesRows(Good):
    def fit(self, train, *, seed):
        super().fit(train, seed=seed)
        self.found = np.roll(self.found, 40 * (len(self.found) > 150), axis=0)
        return self


class Unpicklable(Good):
    def __init__(self):
        self.hook = lambda: 0


class NoFakes(Good):
    def score(self, users):
        return self.found[users] * (1 if len(self.found) == 150 else np.nan)


class OneUser(Good):
    def score(self, users):
        return self.found[users[0]]


class NoHistory(Good):
    def score(self, users):
        return np.where(np.diff(self.train.indptr)[users][:, None] > 0, self.found[users], np.nan)


class Uncopyable(Good):
    def __deepcopy__(self, memo):
        raise RuntimeError("holds a connection")


DEFECTS = [
    (NoFit, "signature", "failed", "no fit method"),
    (OtherNames, "signature", "failed", "cannot be called as fit(train, seed=0)"),
    (Raises, "training", "failed", "raised ValueError: matrix is singular (test_checks.py, line"),
    (NoScore, "training", "failed", "fit returned int, which has no score method"),
    (Uncopyable, "training", "failed", "each training starts from a copy"),
    (Swapped, "scores", "failed", "axes are swapped"),
    (UsersAsItems, "scores", "failed", "users and items are swapped in training"),
    (Everyone, "scores", "failed", "scored all users"),
    (OneNumber, "scores", "failed", "one number a user"),
    (FewerColumns, "scores", "failed", "Items without interactions need their column"),
    (Words, "scores", "failed", "not numbers"),
    (NotANumber, "scores", "failed", "item 33"),
    (Infinite, "scores", "failed", "+inf"),
    (Unseeded, "same seed", "failed", "same seed differ by up to"),
    (NearlySeeded, "same seed", "doubt", "differ slightly"),
    (ByPosition, "order of users", "failed", "in another order"),
    (OverTheBatch, "subset of users", "failed", "alone has other scores"),
    (Chance, "learns", "doubt", "chance gives"),
    (OneList, "own lists", "doubt", "Every user gets the same list"),
    (MixedRows, "learns", "doubt", "another user's scores would do as well"),
    (Overwrites, "training data untouched", "doubt", "changed the matrix"),
    (GenuineOnly, "fake users", "failed", "does not know the first of them"),
    (MovesRows, "fake users", "doubt", "Rows may have moved"),
    (NoFakes, "fake users", "failed", "more users in training score gives NaN"),
    (OneUser, "scores", "failed", "It scored one user"),
    (Unpicklable, "other processes", "doubt", "--jobs"),
]


@pytest.mark.parametrize("case", DEFECTS, ids=lambda case: case[0].__name__)
def test_a_defect_is_seen_by_its_check_and_no_earlier_one(case):
    made, check, status, words = case
    report = check_recommender(made())
    wrong = [finding for finding in report.findings if finding.status in ("failed", "doubt")]
    assert (wrong[0].check, wrong[0].status) == (check, status), wrong
    assert words in f"{wrong[0].message} {wrong[0].hint}"
    assert report.ok == (status == "doubt")


@pytest.mark.parametrize(
    ("made", "check", "words"),
    [
        (NotANumber, recommender.cold_items, "An item without interactions scores NaN.*-inf"),
        (NoHistory, recommender.users_without_interactions, "A user without interactions has NaN scores"),
    ],
)
def test_a_check_of_a_suite_stands_alone(made, check, words):
    """`check_recommender` sees these in its check of scores; a suite runs every check by itself."""
    with pytest.raises(ContractError, match=words):
        check(Trial(made(), None, 0))


def test_a_good_recommender_has_no_finding_and_its_times():
    report = check_recommender(Good())
    assert {finding.status for finding in report.findings} == {"ok"}, report
    assert report.seconds["audit"] >= 25 * report.seconds["fit"] > 0
    again = report.facts()
    assert again["ok"] is True
    assert len(again["checks"]) == 15


@pytest.mark.parametrize("made", [TopPop(), adapt(TopPop()), Popularity()])
def test_popularity_gives_one_list_by_name(made):
    found = {finding.check: finding for finding in check_recommender(made).findings}
    assert (found["own lists"].status, found["own lists"].message) == (
        "ok",
        "every user gets the same list, as of a ranking by popularity",
    )


@dataclass(frozen=True)
class Flawed:
    """A random attack with something wrong in what it returns."""

    flaw: str

    def poison(self, train, goal, budget, *, seed):
        made = RandomAttack().poison(train, goal, budget, seed=seed)
        profiles = made.profiles
        if self.flaw == "too many":
            return replace(made, profiles=profiles[[*range(made.num_fake), 0]])
        if self.flaw == "no poison":
            return profiles
        if self.flaw == "other goal":
            return replace(made, goal=replace(goal, targets=goal.targets[:1]))
        if self.flaw == "no target":
            rows = [profiles.indices[profiles.indptr[row] : profiles.indptr[row + 1]] for row in range(made.num_fake)]
            rows[1:] = [np.setdiff1d(row, goal.targets) for row in rows[1:]]
            return replace(made, profiles=to_csr(rows, train.shape[1]))
        if self.flaw == "holds demoted":
            return Poison(
                profiles=to_csr([np.array(goal.targets)] * made.num_fake, train.shape[1]), goal=goal, attack="x"
            )
        if self.flaw == "unseeded":
            return RandomAttack().poison(train, goal, budget, seed=int(np.random.default_rng().integers(2**40)))
        if self.flaw == "overwrites":
            train.data[:] = 2
            return made
        raise KeyError("boom")


FLAWS = {
    "too many": ("budget", "the budget is"),
    "no poison": ("budget", "poison returned csr_array"),
    "other goal": ("budget", "another goal"),
    "no target": ("targets", "holds no target"),
    "holds demoted": ("targets", "should push out"),
    "unseeded": ("same_seed", "same seed differ"),
    "overwrites": ("training_data_untouched", "changed the training matrix"),
    "raises": ("budget", "raised KeyError"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_an_attacks_flaw_is_seen(flaw):
    check, words = FLAWS[flaw]
    named = {each.__name__: each for each in CHECKS}
    with pytest.raises(SharpAPError, match=words):
        named[check](Siege(Flawed(flaw)))


def by_position(train, seed):
    return np.arange(train.shape[0], dtype=float)


def by_chance(train, seed):
    return np.random.default_rng().random(train.shape[0])


def one_short(train, seed):
    return np.ones(train.shape[0] - 1)


def undecided(train, seed):
    return np.ones(train.shape[0])


def crossing_out(train, seed):
    train.data[:] = 0
    return np.arange(train.shape[0], dtype=float)


@pytest.mark.parametrize(
    ("defect", "check", "message"),
    [
        (by_position, "order_of_users", "Reversing the order"),
        (by_chance, "same_seed", "same seed differ"),
        (one_short, "form", "shape"),
        (undecided, "form", "equally suspicious"),
        (crossing_out, "training_data_untouched", "changed the training matrix"),
    ],
)
def test_a_detector_with_a_defect_is_seen(defect, check, message):
    class Detector:
        def suspicion(self, train, *, seed):
            return defect(train, seed)

    look = next(each for each in DETECTOR_CHECKS if each.__name__ == check)
    with pytest.raises(Doubt if defect is undecided else ContractError, match=message):
        look(Watchman(Detector()))


@pytest.mark.parametrize(
    ("defect", "check", "message"),
    [
        ("smaller", "trains", "returned shape"),
        ("nothing", "trains", "no score method"),
        ("chance", "same_model_for_same_seed", "same seed differ"),
        ("emptied", "matrix_untouched", "changed the matrix"),
    ],
)
def test_a_defence_with_a_defect_is_seen(defect, check, message):
    class Defense:
        def fit(self, recommender, train, valid=None, *, seed):
            if defect == "nothing":
                return None
            if defect == "chance":
                seed = np.random.default_rng().integers(2**31)
            if defect == "emptied":
                train.data[:] = 0
            if defect == "smaller":
                train = train[:, :-1]
            return WRMF(embedding_size=4, epochs=1).fit(train, seed=int(seed))

    look = next(each for each in DEFENSE_CHECKS if each.__name__ == check)
    with pytest.raises(ContractError, match=message):
        look(Shield(Defense()))
