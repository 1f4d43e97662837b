"""A graph network whose fake users' edges are numbers that one can differentiate by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from sharpap.kernels import Pattern, spmm, spmm_t
from sharpap.recommenders.pairwise import Pair
from sharpap.recommenders.pointwise import glorot


@dataclass(frozen=True, eq=False)
class FakeGraph:
    """Genuine interactions, fixed and sparse, and a block of edges of the fake users.

    Attributes:
        pattern: genuine users by items, (n, m).
        fakes: (f, m) edges of the fake users; the only part that is dense.
    """

    pattern: Pattern
    fakes: Tensor

    def step(self, users: Tensor, items: Tensor) -> Pair:
        """One propagation over D^-1/2 A D^-1/2, the degrees D of all edges; `users` holds genuine users, then fake ones.

        Differentiable in the embeddings and in the fake edges, their degrees included. O(nnz d + f m d).
        """
        pattern, fakes = self.pattern, self.fakes
        genuine = pattern.shape[0]
        own, other = self._scales(users.dtype)
        sent, received = users * own, items * other
        to_users = torch.cat([spmm(pattern, None, received), fakes @ received]) * own
        to_items = (spmm_t(pattern, None, sent[:genuine].contiguous()) + fakes.T @ sent[genuine:]) * other
        return to_users, to_items

    def _scales(self, dtype: torch.dtype) -> Pair:
        """Degrees to the power -1/2, of users and of items, as columns."""
        pattern, fakes = self.pattern, self.fakes
        users = torch.cat([pattern.indptr.diff().to(dtype), fakes.sum(1)])
        items = torch.bincount(pattern.indices, minlength=pattern.shape[1]).to(dtype) + fakes.sum(0)
        return users.clamp_min(1).rsqrt()[:, None], items.clamp_min(1).rsqrt()[:, None]


@dataclass(frozen=True, eq=False)
class NGCFNet:
    """E' = LeakyReLU(L E W1 + E W1 + (L E * E) W2); the mean over layers, the first one included, gives the scores.

    Attributes:
        users: (n + f, d) layer-0 embeddings, the fake users' last.
        items: (m, d).
        weights: W1 and W2 of each layer in turn.

    Source: Wang et al. 2019, *Neural graph collaborative filtering*, eq. 7. Deviations: no bias, no dropout, and the mean over
    layers instead of their concatenation, as in CoderWZW/ARLib's surrogate of GSPAttack.
    """

    users: Tensor
    items: Tensor
    weights: list[Tensor]

    @classmethod
    def new(cls, num_users: int, num_items: int, size: int, layers: int, draw: np.random.Generator) -> NGCFNet:
        """Glorot-uniform parameters."""
        users, items = glorot(num_users, size, draw), glorot(num_items, size, draw)
        return cls(users, items, [glorot(size, size, draw) for _ in range(2 * layers)])

    @property
    def parameters(self) -> list[Tensor]:
        """All tensors that are trained."""
        return [self.users, self.items, *self.weights]

    def propagate(self, graph: FakeGraph) -> Pair:
        """Final embeddings of all users and of the items."""
        sides = [self.users, self.items]
        total = list(sides)
        for own, mixed in zip(self.weights[::2], self.weights[1::2], strict=True):
            received = graph.step(sides[0], sides[1])
            sides = [
                leaky_relu((got + part) @ own + (got * part) @ mixed) for got, part in zip(received, sides, strict=True)
            ]
            total = [whole + part for whole, part in zip(total, sides, strict=True)]
        layers = len(self.weights) // 2 + 1
        return total[0] / layers, total[1] / layers
