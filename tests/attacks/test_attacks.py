"""All attacks keep the same budget, and what they hand over."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from sharpap.attacks import (
    AUSH,
    DPA2DL,
    FEO,
    GOAT,
    GSAGAN,
    RAPUR,
    UBA,
    Attack,
    AverageAttack,
    Bandwagon,
    CLeaR,
    CoAttack,
    CopyAttack,
    CrossEntropy,
    DifficultyDiversity,
    EasyCommunities,
    GSPAttack,
    LegUP,
    LoveHate,
    MeanScore,
    MomentumStep,
    Poison,
    Portfolio,
    PowerItem,
    PowerUser,
    Probe,
    RandomAttack,
    RandomDirection,
    RevAdv,
    ReverseBandwagon,
    Segment,
    SharpnessAware,
    SmoothHits,
    SwapStep,
    WilcoxonMannWhitney,
    check_poison,
)
from sharpap.attacks.profiles import to_csr
from sharpap.attacks.scan import scan
from sharpap.data import TargetPool
from sharpap.errors import BudgetError, ConfigError
from sharpap.recommenders import SGL, WRMF, SimGCL
from sharpap.surrogates import ALSSurrogate, GradientPassing, PairwiseSurrogate, WRMFSurrogate
from sharpap.threat import Budget, Direction, Goal

PAPER = WRMFSurrogate(positive_weight=20.0, reg=20.0)
SURROGATE = WRMFSurrogate(embedding_size=4, epochs=8, unrolled_epochs=4)
SMALL = RevAdv(surrogate=SURROGATE, epochs=3, k=3, rivals=6, finalists=2, final_seeds=1)
GAN: dict[str, Any] = {"rounds": 2, "warm_up": 1, "batch_size": 16, "hidden": 4, "discriminator": (4,)}
STEPS: dict[str, Any] = {"attack_steps": 1, "surrogate": SURROGATE, "k": 3, "rivals": 6}
ATTACKS = {
    "random": RandomAttack(),
    "average": AverageAttack(),
    "bandwagon": Bandwagon(popular_share=0.2),
    "segment": Segment(),
    "segment of groups": Segment(groups=((5, 6, 7, 8), (1, 2, 12))),
    "reverse-bandwagon": ReverseBandwagon(),
    "love-hate": LoveHate(),
    "power-user": PowerUser(),
    "power-item": PowerItem(),
    "copy": CopyAttack(),
    "probe": Probe(),
    "revadv": SMALL,
    "sharpap": replace(SMALL, worst_case=SharpnessAware()),
    "alike": replace(SMALL, step=SwapStep(group_size=16), chosen_by="loss"),
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
    "feo": FEO(embedding_size=4, epochs=2, batch_size=256, k=3, rivals=6, step_user=4),
    "feo-sharpap": FEO(
        embedding_size=4, epochs=2, batch_size=256, k=3, rivals=6, filler_limit=1,
        worst_case=SharpnessAware(tau=0.01, clean_share=0.5),
    ),
    "uba": UBA(attack=replace(SMALL, epochs=2), most=2, candidates=20),
    "uba-retraining": UBA(
        attack=replace(SMALL, epochs=2), uplift="retraining", most=1, candidates=9, trials=1, k=3,
        recommender=WRMF(embedding_size=4, epochs=2),
    ),
    "clear": CLeaR(
        surrogate=SimGCL(embedding_size=4, epochs=4, contrast_size=64), epochs=2, poison_steps=2, tune_steps=2, k=3, rivals=6
    ),
    "clear-sharpap": CLeaR(
        surrogate=SGL(embedding_size=4, epochs=3, contrast_size=64), epochs=2, poison_steps=2, tune_steps=2, k=3, rivals=6,
        worst_case=SharpnessAware(clean_share=0.5),
    ),
    "gspattack": GSPAttack(embedding_size=4, warm_up=3, epochs=3, k=3, rivals=6),
    "gspattack-sharpap": GSPAttack(
        embedding_size=4, warm_up=0, epochs=2, k=3, rivals=6, joint=False,
        worst_case=SharpnessAware(tau=0.01, clean_share=0.5),
    ),
    "aush": AUSH(**GAN),
    "goat": GOAT(**GAN, neighbours=5, embedding_size=3),
    "leg-up": LegUP(**GAN, **STEPS, pretrain_steps=2),
    "leg-up-sharpap": LegUP(**GAN, **STEPS, pretrain_steps=2, worst_case=SharpnessAware(tau=0.01, every_step=2)),
    "gsa-gan": GSAGAN(**GAN, **STEPS),
    "coattack": CoAttack(embedding_size=4, epochs=8, attack_epochs=4, k=3, rivals=6, worst_case=SharpnessAware(tau=0.01)),
    "gradient-passing": CoAttack(
        embedding_size=4, epochs=8, attack_epochs=4, k=3, rivals=6, passing=GradientPassing()
    ),
    "revadv-passing": replace(
        SMALL, surrogate=PairwiseSurrogate(embedding_size=4, epochs=6, unrolled_epochs=3, passing=GradientPassing())
    ),
    "portfolio": Portfolio(
        attacks=(RandomAttack(), replace(SMALL, epochs=2)), restarts=2, judges=(WRMF(embedding_size=4, epochs=2),), k=3
    ),
    "dada": replace(SMALL, objective=EasyCommunities(communities=5), worst_case=SharpnessAware()),
    "dada-original": replace(SMALL, objective=DifficultyDiversity(), worst_case=SharpnessAware()),
    "pga": replace(SMALL, objective=MeanScore(), surrogate=ALSSurrogate(embedding_size=4, gradient="items")),
}  # fmt: skip
ONLY: dict[str, Direction] = {
    "coattack": "promote",
    "gradient-passing": "promote",
    "dpa2dl": "promote",
    "dpa2dl-sharpap": "promote",
    "clear": "promote",
    "clear-sharpap": "promote",
    "feo": "promote",
    "feo-sharpap": "promote",
    "uba": "promote",
    "uba-retraining": "promote",
    "reverse-bandwagon": "demote",
    "love-hate": "demote",
}


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 99), fakes=st.integers(1, 9), size=st.integers(3, 20),
    direction=st.sampled_from(["promote", "demote"]),
)  # fmt: skip
def test_every_attack_keeps_the_budget_and_is_seeded(name, blocks, seed, fakes, size, direction):
    attack = ATTACKS[name]
    direction = ONLY.get(name, direction)
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
    """A few epochs on real data with the source's surrogate, judged by others from seeds the attack has not seen."""
    train = ml100k.train.matrix
    goal = Goal(targets=TargetPool().draw(ml100k.train, 0, seed=0))

    def hits(attack) -> float:
        fake = attack.poison(train, goal, Budget(), seed=0).profiles
        trained = [PAPER.train(train, fake, seed=1000 + seed) for seed in range(3)]
        return float(np.mean([scan(each.embeddings, train, goal, k=10, rivals=10).hit_ratio for each in trained]))

    heuristics = max(hits(RandomAttack()), hits(Bandwagon()))
    attack = RevAdv(epochs=12, finalists=2, surrogate=PAPER, objective=SmoothHits())
    assert hits(attack) > 3 * heuristics + 0.0005


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


def test_profiles_of_a_group_move_together_by_the_sum_of_their_gradients():
    slope = torch.tensor(
        [[5.0, 1.0, -3.0, 0.0, -9.0, 2.0], [-4.0, 6.0, 1.0, 0.0, -9.0, 0.0]]
    )  # sum 1, 7, -2, 0, -18, 2
    mover = SwapStep(swap_share=0.5, group_size=2).begin(2, 6, torch.tensor([4]), np.ones(6, np.int64))
    moved = mover.move(torch.tensor([[0, 1], [2, 3]]), Given(slope), done=0.0, generator=np.random.default_rng(0))
    assert [sorted(row.tolist()) for row in moved] == [[0, 2], [0, 2]]


def test_half_of_the_groups_move_at_once_and_each_is_of_one_kind():
    slope = torch.tensor([[9.0, 9.0, -1.0, 0.0]]).repeat(5, 1)
    mover = SwapStep(swap_share=0.5, group_size=2).begin(5, 4, torch.tensor([3]), np.ones(4, np.int64))
    first = torch.tensor([[0], [1], [0], [1], [0]])
    moved = mover.move(first, Given(slope), done=0.0, generator=np.random.default_rng(0))[:, 0].tolist()
    groups = [moved[:3], moved[3:]]  # 5 / 2 is nearest to two groups
    assert all(len(set(group)) == 1 for group in groups)
    assert sorted(2 in group for group in groups) == [False, True]


def test_profiles_of_a_group_stay_alike(blocks):
    made = ATTACKS["alike"].poison(blocks, Goal(targets=(5, 33)), Budget(fake_users=4, profile_size=8), seed=0)
    assert len({tuple(row) for row in made.profiles.toarray()}) == 1


def test_a_group_has_a_profile():
    with pytest.raises(ConfigError, match="group_size=0"):
        SwapStep(group_size=0)


def test_the_finalist_with_the_least_loss_is_chosen_where_that_is_asked_for(blocks, monkeypatch):
    """A first epoch that has a hit by luck loses to the later ones, whose loss is less."""
    look, seen = RevAdv._look, []

    def lucky(self, *args):
        seen.append(args[3])
        return replace(look(self, *args), hit_ratio=float(len(seen) == 1))

    monkeypatch.setattr(RevAdv, "_look", lucky)
    first = {}
    for chosen_by in ("hits", "loss"):
        seen.clear()
        attack = replace(SMALL, epochs=6, finalists=1, chosen_by=chosen_by)
        made = attack.poison(blocks, Goal(targets=(5, 33)), Budget(fake_users=4, profile_size=8), seed=0)
        first[chosen_by] = np.array_equal(made.profiles.toarray(), seen[0].toarray())
    assert first == {"hits": True, "loss": False}


def test_memory_of_an_outer_step_grows_with_users_plus_items_not_with_their_product():
    """20,000 x 20,000 float32 is 1.6 GB; a step with d = 8, K = 5 holds about 2 x 2 x 40,000 x 8 x 4 B x 5 = 26 MB."""
    code = """
import resource, numpy as np
from scipy.sparse import csr_array
from sharpap.attacks import RevAdv, SharpnessAware
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Direction, Goal
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
