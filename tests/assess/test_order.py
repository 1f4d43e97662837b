"""Victims that read order: times reach them, fakes get an order, and stored results know of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from sharpap.assess import run
from sharpap.assess.experiment import Experiment
from sharpap.assess.fake_order import mean_places, reading_times
from sharpap.assess.folder.save import _narrowed
from sharpap.assess.recipe import experiment_from
from sharpap.assess.work.pieces import Train, Work
from sharpap.attacks import Poison, RandomAttack
from sharpap.data import Dataset, Interactions, TargetPool, split, synthetic
from sharpap.defenses import Bagging, Defended, RemoveSuspicious
from sharpap.errors import ConfigError, ContractError
from sharpap.recommenders import GRU4Rec, Popularity, SASRec
from sharpap.recommenders.calls import fit, reads_order
from sharpap.threat import Budget, Goal

ORDERS = ("shuffled", "genuine", "targets-last")
TARGETS = (3, 40)


def timed(interactions: Interactions) -> Interactions:
    times = np.random.default_rng(0).random(interactions.nnz)
    return Interactions.from_csr(interactions.matrix, timestamps=times)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return split(timed(synthetic(60, 80, 900, seed=2)), seed=0, name="made")


@pytest.fixture(scope="module")
def poison(dataset: Dataset) -> Poison:
    return RandomAttack().poison(dataset.train.matrix, Goal(targets=TARGETS), Budget(fake_users=5), seed=0)


class Reader:
    """A victim that keeps what it is told."""

    told: list[tuple[csr_array, np.ndarray]]

    def __init__(self) -> None:
        self.told = []

    def __deepcopy__(self, memo: Any) -> Reader:
        return self

    def fit(self, train: csr_array, *, seed: int, times: Any = None) -> Any:
        self.told.append((train, times))
        return Popularity().fit(train, seed=seed)


def grid(dataset: Dataset, victim: Any, **settings: Any) -> Experiment:
    return Experiment(
        dataset=dataset, attacks={"random": RandomAttack()}, victims={"victim": victim}, ks=(5,),
        targets=TargetPool(items=(str(TARGETS[0]), str(TARGETS[1]))), budget=Budget(fake_users=5), **settings,
    )  # fmt: skip


def rows_of(poison: Poison, times: np.ndarray) -> list[list[int]]:
    """Each fake's items in the order of its times."""
    parts = np.split(poison.profiles.indices, poison.profiles.indptr[1:-1])
    fakes = np.split(times[-poison.profiles.nnz :], poison.profiles.indptr[1:-1])
    return [items[np.argsort(when)].tolist() for items, when in zip(parts, fakes, strict=True)]


@pytest.mark.parametrize("how", ORDERS)
def test_genuine_users_keep_their_times_and_fakes_get_one_an_item(how, dataset, poison):
    train = dataset.train
    times = reading_times(train, poison, how, 0)
    assert len(times) == poison.inject(train.matrix).nnz
    assert np.array_equal(times[: train.nnz], train.timestamps)
    assert np.array_equal(times, reading_times(train, poison, how, 0))
    assert np.array_equal(times, reading_times(train, poison, how, 1)) == (how == "genuine")
    assert reading_times(train, None, how, 0) is train.timestamps


def test_targets_come_last_or_anywhere(dataset, poison):
    last = rows_of(poison, reading_times(dataset.train, poison, "targets-last", 0))
    assert all(set(row[-2:]) == set(TARGETS) for row in last)
    anywhere = rows_of(poison, reading_times(dataset.train, poison, "shuffled", 0))
    assert not any(set(row[-2:]) == set(TARGETS) for row in anywhere)
    assert [set(row) for row in last] == [set(row) for row in anywhere]
    assert any(row != sorted(row) for row in anywhere)


def test_the_genuine_order_is_that_of_mean_places(dataset, poison):
    train, places = dataset.train, {}
    for user in range(train.num_users):
        own = slice(*train.matrix.indptr[user : user + 2])
        items = train.matrix.indices[own][np.argsort(train.timestamps[own])]
        for place, item in enumerate(items):
            places.setdefault(int(item), []).append((place + 0.5) / len(items))
    mean = np.array([np.mean(places.get(item, [0.5])) for item in range(train.num_items)])
    np.testing.assert_allclose(mean_places(train), mean)
    for row in rows_of(poison, reading_times(train, poison, "genuine", 0)):
        assert (np.diff(mean[row]) >= 0).all()


@pytest.mark.parametrize("attacked", [False, True])
def test_the_times_of_data_and_fakes_reach_a_victim_that_asks(attacked, dataset, poison):
    reader = Reader()
    experiment = grid(dataset, reader, fake_order="targets-last")
    piece = Train(
        attack="random",
        draw=0 if attacked else -1,
        victim="victim",
        seed=0,
        poison=poison if attacked else None,
        targets=TARGETS,
    )
    made = Work(experiment, None).do(piece)
    assert not made.error
    ((train, times),) = reader.told
    assert len(times) == train.nnz == dataset.train.nnz + attacked * poison.profiles.nnz
    assert np.array_equal(times[: dataset.train.nnz], dataset.train.timestamps)


@pytest.mark.parametrize(
    "defense", [RemoveSuspicious(users=0.2), Bagging(models=2)], ids=lambda each: type(each).__name__
)
def test_times_reach_a_defended_victim_with_their_interactions(defense, dataset):
    reader, train = Reader(), dataset.train
    victim = Defended(recommender=reader, defense=defense)
    assert reads_order(victim)
    assert not reads_order(Defended(recommender=Popularity(), defense=defense))
    fit(victim, train.matrix, seed=0, times=train.timestamps)
    known = {
        (user, item): time
        for user, item, time in zip(*map(np.ndarray.tolist, train.entries()), train.timestamps, strict=True)
    }
    assert reader.told
    for matrix, times in reader.told:
        assert 0 < matrix.nnz < train.nnz
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        assert [known[pair] for pair in zip(rows.tolist(), matrix.indices.tolist(), strict=True)] == times.tolist()


def test_a_defence_that_adds_interactions_is_refused(dataset):
    class Adds:
        def fit(self, recommender: Any, train: csr_array, valid: Any = None, *, seed: int) -> Any:
            more = train.toarray()
            more[0] = 1
            return fit(recommender, csr_array(more), valid, seed=seed)

    victim = Defended(recommender=Reader(), defense=Adds())
    with pytest.raises(ContractError, match="have no time"):
        fit(victim, dataset.train.matrix, seed=0, times=dataset.train.timestamps)


def test_data_without_times_and_unknown_orders_are_refused(dataset):
    without = split(synthetic(60, 80, 900, seed=2), seed=0, name="made")
    for victim in (SASRec(), GRU4Rec(), Defended(recommender=SASRec())):
        with pytest.raises(ConfigError, match="victim read the order of interactions, and the data has no times"):
            grid(without, victim)
    grid(without, Popularity())
    with pytest.raises(ConfigError, match="fake_order='backwards'"):
        grid(dataset, Popularity(), fake_order="backwards")


def test_what_is_stored_depends_on_the_order_where_it_is_read(dataset, poison, tmp_path):
    from sharpap.assess.work.cells import CellStore

    def key(victim: Any, data: Dataset = dataset, fakes: Poison | None = poison, **settings: Any) -> Any:
        draw = -1 if fakes is None else 0
        piece = Train(attack="random", draw=draw, victim="victim", seed=0, poison=fakes, targets=TARGETS)
        return Work(grid(data, victim, **settings), CellStore(tmp_path)).key(piece)

    again = Dataset(name="made", train=dataset.train, valid=dataset.valid, test=dataset.test)
    backwards = Interactions.from_csr(dataset.train.matrix, timestamps=-dataset.train.timestamps)
    other = Dataset(name="made", train=backwards, valid=dataset.valid, test=dataset.test)
    assert key(SASRec()) == key(SASRec(), again)
    assert key(SASRec()) != key(SASRec(), other)
    assert key(SASRec()) != key(SASRec(), fake_order="genuine")
    assert key(SASRec(), fakes=None) == key(SASRec(), fakes=None, fake_order="genuine")
    assert key(Popularity()) == key(Popularity(), other, fake_order="genuine")
    assert "times" not in key(Popularity())


def test_a_whole_run_with_a_victim_that_reads_order(dataset):
    victim = SASRec(embedding_size=4, epochs=2, max_len=8)
    hits = {}
    for how in ("shuffled", "targets-last"):
        results = run(grid(dataset, victim, fake_order=how))
        assert not any(cell.error for cell in results.cells)
        assert results.config["fake_order"] == how
        hits[how] = results.frame.filter(attack="random", metric="rank")["value"].to_list()
    assert hits["shuffled"] != hits["targets-last"]


def test_a_recipe_names_the_order_and_a_folder_keeps_to_it():
    recipe = {
        "data": {"source": "ml-100k"},
        "attacks": ["random"],
        "victims": ["popularity"],
        "fake_order": "targets-last",
    }
    experiment, config = experiment_from(recipe)
    assert experiment.fake_order == "targets-last"
    assert "fake_order" not in config  # nobody reads it
    _, config = experiment_from(recipe | {"victims": ["sasrec"]})
    assert config["fake_order"] == "targets-last"
    assert list(_narrowed(config, config)) == []
    assert list(_narrowed({key: value for key, value in config.items() if key != "fake_order"}, config)) == []
    assert list(_narrowed(config, config | {"fake_order": "genuine"})) == ["fake_order differs"]
    with pytest.raises(ConfigError, match="fake_order"):
        experiment_from(recipe | {"fake_order": "backwards"})
