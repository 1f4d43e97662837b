"""What a certificate promises, against every attack that there is on tiny data, and against the worst models on small data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from math import comb
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack
from scipy.stats import binomtest

from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.data.interactions import canonical_csr
from sharpap.defenses import CertifiedBagging, Votes, certify
from sharpap.defenses.certificate import certain, clean_share, intervals
from sharpap.errors import ConfigError
from sharpap.recommenders import Popularity
from sharpap.recommenders.calls import Timed
from sharpap.testing import DefenseTests
from sharpap.threat import Budget, Goal


def test_the_share_of_models_without_a_fake_is_a_count_of_samples():
    for active, sample, fakes in product((4, 6), (1, 3), (0, 1, 3)):
        drawn = list(combinations(range(active + fakes), sample))
        clean = sum(max(each) < active for each in drawn) / len(drawn)
        assert clean_share(active, sample, fakes) == pytest.approx(clean, rel=1e-12)
    assert clean_share(5, 5, 1) == pytest.approx(comb(5, 5) / comb(6, 5))


def test_intervals_are_clopper_and_pearsons():
    counts, alpha = np.array([0, 1, 7, 19, 20]), 0.01
    low, high = intervals(counts, np.full(5, 20), alpha)
    for count, least, most in zip(counts, low, high, strict=True):
        exact = binomtest(int(count), 20).proportion_ci(confidence_level=1 - 2 * alpha, method="exact")
        assert (least, most) == pytest.approx((exact.low, exact.high))


def test_intervals_cover_as_often_as_they_say():
    draw = np.random.default_rng(0)
    for share in (0.02, 0.3, 0.9):
        low, high = intervals(draw.binomial(40, share, 20_000), np.full(20_000, 40), 0.05)
        assert (low > share).mean() <= 0.055
        assert (high < share).mean() <= 0.055


def _top(counts: np.ndarray, own: np.ndarray, k: int) -> set[int]:
    return set([int(item) for item in np.argsort(-counts, kind="stable") if not own[item]][:k])


def _all_votes(matrix: np.ndarray, sample: int, listed: int) -> tuple[np.ndarray, np.ndarray]:
    """Votes of the models of all samples there are, by popularity with ties to the lower item; and models of each user."""
    counts, trials = np.zeros(matrix.shape, dtype=np.int64), np.zeros(len(matrix), dtype=np.int64)
    for members in combinations(range(len(matrix)), sample):
        popular = matrix[list(members)].sum(0)
        for user in members:
            trials[user] += 1
            counts[user, list(_top(popular, matrix[user], listed))] += 1
    return counts, trials


TINY = np.array(
    [[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0], [1, 1, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0],
     [1, 1, 0, 0, 1, 0]]
)  # fmt: skip


@pytest.mark.parametrize(("sample", "listed", "k"), [(2, 1, 2), (3, 1, 1), (3, 2, 2)])
def test_no_profile_at_all_breaks_the_certificate_of_the_ideal_vote(sample, listed, k):
    """All samples, and all profiles a fake could have: the ideal vote itself, no estimate."""
    counts, trials = _all_votes(TINY, sample, listed)
    times = 10**7  # so many models that the intervals are points
    votes = Votes(
        counts=csr_array(counts * times), trials=trials * times, train=canonical_csr(csr_array(TINY)),
        num_active=len(TINY), sample=sample, listed=listed,
    )  # fmt: skip
    found = certify(votes, [1], k=k, kind="ideal")
    worst = np.full(len(TINY), k)
    for profile in product((0, 1), repeat=TINY.shape[1]):
        after, _ = _all_votes(np.vstack([TINY, profile]), sample, listed)
        for user in range(len(TINY)):
            before = _top(counts[user], TINY[user], k)
            worst[user] = min(worst[user], len(before & _top(after[user], TINY[user], k)))
    assert (found.kept[:, 0] <= worst).all()
    assert found.kept.sum() > 0


def _weakest(low, outside, fake, listed, k):
    """By trying: do models with fakes, in ten equal parts, bring so many rivals above all but r - 1 wanted items?"""
    for r in range(min(k, len(low)), 0, -1):
        rivals = k - r + 1
        if rivals > len(outside):
            return r
        parts = 10
        spread = np.zeros(rivals)
        for _ in range(parts * min(listed, rivals)):  # water on the lowest; no item more than once a model
            open_ = np.flatnonzero(spread < fake - 1e-12)
            if len(open_):
                spread[open_[np.argmin((np.asarray(outside[:rivals]) + spread)[open_])]] += fake / parts
        if low[r - 1] > (np.asarray(outside[:rivals]) + spread).min() + fake / parts:
            return r
    return 0


def test_the_bound_lies_within_a_step_of_the_best_that_fakes_could_do():
    draw = np.random.default_rng(1)
    same = 0
    for _ in range(300):
        low, outside = -np.sort(-draw.random(4)), -np.sort(-draw.random(6) * 0.4)
        fake, listed, k = draw.random() * 0.5, int(draw.integers(1, 4)), int(draw.integers(1, 6))
        bound, tried = certain(low, outside, fake, listed, k), _weakest(low, outside, fake, listed, k)
        assert bound >= tried  # what cannot be had even with a step more is certified
        same += bound == tried
    assert same > 250


@dataclass(frozen=True)
class Fragile:
    """Popularity, until one user has the marked item: then the worst lists that there are."""

    marked: int

    def fit(self, train: csr_array, *, seed: int) -> Any:
        model = Popularity().fit(train, seed=seed)
        if self.marked not in train.indices:
            return model
        return Turned(model)


@dataclass(frozen=True)
class Turned:
    model: Any

    def score(self, users):
        return -self.model.score(users)


@pytest.fixture
def unmarked(blocks) -> csr_array:
    """The blocks and one more item that nobody has."""
    return canonical_csr(csr_array((blocks.data, blocks.indices, blocks.indptr), shape=(60, 41)))


@pytest.mark.parametrize("kind", ["these", "ideal"])
@pytest.mark.parametrize("listed", [1, 3])
def test_models_that_turn_at_the_sight_of_a_fake_do_not_break_it(unmarked, kind, listed):
    defense, models = CertifiedBagging(models=300, users=6, listed=listed), Fragile(marked=40)
    clean = defense.fit(models, unmarked, seed=3)
    found = certify(clean, [1, 2, 4], k=4, kind=kind)
    before = clean.lists(4)
    if kind == "these":
        assert found.kept[:, 0].sum() > 10  # it says something
    stayed = np.zeros(60)
    for place, fakes in enumerate(found.fakes):
        row = csr_array((np.ones(fakes), (np.arange(fakes), np.full(fakes, 40))), shape=(fakes, 41))
        attacked = defense.fit(models, canonical_csr(vstack([unmarked, row])), seed=3)
        stayed = before.multiply(attacked.lists(4)[:60]).sum(1)
        assert (stayed >= found.kept[:, place]).all()
    assert stayed.sum() < before.sum()  # and the fakes do something


@pytest.mark.parametrize("attack", [RandomAttack(), Bandwagon()])
def test_measured_attacks_do_not_break_it(blocks, attack):
    defense = CertifiedBagging(models=80, users=4, listed=2)
    clean = defense.fit(Popularity(), blocks, seed=5)
    found, before = certify(clean, [1, 3], k=5), clean.lists(5)
    for place, fakes in enumerate(found.fakes):
        made = attack.poison(blocks, Goal(targets=(38,)), Budget(fake_users=fakes), seed=1)
        attacked = defense.fit(Popularity(), made.inject(blocks), seed=5)
        assert (before.multiply(attacked.lists(5)[:60]).sum(1) >= found.kept[:, place]).all()


def test_a_fake_changes_only_the_models_it_is_in(unmarked):
    defense, seen = CertifiedBagging(models=40, users=10), []

    class Recording:
        def fit(self, train, *, seed):
            seen.append((train, seed))
            return Popularity().fit(train, seed=seed)

        def __deepcopy__(self, memo):
            return self

    defense.fit(Recording(), unmarked, seed=0)
    fake = csr_array(([1.0], ([0], [40])), shape=(1, 41))
    defense.fit(Recording(), canonical_csr(vstack([unmarked, fake])), seed=0)
    pairs = list(zip(seen[:40], seen[40:], strict=True))
    with_fake = [40 in after[0].indices for _, after in pairs]
    same = [before[1] == after[1] and (before[0] != after[0]).nnz == 0 for before, after in pairs]
    assert same == [not each for each in with_fake]
    assert 0 < sum(with_fake) < 40


def test_more_fakes_never_keep_more_and_surer_never_says_more(blocks):
    votes = CertifiedBagging(models=200, users=6, listed=2).fit(Popularity(), blocks, seed=0)
    for kind in ("these", "ideal"):
        found = certify(votes, [9, 0, 1, 2, 4], k=4, kind=kind)
        assert found.fakes == (0, 1, 2, 4, 9)
        assert (np.diff(found.kept, axis=1) <= 0).all()
        unsure = certify(votes, [1, 4], k=4, kind=kind, confidence=0.5)
        assert (unsure.kept >= found.kept[:, [2, 3]]).all()
    assert (certify(votes, [1], k=4).kept >= certify(votes, [1], k=4, kind="ideal").kept).all()


def test_test_items_are_counted_among_the_k_best(blocks):
    votes = CertifiedBagging(models=200, users=6, listed=2).fit(Popularity(), blocks, seed=0)
    mine = votes.lists(2)
    own, some = certify(votes, [0], k=4), certify(votes, [0], k=4, wanted=mine)
    assert (some.kept <= np.minimum(own.kept, 2)).all()
    assert some.recall[0] == pytest.approx(2 * some.precision[0])
    assert 0 < some.recall[0] <= 1


def test_a_vote_has_every_models_lists_and_every_user_a_full_list(blocks):
    votes = CertifiedBagging(models=30, users=9, listed=3).fit(Popularity(), blocks, seed=0)
    assert votes.trials.sum() == 30 * 9
    assert votes.counts.sum() == 30 * 9 * 3
    assert votes.counts.max() <= votes.trials.max()
    scores = votes.score(np.arange(60))
    for user in np.flatnonzero(votes.trials):
        shares = votes.counts[[user]].toarray()[0] / votes.trials[user]
        assert (scores[user] - shares < 1 / votes.trials[user]).all()
        assert len(np.unique(scores[user])) == 40
    assert votes.counts.multiply(blocks).nnz == 0
    assert (np.diff(votes.lists(5).indptr)[votes.trials > 0] == 5).all()


@pytest.mark.parametrize(
    ("asked", "named"),
    [({"fakes": []}, "fakes="), ({"fakes": [-1]}, "fakes="), ({"k": 0}, "k=0"), ({"confidence": 1.0}, "confidence=1"),
     ({"kind": "other"}, "kind='other'")],
)  # fmt: skip
def test_questions_that_make_no_sense_are_refused(blocks, asked, named):
    votes = CertifiedBagging(models=3, users=9).fit(Popularity(), blocks, seed=0)
    with pytest.raises(ConfigError, match=named):
        certify(votes, **{"fakes": [1]} | asked)


@pytest.mark.parametrize("given", [{"users": 0}, {"users": 1.5}, {"listed": 0}, {"models": 0}])
def test_settings_are_checked(given):
    with pytest.raises(ConfigError, match=f"{next(iter(given))}={next(iter(given.values()))}"):
        CertifiedBagging(**given)


def test_recommenders_that_read_order_are_refused(blocks):
    timed = Timed(recommender=Popularity(), known=blocks, times=np.zeros(blocks.nnz))
    with pytest.raises(ConfigError, match="Popularity reads the order"):
        CertifiedBagging(models=2).fit(timed, blocks, seed=0)


class TestCertifiedBagging(DefenseTests):
    defense = CertifiedBagging(models=6, users=0.3)
