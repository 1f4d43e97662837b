"""The full-batch loop behind BPR-MF and every graph recommender: an encoder, a pairwise loss, an optional second loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.checkpoints import State
from sharpap.device import resolve
from sharpap.kernels import Pattern
from sharpap.kernels.bpr import Negatives, bpr_gradient
from sharpap.recommenders.base import FactorModel
from sharpap.recommenders.perturb import EmbeddingAdversary, Perturbation, WeightAdversary, moved
from sharpap.recommenders.resume import Adam, Moving
from sharpap.recommenders.training import Training, initial_factors
from sharpap.seeds import rng
from sharpap.settings import Settings

Pair = tuple[Tensor, Tensor]


class Encoder:
    """A recommender's forward pass over all users and items.

    Attributes:
        weights: what is trained beside the layer-0 embeddings.
    """

    def __init__(self, weights: Sequence[Tensor] = ()) -> None:
        self.weights = list(weights)

    def final(self, users: Tensor, items: Tensor) -> Pair:
        """Embeddings for ranking, from the layer-0 embeddings (n, d) and (m, d)."""
        raise NotImplementedError

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, Tensor | None]:
        """Embeddings for the pairwise loss, and a second loss on the scale of a mean over interactions."""
        raise NotImplementedError

    def state(self) -> State:
        """What its training changes beside `weights`; see `Stateful`."""
        return {}

    def restore(self, kept: State) -> None:
        """See `Stateful`."""


class Pairwise(Settings):
    """Base of the frozen settings of all models trained here; the fields that `fit` reads stand in each.

    Deviations shared by all: full-batch Adam instead of minibatches; each step sees every interaction once with one
    uniform negative (`sharpap.kernels.bpr`), and the user's own items are not left out of the negatives, a share
    nnz / (n m) of them. The L2 weight of an item counts its positives and, in place of its negatives, their mean nnz / m.
    """

    embedding_size: int
    epochs: int
    learning_rate: float
    reg: float
    init_std: float
    check_every: int
    patience: int
    min_epochs: int
    decay: bool
    device: str

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """The forward pass on this interaction graph, with fresh weights."""
        raise NotImplementedError

    def fit(
        self, train: csr_array, *, seed: int, valid: csr_array | None = None, perturb: Perturbation | None = None
    ) -> FactorModel:
        """See `Recommender`; `perturb`: what moves the model in each step. O(nnz d) a step for each layer."""
        plain, unchecked = 0, 0
        if isinstance(perturb, EmbeddingAdversary):  # no state is kept that the moves have hardly touched
            plain, unchecked = perturb.start, perturb.start + self.min_epochs
        training = Training(
            type(self).__name__, self.epochs, self.check_every, self.patience, plain + self.min_epochs, train, valid,
            self.decay, check_after=unchecked,
        )  # fmt: skip
        learner = replace(Learner.new(self, train, seed), perturb=perturb)
        for epoch in training.run(learner.model, learner.moving(seed)):
            learner.step(plain=epoch <= plain)
        return training.model(learner.model())


@dataclass(eq=False, kw_only=True)
class Learner:
    """A model in training: its parameters and optimiser, on a graph that may be another from step to step.

    Attributes:
        settings: of the model.
        pattern: the interactions at hand.
        encoder: the forward pass on them.
        theta: layer-0 embeddings of users and items, trained in place.
        optimizer, draw: what else moves.
        perturb: what moves the model in each step (`sharpap.recommenders.perturb`).
    """

    settings: Pairwise
    pattern: Pattern
    encoder: Encoder
    theta: list[Any]
    optimizer: Adam
    draw: np.random.Generator
    perturb: Perturbation | None = None

    @classmethod
    def new(cls, settings: Pairwise, train: csr_array, seed: int) -> Learner:
        """Fresh parameters."""
        device = resolve(settings.device)
        pattern = Pattern.from_csr(train, device=device)
        encoder = settings.encoder(pattern, seed)
        theta = [
            torch.from_numpy(part).to(device).requires_grad_()
            for part in initial_factors(*pattern.shape, settings.embedding_size, settings.init_std, seed)
        ]
        decay_over = settings.epochs if settings.decay else None
        optimizer = Adam([*theta, *encoder.weights], settings.learning_rate, decay_over=decay_over)
        draw = rng(seed, "training")
        return cls(settings=settings, pattern=pattern, encoder=encoder, theta=theta, optimizer=optimizer, draw=draw)

    def moving(self, seed: int) -> Moving:
        """What checkpoints keep."""
        parts = [*self.theta, *self.encoder.weights]
        settings = self.settings if self.perturb is None else (self.settings, self.perturb)
        return Moving(
            settings=settings, seed=seed, parts=parts, optimizer=self.optimizer, draw=self.draw, more=self.encoder
        )

    def on(self, train: csr_array) -> Learner:
        """The same parameters, trained further in place, on other interactions of the same users and items.

        Of what an encoder has, its weights stay, but no other state (`Encoder.state`).
        """
        pattern = Pattern.from_csr(train, device=self.pattern.indices.device)
        encoder = self.settings.encoder(pattern, 0)
        encoder.weights = self.encoder.weights
        return replace(self, pattern=pattern, encoder=encoder)

    @cached_property
    def counts(self) -> tuple[Tensor, Tensor]:
        """Triples of each user and item, see `Pairwise`."""
        pattern = self.pattern
        return (
            pattern.indptr.diff().float(),
            torch.bincount(pattern.indices, minlength=pattern.shape[1]).float() + pattern.nnz / pattern.shape[1],
        )

    def step(self, *, plain: bool = False) -> None:
        """One step of training; `plain`: nothing moves in it."""
        pattern, reg = self.pattern, self.settings.reg
        perturb = None if plain else self.perturb
        if isinstance(perturb, WeightAdversary):
            self._backward_nearby(perturb)
        else:
            self._backward(bpr_gradient if perturb is None else perturb.gradient)
        with torch.no_grad():
            for part, count in zip(self.theta, self.counts, strict=True):
                part.grad.addcmul_(part, count[:, None], value=reg)
            for weight in self.encoder.weights:
                if weight.grad is not None:
                    weight.grad.add_(weight, alpha=reg * pattern.nnz)
        self.optimizer.step()

    def _backward(self, gradient: Callable[[Negatives, Tensor, Tensor], Pair] = bpr_gradient) -> None:
        """The gradient of a step's loss without its regularisation."""
        pair, second = self.encoder.training(self.theta[0], self.theta[1], self.draw)
        grads: list[Any] = list(gradient(Negatives.draw(self.pattern, self.draw), pair[0].detach(), pair[1].detach()))
        ends = list(pair)
        if second is not None:
            ends.append(second)
            grads.append(second.new_tensor(float(self.pattern.nnz)))
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(ends, grads)

    def _backward_nearby(self, perturb: WeightAdversary) -> None:
        """The same step's, with the same random numbers, where its gradient takes the parameters."""
        draw, encoder = self.draw.bit_generator.state, self.encoder.state()
        self._backward()
        parts: list[Any] = [part for part in (*self.theta, *self.encoder.weights) if part.grad is not None]
        with moved(parts, perturb.offsets([part.detach() for part in parts], [part.grad for part in parts])):
            self.draw.bit_generator.state = draw
            self.encoder.restore(encoder)
            self._backward()

    def model(self) -> FactorModel:
        """The current state as a recommender."""
        with torch.no_grad():
            users, items = self.encoder.final(*self.theta)
        return FactorModel(user_factors=users.detach().cpu().numpy(), item_factors=items.detach().cpu().numpy(), log={})
