"""The full-batch loop behind BPR-MF and every graph recommender: an encoder, a pairwise loss, an optional second loss."""

from __future__ import annotations

from collections.abc import Sequence
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

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> FactorModel:
        """See `Recommender`. O(nnz d) a step for each layer."""
        training = Training(
            type(self).__name__, self.epochs, self.check_every, self.patience, self.min_epochs, train, valid, self.decay
        )
        device = resolve(self.device)
        pattern = Pattern.from_csr(train, device=device)
        encoder = self.encoder(pattern, seed)
        counts = (
            pattern.indptr.diff().float(),
            torch.bincount(pattern.indices, minlength=pattern.shape[1]).float() + pattern.nnz / pattern.shape[1],
        )
        draw = rng(seed, "training")
        theta: list[Any] = [
            torch.from_numpy(part).to(device).requires_grad_()
            for part in initial_factors(*pattern.shape, self.embedding_size, self.init_std, seed)
        ]
        parts = [*theta, *encoder.weights]
        optimizer = Adam(parts, self.learning_rate, decay_over=self.epochs if self.decay else None)
        moving = Moving(settings=self, seed=seed, parts=parts, optimizer=optimizer, draw=draw, more=encoder)

        def model() -> FactorModel:
            with torch.no_grad():
                users, items = encoder.final(*theta)
            return FactorModel(
                user_factors=users.detach().cpu().numpy(), item_factors=items.detach().cpu().numpy(), log={}
            )

        for _ in training.run(model, moving):
            pair, second = encoder.training(theta[0], theta[1], draw)
            grads: list[Any] = list(bpr_gradient(Negatives.draw(pattern, draw), pair[0].detach(), pair[1].detach()))
            ends = list(pair)
            if second is not None:
                ends.append(second)
                grads.append(second.new_tensor(float(pattern.nnz)))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(ends, grads)
            with torch.no_grad():
                for part, count in zip(theta, counts, strict=True):
                    part.grad.addcmul_(part, count[:, None], value=self.reg)
                for weight in encoder.weights:
                    if weight.grad is not None:
                        weight.grad.add_(weight, alpha=self.reg * pattern.nnz)
            optimizer.step()
        return training.model(model())
