"""What SharpAP's own recommenders share: initial factors, and early stopping on validation NDCG."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap import checkpoints, progress
from sharpap.errors import TrainingError
from sharpap.kernels import block_rows, hits, mask_rows, recall_ndcg, topk, topk_scores
from sharpap.kernels.noise import uniform
from sharpap.recommenders.base import FactorModel, FloatArray, Scorer
from sharpap.recommenders.resume import Moving, arrays_of, of, under, with_arrays
from sharpap.seeds import rng

K = 20
MOST_USERS = 4_000
Factors = tuple[FloatArray, FloatArray]
Model = TypeVar("Model", bound=Any)


def initial_factors(num_users: int, num_items: int, size: int, std: float, seed: int) -> Factors:
    """Two float32 Gaussian matrices, each from a stream of its own: fake users appended to the genuine ones change neither
    the genuine users' start nor the items', so that runs with and without poison are paired.
    """
    users, items = (
        rng(seed, "initial-factors", side).standard_normal((rows, size), dtype=np.float32) * np.float32(std)
        for side, rows in (("users", num_users), ("items", num_items))
    )
    return users, items


def validation_ndcg(model: Scorer, train: csr_array, valid: csr_array, users: np.ndarray) -> float:
    """Mean NDCG@20 of held-out interactions of `users`, training items masked."""
    k = min(K, train.shape[1])
    if isinstance(model, FactorModel):
        items, _ = topk(model.user_factors, model.item_factors, k, exclude=train, users=users)
    else:
        step = block_rows(train.shape[1])
        lists = []
        for part in np.split(users, range(step, len(users), step)):
            scores = np.ascontiguousarray(model.score(part))
            mask_rows(scores, part, train.indptr, train.indices)
            lists.append(topk_scores(scores, k)[0])
        items = np.concatenate(lists)
    relevant = np.diff(valid.indptr)[users]
    return float(recall_ndcg(hits(items, users, valid), relevant, k)[1].mean())


@dataclass(eq=False)
class Training:
    """The loop around a recommender's epochs: progress, validation, early stopping, the best state.

    Attributes:
        name: for the progress line.
        epochs: most epochs.
        check_every: epochs between two validations.
        patience: validations without a new best after which training ends.
        min_epochs: epochs before which it does not end: pairwise models dwell near popularity at first.
        train, valid: as in `Recommender.fit`; without validation interactions all epochs are run and the last state kept.
        decay: the learning rate falls to zero over all epochs, so that they are all run, and the last state is the model.
        check_after: epochs before which there is no validation, and so no state that could be kept.
    """

    name: str
    epochs: int
    check_every: int
    patience: int
    min_epochs: int
    train: csr_array
    valid: csr_array | None
    decay: bool = False
    check_after: int = 0
    best: float = -1.0
    best_epoch: int = 0
    waited: int = 0
    kept: Any = None
    checks: list[tuple[int, float]] = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)

    def run(self, model: Callable[[], Scorer], moving: Moving) -> Iterator[int]:
        """Yield epoch numbers from 1, or from where a killed training had got to, for as long as training should go on.

        Args:
            model: gives the current state as a model.
            moving: what an epoch changes; it is kept every few seconds where somebody keeps states.
        """
        users, name = self._users(), moving.name(self.train, self.valid)
        first = self._restored(checkpoints.load(name), model, moving)
        with progress.task(f"Training {self.name}", self.epochs) as task:
            task.advance(first - 1)
            for epoch in range(first, self.epochs + 1):
                yield epoch
                if (
                    users is not None
                    and self.valid is not None
                    and (
                        epoch == self.epochs
                        or (not self.decay and epoch > self.check_after and epoch % self.check_every == 0)
                    )
                ):
                    now = model()
                    score = validation_ndcg(now, self.train, self.valid, users)
                    self.checks.append((epoch, score))
                    progress.offer("validation", score, epoch=epoch, name=self.name)
                    self.waited += 1
                    if score > self.best:
                        self.waited, self.best, self.best_epoch = 0, score, epoch
                        self.kept = copy.deepcopy(now)
                    if self.waited >= self.patience and epoch >= self.min_epochs:
                        break
                    task.advance(0, note=f"valid NDCG@{K} {score:.4f}")
                task.advance()
                if epoch < self.epochs and checkpoints.due():
                    checkpoints.save(name, {"epoch": epoch} | self._state() | moving.state())

    def _state(self) -> checkpoints.State:
        facts = {key: getattr(self, key) for key in ("best", "best_epoch", "waited", "checks")}
        seconds = time.perf_counter() - self.start
        return facts | {"seconds": seconds, "keeps": self.kept is not None} | under("kept", arrays_of(self.kept))

    def _restored(self, state: checkpoints.State | None, model: Callable[[], Scorer], moving: Moving) -> int:
        """The epoch to begin with."""
        if state is None:
            return 1
        self.best, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]
        self.checks, self.start = [(epoch, score) for epoch, score in state["checks"]], self.start - state["seconds"]
        moving.restore(state)
        self.kept = with_arrays(model(), of("kept", state)) if state["keeps"] else None
        return state["epoch"] + 1

    def model(self, last: Model) -> Model:
        """The best state seen (the last one without validation); raises `TrainingError` when training diverged."""
        model = self.kept or copy.deepcopy(last)
        if not np.isfinite(model.score(np.arange(min(self.train.shape[0], 64)))).all():
            raise TrainingError(f"{self.name} diverged.", hint="Lower its learning_rate or raise reg.")
        log = {"epochs": self.best_epoch or self.epochs, "seconds": round(time.perf_counter() - self.start, 3)}
        if self.checks:
            log |= {"valid_ndcg": self.best, "checks": self.checks}
        return replace(model, log=log)

    def _users(self) -> np.ndarray | None:
        """Users with validation interactions, a fixed sample of at most 4,000 of them."""
        if self.valid is None or self.valid.nnz == 0:
            return None
        users = np.flatnonzero(np.diff(self.valid.indptr))
        return users if len(users) <= MOST_USERS else np.sort(rng(0, "valid").choice(users, MOST_USERS, replace=False))


def dropout(part: torch.Tensor, share: float, draw: np.random.Generator) -> torch.Tensor:
    """Inverted dropout with the caller's generator: the global one stays untouched."""
    if share == 0:
        return part
    return part * (uniform(part.shape, draw, part.device) >= share) / (1 - share)
