"""All attacks keep the same budget; the parts of the gradient attacks do what they say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from sharpap.attacks import (
    DPA2DL,
    RAPUR,
    Attack,
    Bandwagon,
    CrossEntropy,
    DifficultyDiversity,
    Identity,
    MeanScore,
    MomentumStep,
    Poison,
    Portfolio,
    RandomAttack,
    RandomDirection,
    RevAdv,
    SharpnessAware,
    SmoothHits,
    SwapStep,
    WilcoxonMannWhitney,
    check_poison,
)
from sharpap.attacks.profiles import to_csr
from sharpap.attacks.scan import scan
from sharpap.attacks.worst_case import mixed
from sharpap.data import TargetPool
from sharpap.errors import BudgetError, ConfigError, ContractError
from sharpap.recommenders import WRMF, FactorModel
from sharpap.surrogates import ALSSurrogate, Embeddings, PairwiseSurrogate, WRMFSurrogate
from sharpap.threat import Budget, Goal

SURROGATE = WRMFSurrogate(embedding_size=4, epochs=8, unrolled_epochs=4)
SMALL = RevAdv(surrogate=SURROGATE, epochs=3, k=3, rivals=6, finalists=2, final_seeds=1)
ATTACKS = {
    "random": RandomAttack(),
    "bandwagon": Bandwagon(popular_share=0.2),
    "revadv": SMALL,
    "sharpap": replace(SMALL, worst_case=SharpnessAware()),
    "global": replace(SMALL, worst_case=SharpnessAware(ball="global", rho=0.01, steps=3)),
    "adaptive": replace(SMALL, worst_case=SharpnessAware(ball="adaptive")),
    "control": replace(SMALL, worst_case=RandomDirection()),
    "original": replace(SMALL, objective=CrossEntropy(), step=MomentumStep(), reseed=False),
    "latent": replace(SMALL, step=MomentumStep(latent=True)),
    "tau": replace(SMALL, worst_case=SharpnessAware(tau=0.01, clean_share=0.5)),
    "every-step": replace(SMALL, worst_case=SharpnessAware(every_step=1)),
    "control-every-step": replace(SMALL, worst_case=RandomDirection(every_step=2)),
    "als": replace(SMALL, surrogate=ALSSurrogate(embedding_size=4, sweeps=3)),
    "bpr-mf": replace(SMALL, surrogate=PairwiseSurrogate(embedding_size=4, epochs=8, unrolled_epochs=3)),
    "lightgcn": replace(SMALL, surrogate=PairwiseSurrogate(layers=2, embedding_size=4, epochs=8, unrolled_epochs=3)),
    "ensemble": replace(SMALL, others=(ALSSurrogate(embedding_size=5, sweeps=3),), worst_case=SharpnessAware()),
    "rapu-g": replace(SMALL, objective=WilcoxonMannWhitney(), known_share=0.9, step=MomentumStep(popularity_weight=1)),
    "rapu-r": RAPUR(surrogate=SURROGATE),
    "dpa2dl": DPA2DL(embedding_size=4, hidden=(8, 4), epochs=2, batch_size=512, k=3, rivals=6, poison_steps=3),
    "dpa2dl-sharpap": DPA2DL(
        embedding_size=4, hidden=(8,), epochs=2, batch_size=512, k=3, rivals=6, poison_steps=3,
        worst_case=SharpnessAware(tau=0.01, clean_share=0.5),
    ),
    "portfolio": Portfolio(
        attacks=(RandomAttack(), replace(SMALL, epochs=2)), restarts=2, judges=(WRMF(embedding_size=4, epochs=2),), k=3
    ),
    "dada": replace(SMALL, objective=DifficultyDiversity(), worst_case=SharpnessAware()),
    "pga": replace(SMALL, objective=MeanScore(), surrogate=ALSSurrogate(embedding_size=4, gradient="items")),
}  # fmt: skip
PROMOTE_ONLY = {"dpa2dl", "dpa2dl-sharpap"}


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 99), fakes=st.integers(1, 9), size=st.integers(3, 20),
    direction=st.sampled_from(["promote", "demote"]),
)  # fmt: skip
def test_every_attack_keeps_the_budget_and_is_seeded(name, blocks, seed, fakes, size, direction):
    attack = ATTACKS[name]
    direction = "promote" if name in PROMOTE_ONLY else direction
    goal, budget = Goal(targets=(5, 31, 12), direction=direction), Budget(fake_users=fakes, profile_size=size)
    before = blocks.copy()
    made = attack.poison(blocks, goal, budget, seed=seed)
    check_poison(made, blocks.shape[1], budget.resolve(blocks, goal))
    assert (made.profile_sizes == size).all()
    held = np.isin(made.profiles.indices, goal.targets).sum()
    assert held == (3 * fakes if direction == "promote" else 0)
    assert (blocks != before).nnz == 0
    again = attack.poison(blocks, goal, budget, seed=seed)
    assert (made.profiles != again.profiles).nnz == 0
    poisoned = made.inject(blocks)
    assert poisoned.shape == (60 + fakes, 40)
    assert (poisoned[:60] != blocks).nnz == 0
    assert isinstance(attack, Attack)


def test_bandwagon_takes_popular_items_and_random_does_not(blocks):
    goal, budget = Goal(targets=(39,)), Budget(fake_users=30, profile_size=9)
    counts = np.bincount(blocks.indices, minlength=40)
    popular = set(np.argsort(-counts)[:8].tolist())

    def share(attack) -> float:
        items = attack.poison(blocks, goal, budget, seed=0).profiles.indices
        return float(np.mean([item in popular for item in items if item != 39]))

    assert share(Bandwagon(popular_share=0.2)) > 0.5 > 0.35 > share(RandomAttack())


def test_gradient_attack_beats_heuristics_on_its_own_architecture(ml100k):
    """A few epochs on real data, judged by surrogates from seeds the attack has not seen."""
    train = ml100k.train.matrix
    goal = Goal(targets=TargetPool().draw(ml100k.train, 0, seed=0))

    def hits(attack) -> float:
        fake = attack.poison(train, goal, Budget(), seed=0).profiles
        trained = [WRMFSurrogate().train(train, fake, seed=1000 + seed) for seed in range(3)]
        return float(np.mean([scan(each.embeddings, train, goal, k=10, rivals=10).hit_ratio for each in trained]))

    heuristics = max(hits(RandomAttack()), hits(Bandwagon()))
    assert hits(RevAdv(epochs=12, finalists=2)) > 3 * heuristics + 0.0005


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: replace(p, profiles=p.profiles[:-1]), "shape"),
        (lambda p: replace(p, profiles=csr_array(np.ones((4, 40)))), "40 items into fake profile"),
        (lambda p: replace(p, profiles=to_csr([np.array([1, 2])] * 4, 40)), "without any target"),
    ],
)
def test_check_poison_names_the_breach(change, message, blocks):
    goal, budget = Goal(targets=(3,)), Budget(fake_users=4, profile_size=6)
    allowance = budget.resolve(blocks, goal)
    made = RandomAttack().poison(blocks, goal, budget, seed=0)
    assert check_poison(made, 40, allowance) is made
    with pytest.raises(BudgetError, match=message):
        check_poison(change(made), 40, allowance)


@pytest.mark.parametrize(
    ("budget", "targets", "message"),
    [
        (Budget(fake_users=1.5), (1,), "not a share"),
        (Budget(fake_users=0), (1,), "no fake user"),
        (Budget(profile_size=1), (1, 2), "cannot hold"),
        (Budget(profile_size=41), (1,), "exceeds the catalogue"),
        (Budget(), (40,), "not all in 0..39"),
    ],
)
def test_budgets_that_cannot_be_met(budget, targets, message, blocks):
    with pytest.raises(BudgetError, match=message):
        budget.resolve(blocks, Goal(targets=targets))


def test_default_budget_is_one_percent_of_mean_length(blocks):
    allowance = Budget().resolve(blocks, Goal(targets=(1,)))
    assert allowance.num_fake == 1
    assert allowance.profile_size == round(blocks.nnz / 60)


# --- parts ---


@pytest.fixture(scope="module")
def trained(blocks):
    fake = to_csr([np.array([1, 5, 9])] * 3, 40)
    embeddings = (
        WRMFSurrogate(embedding_size=6, epochs=40, precision="float64", reg=2.0).train(blocks, fake, seed=0).embeddings
    )
    return embeddings, scan(embeddings, blocks, Goal(targets=(5, 33)), k=4, rivals=12)


def test_scan_matches_brute_force(blocks, trained):
    embeddings, found = trained
    scores, owned = (embeddings.users @ embeddings.items.T).numpy(), blocks.toarray() > 0
    hits = []
    for column, target in enumerate((5, 33)):
        outcomes = []
        for user in range(60):
            rivals = [i for i in range(40) if not owned[user, i] and i not in (5, 33)]
            order = sorted(rivals, key=lambda i: (-scores[user, i], i))
            assert found.rivals[user].tolist()[: len(order)] == order[:12]
            assert bool(found.eligible[user, column]) == (not owned[user, target])
            if not owned[user, target]:
                outcomes.append(scores[user, target] > scores[user, order[3]])
        hits.append(np.mean(outcomes))
    assert found.hit_ratio == pytest.approx(np.mean(hits))
    assert float(found.weights.sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    "objective",
    [SmoothHits(), SmoothHits(bandwidth=0.5), CrossEntropy(), WilcoxonMannWhitney(bandwidth=0.5), MeanScore()],
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_objective_gradients_match_finite_differences(objective, sign, trained):
    embeddings, found = trained
    found = replace(found, sign=sign)
    _, grad = objective.value_and_grad(embeddings, found)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        direction = Embeddings(
            *(
                torch.randn(part.shape, generator=generator, dtype=torch.float64)
                for part in (embeddings.users, embeddings.items)
            )
        )

        def along(t: float, direction: Embeddings = direction) -> float:
            moved = Embeddings(embeddings.users + t * direction.users, embeddings.items + t * direction.items)
            return objective.value_and_grad(moved, found)[0]

        slope = (along(1e-6) - along(-1e-6)) / 2e-6
        expected = float((grad.users * direction.users).sum() + (grad.items * direction.items).sum())
        assert slope == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_a_relative_bandwidth_is_a_share_of_the_spread_of_margins(trained):
    """By hand, and so that stretching all scores changes nothing but the length of the gradient."""
    embeddings, found = trained
    scores = embeddings.users @ embeddings.items.T
    edge = scores.gather(1, found.rivals).topk(found.k, dim=1).values[:, -1:]
    margins = (scores[:, found.targets] - edge).numpy()
    weights = found.weights.numpy()
    mean = np.average(margins, weights=weights)
    spread = np.average((margins - mean) ** 2, weights=weights) ** 0.5
    relative = SmoothHits(bandwidth=0.5, relative=True)
    value, grad = relative.value_and_grad(embeddings, found)
    expected, _ = SmoothHits(bandwidth=0.5 * spread).value_and_grad(embeddings, found)
    assert value == pytest.approx(expected)
    stretched = Embeddings(embeddings.users * 8, embeddings.items)
    again, longer = relative.value_and_grad(stretched, found)
    assert again == pytest.approx(value)
    torch.testing.assert_close(longer.items, grad.items)


@pytest.mark.parametrize("terms", [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_each_of_dadas_terms_improves_as_users_are_won(terms, trained):
    """Raise the targets' scores step by step: ever more users are won, and the loss falls; its gradient points there."""
    embeddings, found = trained
    scores = embeddings.users @ embeddings.items[found.targets].T
    found = replace(found, clean=scores)
    objective = DifficultyDiversity(difficulty=terms[0], diversity=terms[1])
    away = embeddings.users.mean(0)

    def moved(t: float) -> tuple[float, Embeddings, int]:
        items = embeddings.items.clone()
        items[found.targets] += t * away
        at = Embeddings(embeddings.users, items)
        edge = (at.users @ items.T).gather(1, found.rivals).topk(found.k, dim=1).values[:, -1:]
        return *objective.value_and_grad(at, found), int((at.users @ items[found.targets].T > edge).sum())

    values, _, won = zip(*(moved(t) for t in (0.0, 0.5, 1.0, 2.0, 4.0)), strict=True)
    assert list(won) == sorted(won)
    assert won[-1] > won[0]
    assert values[-1] < values[0]
    _, grad, _ = moved(0.0)
    assert float((grad.items[found.targets] @ away).sum()) < 0
    with pytest.raises(ContractError, match="clean"):
        objective.value_and_grad(embeddings, replace(found, clean=None))


def test_tau_bounds_the_recommendation_loss_and_clean_share_averages(trained):
    embeddings, found = trained

    def loss(e):
        return SmoothHits(bandwidth=0.3).value_and_grad(e, found)

    def fit(e):
        return 1.0 + float(distance(e, embeddings).norm()) ** 2

    worst = SharpnessAware(rho=0.5, tau=0.01)(embeddings, loss, seed=0, fit=fit)
    assert 0 < fit(worst) - 1 <= 0.01
    free = SharpnessAware(rho=0.5)(embeddings, loss, seed=0, fit=fit)
    assert fit(free) > 1.01
    with pytest.raises(ContractError, match="recommendation loss"):
        SharpnessAware(tau=0.1)(embeddings, loss, seed=0)
    value, grad = mixed(loss, embeddings, free, 0.25)
    assert value == pytest.approx(0.25 * loss(embeddings)[0] + 0.75 * loss(free)[0])
    torch.testing.assert_close(grad.items, 0.25 * loss(embeddings)[1].items + 0.75 * loss(free)[1].items)
    assert mixed(loss, embeddings, Identity()(embeddings, loss, seed=0), 0.5)[0] == loss(embeddings)[0]


def distance(a: Embeddings, b: Embeddings) -> Embeddings:
    return Embeddings(a.users - b.users, a.items - b.items)


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("ball", ["global", "row", "adaptive"])
def test_worst_case_raises_the_loss_within_its_ball(ball, steps, trained):
    embeddings, found = trained
    objective = SmoothHits(bandwidth=0.3)

    def loss(e):
        return objective.value_and_grad(e, found)

    worst = SharpnessAware(ball=ball, rho=0.05, steps=steps)(embeddings, loss, seed=0)
    moved = distance(worst, embeddings)
    assert float(moved.norm()) > 0  # a published implementation loses its perturbation on a copy
    assert loss(worst)[0] > loss(embeddings)[0]
    random = RandomDirection(ball=ball, rho=0.05)(embeddings, loss, seed=0)
    assert loss(worst)[0] > loss(random)[0]
    if ball == "global":
        assert float(moved.norm()) <= 0.05 * float(embeddings.norm()) * (1 + 1e-9)
    if ball == "row":
        for part, whole in ((moved.users, embeddings.users), (moved.items, embeddings.items)):
            assert (part.norm(dim=1) <= 0.05 * whole.norm(dim=1) * (1 + 1e-9)).all()
    if ball == "adaptive":
        scaled = torch.cat([(moved.users / embeddings.users).ravel(), (moved.items / embeddings.items).ravel()])
        assert float(scaled.norm()) <= 0.05 * len(scaled) ** 0.5 * (1 + 1e-9)


def test_one_step_is_the_closed_form(trained):
    embeddings, found = trained
    objective = SmoothHits()
    _, grad = objective.value_and_grad(embeddings, found)
    worst = SharpnessAware(ball="global", rho=0.7, relative=False)(
        embeddings, lambda e: objective.value_and_grad(e, found), seed=0
    )
    torch.testing.assert_close(worst.items - embeddings.items, 0.7 * grad.items / grad.norm())
    same = SharpnessAware(rho=0)(embeddings, lambda e: objective.value_and_grad(e, found), seed=0)
    assert same is embeddings


@pytest.mark.parametrize(
    "bad",
    [{"rho": -1.0}, {"rho": float("nan")}, {"ball": "cube"}, {"steps": 0}, {"tau": -1.0}, {"clean_share": 2.0},
     {"every_step": -1}],
)  # fmt: skip
def test_worst_case_refuses_nonsense(bad):
    with pytest.raises(ConfigError):
        SharpnessAware(**bad)


@pytest.mark.parametrize(
    ("surrogate", "others"),
    [(ALSSurrogate(), ()), (SURROGATE, (ALSSurrogate(),)), (replace(SURROGATE, unrolled_epochs=2), ())],
)
def test_a_worst_case_in_every_step_needs_unrolled_steps(surrogate, others):
    with pytest.raises(ConfigError, match="every_step=2 needs a surrogate that unrolls more"):
        RevAdv(surrogate=surrogate, others=others, worst_case=SharpnessAware(every_step=2))


class Given:
    """A profile gradient that is known."""

    def __init__(self, slope):
        self.slope = slope

    def rows(self, fakes):
        return self.slope[fakes].clone()


def test_a_swap_exchanges_the_worst_present_for_the_best_absent():
    slope = torch.tensor([[5.0, 1.0, -3.0, 0.0, -9.0, 2.0]])
    fillers = torch.tensor([[0, 1]])
    mover = SwapStep(swap_share=0.5, row_share=1.0).begin(1, 6, torch.tensor([4]), np.ones(6, np.int64))
    moved = mover.move(fillers, Given(slope), done=0.0, generator=np.random.default_rng(0))
    assert sorted(moved[0].tolist()) == [1, 2]
    still = mover.move(torch.tensor([[2, 3]]), Given(slope), done=0.0, generator=np.random.default_rng(0))
    assert sorted(still[0].tolist()) == [2, 3]


def test_memory_of_an_outer_step_grows_with_users_plus_items_not_with_their_product():
    """20,000 x 20,000 float32 is 1.6 GB; a step with d = 8, K = 5 holds about 2 x 2 x 40,000 x 8 x 4 B x 5 = 26 MB."""
    code = """
import resource, numpy as np
from scipy.sparse import csr_array
from sharpap.attacks import RevAdv, SharpnessAware
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Goal
def go(n):
    rng = np.random.default_rng(0)
    train = csr_array((np.ones(10 * n, np.float32), (np.repeat(np.arange(n), 10), rng.integers(0, n, 10 * n))), shape=(n, n))
    train.sum_duplicates(); train.data[:] = 1
    attack = RevAdv(surrogate=WRMFSurrogate(embedding_size=8, epochs=6, unrolled_epochs=5), worst_case=SharpnessAware(),
                    epochs=2, finalists=1, final_seeds=1, users_per_epoch=None)
    attack.poison(train, Goal(targets=(1, 2)), Budget(fake_users=20, profile_size=10), seed=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(go(1000), go(20_000))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    small, large = map(float, done.stdout.split())
    assert large - small < 500


def test_poison_is_made_canonical():
    profiles = csr_array((np.array([2.0, 3.0]), np.array([4, 1]), np.array([0, 2])), shape=(1, 6))
    made = Poison(profiles=profiles, goal=Goal(targets=(1,)), attack="mine")
    assert made.profiles.indices.tolist() == [1, 4]
    assert made.profiles.data.tolist() == [1.0, 1.0]


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


def test_scan_with_fewer_items_than_the_list_is_long():
    """Everything fits into the list, so that every target is a hit; who has nothing else to be shown moves no ranking."""
    train = csr_array(np.array([[1, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 1]], np.float32))
    torch.manual_seed(0)
    found = scan(Embeddings(torch.randn(3, 2), torch.randn(4, 2)), train, Goal(targets=(1,)), k=9, rivals=20)
    assert found.hit_ratio == 1.0
    assert found.rivals.shape == (3, 9)
    assert set(found.rivals[0].tolist()) == {2, 3}
    assert found.eligible.squeeze(1).tolist() == [1.0, 0.0, 0.0]
