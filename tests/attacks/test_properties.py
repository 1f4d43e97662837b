"""Every attack of the registry on small random data: the budget, the genuine rows, the seed, and a reason for each refusal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from sharpap.attacks import (
    DPA2DL,
    FEO,
    RAPUR,
    UBA,
    CLeaR,
    GSPAttack,
    LegUP,
    Portfolio,
    RandomAttack,
    RevAdv,
    SharpnessAware,
    check_poison,
)
from sharpap.attacks.generators.gan import Rounds
from sharpap.attacks.generators.guided import Guided
from sharpap.attacks.worst_case import Identity
from sharpap.config import REGISTRY, build
from sharpap.data.interactions import canonical_csr
from sharpap.errors import SharpAPError
from sharpap.recommenders import WRMF, SimGCL
from sharpap.surrogates import ALSSurrogate, Embeddings
from sharpap.threat import Budget, Goal

NAMES = tuple(REGISTRY["attack"])
DEMOTE_ONLY = {"reverse-bandwagon", "love-hate"}
QUICK: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def small(surrogate: Any) -> Any:
    """The same surrogate, as quick as it goes."""
    if isinstance(surrogate, ALSSurrogate):
        return replace(surrogate, embedding_size=3, sweeps=2)
    return replace(surrogate, embedding_size=3, epochs=4, unrolled_epochs=2)


def cheap(name: str) -> Any:
    """An attack by its name, with few epochs of small models; everything else as the registry has it."""
    attack = build("attack", name)
    if isinstance(attack, RevAdv):
        return replace(
            attack, surrogate=small(attack.surrogate), others=tuple(map(small, attack.others)), epochs=2, k=3, rivals=5,
            finalists=1, final_seeds=1,
        )  # fmt: skip
    if isinstance(attack, RAPUR):
        return replace(attack, surrogate=small(attack.surrogate))
    if isinstance(attack, DPA2DL):
        return replace(attack, embedding_size=3, hidden=(4,), epochs=2, batch_size=64, k=3, rivals=5, poison_steps=2)
    if isinstance(attack, FEO):
        return replace(attack, embedding_size=3, epochs=2, batch_size=64, k=3, rivals=5)
    if isinstance(attack, UBA):
        quick = cheap("revadv" if isinstance(attack.attack, RevAdv) and attack.attack.name == "revadv" else "sharpap")
        return replace(attack, attack=quick, most=2, trials=1, k=3, recommender=WRMF(embedding_size=3, epochs=2))
    if isinstance(attack, CLeaR):
        assert isinstance(attack.surrogate, SimGCL)
        quick = replace(attack.surrogate, embedding_size=3, epochs=3, contrast_size=32)
        return replace(attack, surrogate=quick, epochs=2, poison_steps=2, tune_steps=2, k=3, rivals=5)
    if isinstance(attack, GSPAttack):
        return replace(attack, embedding_size=3, warm_up=2, epochs=2, k=3, rivals=5)
    if isinstance(attack, Rounds):
        attack = replace(attack, rounds=2, warm_up=1, batch_size=4, hidden=4, discriminator=(4,))
    if isinstance(attack, LegUP):
        attack = replace(attack, pretrain_steps=2)
    if isinstance(attack, Guided):
        return replace(attack, surrogate=small(attack.surrogate), attack_steps=1, k=3, rivals=5)
    if isinstance(attack, Portfolio):
        quick = (RandomAttack(), cheap("revadv"))
        return replace(attack, attacks=quick, restarts=1, judges=(WRMF(embedding_size=3, epochs=2),), k=3)
    return attack


@st.composite
def worlds(draw: Any) -> tuple[csr_array, Goal, Budget]:
    """Interactions, targets and a budget that may or may not fit together; some users and items have none, or all."""
    n, m = draw(st.integers(1, 9)), draw(st.integers(1, 14))
    pairs = draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, m - 1)), max_size=60))
    full = draw(st.sets(st.integers(0, n - 1), max_size=2))
    pairs |= {(user, item) for user in full for item in range(m)}
    rows, columns = (np.array([pair[side] for pair in sorted(pairs)], dtype=np.int64) for side in (0, 1))
    train = canonical_csr(csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(n, m)))
    targets = draw(st.sets(st.integers(0, m - 1), min_size=1, max_size=min(m, 4)))
    budget = Budget(
        fake_users=draw(st.one_of(st.integers(1, 5), st.sampled_from([0.01, 0.3, 0.9]))),
        profile_size=draw(st.one_of(st.none(), st.integers(1, 14))),
    )
    return train, Goal(targets=tuple(targets), direction=draw(st.sampled_from(["promote", "demote"]))), budget


def holds(name: str, train: csr_array, goal: Goal, budget: Budget, seed: int) -> bool:
    """Craft twice and check everything; False where the attack refuses with a reason and a way out."""
    attack, before = cheap(name), train.copy()
    made = refusal = None
    try:
        made = attack.poison(train, goal, budget, seed=seed)
    except SharpAPError as error:
        refusal = error
    assert (train != before).nnz == 0
    if made is None:
        assert refusal is not None
        assert refusal.hint, f"no way out: {refusal.message}"
        return False
    allowance = budget.resolve(train, goal)
    check_poison(made, train.shape[1], allowance)
    profiles = made.profiles
    assert profiles.shape == (allowance.num_fake, train.shape[1])
    assert np.isfinite(profiles.data).all()
    assert set(profiles.data.tolist()) <= {1.0}
    assert made.profile_sizes.max() <= allowance.profile_size
    if goal.direction == "promote":
        assert (profiles.toarray()[:, list(goal.targets)] == 1).all()
    else:
        assert not profiles.toarray()[:, list(goal.targets)].any()
    assert (made.inject(train)[: train.shape[0]] != train).nnz == 0
    again = cheap(name).poison(train, goal, budget, seed=seed).profiles
    for part in ("indptr", "indices", "data"):
        assert getattr(again, part).tobytes() == getattr(profiles, part).tobytes()
    return True


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, **QUICK)
@given(world=worlds(), seed=st.integers(0, 9))
def test_every_attack_on_random_data(name, world, seed):
    holds(name, *world, seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, **QUICK)
@given(world=worlds(), seed=st.integers(0, 99))
def test_every_attack_on_much_random_data(name, world, seed):
    holds(name, *world, seed)


DENSE = np.array([[1, 1, 0, 0, 1, 0], [0, 1, 1, 0, 1, 0], [1, 0, 1, 1, 0, 0], [0, 1, 0, 1, 1, 0]], np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_plain_data_is_attacked(name):
    """Otherwise every property above could be a refusal."""
    goal = Goal(targets=(3,), direction="demote" if name in DEMOTE_ONLY else "promote")
    assert holds(name, canonical_csr(csr_array(DENSE)), goal, Budget(fake_users=2, profile_size=3), 0)


DEGENERATE = {
    "no users": (np.zeros((0, 4)), (1,), Budget(), False),
    "no interaction": (np.zeros((3, 4)), (1,), Budget(), False),
    "no items": (np.zeros((3, 0)), (0,), Budget(), False),
    "a target beyond the catalogue": (DENSE, (6,), Budget(), False),
    "a target below it": (DENSE, (-1,), Budget(), False),
    "more targets than a profile holds": (DENSE, (0, 1, 2), Budget(profile_size=2), False),
    "profiles larger than the catalogue": (DENSE, (1,), Budget(profile_size=7), False),
    "no fake user": (DENSE, (1,), Budget(fake_users=0), False),
    "a negative profile": (DENSE, (1,), Budget(profile_size=-1), False),
    "a share beyond all": (DENSE, (1,), Budget(fake_users=1.5), False),
    "one item": (np.ones((3, 1)), (0,), Budget(), None),
    "all items are targets": (DENSE, (0, 1, 2, 3, 4, 5), Budget(profile_size=6), None),
    "everyone has the target": (
        np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0]]),
        (0,),
        Budget(fake_users=1, profile_size=2),
        None,
    ),
    "everyone has everything": (np.ones((3, 4)), (1,), Budget(fake_users=1, profile_size=2), None),
    "a user who has everything": (
        np.vstack([DENSE, np.ones((1, 6))]),
        (3,),
        Budget(fake_users=1, profile_size=3),
        None,
    ),
    "a target that nobody has": (DENSE, (5,), Budget(fake_users=1, profile_size=3), None),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", NAMES)
def test_degenerate_data_is_refused_with_a_reason_or_attacked_all_the_same(name, case):
    dense, targets, budget, expected = DEGENERATE[case]
    found = holds(name, canonical_csr(csr_array(np.asarray(dense, np.float32))), Goal(targets=targets), budget, 0)
    assert expected is None or found is expected


def with_a_worst_case(name: str) -> str:
    """The name of an attack with its worst case, as reports pair them."""
    return name.replace("revadv", "sharpap", 1) if name.startswith("revadv") else f"{name}-sharpap"


WITHOUT = [name for name in NAMES if isinstance(getattr(build("attack", name), "worst_case", None), Identity)]


@pytest.mark.parametrize("name", WITHOUT)
def test_every_attack_that_takes_a_worst_case_has_a_name_with_it(name):
    wary, base = build("attack", with_a_worst_case(name)), build("attack", name)
    assert isinstance(wary.worst_case, SharpnessAware)
    assert replace(wary, worst_case=base.worst_case) == base


WARY = sorted({with_a_worst_case(name) for name in NAMES} & set(NAMES))


@pytest.mark.parametrize("name", WARY)
def test_its_perturbation_is_not_zero_and_raises_the_attack_loss(name, blocks, monkeypatch):
    plain, far, gains = SharpnessAware.__call__, [], []

    def watched(self: SharpnessAware, at: Embeddings, loss: Any, **more: Any) -> Embeddings:
        worst = plain(self, at, loss, **more)
        far.append(float(worst.plus(at.times(-1)).norm()))
        gains.append(loss(worst)[0] - loss(at)[0])
        return worst

    monkeypatch.setattr(SharpnessAware, "__call__", watched)
    cheap(name).poison(blocks, Goal(targets=(5, 33)), Budget(fake_users=3, profile_size=8), seed=0)
    assert far
    assert min(far) > 0
    assert np.mean(gains) > 0


def test_the_docs_say_of_every_attack_what_its_worst_case_is():
    text = (Path(__file__).parents[2] / "docs" / "attacks.md").read_text()
    table = text.split("| attack | family | needs | source | worst case |")[1].split("\n\n")[0]
    said = {}
    for line in table.splitlines()[2:]:
        attack, _, _, _, worst, _ = (cell.strip() for cell in line.strip("|").split(" | "))
        assert worst.startswith(("no: ", "`")), line
        said[attack.strip("` ")] = worst
    assert set(NAMES) - set(WARY) == said.keys()
    for name, worst in said.items():
        pair = with_a_worst_case(name)
        assert worst.startswith(f"`{pair}`" if pair in WARY else "no: "), name
