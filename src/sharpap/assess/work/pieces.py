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
from sharpap.assess.experiment import Experiment
from sharpap.assess.fake_order import digest
from sharpap.assess.rows import Cell
from sharpap.assess.tables.summary import leading_k
from sharpap.assess.work.cells import CellStore, Checkpoints, fingerprint
from sharpap.assess.work.code_version import code_version
from sharpap.assess.work.explore import EXPLORED, measure
from sharpap.assess.work.records import Key
from sharpap.attacks import Poison, check_poison
from sharpap.config import describe
from sharpap.defenses.certified import Votes
from sharpap.errors import ConfigError, SharpAPError, said
from sharpap.metrics import Evaluation, evaluate, reach
from sharpap.recommenders import capabilities_of
from sharpap.recommenders.calls import fit
from sharpap.threads import for_work_of, one_for_sums
from sharpap.threat import Goal

T = TypeVar("T")
MEASURED = ("sharpap.metrics.evaluate", "sharpap.metrics.reach", "sharpap.recommenders.calls", "sharpap.attacks.poison")


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
        key = self.key(piece)
        found = self.find(piece, key)
        made = self._made(piece, key) if found is None else found
        if found is None:
            self.keep(piece, key, made)
        return self.noted(made)

    def noted(self, made: Made) -> Made:
        """With the messages of the store since the last one."""
        return replace(made, problems=self.store.taken_problems()) if self.store and self.store.problems else made

    def key(self, piece: Piece) -> Key | None:
        """All that determines what a piece gives; None where nothing is stored, or nothing is to be done."""
        experiment, train = self.experiment, self.experiment.dataset.train
        if self.store is None:
            return None
        if isinstance(piece, Craft):
            attack = experiment.attacks[piece.attack]
            return None if isinstance(attack, Poison) else {
                "code": code_version(attack, modules=("sharpap.attacks.base",)), "data": train.fingerprint,
                "attack": describe(attack, "attack"), "goal": describe(piece.goal), "budget": describe(experiment.budget),
                "seed": experiment.attack_seed(piece.draw),
            }  # fmt: skip
        if isinstance(piece, Explore):
            return {
                "code": code_version(EXPLORED, modules=("sharpap.assess.work.explore",)), "data": train.fingerprint,
                "poison": fingerprint(piece.poison), "goal": describe(piece.poison.goal),
                "surrogate": describe(EXPLORED, "surrogate"), "seed": experiment.sharpness_seed(piece.draw), "k": self._k,
                "plane": piece.draw == 0,
            }  # fmt: skip
        if isinstance(piece, Train):
            recommender, dataset = experiment.victims[piece.victim], experiment.dataset
            times = experiment.times(piece.victim, piece.poison, piece.draw)
            return ({} if times is None else {"times": digest(times)}) | {
                "code": code_version(recommender, modules=MEASURED), "data": train.fingerprint,
                "valid": dataset.valid.fingerprint, "test": dataset.test.fingerprint,
                "poison": piece.poison and fingerprint(piece.poison), "targets": piece.targets,
                "victim": describe(recommender, "victim"), "seed": experiment.victim_seed(piece.seed), "ks": experiment.ks,
            }  # fmt: skip
        raise _unknown(piece)

    def find(self, piece: Piece, key: Key | None) -> Made | None:
        """What is known of a piece: it is in the store under its `key`, or is a finished poison."""
        start = time.perf_counter()
        if isinstance(piece, Craft) and isinstance(attack := self.experiment.attacks[piece.attack], Poison):
            return Made(value=attack)
        if self.store is None or key is None:
            return None
        stored: Any = None
        if isinstance(piece, Craft):
            stored = self.store.load_poison(key, self.experiment.dataset.train, piece.goal, self.experiment.budget)
        elif isinstance(piece, Explore) and (landscape := self.store.load_landscape(key)):
            stored = replace(landscape, attack=piece.attack, draw=piece.draw)
        elif isinstance(piece, Train):
            cell = self.store.load_cell(key, self.experiment.dataset)
            return cell and Made(value=(replace(cell[0], **piece.place), cell[1]), stored=True)
        return stored and Made(value=stored, seconds=time.perf_counter() - start, stored=True)

    def keep(self, piece: Piece, key: Key | None, made: Made) -> None:
        """Store what did not fail under the `key` of its piece.

        Raises:
            StorageError: the disk is full, or the folder cannot be written to.
        """
        if self.store is None or key is None or made.error:
            return
        if isinstance(piece, Craft):
            self.store.save_poison(key, made.value)
        elif isinstance(piece, Explore):
            self.store.save_landscape(key, made.value)
        elif isinstance(piece, Train):
            self.store.save_cell(key, *made.value)
        Checkpoints(self.store, key).drop()

    def _made(self, piece: Piece, key: Key | None) -> Made:
        with checkpoints.keeping(Checkpoints(self.store, key)) if self.store and key else nullcontext():
            if isinstance(piece, Craft):
                return self._craft(piece)
            if isinstance(piece, Explore):
                return self._explore(piece)
            if isinstance(piece, Train):
                return self._train(piece)
        raise _unknown(piece)

    def _craft(self, piece: Craft) -> Made:
        """A checked poison that knows its data."""
        experiment, goal = self.experiment, piece.goal
        train, attack = experiment.dataset.train, experiment.attacks[piece.attack]
        assert not isinstance(attack, Poison)  # `find` gave it
        start = time.perf_counter()

        def craft() -> Poison:
            with for_work_of(attack):
                made = attack.poison(train.matrix, goal, experiment.budget, seed=experiment.attack_seed(piece.draw))
            check_poison(made, train.num_items, experiment.budget.resolve(train.matrix, goal))
            return replace(made, data_fingerprint=train.fingerprint)

        tried = self._try(craft)
        return Made(
            value=tried.value, seconds=time.perf_counter() - start, error=tried.error, traceback=tried.traceback
        )

    def _explore(self, piece: Explore) -> Made:
        """The landscape around a surrogate; a surrogate may fail."""
        train, poison, draw = self.experiment.dataset.train.matrix, piece.poison, piece.draw
        seed, start = self.experiment.sharpness_seed(draw), time.perf_counter()
        with one_for_sums():
            tried = self._try(
                lambda: measure(train, poison, seed=seed, k=self._k, surrogate=EXPLORED, with_plane=draw == 0)
            )
        value = tried.value and replace(tried.value, attack=piece.attack, draw=draw)
        return Made(value=value, seconds=time.perf_counter() - start, error=tried.error, traceback=tried.traceback)

    @property
    def _k(self) -> int:
        """The list length that landscapes are measured for."""
        return leading_k(self.experiment.ks)

    def _train(self, piece: Train) -> Made:
        """A cell and what was measured in it."""
        experiment, poison = self.experiment, piece.poison
        dataset, recommender = experiment.dataset, experiment.victims[piece.victim]
        start = time.perf_counter()

        def train() -> tuple[float, float, dict[str, Any], Evaluation]:
            began = time.perf_counter()
            matrix = dataset.train.matrix if poison is None else poison.inject(dataset.train.matrix)
            times = experiment.times(piece.victim, poison, piece.draw)
            model = fit(recommender, matrix, dataset.valid.matrix, seed=experiment.victim_seed(piece.seed), times=times)
            trained = time.perf_counter()
            found = evaluate(
                model, dataset.train.matrix, targets=piece.targets, held_out=dataset.test.matrix, ks=experiment.ks,
                valid=dataset.valid.matrix if poison is None else None, capabilities=capabilities_of(recommender, model),
            )  # fmt: skip
            if poison is None and experiment.direction == "promote":
                bounds = reach(recommender, model, dataset.train.matrix, found.ranks, found.targets, ks=experiment.ks)
                found = replace(found, reach=bounds)
            if isinstance(model, Votes):
                lists = model.kept(dataset.train.matrix, experiment.ks, attacked=poison is not None)
                found = replace(found, kept=lists)
            return trained - began, time.perf_counter() - trained, getattr(model, "log", {}), found

        tried = self._try(train)
        total = time.perf_counter() - start
        trained, evaluated, log, found = tried.value or (total, 0.0, {}, None)
        cell = Cell(
            **piece.place, error=tried.error, traceback=tried.traceback, attempts=tried.attempts, train_seconds=trained,
            evaluate_seconds=evaluated, epochs=log.get("epochs"), valid_ndcg=log.get("valid_ndcg"),
        )  # fmt: skip
        return Made(value=(cell, found), seconds=total, error=tried.error, traceback=tried.traceback)

    def _try(self, step: Callable[[], T]) -> _Tried[T]:
        """Attacks and victims are foreign code: whatever they raise is their failure, not the run's."""
        for attempt in range(1, self.retries + 2):
            try:
                return _Tried(step(), attempts=attempt)
            except Exception as problem:
                if isinstance(problem, SharpAPError) or attempt > self.retries:
                    return _Tried(None, attempts=attempt, error=said(problem), traceback=frames_of(problem))
                if attempt == self.retries:  # it may be the state that a killed run left which fails
                    checkpoints.drop()
        raise ConfigError(f"retries={self.retries} must be 0 or more.")


@dataclass(frozen=True, eq=False)
class _Tried(Generic[T]):
    value: T | None
    attempts: int
    error: str = ""
    traceback: str = ""


def _unknown(piece: Piece) -> TypeError:
    return TypeError(f"{type(piece).__name__} is no piece of work.")


def frames_of(problem: BaseException, count: int = 30) -> str:
    """The last frames in which an exception was raised, the innermost at the end: file and its folder, line, function, code.

    A report may be passed on: it does not say where on this machine the code lies.
    """
    frames = traceback.extract_tb(problem.__traceback__)[-count:]
    return "\n".join(
        f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno} in {frame.name}\n    {(frame.line or '')[:200]}"
        for frame in frames
    )
