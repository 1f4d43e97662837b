"""Tuning: disjoint from what is reported, the same by seed, and whole again after an interrupt."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import pytest

pytest.importorskip("optuna")

from sharpap import progress
from sharpap.assess import run
from sharpap.assess.recipe import experiment_from
from sharpap.assess.tuning.tune import claim_folder, tune
from sharpap.assess.work import pieces
from sharpap.attacks import RandomAttack
from sharpap.data.targets import TargetPool, TuningPool
from sharpap.errors import ConfigError, DataError, TrainingError
from sharpap.folders import MARKER
from sharpap.recommenders import WRMF
from sharpap.seeds import derive_seed

DATA = {"source": "synthetic", "users": 80, "items": 90, "interactions": 1200}
FAKES = {"budget.fake_users": [1, 4, 40]}


def recipe(**more):
    base = {
        "data": DATA, "targets": {"size": 2, "draws": 3}, "attacks": {"random": {}},
        "victims": {"popularity": {}, "wrmf": {"epochs": 2, "embedding_size": 4}},
    }  # fmt: skip
    return base | more


@pytest.fixture(scope="module")
def train():
    return experiment_from(recipe())[0].dataset.train


@pytest.mark.parametrize("seed", range(20))
def test_tuning_targets_are_never_reported_ones(train, seed):
    """From one pool: the reported draws are those of the plain pool, and no item is in both."""
    plain = TargetPool(size=2, draws=5)
    tuning = TuningPool(size=2, draws=4, root=seed, reported=5)
    reported = {item for draw in range(5) for item in plain.draw(train, draw, seed=seed)}
    tuned_on = [item for draw in range(4) for item in tuning.draw(train, draw, seed=derive_seed(seed, "tune"))]
    assert len(set(tuned_on)) == 8
    assert set(tuned_on) <= set(plain.pool(train).tolist())
    assert not reported & set(tuned_on)
    with pytest.raises(DataError, match="room for 9 draws"):
        TuningPool(size=2, draws=5, root=seed, reported=5).draw(train, 0, seed=0)


def test_targets_and_seeds_of_attacks_and_victims_are_disjoint_from_the_reported(tmp_path, monkeypatch):
    seen = []
    craft, fit = RandomAttack.poison, pieces.fit

    def poison(self, matrix, goal, budget, *, seed):
        seen.append(("attack", seed))
        seen.extend(("target", target) for target in goal.targets)
        return craft(self, matrix, goal, budget, seed=seed)

    def train(recommender, matrix, valid, *, seed, times=None):
        seen.append(("victim", seed))
        return fit(recommender, matrix, valid, seed=seed, times=times)

    monkeypatch.setattr(RandomAttack, "poison", poison)
    monkeypatch.setattr(pieces, "fit", train)
    tune(recipe(), FAKES, out=tmp_path, trials=3, draws=3, seeds=2)
    tuned = set(seen)
    seen.clear()
    best = tomllib.loads((tmp_path / "best.toml").read_text())
    events = []
    experiment, config = experiment_from(best)
    monkeypatch.setattr(progress, "event", lambda kind, **fields: events.append(kind))
    run(experiment, config)
    reported = set(seen)
    assert {kind for kind, _ in tuned} == {kind for kind, _ in reported} == {"attack", "victim", "target"}
    assert not tuned & reported
    assert len([1 for kind, _ in tuned if kind == "target"]) == 6
    ids = experiment.dataset.train.item_ids
    assert best["tune"]["tuned_on"] == sorted(int(ids[target]) for kind, target in tuned if kind == "target")
    assert "warning" not in events
    experiment_from(best | {"targets": {"size": 2, "draws": 9}})  # now the whole pool is reported
    assert events.count("warning") == 1


def test_the_best_is_found_and_written(tmp_path):
    """Popularity counts interactions, so that more fakes can only help; forty of them are half of the users."""
    found = tune(recipe(), FAKES, out=tmp_path, judges=("popularity",), trials=8, draws=2, k=5)
    assert found.values == {"budget.fake_users": 40}
    best = tomllib.loads((tmp_path / "best.toml").read_text())
    assert best["budget"]["fake_users"] == 40
    assert set(best["victims"]) == {"popularity", "wrmf"}
    assert found.metric == "H@5"
    complete = found.trials.filter(state="complete")
    assert found.value == complete["value"].max()
    by_size = complete.group_by("budget.fake_users").agg(low="value").sort("budget.fake_users")
    assert [len(set(values)) for values in by_size["low"]] == [1] * by_size.height  # the same settings, the same score
    with pytest.raises(ConfigError, match="differs in plan"):
        tune(recipe(), FAKES, out=tmp_path, judges=("popularity",), trials=8, draws=1, k=5)
    claim_folder(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [MARKER]
    demoted = recipe(direction="demote", targets={"kind": "head", "size": 1, "draws": 1})
    found = tune(demoted, FAKES, out=tmp_path / "down", judges=("popularity",), trials=4, draws=2, pruner="none")
    assert found.value == found.trials["value"].min()


def test_the_recipes_own_setting_is_the_first_candidate(tmp_path):
    table = recipe(attacks={"bandwagon": {"popular_share": 0.25}}, tune={"trials": 2, "draws": 1, "space": {}})
    table["tune"]["space"] = {"attack": {"popular_share": "0.05:0.95"}}
    found = tune(table, out=tmp_path, judges=("popularity",))
    assert found.trials["attack.popular_share"][0] == 0.25
    assert found.trials.height == 2


def test_the_same_seed_tries_the_same_and_an_interrupted_search_ends_as_an_unbroken_one(tmp_path, monkeypatch):
    space = {"victim.reg": "0.1:100.0:log", "victim.embedding_size": "2:16"}
    options = {"judges": ("wrmf",), "seeds": 2}
    whole = tune(recipe(), space, out=tmp_path / "whole", trials=8, **options)
    again = tune(recipe(), space, out=tmp_path / "again", trials=8, **options)
    assert whole.trials.equals(again.trials)
    other = tune(recipe(seed=1), space, out=tmp_path / "other", trials=8, pruner="none", **options)
    assert set(other.importance) == set(space)
    assert sum(other.importance.values()) == pytest.approx(1)
    assert not other.trials["victim.reg"][1:].equals(whole.trials["victim.reg"][1:])
    left, fit = [9], WRMF.fit

    def stop(self, train, *, seed, valid=None):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return fit(self, train, seed=seed, valid=valid)

    monkeypatch.setattr(WRMF, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        tune(recipe(), space, out=tmp_path / "parts", trials=8, **options)
    parts = tune(recipe(), space, out=tmp_path / "parts", trials=6, **options)
    assert parts.trials.height == 6
    parts = tune(recipe(), space, out=tmp_path / "parts", trials=8, **options)
    assert parts.trials.equals(whole.trials)
    assert parts.importance == whole.importance


def test_a_victims_score_is_ndcg_on_validation_interactions(tmp_path):
    table = recipe()
    found = tune(table, {"victim.reg": [1.0, 20.0]}, out=tmp_path, judges=("wrmf",), trials=2, k=10)
    data = experiment_from(table)[0].dataset
    seed = derive_seed(derive_seed(0, "tune"), "victim", 0)
    best = tomllib.loads((tmp_path / "best.toml").read_text())
    model = WRMF(epochs=2, embedding_size=4, reg=best["victims"]["wrmf"]["reg"]).fit(
        data.train.matrix, seed=seed, valid=data.valid.matrix
    )
    scores = model.score(np.arange(data.num_users))
    known, wanted = data.train.matrix.toarray() > 0, data.valid.matrix.toarray() > 0
    scores[known] = -np.inf
    gains = np.take_along_axis(wanted, np.argsort(-scores, axis=1, kind="stable")[:, :10], 1)
    discount = 1 / np.log2(np.arange(2, 12))
    ideal = np.array([discount[: min(10, count)].sum() for count in wanted.sum(1)])
    rows = (wanted.sum(1) > 0) & known.any(1)
    assert found.value == pytest.approx(((gains * discount).sum(1)[rows] / ideal[rows]).mean(), rel=1e-6)
    assert best["tune"]["tuned_on"] == []
    assert best["tune"]["victim"] == "wrmf"


def test_the_median_pruner_ends_the_worse_half_early(tmp_path):
    victims = {"bpr-mf": {"epochs": 30, "check_every": 5, "min_epochs": 30, "embedding_size": 8}}
    space = {"victim.learning_rate": "0.0001:0.1:log"}
    found = tune(recipe(victims=victims), space, out=tmp_path, trials=12)
    assert set(found.trials["state"]) == {"complete", "pruned"}
    earlier = []
    for state, steps in found.trials.select("state", "steps").iter_rows():
        if state == "pruned":
            step = len(steps) - 1
            peers = [other[step] for other in earlier if len(other) > step]
            assert max(steps) < np.median(peers)
        else:
            earlier.append(steps)
    best = found.trials.filter(state="complete").sort("value")[-1]
    assert found.values == {"victim.learning_rate": best["victim.learning_rate"][0]}


def test_settings_that_do_not_go_together_are_failed_candidates(tmp_path):
    surrogate = {"epochs": 4, "unrolled_epochs": 2, "embedding_size": 4}
    attacks = {"sharpap": {"epochs": 1, "finalists": 1, "final_seeds": 1, "surrogate": surrogate}}
    space = {"attack.worst_case": ["identity", "sharpness-aware"], "attack.worst_case.rho": "0.01:0.5"}
    found = tune(recipe(attacks=attacks), space, out=tmp_path, judges=("popularity",), trials=8, draws=1)
    failed = found.trials.filter(state="fail")
    assert failed.height
    assert set(failed["attack.worst_case"]) == {"identity"}
    assert "no option 'rho'" in failed["error"][0]
    assert set(found.trials.filter(state="complete")["attack.worst_case"]) == {"sharpness-aware"}


def test_several_jobs_find_the_same(tmp_path):
    one, two = (
        tune(recipe(), FAKES, out=tmp_path / str(jobs), trials=2, draws=1, seeds=2, jobs=jobs) for jobs in (1, 2)
    )
    assert one.trials.equals(two.trials)
    names = [sorted(path.name for path in (tmp_path / jobs / "cells").glob("*.record")) for jobs in ("1", "2")]
    assert names[0] == names[1]
    again = tune(recipe(), FAKES, out=tmp_path / "1", trials=3, draws=1, seeds=2, jobs=2)  # the number is no part of it
    assert again.trials[:2].equals(one.trials)


def test_an_attack_that_fails_is_a_failed_candidate(tmp_path, monkeypatch):
    """Not one that is judged by training on data without fake users."""

    def poison(self, *args, **options):
        raise RuntimeError("It broke.")

    monkeypatch.setattr(RandomAttack, "poison", poison)
    with pytest.raises(TrainingError, match="It broke"):
        tune(recipe(), FAKES, out=tmp_path, trials=2)


def test_when_every_candidate_fails_the_first_error_is_shown(tmp_path, monkeypatch):
    def broken(self, train, **options):
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(WRMF, "fit", broken)
    with pytest.raises(TrainingError, match=r"Every candidate failed.*RuntimeError: out of cheese"):
        tune(recipe(), {"victim.reg": "1.0:2.0"}, out=tmp_path, judges=("wrmf",), trials=2)


HOSTILE = [
    b"{", b"[]", b"null", b"[" * 5000,
    b'{"op_code": 9}', b'{"op_code": 4, "study_id": 7, "worker_id": "x"}', b"\xff\xfe", b'{"a": 1}',
    b'{"op_code": 5, "worker_id": "x", "trial_id": "y"}', b'{"op_code": ' + b"9" * 5000 + b"}",
    b'{"op_code": 2, "worker_id": "x", "study_id": 0, "user_attr": {"settings": 3}}',
]  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: str(line[:30]))
def test_a_study_in_which_anything_stands_is_damaged_or_goes_on(line, tmp_path):
    """Optuna reads its journal as it is; nothing of that is a traceback."""
    tune(recipe(), FAKES, out=tmp_path, trials=2, draws=1, seeds=1)
    path = tmp_path / "study.journal"
    whole = path.read_bytes().splitlines(keepends=True)
    for place in (0, 1, 2, len(whole)):
        path.write_bytes(b"".join([*whole[:place], line + b"\n", *whole[place:]]))
        try:
            tune(recipe(), FAKES, out=tmp_path, trials=2, draws=1, seeds=1)
        except ConfigError as refused:
            told = str(refused)
        else:
            told = "study.journal"
        assert "study" in told


ODD_JOURNALS = {
    "no JSON": lambda lines: [*lines[:2], "x", *lines[2:]],
    "no table": lambda lines: [*lines[:2], "[1]", *lines[2:]],
    "no such step": lambda lines: [*lines, '{"op_code": 99, "worker_id": "x"}'],
    "another space": lambda lines: [line.replace("budget.fake_users", "victims.wrmf.name") for line in lines],
    "another choice": lambda lines: [line.replace("[1, 4, 40]", "[1, 4, 41]") for line in lines],
    "a score of text": lambda lines: [re.sub(r'"values": ?\[[^]]*\]', '"values": ["x"]', line) for line in lines],
}


@pytest.mark.parametrize("change", ODD_JOURNALS.values(), ids=ODD_JOURNALS.keys())
def test_a_journal_of_others_is_refused_or_read_right(change, tmp_path):
    """A candidate from outside of the space would set what it likes."""
    made = {"out": tmp_path, "attack": "random", "trials": 2}
    tune(recipe(), FAKES, **made)
    journal = tmp_path / "study.journal"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(change(lines)) + "\n")
    assert journal.read_text().splitlines() != lines
    with pytest.raises(ConfigError, match=r"study\.journal is damaged .*--overwrite"):
        tune(recipe(), FAKES, **made)


def test_half_a_last_line_of_a_killed_process_is_cut_off(tmp_path):
    made = {"out": tmp_path, "attack": "random", "trials": 2}
    first = tune(recipe(), FAKES, **made)
    journal = tmp_path / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code": 4, "wor')
    again = tune(recipe(), FAKES, **made)
    assert (again.value, again.values) == (first.value, first.values)
    assert journal.read_bytes().startswith(whole)
    assert b"wor{" not in journal.read_bytes()
