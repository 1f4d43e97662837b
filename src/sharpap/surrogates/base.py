"""What a surrogate is: a model an attacker trains on poisoned data and differentiates through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from scipy.sparse import csr_array
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The parameters an attack loss sees, or its gradient with respect to them.

    Fake users' rows are absent on purpose: the loss does not depend on them, so neither its gradient nor a
    worst-case perturbation has a part there.

    Attributes:
        users: (num_genuine, d).
        items: (num_items, d).
    """

    users: Tensor
    items: Tensor

    def norm(self) -> Tensor:
        """Euclidean norm of both parts together, a scalar."""
        return torch.sqrt(self.users.square().sum() + self.items.square().sum())

    def plus(self, other: Embeddings) -> Embeddings:
        """Elementwise sum."""
        return Embeddings(self.users + other.users, self.items + other.items)

    def times(self, factor: float) -> Embeddings:
        """Elementwise multiple."""
        return Embeddings(self.users * factor, self.items * factor)


class ProfileGradient(Protocol):
    """The gradient of the attack loss with respect to the fake profiles, made a few rows at a time."""

    def rows(self, fakes: Tensor) -> Tensor:
        """(len(fakes), num_items): derivative for every entry of these fake profiles, absent items included.

        Only a block of rows exists at once, so that memory does not grow as fake users x items.
        """
        ...


class TrainedSurrogate(Protocol):
    """A surrogate after training, with what its backward pass needs."""

    @property
    def embeddings(self) -> Embeddings:
        """What the attack loss sees."""
        ...

    def training_loss(self, embeddings: Embeddings) -> float:
        """The recommendation loss with these embeddings in the place of the trained ones; fake rows stay as trained."""
        ...

    def states(self, every: int) -> dict[int, Embeddings]:
        """What an attack loss would have seen 0, `every`, 2 `every`, ... steps before the end, by steps before the end.

        Only states that training unrolls, and that so depend on the profiles; `every` 0: the trained one alone. A
        surrogate that stores no step raises `ConfigError` for any other `every`.
        """
        ...

    def profile_gradient(self, grad: Embeddings, earlier: Mapping[int, Embeddings] | None = None) -> ProfileGradient:
        """Pull the gradient of a loss of `embeddings` back through training to the fake profiles.

        `earlier` holds further gradients, each with respect to the state of that many steps before the end; they join
        the adjoint where the reverse pass comes by, so that several states cost one pass. Called once at most: it may use up
        what training stored, `states` included.
        """
        ...


@runtime_checkable
class Surrogate(Protocol):
    """Settings of a surrogate; training leaves them unchanged."""

    def train(self, genuine: csr_array, fake: csr_array, *, seed: int) -> TrainedSurrogate:
        """Train from scratch on genuine rows followed by fake rows; same seed, same model."""
        ...
