"""A goal that names users: who is looked at, what is measured, and that goals without users are as they were."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from sharpap import progress
from sharpap.assess import Experiment, run
from sharpap.assess.recipe import experiment_from
from sharpap.attacks import AUSH, DPA2DL, FEO, GOAT, GSAGAN, RAPUR, CopyAttack, LegUP, RandomAttack, RevAdv, Segment
from sharpap.attacks.poison_io import load_poison, provenance, save_poison
from sharpap.attacks.scan import check_movable, scan
from sharpap.config import describe
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import BudgetError, ConfigError, DataError
from sharpap.kernels import stored
from sharpap.metrics import evaluate, hit_ratio
from sharpap.recommenders import WRMF
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Goal

SURROGATE = WRMFSurrogate(embedding_size=4, epochs=20, unrolled_epochs=4)
AIMING = {
    "revadv": RevAdv(surrogate=SURROGATE, epochs=8, k=3, rivals=6, finalists=2, final_seeds=1),
    "copy": CopyAttack(),
    "segment": Segment(segment_share=0.2),
    "rapu-r": RAPUR(surrogate=SURROGATE, popular_share=1.0),
    "dpa2dl": DPA2DL(embedding_size=4, hidden=(8, 4), epochs=20, batch_size=256, k=3, rivals=6, poison_steps=60, group_size=3),
    "feo": FEO(embedding_size=4, epochs=20, batch_size=256, k=3, rivals=8, attack_weight=30.0, step_user=3),
    "aush": AUSH(rounds=20, batch_size=16),
    "goat": GOAT(rounds=20, batch_size=16, neighbours=10),
    "leg-up": LegUP(rounds=10, batch_size=16, attack_steps=1, surrogate=SURROGATE, k=3, rivals=6),
    "gsa-gan": GSAGAN(rounds=10, batch_size=16, attack_steps=1, surrogate=SURROGATE, k=3, rivals=6),
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(80, 60, 1500, seed=2), seed=0, name="made")


def test_the_audience_is_the_goals_users_who_have_anything(blocks):
    assert Goal(targets=(1,)).audience(blocks).tolist() == np.flatnonzero(np.diff(blocks.indptr)).tolist()
    goal = Goal(targets=(1,), users=(9, 3, 9))
    assert goal.users == (3, 9)
    assert goal.audience(blocks).tolist() == [3, 9]
    with pytest.raises(BudgetError, match="not all in"):
        replace(goal, users=(60,)).audience(blocks)
    with pytest.raises(BudgetError, match="empty group"):
        replace(goal, users=())
    lonely = blocks.copy()
    lonely.data[lonely.indptr[3] : lonely.indptr[4]] = 0
    lonely.eliminate_zeros()
    with pytest.raises(BudgetError, match="has an interaction"):
        replace(goal, users=(3,)).audience(lonely)


def test_a_scan_looks_at_them_alone(trained, blocks):
    embeddings, _ = trained
    goal = Goal(targets=(5, 33), users=tuple(range(0, 60, 7)))
    found = scan(embeddings, blocks, goal, k=4, rivals=12)
    assert found.users.tolist() == list(goal.users)
    everybody = scan(embeddings, blocks, replace(goal, users=None), k=4, rivals=12)
    assert found.rivals.tolist() == everybody.rivals[list(goal.users)].tolist()


def test_users_who_own_every_target_leave_nothing_to_move(blocks):
    owners = np.flatnonzero(stored(blocks, np.array([0]))[:, 0])
    goal = Goal(targets=(0,), users=tuple(owners.tolist()))
    check_movable(blocks, replace(goal, users=None))
    with pytest.raises(BudgetError, match="No user lacks"):
        check_movable(blocks, goal)


@pytest.mark.parametrize("name", AIMING)
def test_an_attack_aims_at_the_tastes_of_the_goals_users(name, blocks):
    """Two groups of users have the first and the last twenty items. Fillers follow the group that is aimed at."""
    first = blocks[:, :20].sum(1) > blocks[:, 20:].sum(1)
    shares = []
    for users in (np.flatnonzero(first), np.flatnonzero(~first)):
        goal = Goal(targets=(19, 39), users=tuple(users.tolist()))
        made = AIMING[name].poison(blocks, goal, Budget(fake_users=6, profile_size=8), seed=0)
        fillers = made.profiles.indices[~np.isin(made.profiles.indices, goal.targets)]
        shares.append((fillers < 20).mean())
    assert shares[0] > shares[1] + 0.1


def test_named_users_and_fans(dataset):
    train = dataset.train
    ids = train.user_ids[[4, 2]].tolist()
    assert TargetPool(users=tuple(ids)).audience(train) == (2, 4)
    assert TargetPool().audience(train) is None
    fans = TargetPool(fans_of=(train.item_ids.tolist()[7],)).audience(train)
    assert fans == tuple(np.flatnonzero(stored(train.matrix, np.array([7]))[:, 0]).tolist())
    with pytest.raises(DataError, match="Users not in the data: nobody"):
        TargetPool(users=("nobody",)).audience(train)
    with pytest.raises(ConfigError, match="both say"):
        TargetPool(users=(1,), fans_of=(2,))


def test_goals_without_users_are_described_as_before(dataset):
    """Keys of finished work hash these descriptions."""
    assert describe(Goal(targets=(1,))) == {"targets": [1], "direction": "promote"}
    assert not {"users", "fans_of"} & set(describe(TargetPool()))
    poison = RandomAttack().poison(dataset.train.matrix, Goal(targets=(1,)), Budget(), seed=0)
    assert "user_ids" not in provenance(poison, dataset.train)


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_files_of_profiles_know_the_users(suffix, dataset, tmp_path):
    goal = Goal(targets=(1, 5), users=(3, 8))
    poison = RandomAttack().poison(dataset.train.matrix, goal, Budget(), seed=0)
    assert load_poison(save_poison(poison, tmp_path / f"x{suffix}", dataset.train), dataset.train).goal == goal


def test_a_run_measures_hits_in_the_segment_and_finds_its_work_again(dataset, tmp_path):
    users = tuple(dataset.train.user_ids[::3].tolist())
    experiment = Experiment(
        dataset=dataset, attacks={"random": RandomAttack()}, victims={"wrmf": WRMF(embedding_size=4, epochs=3)},
        targets=TargetPool(draws=1, size=3, kind="random", users=users), budget=Budget(fake_users=0.3), ks=(5, 20),
    )  # fmt: skip
    results = run(experiment, cells=tmp_path / "cells")
    frame = results.frame.filter((pl.col("attack") == "random") & (pl.col("target") == -1) & (pl.col("k") == 20))
    train, poison = dataset.train.matrix, results.poisons["random", 0]
    assert poison.goal.users == tuple(range(0, dataset.num_users, 3))
    model = experiment.victims["wrmf"].fit(
        poison.inject(train), seed=experiment.victim_seed(0), valid=dataset.valid.matrix
    )
    ranks = evaluate(model, train, targets=poison.goal.targets, ks=(20,)).ranks
    active = np.flatnonzero(np.diff(train.indptr))
    inside = np.isin(active, poison.goal.users)
    values = dict(zip(frame["metric"], frame["value"], strict=True))
    assert values["segmentH"] == pytest.approx(hit_ratio(ranks[inside], 20).mean())
    assert values["H"] == pytest.approx(hit_ratio(ranks, 20).mean())
    assert values["segmentH"] != values["H"]
    clean = results.frame.filter((pl.col("attack") == "none") & (pl.col("metric") == "segmentH"))
    assert clean.height == 2 * 4
    made: list[str] = []
    with progress.reporting(_Told(made)):
        again = run(experiment, cells=tmp_path / "cells")
    assert again.frame.equals(results.frame)
    assert sum("stored" in each for each in made) == 3


class _Told(progress._Silent):
    """Every event as text."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def event(self, kind: str, **facts: object) -> None:
        self.lines.append(f"{kind} {facts}")


def test_a_recipe_says_which_attacks_do_not_look_at_its_users():
    lines: list[str] = []
    recipe = {
        "data": {"source": "synthetic", "users": 60, "items": 40, "interactions": 900},
        "attacks": ["random", "rapu-r"], "victims": ["popularity"],
    }  # fmt: skip
    with progress.reporting(_Told(lines)):
        experiment, config = experiment_from(recipe)
        assert not [line for line in lines if "aim at everybody" in line]
        item = str(experiment.dataset.train.item_ids[0])
        experiment, config = experiment_from(recipe | {"targets": {"fans_of": [item]}})
    (line,) = [line for line in lines if "aim at everybody" in line]
    assert "random" in line
    assert "rapu-r" not in line
    assert config["targets"]["fans_of"] == [item]
    assert experiment.goals()[0].users == experiment.targets.audience(experiment.dataset.train)


def test_command_line_reports_the_segment(sharpap, tmp_path):
    settings = ["--data", "synthetic", "--attack", "random", "--victim", "popularity", "--quiet"]
    out = tmp_path / "out"
    shown = sharpap("run", "demo", *settings, "--set", "targets.fans_of=[0]", "--out", out)[1]
    assert "segmentH@10" in shown
    code, text, _ = sharpap("report", out, "--metric", "segmentH", "--json")
    assert code == 0
    assert json.loads(text)["metric"] == "segmentH"
    plain = tmp_path / "plain"
    assert "segment" not in sharpap("run", "demo", *settings, "--out", plain)[1]
    code, _, err = sharpap("report", plain, "--metric", "segmentH")
    assert code == 2
    assert "no group of users" in err
