"""Run an experiment: craft each poison once, train every victim with and without it, measure."""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap import __version__, progress
from sharpap.assess.cells import CellStore, fingerprint
from sharpap.assess.experiment import CLEAN, Experiment
from sharpap.assess.landscape import Landscape, measure
from sharpap.assess.provenance import Watch
from sharpap.assess.results import Cell, Results, experiment_config, rows_of
from sharpap.attacks import Attack, Poison, check_poison
from sharpap.config import describe
from sharpap.data import Dataset, load
from sharpap.errors import SharpAPError, TrainingError
from sharpap.metrics import Evaluation, evaluate
from sharpap.recommenders import Recommender, Scorer
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Goal


def stress_test(
    dataset: Dataset | str | Path,
    *,
    attacks: Mapping[str, Attack | Poison],
    victims: Mapping[str, Recommender],
    out: str | Path | None = None,
    **settings: Any,
) -> Results:
    """Train every victim with and without every attack and measure what changed.

    Args:
        dataset: a `Dataset`, or what `sharpap.load` takes: a catalogue name or a path.
        attacks: name in tables to attack, or to a finished `Poison`.
        victims: name in tables to anything with `fit` and `score`.
        out: results folder to write; None: results stay in memory.
        **settings: `targets`, `budget`, `direction`, `seeds`, `ks`, `seed`, `sharpness` of `Experiment`.

    Returns:
        The results; `Results.transfer_matrix` is the main table.

    Raises:
        SharpAPError: an attack that breaks its budget, or every single cell failed. One failing victim is a failed cell and
            the rest goes on.
    """
    found = dataset if isinstance(dataset, Dataset) else load(dataset)
    results = run(Experiment(dataset=found, attacks=attacks, victims=victims, **settings))
    if out is not None:
        results.save(out)
    return results


def run(
    experiment: Experiment, config: dict[str, Any] | None = None, *, cells: str | Path | None = None
) -> Results:  # fmt: skip
    """Run all cells. An interrupt ends the run early; what is finished is returned, and `provenance` says so.

    Args:
        experiment: the grid.
        config: the recipe to record; None: made from the experiment.
        cells: a folder that keeps each finished poison and cell, and from which a later run takes them.
    """
    store = None if cells is None else CellStore(Path(cells))
    dataset, goals = experiment.dataset, experiment.goals()
    watch = Watch(dataset)
    results = Results.empty(dataset, config or experiment_config(experiment))
    try:
        with progress.task("Assessment", experiment.num_cells) as overall:
            before: dict[tuple[str, int], Evaluation] = {}
            everything = tuple(sorted({target for goal in goals for target in goal.targets}))
            for victim, seed in _victims(experiment):
                overall.advance(0, note=f"{victim}, clean")
                found = _cell(experiment, results, CLEAN, victim, -1, seed, None, everything, store)
                overall.advance()
                if found is None:
                    continue
                before[victim, seed] = found
                for draw, goal in enumerate(goals):
                    results.add(CLEAN, victim, draw, seed, rows_of(_only(found, goal), None, experiment.ks, draw == 0))
            for draw, goal in enumerate(goals):
                for name, attack in experiment.attacks.items():
                    overall.advance(0, note=f"{name}, draw {draw + 1} of {len(goals)}")
                    poison = _craft(experiment, name, attack, goal, draw, store)
                    results.poisons[name, draw] = poison
                    if experiment.sharpness:
                        overall.advance(0, note=f"{name}, sharpness")
                        found = _landscape(experiment, name, poison, draw, store)
                        results.sharpness += [] if found is None else [found]
                    for victim, seed in _victims(experiment):
                        found = _cell(experiment, results, name, victim, draw, seed, poison, goal.targets, store)
                        overall.advance()
                        if found is not None:
                            clean = before.get((victim, seed))
                            rows = rows_of(found, clean and _only(clean, goal), experiment.ks, True)
                            results.add(name, victim, draw, seed, rows)
    except KeyboardInterrupt:
        watch.interrupted = True
    results.provenance.update(watch.facts())
    if results.cells and all(cell.error for cell in results.cells):
        raise TrainingError(f"Every victim failed; the first: {results.cells[0].error}")
    return results


def _victims(experiment: Experiment) -> list[tuple[str, int]]:
    return [(victim, seed) for victim in experiment.victims for seed in range(experiment.seeds)]


def _craft(
    experiment: Experiment, name: str, attack: Attack | Poison, goal: Goal, draw: int, store: CellStore | None
) -> Poison:  # fmt: skip
    """A checked poison that knows its data and its name in the tables."""
    train = experiment.dataset.train
    start = time.perf_counter()
    if isinstance(attack, Poison):
        made = attack
        if attack.data_fingerprint not in ("", train.fingerprint):
            progress.event("warning", message=f"{name} was crafted on other data than it is assessed on.")
    else:
        seed = experiment.attack_seed(draw)
        key = {
            "version": __version__, "data": train.fingerprint, "attack": describe(attack, "attack"),
            "goal": describe(goal), "budget": describe(experiment.budget), "seed": seed,
        }  # fmt: skip
        stored = store and store.load_poison(key, train)
        made = stored or replace(
            attack.poison(train.matrix, goal, experiment.budget, seed=seed), data_fingerprint=train.fingerprint
        )
        check_poison(made, train.num_items, experiment.budget.resolve(train.matrix, goal))
        if store and not stored:
            store.save_poison(key, made, train)
    progress.event("poison", attack=name, draw=draw, seconds=round(time.perf_counter() - start, 3))
    return made


def _landscape(
    experiment: Experiment, name: str, poison: Poison, draw: int, store: CellStore | None
) -> Landscape | None:  # fmt: skip
    """The landscape around a surrogate of one poison, measured or from the store; None when the surrogate fails."""
    train, seed, surrogate = experiment.dataset.train, experiment.sharpness_seed(draw), WRMFSurrogate()
    k = 10 if 10 in experiment.ks else experiment.ks[0]
    key = {
        "version": __version__, "data": train.fingerprint, "poison": fingerprint(poison), "goal": describe(poison.goal),
        "surrogate": describe(surrogate, "surrogate"), "seed": seed, "k": k, "plane": draw == 0,
    }  # fmt: skip
    start = time.perf_counter()
    found, error = store and store.load_landscape(key), ""
    if found is None:
        try:
            found = measure(train.matrix, poison, seed=seed, k=k, surrogate=surrogate, with_plane=draw == 0)
        except SharpAPError as problem:
            error = str(problem)
        if store and found is not None:
            store.save_landscape(key, found)
    seconds = round(time.perf_counter() - start, 3)
    progress.event("sharpness", attack=name, draw=draw, seconds=seconds, error=error)
    return found and replace(found, attack=name, draw=draw)


def _cell(
    experiment: Experiment, results: Results, attack: str, victim: str, draw: int, seed: int, poison: Poison | None,
    targets: tuple[int, ...], store: CellStore | None,
) -> Evaluation | None:  # fmt: skip
    """Train one victim and evaluate it, or take both from the store; None when it failed."""
    dataset, recommender = experiment.dataset, experiment.victims[victim]
    place = {"attack": attack, "victim": victim, "draw": draw, "seed": seed}
    key = {
        "version": __version__, "data": dataset.train.fingerprint, "valid": dataset.valid.fingerprint,
        "test": dataset.test.fingerprint, "poison": poison and fingerprint(poison), "targets": targets,
        "victim": describe(recommender, "victim"), "seed": experiment.victim_seed(seed), "ks": experiment.ks,
    }  # fmt: skip
    if store and (stored := store.load_cell(key)):
        results.cells.append(replace(stored[0], **place))
        progress.event("cell", **place, seconds=0.0, error="", stored=True)
        return stored[1]
    start = time.perf_counter()
    trained = 0.0
    log: dict[str, Any] = {}
    error = ""
    found = None
    try:
        train = dataset.train.matrix if poison is None else poison.inject(dataset.train.matrix)
        model = fit(recommender, train, dataset.valid.matrix, seed=experiment.victim_seed(seed))
        trained = time.perf_counter() - start
        log = getattr(model, "log", {})
        found = evaluate(model, dataset.train.matrix, targets=targets, held_out=dataset.test.matrix, ks=experiment.ks)
    except SharpAPError as problem:
        error = str(problem)
    except Exception as problem:  # a victim is foreign code: whatever it raises is its failure, not the run's
        error = f"{type(problem).__name__}: {problem}"
    total = time.perf_counter() - start
    cell = Cell(
        **place, error=error, train_seconds=trained or total, evaluate_seconds=total - trained if trained else 0.0,
        epochs=log.get("epochs"), valid_ndcg=log.get("valid_ndcg"),
    )  # fmt: skip
    results.cells.append(cell)
    if store and found is not None:
        store.save_cell(key, cell, found)
    progress.event("cell", **place, seconds=round(total, 3), error=error)
    return found


def fit(recommender: Recommender, train: csr_array, valid: csr_array, *, seed: int) -> Scorer:
    """Train a copy of a recommender, with `valid` where its `fit` takes it."""
    extra = {"valid": valid} if "valid" in inspect.signature(recommender.fit).parameters else {}
    return copy.deepcopy(recommender).fit(train.copy(), seed=seed, **extra)


def _only(found: Evaluation, goal: Goal) -> Evaluation:
    """The part of an evaluation that belongs to one draw's targets."""
    columns = np.searchsorted(found.targets, goal.targets)
    return replace(found, targets=found.targets[columns], ranks=found.ranks[:, columns])
