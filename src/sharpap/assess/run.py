"""Run an experiment: craft each poison once, train every victim with and without it, measure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.assess.execution.backend import work_through
from sharpap.assess.execution.choice import backend as chosen
from sharpap.assess.execution.resources import OnRay
from sharpap.assess.experiment import CLEAN, Experiment
from sharpap.assess.folder.provenance import Watch
from sharpap.assess.results import Results
from sharpap.assess.rows import Cell, Row
from sharpap.assess.tables.cliff import cliffs
from sharpap.assess.tables.landscape import Landscape
from sharpap.assess.tables.promises import promises
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.measurements import rows_of
from sharpap.assess.work.pieces import Craft, Explore, Made, Piece, Train, Work
from sharpap.attacks import Attack, Poison
from sharpap.data import Dataset, load
from sharpap.errors import AttackError, TrainingError
from sharpap.metrics import Evaluation
from sharpap.recommenders import Capabilities, Recommender
from sharpap.threat import Goal


def stress_test(
    dataset: Dataset | str | Path,
    *,
    attacks: Mapping[str, Attack | Poison],
    victims: Mapping[str, Recommender],
    out: str | Path | None = None,
    jobs: int | None = None,
    backend: str | OnRay | None = None,
    store: str | Path | None = None,
    **settings: Any,
) -> Results:
    """Train every victim with and without every attack and measure what changed.

    Args:
        dataset: a `Dataset`, or what `sharpap.load` takes: a catalogue name or a path.
        attacks: name in tables to attack, or to a finished `Poison`.
        victims: name in tables to anything with `fit` and `score`.
        out: results folder to write; None: results stay in memory.
        jobs: see `run`.
        backend: see `run`.
        store: a folder that keeps each finished piece of work, and from which this and any other run take them.
        **settings: `targets`, `budget`, `direction`, `seeds`, `ks`, `seed`, `sharpness`, `fake_order` of `Experiment`.

    Returns:
        The results; `Results.transfer_matrix` is the main table.

    Raises:
        TrainingError, AttackError: every training, or every attack failed. One that fails is a failed cell and the rest
            goes on.
    """
    found = dataset if isinstance(dataset, Dataset) else load(dataset)
    experiment = Experiment(dataset=found, attacks=attacks, victims=victims, **settings)
    results = run(experiment, cells=store, jobs=jobs, backend=backend)
    if out is not None:
        results.save(out)
    return results


def run(
    experiment: Experiment, config: dict[str, Any] | None = None, *, cells: str | Path | None = None,
    jobs: int | None = None, backend: str | OnRay | None = None, retries: int = 1,
) -> Results:  # fmt: skip
    """Run all cells. An interrupt ends the run early; what is finished is returned, and `provenance` says so.

    Args:
        experiment: the grid.
        config: the recipe to record; None: made from the experiment.
        cells: a folder that keeps each finished poison and cell, and from which this and later runs take them; several runs
            may share it.
        jobs: pieces of work at once; None: one, or as many as fit where `backend` names processes or Ray. In a script with
            several processes, the call must stand under `if __name__ == "__main__"`.
        backend: serial, processes, ray, or the settings of a Ray cluster; None: serial for one job, else processes.
        retries: see `Work`.

    Raises:
        TrainingError, AttackError: every training, or every attack failed.
        StorageError: `cells` cannot be written to. What was finished before is kept.
    """
    config = config or experiment.recipe()
    progress.offer("config", config)
    watch = Watch(experiment.dataset)
    grid = _Grid(experiment)
    for name, attack in experiment.attacks.items():
        if isinstance(attack, Poison) and attack.data_fingerprint not in ("", experiment.dataset.train.fingerprint):
            progress.event("warning", message=f"{name} was crafted on other data than it is assessed on.")
    store = None if cells is None else CellStore(Path(cells))
    work = Work(experiment, store, retries)
    try:
        with (
            store.session() if store else nullcontext(),
            progress.task("Assessment", experiment.num_cells) as overall,
            chosen(work, jobs, backend) as workers,
        ):

            def say(piece: Piece) -> None:
                overall.advance(0, note=grid.note(piece))

            for piece, made, ready in work_through(workers, grid.first(), starting=say):
                before = len(grid.cells)
                ready.extendleft(reversed(grid.take(piece, made)))
                overall.advance(len(grid.cells) - before)
    except KeyboardInterrupt:
        watch.interrupted = True
    results = grid.results(config)
    results.provenance.update(watch.facts(), done=len(results.cells), planned=experiment.num_cells)
    _check_not_all_failed(results, grid)
    progress.offer("results", results)
    return results


def _check_not_all_failed(results: Results, grid: _Grid) -> None:
    if results.cells and all(cell.error for cell in results.cells):
        raise TrainingError(f"Every victim failed; the first: {results.cells[0].error}")
    if grid.failed and not grid.poisons:
        raise AttackError(f"Every attack failed; the first: {next(iter(grid.failed.values()))}")


class _Grid:
    """What is finished of a grid, and what comes next.

    Rows are made as soon as a cell's clean run is known: ranks of all users for all cells would not fit memory.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.goals = experiment.goals()
        self.segments = [_segment(goal, experiment.dataset.train.matrix) for goal in self.goals]
        self.cells: dict[tuple[str, int, str, int], Cell] = {}
        self.rows: dict[tuple[str, int, str, int], list[Row]] = {}
        self.poisons: dict[tuple[str, int], Poison] = {}
        self.failed: dict[tuple[str, int], str] = {}
        self.landscapes: dict[tuple[str, int], Landscape] = {}
        self.clean: dict[tuple[str, int], Evaluation | None] = {}
        self.capabilities: dict[str, Capabilities] = {}
        self.early: list[tuple[Train, Evaluation]] = []

    def first(self) -> list[Piece]:
        """Clean runs, then profiles draw by draw, so that an early end leaves whole draws."""
        everything = tuple(sorted({target for goal in self.goals for target in goal.targets}))
        return [*self._trainings(CLEAN, -1, None, everything)] + [
            Craft(attack=name, draw=draw, goal=goal)
            for draw, goal in enumerate(self.goals)
            for name in self.experiment.attacks
        ]

    def take(self, piece: Piece, made: Made) -> list[Piece]:
        """Record what a piece gave; returns the pieces that it makes possible."""
        seconds = round(made.seconds, 3)
        stored = {"stored": True} if made.stored else {}
        if isinstance(piece, Craft):
            progress.event("poison", attack=piece.attack, draw=piece.draw, seconds=seconds, error=made.error, **stored)
            if made.value is None:
                self._fail(piece, made)
                return []
            poison = self.poisons[piece.attack, piece.draw] = made.value
            progress.offer("poison", poison, attack=piece.attack, draw=piece.draw)
            explore = [Explore(attack=piece.attack, draw=piece.draw, poison=poison)]
            return [
                *(explore if self.experiment.sharpness else []),
                *self._trainings(piece.attack, piece.draw, poison, piece.goal.targets),
            ]
        if isinstance(piece, Explore):
            progress.event("sharpness", attack=piece.attack, draw=piece.draw, seconds=seconds, error=made.error)
            if made.value is not None:
                self.landscapes[piece.attack, piece.draw] = made.value
        elif isinstance(piece, Train):
            cell, found = made.value
            self.cells[piece.attack, piece.draw, piece.victim, piece.seed] = cell
            progress.event("cell", **piece.place, seconds=seconds, error=made.error, **stored)
            if found is not None:
                self.capabilities[piece.victim] = found.capabilities
            self._measure(piece, found)
        return []

    def results(self, config: dict[str, Any]) -> Results:
        """Everything recorded, in the order of a serial run."""
        for piece, found in self.early:  # their clean runs were never done
            self._rows(piece, found, None)
        made = Results.empty(self.experiment.dataset, config)
        draws, attacks = range(len(self.goals)), self.experiment.attacks
        places = [(CLEAN, -1), *((name, draw) for draw in draws for name in attacks)]
        order = [(*place, victim, seed) for place in places for victim, seed in self._victims()]
        made.cells = [self.cells[key] for key in order if key in self.cells]
        for attack, draw, victim, seed in order:
            for own in draws if attack == CLEAN else [draw]:
                made.add(attack, victim, own, seed, self.rows.get((attack, own, victim, seed), []))
        made.poisons = {(name, draw): self.poisons[name, draw] for name, draw in places if (name, draw) in self.poisons}
        made.provenance["capabilities"] = {
            name: asdict(can) for name, can in sorted(self.capabilities.items()) if can != Capabilities()
        }
        bounds = cliffs(self.clean, max(map(self.experiment.fakes, self.goals), default=0))
        made.provenance |= {"reach": bounds.facts()} if bounds else {}
        certified = promises(self.clean)
        made.provenance |= {"promises": certified.facts()} if certified else {}
        made.sharpness = [self.landscapes[place] for place in places if place in self.landscapes]
        return made

    def note(self, piece: Piece) -> str:
        """For the progress line."""
        if piece.draw < 0:
            return f"{piece.victim}, clean" if isinstance(piece, Train) else ""
        return f"{piece.attack}, draw {piece.draw + 1} of {len(self.goals)}"

    def _victims(self) -> list[tuple[str, int]]:
        return [(victim, seed) for victim in self.experiment.victims for seed in range(self.experiment.seeds)]

    def _trainings(self, attack: str, draw: int, poison: Poison | None, targets: tuple[int, ...]) -> list[Piece]:
        return [
            Train(attack=attack, draw=draw, victim=victim, seed=seed, poison=poison, targets=targets)
            for victim, seed in self._victims()
        ]

    def _fail(self, piece: Craft, made: Made) -> None:
        """Without profiles there is nothing to train on: every cell of this attack and draw has failed."""
        self.failed[piece.attack, piece.draw] = made.error
        for victim, seed in self._victims():
            self.cells[piece.attack, piece.draw, victim, seed] = Cell(
                attack=piece.attack, victim=victim, draw=piece.draw, seed=seed, error=f"The attack failed: {made.error}",
                traceback=made.traceback,
            )  # fmt: skip

    def _measure(self, piece: Train, found: Evaluation | None) -> None:
        own = piece.victim, piece.seed
        if piece.attack == CLEAN:
            self.clean[own] = found
            waiting = [each for each in self.early if (each[0].victim, each[0].seed) == own]
            self.early = [each for each in self.early if (each[0].victim, each[0].seed) != own]
            if found is not None:
                for draw, goal in enumerate(self.goals):
                    fakes, segment = self.experiment.fakes(goal), self.segments[draw]
                    rows = rows_of(_only(found, goal), None, self.experiment.ks, draw == 0, fakes, segment)
                    self.rows[CLEAN, draw, piece.victim, piece.seed] = rows
                    progress.offer("rows", rows, **piece.place | {"draw": draw})
            for each in waiting:
                self._rows(*each, found)
        elif found is not None and own in self.clean:
            self._rows(piece, found, self.clean[own])
        elif found is not None:
            self.early.append((piece, found))

    def _rows(self, piece: Train, found: Evaluation, clean: Evaluation | None) -> None:
        before = clean and _only(clean, self.goals[piece.draw])
        fakes = piece.poison.num_fake if piece.poison else 0
        rows = rows_of(found, before, self.experiment.ks, True, fakes, self.segments[piece.draw])
        self.rows[piece.attack, piece.draw, piece.victim, piece.seed] = rows
        progress.offer("rows", rows, **piece.place)


def _segment(goal: Goal, train: csr_array) -> np.ndarray | None:
    """Where the goal's users stand among the evaluated ones; None where it names none."""
    return (
        None if goal.users is None else np.searchsorted(replace(goal, users=None).audience(train), goal.audience(train))
    )


def _only(found: Evaluation, goal: Goal) -> Evaluation:
    """The part of an evaluation that belongs to one draw's targets."""
    columns = np.searchsorted(found.targets, goal.targets)
    bounds = found.reach and found.reach.only(columns)
    return replace(found, targets=found.targets[columns], ranks=found.ranks[:, columns], reach=bounds)
