"""The grid: same seeds for everyone, failures contained, results that survive the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import sharpap
from sharpap import progress
from sharpap.assess import CLEAN, Experiment, Results, run
from sharpap.assess.recipe import experiment_from
from sharpap.assess.tables import summary
from sharpap.attacks import Bandwagon, RandomAttack, RevAdv, SharpnessAware
from sharpap.config.recipes import names, read_recipe
from sharpap.data import TargetPool, given, read_interactions, split, synthetic
from sharpap.errors import ConfigError, DataError, TrainingError
from sharpap.folders import MARKER
from sharpap.metrics import evaluate, hit_ratio, mean_rank
from sharpap.recommenders import WRMF, Popularity
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget

VICTIM = WRMF(embedding_size=8, epochs=4)
SMALL = RevAdv(
    surrogate=WRMFSurrogate(embedding_size=8, epochs=8, unrolled_epochs=4), epochs=3, finalists=2, final_seeds=1
)


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(150, 200, 4000, seed=2), seed=0, name="made")


@pytest.fixture(scope="module")
def results(dataset):
    return sharpap.stress_test(
        dataset,
        attacks={"random": RandomAttack(), "revadv": SMALL, "sharpap": replace(SMALL, worst_case=SharpnessAware())},
        victims={"popularity": Popularity(), "wrmf": VICTIM},
        targets=TargetPool(draws=2), budget=Budget(fake_users=0.05), seeds=2, ks=(5, 10),
    )  # fmt: skip


def test_every_cell_is_there(results):
    assert len(results.cells) == 2 * 2 * (1 + 3 * 2)
    matrix = results.transfer_matrix("H", 10)
    assert matrix.height == 4 * 2
    assert set(matrix["n"]) == {2}
    metrics = set(results.frame["metric"])
    assert metrics == {"H", "N", "anyH", "rank", "rank_shift", "Recall", "NDCG", "reach"}


def test_a_cell_can_be_made_again_by_hand(results, dataset):
    """What the table says is what training on the saved profiles with the victim's seed gives."""
    experiment = Experiment(dataset=dataset, attacks={}, victims={"wrmf": VICTIM})
    poison = results.poisons["revadv", 1]
    model = VICTIM.fit(poison.inject(dataset.train.matrix), seed=experiment.victim_seed(1), valid=dataset.valid.matrix)
    clean = VICTIM.fit(dataset.train.matrix, seed=experiment.victim_seed(1), valid=dataset.valid.matrix)
    ranks = [evaluate(m, dataset.train.matrix, targets=poison.goal.targets, ks=(10,)).ranks for m in (model, clean)]
    part = results.frame.filter(
        (pl.col("attack") == "revadv") & (pl.col("victim") == "wrmf") & (pl.col("draw") == 1) & (pl.col("seed") == 1)
    )

    def value(metric: str, k: int) -> float:
        return part.filter((pl.col("metric") == metric) & (pl.col("k") == k) & (pl.col("target") == -1))["value"].item()

    assert value("H", 10) == pytest.approx(hit_ratio(ranks[0], 10).mean())
    assert value("rank_shift", 0) == pytest.approx((mean_rank(ranks[0]) - mean_rank(ranks[1])).mean())


def test_victim_seeds_are_shared_by_attacks_and_never_an_attacks(dataset):
    experiment = Experiment(dataset=dataset, attacks={}, victims={"wrmf": VICTIM}, seeds=3)
    victims = {experiment.victim_seed(seed) for seed in range(3)}
    attacks = {experiment.attack_seed(draw) for draw in range(5)}
    assert len(victims) == 3
    assert not victims & attacks


def test_the_same_experiment_gives_the_same_numbers(results, dataset):
    again = sharpap.stress_test(
        dataset, attacks={"random": RandomAttack()}, victims={"wrmf": VICTIM}, targets=TargetPool(draws=2),
        budget=Budget(fake_users=0.05), seeds=2, ks=(5, 10),
    )  # fmt: skip
    first = results.frame.filter((pl.col("attack") == "random") & (pl.col("victim") == "wrmf"))
    assert again.frame.filter(pl.col("attack") == "random").equals(first)


def test_paired_differences(results):
    found = results.paired("sharpap", "revadv", "H", 10)
    means = {(row["attack"], row["victim"]): row["mean"] for row in results.transfer_matrix("H", 10).to_dicts()}
    for row in found.to_dicts():
        assert row["mean"] == pytest.approx(means["sharpap", row["victim"]] - means["revadv", row["victim"]])
        assert row["base_mean"] == pytest.approx(means["revadv", row["victim"]])
    with pytest.raises(ConfigError, match="no attack 'sharpep'"):
        results.paired("sharpep")


class Mine:
    """A user's own recommender: no base class, its own training, and a record of what it was given."""

    def __init__(self):
        self.seen = []

    def fit(self, train, *, seed):
        self.seen.append((train.shape, seed))
        train.data[:] = 9  # a rude one: its copy of the data is its own
        self.scores = np.asarray(train.sum(0), dtype=float)
        return self

    def score(self, users):
        return np.tile(self.scores, (len(users), 1))


class Broken(Mine):
    def fit(self, train, *, seed):
        raise RuntimeError("out of cheese")


def test_own_recommenders_need_only_fit_and_score(dataset):
    mine = Mine()
    found = sharpap.stress_test(
        dataset,
        attacks={"random": RandomAttack()},
        victims={"mine": mine, "floor": Popularity()},
        targets=TargetPool(draws=1),
    )
    matrix = {(row["attack"], row["victim"]): row["mean"] for row in found.transfer_matrix().to_dicts()}
    assert matrix["random", "mine"] == matrix["random", "floor"]
    assert mine.seen == []  # fitted on copies: one training never sees another's state
    assert dataset.train.matrix.data.max() == 1


def test_one_broken_victim_does_not_stop_the_others(dataset, tmp_path):
    found = sharpap.stress_test(
        dataset, attacks={"random": RandomAttack()}, victims={"broken": Broken(), "floor": Popularity()},
        targets=TargetPool(draws=1), out=tmp_path / "out",
    )  # fmt: skip
    assert [cell.error for cell in found.cells if cell.victim == "broken"] == ["RuntimeError: out of cheese"] * 2
    excerpt = next(cell.traceback for cell in found.cells if cell.victim == "broken")
    assert excerpt.endswith('in fit\n    raise RuntimeError("out of cheese")')
    assert "assess/test_assess.py:" in excerpt
    assert str(Path(__file__).parents[1]) not in excerpt  # a report may be passed on
    assert "2 of 4 trainings failed" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(TrainingError, match=r"Every victim failed.*out of cheese"):
        sharpap.stress_test(dataset, attacks={}, victims={"broken": Broken()})


def test_what_an_attack_adds_is_a_paired_test_of_the_draws(dataset):
    found = sharpap.stress_test(
        dataset, attacks={"bandwagon": Bandwagon()}, victims={"floor": Popularity()},
        targets=TargetPool(kind="head", draws=4), seeds=2,
    )  # fmt: skip
    row = summary.raised(found.frame, found.attacks, found.victims, metric="N", k=10).row(0, named=True)
    part = found.frame.filter((pl.col("metric") == "N") & (pl.col("k") == 10) & (pl.col("target") == -1))
    means = part.group_by("attack", "draw").agg(pl.col("value").mean()).sort("draw")
    after, before = (means.filter(pl.col("attack") == name)["value"] for name in ("bandwagon", "none"))
    test = stats.ttest_rel(after, before)
    low, high = test.confidence_interval()
    assert (row["attack"], row["victim"], row["n"]) == ("bandwagon", "floor", 4)
    assert row["mean"] == pytest.approx((after - before).mean())
    assert (row["low"], row["high"], row["p"]) == pytest.approx((low, high, test.pvalue))


@pytest.mark.parametrize("finished", [0, 1, 2])
def test_an_interrupt_keeps_what_is_finished(finished, dataset, tmp_path):
    class Stops(Mine):
        count = 0

        def fit(self, train, *, seed):
            Stops.count += 1
            if Stops.count == finished + 1:
                raise KeyboardInterrupt
            return super().fit(train, seed=seed)

    found = run(Experiment(dataset=dataset, attacks={"random": RandomAttack()}, victims={"stops": Stops()},
                           targets=TargetPool(draws=3)))  # fmt: skip
    assert found.provenance["interrupted"] is True
    assert len(found.cells) == finished
    folder = found.save(tmp_path / "out")
    assert len(Results.load(folder).cells) == finished
    assert "interrupted" in (folder / "report.html").read_text()


def test_saving_and_loading(results, tmp_path):
    folder = results.save(tmp_path / "out")
    assert {entry.name for entry in folder.iterdir()} == {
        "config.toml", "results.parquet", "cells.parquet", "provenance.json", "report.html", "poison", "SHA256SUMS", MARKER
    }  # fmt: skip
    assert len(list((folder / "poison").iterdir())) == 6
    back = Results.load(folder)
    assert back.frame.equals(results.frame)
    assert back.cells == results.cells
    assert back.transfer_matrix().equals(results.transfer_matrix())
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["dataset"]["fingerprint"] == results.dataset.fingerprint
    assert provenance["machine"]["versions"]["torch"].startswith("2.")


def test_results_are_never_overwritten_by_accident(results, tmp_path):
    folder = results.save(tmp_path / "out")
    with pytest.raises(ConfigError, match="already holds results"):
        results.save(folder)
    results.save(folder, overwrite=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    with pytest.raises(ConfigError, match="holds other files"):
        results.save(tmp_path / "photos", overwrite=True)
    with pytest.raises(DataError, match=r"config\.toml is missing"):
        Results.load(tmp_path / "photos")


def test_damaged_results_are_named(results, tmp_path):
    folder = results.save(tmp_path / "out")
    whole = (folder / "results.parquet").read_bytes()
    (folder / "results.parquet").write_bytes(whole[:100])
    with pytest.raises(DataError, match=r"results\.parquet: The file is not what was written.*the run's command again"):
        Results.load(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match=r"results\.parquet: The file is damaged"):
        Results.load(folder)


def test_a_recipe_gives_the_experiment_and_its_own_config_gives_it_again(results, tmp_path):
    recipe = {
        "data": {"source": "synthetic", "users": 80, "items": 90, "interactions": 900},
        "attacks": {"random": {}, "strong": {"name": "sharpap", "epochs": 2, "worst_case": {"rho": 0.1}}},
        "victims": ["popularity"],
        "targets": {"draws": 1}, "budget": {"fake_users": 3}, "ks": [5],
    }  # fmt: skip
    experiment, config = experiment_from(recipe)
    attack = experiment.attacks["strong"]
    assert isinstance(attack, RevAdv)
    assert attack.worst_case == SharpnessAware(rho=0.1)
    again, config_again = experiment_from(config)
    assert again.attacks == experiment.attacks
    assert config_again == config
    assert experiment.budget.fake_users == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atacks": {}}, "no section 'atacks'. Did you mean 'attacks'"),
        ({"attacks": ["sharpapp"]}, "no attack 'sharpapp'. Did you mean 'sharpap'"),
        ({"attacks": {"sharpap": {"worst_case": {"rhoo": 1}}}}, "no option 'rhoo'. Did you mean 'rho'"),
        ({"attacks": {"sharpap": {"epochs": "many"}}}, r"attacks\.sharpap\.epochs: 'many' does not fit"),
        ({"attacks": {"sharpap": {"worst_case": {"rho": -1}}}}, r"attacks\.sharpap\.worst_case: rho=-1"),
        ({"victims": {"mine": {}}}, "no victim 'mine'"),
        ({"victims": []}, "no victim"),
        ({"targets": {"kind": "famous"}}, r"targets\.kind: 'famous' does not fit.*unpopular"),
        ({"ks": "ten"}, "ks: 'ten' does not fit"),
        ({"data": {"source": "synthetic", "user": 4}}, "user"),
        ({"data": {"source": "synthetic", "split": "leave-one-in"}}, "no split 'leave-one-in'"),
        ({"seeds": 0}, "seeds=0"),
        ({"direction": "sideways"}, "direction"),
    ],
)
def test_a_wrong_recipe_says_where_and_what_is_near(change, message):
    recipe = {"data": {"source": "synthetic", "users": 50, "items": 60, "interactions": 500}, "victims": ["popularity"]}
    with pytest.raises(ConfigError, match=message):
        experiment_from(recipe | change)


def test_shipped_recipes_are_valid(tmp_path):
    rows = sharpap.synthetic(seed=0).matrix.tocoo()
    table = pl.DataFrame({"user": rows.row, "item": rows.col, "timestamp": range(rows.nnz)})  # some victims read order
    table.write_csv(tmp_path / "rows.csv")
    assert {"demo", "ml-1m", "paper/gowalla"} <= set(names())
    for name in names():
        recipe = read_recipe(name)
        recipe["data"] = {"source": str(tmp_path / "rows.csv")}
        experiment, _ = experiment_from(recipe)
        assert experiment.num_cells > 0
    with pytest.raises(ConfigError, match=r"no recipe and no file 'dmo'. Did you mean 'demo'"):
        read_recipe("dmo")


def test_finished_profiles_are_assessed_on_their_own_targets(results, dataset):
    poison = results.poisons["random", 0]
    found = sharpap.stress_test(dataset, attacks={"file": poison}, victims={"wrmf": VICTIM}, ks=(5, 10))
    row = found.frame.filter((pl.col("attack") == "file") & (pl.col("metric") == "H") & (pl.col("target") >= 0))
    assert set(row["target"]) == set(poison.goal.targets)
    assert found.config["direction"] == "promote"
    down = replace(poison, goal=replace(poison.goal, direction="demote"))
    demoted = Experiment(dataset=dataset, attacks={"file": down}, victims={"wrmf": VICTIM})
    assert demoted.direction == demoted.facts()["direction"] == "demote"
    with pytest.raises(ConfigError, match="the same targets and direction"):
        Experiment(dataset=dataset, attacks={"a": poison, "b": down}, victims={"wrmf": VICTIM}).goals()


def test_progress_and_events_are_reported(dataset):
    class Recorder:
        def __init__(self):
            self.kinds, self.open = [], 0

        def start(self, description, total):
            self.open += 1
            return self

        def finish(self, task):
            self.open -= 1

        def advance(self, steps=1, *, note=None): ...

        def event(self, kind, **fields):
            self.kinds.append(kind)

    recorder = Recorder()
    with progress.reporting(recorder):
        sharpap.stress_test(
            dataset, attacks={"b": Bandwagon()}, victims={"p": Popularity()}, targets=TargetPool(draws=1)
        )
    assert recorder.kinds == ["cell", "poison", "cell"]
    assert recorder.open == 0


def test_data_without_validation_and_test_still_gives_exposure(tmp_path):
    (tmp_path / "a.csv").write_text(
        "user,item\n" + "".join(f"{u},{(u * 7 + i) % 30}\n" for u in range(40) for i in range(6))
    )
    whole = read_interactions(tmp_path / "a.csv")
    made = given(whole, whole, valid_share=0)
    assert made.test.nnz == 0
    found = sharpap.stress_test(made, attacks={"r": RandomAttack()}, victims={"w": VICTIM}, targets=TargetPool(draws=1))
    assert set(found.frame["metric"]) == {"H", "N", "anyH", "rank", "rank_shift", "reach"}
    assert CLEAN in set(found.frame["attack"])


def test_a_run_goes_on_from_its_finished_cells(tmp_path, dataset):
    """Interrupted at the third training; the second run trains only what is missing, and ends with the same numbers."""

    class Counting:
        fits = 0
        stop_at = 3

        def fit(self, train, *, seed):
            Counting.fits += 1
            if Counting.fits == Counting.stop_at:
                raise KeyboardInterrupt
            return Popularity().fit(train, seed=seed)

    experiment = Experiment(
        dataset=dataset, attacks={"random": RandomAttack(), "bandwagon": Bandwagon()}, victims={"mine": Counting()}
    )
    first = run(experiment, cells=tmp_path)
    assert first.provenance["interrupted"]
    again = run(experiment, cells=tmp_path)
    whole = run(experiment)
    assert not again.provenance["interrupted"]
    total = experiment.num_cells
    assert Counting.fits == 3 + (total - 2) + total
    assert again.frame.equals(whole.frame)
    for file in tmp_path.glob("*.record"):
        file.write_bytes(b"damaged")
    assert run(experiment, cells=tmp_path).frame.equals(whole.frame)
