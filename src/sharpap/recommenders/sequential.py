"""What recommenders share that read a user's items in their order: reading order, windows, the loop, the trained model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap import progress
from sharpap.device import resolve
from sharpap.kernels.softmax import cross_entropy, sampled_cross_entropy
from sharpap.recommenders.base import FactorModel, FloatArray, IntArray
from sharpap.recommenders.resume import Adam, Moving
from sharpap.recommenders.training import Training
from sharpap.seeds import rng
from sharpap.settings import Settings

STATES = 1 << 14  # that are made at once outside training


@dataclass(frozen=True, eq=False)
class Histories:
    """Every user's items in the order in which they are read.

    Attributes:
        indptr: (num_users + 1,) where each user's items begin.
        items: (nnz,) int64 items, oldest first within a user.
        num_items: in the catalogue.
    """

    indptr: IntArray
    items: IntArray
    num_items: int

    @classmethod
    def of(cls, train: csr_array, times: FloatArray | None, seed: int) -> Histories:
        """By time; ties, and everything where there are no times, in a random order: by number they would be learnt."""
        if times is None:
            message = "The data came without times: what reads order is trained on each user's items in a random order."
            progress.event("warning", message=message)
            times = np.zeros(train.nnz)
        rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
        order = np.lexsort((rng(seed, "ties").random(train.nnz), times, rows))
        return cls(train.indptr.astype(np.int64), train.indices[order].astype(np.int64), train.shape[1])

    def windows(self, length: int) -> tuple[IntArray, IntArray]:
        """Starts and lengths of the parts that are read in training, cut from each history's end.

        From each item of a part the next one is predicted, so that every item but a user's first is predicted once.
        """
        steps = np.maximum(np.diff(self.indptr) - 1, 0)
        parts = -(-steps // length)
        number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
        first, last = (np.repeat(ends, parts) for ends in (self.indptr[:-1], self.indptr[:-1] + steps))
        stops = last - number * length
        starts = np.maximum(stops - length, first)
        return starts, stops - starts

    def latest(self, users: IntArray, length: int) -> tuple[IntArray, IntArray]:
        """Starts and lengths of users' last items."""
        sizes = np.minimum(self.indptr[users + 1] - self.indptr[users], length)
        return self.indptr[users + 1] - sizes, sizes

    def read(self, starts: IntArray, lengths: IntArray) -> IntArray:
        """(b, longest) items of parts, each filled up on its right, where nothing reads."""
        places = starts[:, None] + np.arange(lengths.max(initial=1))
        return self.items[np.minimum(places, len(self.items) - 1)]


@dataclass(frozen=True, kw_only=True)
class Sequential(Settings):
    """Base of models that read order.

    All are trained to predict each item from those before it, by cross-entropy over the catalogue. A user is scored by the
    inner product of the state after the last item with the embedding of each item: a trained model is a factor model.

    Attributes:
        embedding_size: d, of items and states.
        dropout: share left out in training.
        max_len: items that are read at once; a longer history is cut into windows of so many.
        negatives: items drawn for each batch that stand for the rest of the catalogue in the loss; None: all of it.
        batch_size: predictions in a step, about.
        epochs, learning_rate, check_every, patience, min_epochs: see `Training`.
        device: as for `BPRMF`.
    """

    embedding_size: int = 64
    dropout: float = 0.2
    max_len: int = 50
    negatives: int | None = None
    batch_size: int = 1024
    epochs: int = 200
    learning_rate: float = 1e-3
    check_every: int = 2
    patience: int = 5
    min_epochs: int = 10
    device: str = "auto"

    def weights(self, num_items: int, draw: np.random.Generator) -> list[FloatArray]:
        """Fresh float32 parameters; the first is the (num_items, embedding_size) embedding of items."""
        raise NotImplementedError

    def states(self, theta: list[Tensor], items: Tensor, lengths: Tensor, draw: np.random.Generator | None) -> Tensor:
        """(b, w, embedding_size) states of (b, w) items, each of its item and those on its left; dropout if `draw` is given.

        `lengths`: (b,) how many items of each row are read; what is on their right fills the row up.
        """
        raise NotImplementedError

    def fit(
        self, train: csr_array, *, seed: int, valid: csr_array | None = None, times: FloatArray | None = None
    ) -> SequentialModel:
        """See `Recommender`. `times`: (nnz,), aligned with `train.indices`; only their order within a user counts."""
        draw, device = rng(seed, "sequential"), resolve(self.device)
        histories = Histories.of(train, times, seed)
        theta = [torch.from_numpy(part).to(device).requires_grad_() for part in self.weights(train.shape[1], draw)]
        optimizer = Adam(theta, self.learning_rate)
        training = Training(
            type(self).__name__, self.epochs, self.check_every, self.patience, self.min_epochs, train, valid
        )
        read = csr_array((np.ones(train.nnz, np.float32), histories.items, histories.indptr), shape=train.shape)
        moving = Moving(settings=self, seed=seed, parts=theta, optimizer=optimizer, draw=draw, read=read)

        def model() -> SequentialModel:
            return SequentialModel.of(self, [part.detach() for part in theta], histories)

        for _ in training.run(model, moving):
            for starts, lengths in batches(*histories.windows(self.max_len), self.batch_size, draw):
                optimizer.zero_grad(set_to_none=True)
                self.loss(theta, histories, starts, lengths, draw).backward()
                optimizer.step()
        return training.model(model())

    def loss(
        self, theta: list[Tensor], histories: Histories, starts: IntArray, lengths: IntArray, draw: np.random.Generator
    ) -> Tensor:
        """Mean cross-entropy of the predictions in some windows."""
        device, real = theta[0].device, torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
        inputs, wanted = (torch.from_numpy(histories.read(starts + shift, lengths)).to(device) for shift in (0, 1))
        states = self.states(theta, inputs, torch.from_numpy(lengths).to(device), draw)[real.to(device)]
        wanted = wanted[real.to(device)]
        if self.negatives is None or self.negatives >= histories.num_items:
            total = cross_entropy(states, theta[0], wanted)
        else:
            drawn = torch.from_numpy(draw.integers(0, histories.num_items, self.negatives)).to(device)
            total = sampled_cross_entropy(states, theta[0], wanted, drawn)
        return total / len(states)


def batches(
    starts: IntArray, lengths: IntArray, size: int, draw: np.random.Generator
) -> Iterator[tuple[IntArray, IntArray]]:
    """Windows of about the same length together, `size` predictions or so at a time, in a random order: little is filled up."""
    order = draw.permutation(len(starts))
    order = order[np.argsort(lengths[order], kind="stable")]
    number = (np.cumsum(lengths[order]) - lengths[order]) // size
    parts = np.split(order, np.flatnonzero(np.diff(number)) + 1) if len(order) else []
    for place in draw.permutation(len(parts)):
        yield starts[parts[place]], lengths[parts[place]]


@dataclass(frozen=True, eq=False, kw_only=True)
class SequentialModel(FactorModel):
    """A trained model that reads order.

    Attributes:
        settings, theta: what makes states of items.
    """

    settings: Sequential
    theta: list[Tensor]

    @classmethod
    def of(cls, settings: Sequential, theta: list[Tensor], histories: Histories) -> SequentialModel:
        """With every user's state after the last item; zeros for users without one."""
        num_users = len(histories.indptr) - 1
        factors = np.zeros((num_users, theta[0].shape[1]), np.float32)
        users = np.flatnonzero(np.diff(histories.indptr))
        starts, lengths = histories.latest(users, settings.max_len)
        order = np.argsort(lengths, kind="stable")
        number = np.cumsum(lengths[order]) // STATES
        with torch.no_grad():
            for part in np.split(order, np.flatnonzero(np.diff(number)) + 1) if len(order) else []:
                items = torch.from_numpy(histories.read(starts[part], lengths[part])).to(theta[0].device)
                sizes = torch.from_numpy(lengths[part]).to(items.device)
                states = settings.states(theta, items, sizes, None)
                factors[users[part]] = states[torch.arange(len(part), device=items.device), sizes - 1].cpu().numpy()
        kept = [part.cpu().clone() for part in theta]
        return cls(user_factors=factors, item_factors=kept[0].numpy(), log={}, settings=settings, theta=kept)

    def reading(self, histories: Histories) -> SequentialModel:
        """The same model for other histories over the same items, such as ones that have grown since the training."""
        return replace(SequentialModel.of(self.settings, self.theta, histories), log=self.log)
