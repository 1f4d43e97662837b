"""The work of a run, in pieces that any process can do: craft, measure sharpness, train and evaluate one victim."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from sharpap import checkpoints
from sharpap.assess.cells import CellStore, Checkpoints, fingerprint
from sharpap.assess.code import code_version
from sharpap.assess.experiment import Experiment
from sharpap.assess.landscape import measure
from sharpap.assess.results import Cell
from sharpap.attacks import Poison, check_poison
from sharpap.config import describe
from sharpap.errors import ConfigError, SharpAPError
from sharpap.metrics import Evaluation, evaluate
from sharpap.recommenders import capabilities_of
from sharpap.recommenders.calls import fit
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Goal

T = TypeVar("T")
MEASURED = ("sharpap.metrics.evaluate", "sharpap.recommenders.calls", "sharpap.attacks.poison")


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
        value: a `Poison` for `Craft`, a `Landscape` for `Explore`, or None where it failed; a (`Cell`, `Evaluation`) for
            `Train`, with None instead of the evaluation that failed.
        seconds: wall time.
        error: why it failed, or "".
        traceback: see `Cell`.
        stored: taken from the store.
        problems: files of the store that were put aside on the way.
    """

    value: Any
    seconds: float = 0.0
    error: str = ""
    traceback: str = ""
    stored: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Work:
    """All that pieces of work depend on.

    Attributes:
        experiment: the grid.
        store: where finished work is kept, and taken from.
        retries: how often a piece that fails by an unexpected exception is tried again. What SharpAP itself finds wrong, such
            as a diverged training, would be found again.
    """

    experiment: Experiment
    store: CellStore | None
    retries: int = 1

    def do(self, piece: Piece) -> Made:
        """Do one piece, or take it from the store. What fails is part of what it gives.

        Raises:
            StorageError: what it gave could not be stored.
        """
        if isinstance(piece, Craft):
            made = self._craft(piece)
        elif isinstance(piece, Explore):
            made = self._explore(piece)
        elif isinstance(piece, Train):
            made = self._train(piece)
        else:
            raise TypeError(f"{type(piece).__name__} is no piece of work.")
        return replace(made, problems=self.store.taken_problems()) if self.store and self.store.problems else made

    def _craft(self, piece: Craft) -> Made:
        """A checked poison that knows its data."""
        experiment, goal, store = self.experiment, piece.goal, self.store
        train, attack = experiment.dataset.train, experiment.attacks[piece.attack]
        start = time.perf_counter()
        if isinstance(attack, Poison):
            return Made(value=attack)
        seed = experiment.attack_seed(piece.draw)
        key = {
            "code": code_version(attack, modules=("sharpap.attacks.base",)), "data": train.fingerprint,
            "attack": describe(attack, "attack"), "goal": describe(goal), "budget": describe(experiment.budget), "seed": seed,
        }  # fmt: skip
        kept = Checkpoints(store, key) if store else None
        if store and (stored := store.load_poison(key, train)):
            return Made(value=stored, seconds=time.perf_counter() - start, stored=True)

        def craft() -> Poison:
            made = attack.poison(train.matrix, goal, experiment.budget, seed=seed)
            check_poison(made, train.num_items, experiment.budget.resolve(train.matrix, goal))
            return replace(made, data_fingerprint=train.fingerprint)

        with checkpoints.keeping(kept) if kept else nullcontext():
            tried = self._try(craft)
        if store and kept and tried.value is not None:
            store.save_poison(key, tried.value)
            kept.drop()
        return Made(
            value=tried.value, seconds=time.perf_counter() - start, error=tried.error, traceback=tried.traceback
        )

    def _explore(self, piece: Explore) -> Made:
        """The landscape around a surrogate; a surrogate may fail."""
        experiment, store, poison, draw = self.experiment, self.store, piece.poison, piece.draw
        train, seed, surrogate = experiment.dataset.train, experiment.sharpness_seed(draw), WRMFSurrogate()
        k = 10 if 10 in experiment.ks else experiment.ks[0]
        key = {
            "code": code_version(surrogate, modules=("sharpap.assess.landscape",)), "data": train.fingerprint,
            "poison": fingerprint(poison), "goal": describe(poison.goal), "surrogate": describe(surrogate, "surrogate"),
            "seed": seed, "k": k, "plane": draw == 0,
        }  # fmt: skip
        start = time.perf_counter()
        if store and (stored := store.load_landscape(key)):
            value = replace(stored, attack=piece.attack, draw=draw)
            return Made(value=value, seconds=time.perf_counter() - start, stored=True)
        tried = self._try(
            lambda: measure(train.matrix, poison, seed=seed, k=k, surrogate=surrogate, with_plane=draw == 0)
        )
        if store and tried.value is not None:
            store.save_landscape(key, tried.value)
        value = tried.value and replace(tried.value, attack=piece.attack, draw=draw)
        return Made(value=value, seconds=time.perf_counter() - start, error=tried.error, traceback=tried.traceback)

    def _train(self, piece: Train) -> Made:
        """A cell and what was measured in it."""
        experiment, store, poison = self.experiment, self.store, piece.poison
        dataset, recommender = experiment.dataset, experiment.victims[piece.victim]
        seed = experiment.victim_seed(piece.seed)
        key = {
            "code": code_version(recommender, modules=MEASURED), "data": dataset.train.fingerprint,
            "valid": dataset.valid.fingerprint, "test": dataset.test.fingerprint, "poison": poison and fingerprint(poison),
            "targets": piece.targets, "victim": describe(recommender, "victim"), "seed": seed, "ks": experiment.ks,
        }  # fmt: skip
        if store and (stored := store.load_cell(key)):
            return Made(value=(replace(stored[0], **piece.place), stored[1]), stored=True)
        start = time.perf_counter()

        def train() -> tuple[float, float, dict[str, Any], Evaluation]:
            began = time.perf_counter()
            matrix = dataset.train.matrix if poison is None else poison.inject(dataset.train.matrix)
            model = fit(recommender, matrix, dataset.valid.matrix, seed=seed)
            trained = time.perf_counter()
            found = evaluate(
                model, dataset.train.matrix, targets=piece.targets, held_out=dataset.test.matrix, ks=experiment.ks,
                capabilities=capabilities_of(recommender, model),
            )  # fmt: skip
            return trained - began, time.perf_counter() - trained, getattr(model, "log", {}), found

        tried = self._try(train)
        total = time.perf_counter() - start
        trained, evaluated, log, found = tried.value or (total, 0.0, {}, None)
        cell = Cell(
            **piece.place, error=tried.error, traceback=tried.traceback, attempts=tried.attempts, train_seconds=trained,
            evaluate_seconds=evaluated, epochs=log.get("epochs"), valid_ndcg=log.get("valid_ndcg"),
        )  # fmt: skip
        if store and found is not None:
            store.save_cell(key, cell, found)
        return Made(value=(cell, found), seconds=total, error=tried.error, traceback=tried.traceback)

    def _try(self, step: Callable[[], T]) -> _Tried[T]:
        """Attacks and victims are foreign code: whatever they raise is their failure, not the run's."""
        for attempt in range(1, self.retries + 2):
            try:
                return _Tried(step(), attempts=attempt)
            except Exception as problem:
                ours = isinstance(problem, SharpAPError)
                if ours or attempt > self.retries:
                    error = str(problem) if ours else f"{type(problem).__name__}: {problem}"
                    whole = frames_of(problem)
                    return _Tried(None, attempts=attempt, error=error, traceback=whole)
        raise ConfigError(f"retries={self.retries} must be 0 or more.")


@dataclass(frozen=True, eq=False)
class _Tried(Generic[T]):
    value: T | None
    attempts: int
    error: str = ""
    traceback: str = ""


def frames_of(problem: BaseException, count: int = 30) -> str:
    """The last frames in which an exception was raised, the innermost at the end: file and its folder, line, function, code.

    A report may be passed on: it does not say where on this machine the code lies.
    """
    frames = traceback.extract_tb(problem.__traceback__)[-count:]
    return "\n".join(
        f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}\n    {(frame.line or '')[:200]}"
        for frame in frames
    )
