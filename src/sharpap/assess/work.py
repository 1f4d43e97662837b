"""The work of a run, in pieces that any process can do: craft, measure sharpness, train and evaluate one victim."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sharpap import __version__
from sharpap.assess.cells import CellStore, fingerprint
from sharpap.assess.experiment import Experiment
from sharpap.assess.landscape import Landscape, measure
from sharpap.assess.results import Cell
from sharpap.attacks import Poison, check_poison
from sharpap.config import describe
from sharpap.errors import SharpAPError
from sharpap.metrics import evaluate
from sharpap.recommenders import capabilities_of
from sharpap.recommenders.calls import fit
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Goal


@dataclass(frozen=True, eq=False, kw_only=True)
class Piece:
    """One piece of work.

    Attributes:
        attack: name in tables.
        draw: target draw; -1 for the clean run.
    """

    attack: str
    draw: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Craft(Piece):
    """Make the profiles of one attack on one draw."""

    goal: Goal


@dataclass(frozen=True, eq=False, kw_only=True)
class Explore(Piece):
    """Measure the loss landscape around a surrogate of one poison."""

    poison: Poison


@dataclass(frozen=True, eq=False, kw_only=True)
class Train(Piece):
    """Train one victim, and evaluate it for `targets`; without a poison it is the clean run."""

    victim: str
    seed: int
    poison: Poison | None
    targets: tuple[int, ...]

    @property
    def place(self) -> dict[str, Any]:
        """Which cell of the grid this is."""
        return {"attack": self.attack, "victim": self.victim, "draw": self.draw, "seed": self.seed}


@dataclass(frozen=True, eq=False, kw_only=True)
class Made:
    """What a piece of work gave.

    Attributes:
        value: a `Poison` for `Craft`; a `Landscape` for `Explore` and a (`Cell`, `Evaluation`) for `Train`, or None instead of
            the landscape or evaluation that failed.
        seconds: wall time.
        error: why it failed, or "".
        stored: taken from the store.
    """

    value: Any
    seconds: float = 0.0
    error: str = ""
    stored: bool = False


@dataclass(frozen=True, eq=False)
class Work:
    """All that pieces of work depend on.

    Attributes:
        experiment: the grid.
        store: where finished work is kept, and taken from.
    """

    experiment: Experiment
    store: CellStore | None

    def do(self, piece: Piece) -> Made:
        """Do one piece, or take it from the store. Raises what an attack raises; a victim's failure is part of its cell."""
        if isinstance(piece, Craft):
            return self._craft(piece)
        if isinstance(piece, Explore):
            return self._explore(piece)
        if isinstance(piece, Train):
            return self._train(piece)
        raise TypeError(f"{type(piece).__name__} is no piece of work.")

    def _craft(self, piece: Craft) -> Made:
        """A checked poison that knows its data."""
        experiment, goal, store = self.experiment, piece.goal, self.store
        train, attack = experiment.dataset.train, experiment.attacks[piece.attack]
        start = time.perf_counter()
        stored = None
        if isinstance(attack, Poison):
            made = attack
        else:
            seed = experiment.attack_seed(piece.draw)
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
        return Made(value=made, seconds=time.perf_counter() - start, stored=bool(stored))

    def _explore(self, piece: Explore) -> Made:
        """The landscape around a surrogate; a surrogate may fail."""
        experiment, store, poison, draw = self.experiment, self.store, piece.poison, piece.draw
        train, seed, surrogate = experiment.dataset.train, experiment.sharpness_seed(draw), WRMFSurrogate()
        k = 10 if 10 in experiment.ks else experiment.ks[0]
        key = {
            "version": __version__, "data": train.fingerprint, "poison": fingerprint(poison),
            "goal": describe(poison.goal), "surrogate": describe(surrogate, "surrogate"), "seed": seed, "k": k,
            "plane": draw == 0,
        }  # fmt: skip
        start = time.perf_counter()
        stored, error = store and store.load_landscape(key), ""
        found: Landscape | None = stored
        if found is None:
            try:
                found = measure(train.matrix, poison, seed=seed, k=k, surrogate=surrogate, with_plane=draw == 0)
            except SharpAPError as problem:
                error = str(problem)
            if store and found is not None:
                store.save_landscape(key, found)
        value = found and replace(found, attack=piece.attack, draw=draw)
        return Made(value=value, seconds=time.perf_counter() - start, error=error, stored=stored is not None)

    def _train(self, piece: Train) -> Made:
        """A cell and what was measured in it."""
        experiment, store, poison = self.experiment, self.store, piece.poison
        dataset, recommender = experiment.dataset, experiment.victims[piece.victim]
        seed = experiment.victim_seed(piece.seed)
        key = {
            "version": __version__, "data": dataset.train.fingerprint, "valid": dataset.valid.fingerprint,
            "test": dataset.test.fingerprint, "poison": poison and fingerprint(poison), "targets": piece.targets,
            "victim": describe(recommender, "victim"), "seed": seed, "ks": experiment.ks,
        }  # fmt: skip
        if store and (stored := store.load_cell(key)):
            return Made(value=(replace(stored[0], **piece.place), stored[1]), stored=True)
        start = time.perf_counter()
        trained = 0.0
        log: dict[str, Any] = {}
        error, excerpt, found = "", "", None
        try:
            train = dataset.train.matrix if poison is None else poison.inject(dataset.train.matrix)
            model = fit(recommender, train, dataset.valid.matrix, seed=seed)
            trained = time.perf_counter() - start
            log = getattr(model, "log", {})
            found = evaluate(
                model, dataset.train.matrix, targets=piece.targets, held_out=dataset.test.matrix, ks=experiment.ks,
                capabilities=capabilities_of(recommender, model),
            )  # fmt: skip
        except SharpAPError as problem:
            error = str(problem)
        except Exception as problem:  # a victim is foreign code: whatever it raises is its failure, not the run's
            error, excerpt = f"{type(problem).__name__}: {problem}", last_frames(problem)
        total = time.perf_counter() - start
        cell = Cell(
            **piece.place, error=error, traceback=excerpt, train_seconds=trained or total,
            evaluate_seconds=total - trained if trained else 0.0, epochs=log.get("epochs"), valid_ndcg=log.get("valid_ndcg"),
        )  # fmt: skip
        if store and found is not None:
            store.save_cell(key, cell, found)
        return Made(value=(cell, found), seconds=total, error=error)


def last_frames(problem: BaseException, count: int = 4) -> str:
    """The frames in which an exception was raised, the innermost last: file and its folder, line, function, code.

    A report may be passed on: it does not say where on this machine the code lies.
    """
    frames = traceback.extract_tb(problem.__traceback__)[-count:]
    return "\n".join(
        f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}\n    {(frame.line or '')[:200]}"
        for frame in frames
    )
