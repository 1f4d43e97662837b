"""A portfolio keeps the candidate that its judges prefer."""

from __future__ import annotations

import numpy as np
import pytest

from sharpap.attacks import (
    Poison,
    Portfolio,
    RandomAttack,
)
from sharpap.attacks.profiles import to_csr
from sharpap.errors import ConfigError
from sharpap.recommenders import FactorModel
from sharpap.threat import Budget, Goal


class Lucky:
    """Random profiles that hold item 7 for the third start only."""

    def __init__(self, seeds: list[int]) -> None:
        self.seeds = seeds

    def poison(self, train, goal, budget, *, seed):
        self.seeds.append(seed)
        extra = [7] if len(self.seeds) == 3 else [9]
        rows = [np.array([*goal.targets, *extra])] * budget.resolve(train, goal).num_fake
        return Poison(profiles=to_csr(rows, train.shape[1]), goal=goal, attack="lucky", seed=seed)


class Sevens:
    """Puts item 5 first for everyone if a fake user has item 7, else last; `scale` is the share of users it does so for."""

    def __init__(self, share: float) -> None:
        self.share = share

    def fit(self, train, *, seed):
        won = train[60:, [7]].sum() > 0
        items = np.zeros((train.shape[1], 1), np.float32)
        items[5] = 1 if won else -1
        users = (np.arange(train.shape[0]) < self.share * train.shape[0]).astype(np.float32)[:, None]
        return FactorModel(user_factors=users, item_factors=items, log={})


@pytest.mark.parametrize("by", ["mean", "least"])
def test_a_portfolio_keeps_the_candidate_its_judges_prefer(blocks, by):
    seeds: list[int] = []
    portfolio = Portfolio(
        attacks=(Lucky(seeds),), restarts=4, judges=(Sevens(1.0), Sevens(0.5)), judge_seeds=2, k=3, by=by
    )
    made = portfolio.poison(blocks, Goal(targets=(5,)), Budget(fake_users=4, profile_size=2), seed=3)
    assert made.notes["chosen"] == 2
    assert 7 in made.profiles.indices
    assert seeds[0] == 3
    assert len(set(seeds)) == 4
    hits = np.array(made.notes["judge_hit_ratios"])
    assert hits.shape == (4, 2)
    assert (hits[2] > 0).all()
    assert made.notes["scores"][2] == 1.0


class Counts:
    """Popularity as anyone might write it."""

    def fit(self, train, *, seed):
        self.counts = np.asarray(train.sum(0), dtype=np.float64)
        return self

    def score(self, users):
        return np.tile(self.counts, (len(users), 1))


def test_a_portfolio_scores_judges_that_are_no_factor_models(blocks):
    """Hits of a judge that only scores are those counted by hand."""
    goal, budget = Goal(targets=(5, 31)), Budget(fake_users=30, profile_size=9)
    portfolio = Portfolio(attacks=(RandomAttack(),), restarts=1, judges=(Counts(),), judge_seeds=1, k=5)
    made = portfolio.poison(blocks, goal, budget, seed=0)
    scores = np.tile(np.asarray(made.inject(blocks).sum(0), dtype=float), (60, 1))
    owned = blocks.toarray() > 0
    scores[owned] = -np.inf
    rivals = scores.copy()
    rivals[:, [5, 31]] = -np.inf
    edge = np.sort(rivals, axis=1)[:, -5]
    hits = [np.mean((scores[:, t] > edge)[~owned[:, t]]) for t in (5, 31)]
    assert made.notes["judge_hit_ratios"][0][0] == pytest.approx(np.mean(hits))


def test_a_portfolio_without_members_is_refused():
    with pytest.raises(ConfigError, match="at least one attack"):
        Portfolio(attacks=())
    with pytest.raises(ConfigError, match="restarts=0"):
        Portfolio(restarts=0)
