"""NeuMF as a surrogate that is trained further in place: parameters, logits of pairs, one training step's loss."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, embedding

from sharpap.recommenders.pointwise import NeuMFModel, embedding_table, glorot


@dataclass(frozen=True, eq=False)
class NeuMFNet:
    """The parameters of a NeuMF, laid out as in `recommenders.NeuMF`; the object is fixed, its tensors are trained in place.

    Attributes:
        users, items: (n, 2 d) and (m, 2 d) embeddings, product part first.
        layers: weight and bias of each hidden layer in turn.
        head: (d + last width, 1).

    Source: He et al. 2017, *Neural collaborative filtering*. Deviations: as for `recommenders.NeuMF`.
    """

    users: Tensor
    items: Tensor
    layers: list[Tensor]
    head: Tensor

    @classmethod
    def new(
        cls, num_users: int, num_items: int, size: int, hidden: tuple[int, ...], draw: np.random.Generator
    ) -> NeuMFNet:
        """Gaussian embeddings (standard deviation 0.1), Glorot-uniform weights, no bias."""
        users, items = (embedding_table(rows, 2 * size, 0.1, draw) for rows in (num_users, num_items))
        widths = [2 * size, *hidden]
        layers = []
        for fan_in, fan_out in pairwise(widths):
            layers += [glorot(fan_in, fan_out, draw), torch.zeros(fan_out, requires_grad=True)]
        return cls(users, items, layers, glorot(size + widths[-1], 1, draw))

    @property
    def parameters(self) -> list[Tensor]:
        """All tensors that are trained, embeddings first."""
        return [self.users, self.items, *self.layers, self.head]

    def copy(self) -> NeuMFNet:
        """The same model on its own memory."""
        users, items, *layers, head = (part.detach().clone().requires_grad_() for part in self.parameters)
        return NeuMFNet(users, items, layers, head)

    def logits(self, p: Tensor, q: Tensor) -> Tensor:
        """Logits of user embeddings p and item embeddings q, (..., 2 d) each and broadcast against one another."""
        d = self.users.shape[1] // 2
        weight, bias = self.layers[:2]
        hidden = torch.relu(p[..., d:] @ weight[:d] + q[..., d:] @ weight[d:] + bias)
        for weight, bias in zip(self.layers[2::2], self.layers[3::2], strict=True):
            hidden = torch.relu(hidden @ weight + bias)
        return (p[..., :d] * q[..., :d]) @ self.head[:d, 0] + hidden @ self.head[d:, 0]

    def training_loss(
        self, batch: tuple[Tensor, Tensor, Tensor], reg: float, tables: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Mean cross-entropy of (users, items, labels), plus L2 on their embeddings; `tables` stand in for the trained ones."""
        rows, columns, labels = batch
        users, items = (self.users, self.items) if tables is None else tables
        p, q = embedding(rows, users), embedding(columns, items)
        penalty = p.square().sum() + q.square().sum()
        return binary_cross_entropy_with_logits(self.logits(p, q), labels) + reg / len(labels) * penalty

    def model(self) -> NeuMFModel:
        """The current state as a recommender, for scores of whole rows; it shares the memory."""
        users, items, *layers, head = (part.detach() for part in self.parameters)
        return NeuMFModel(users=users, items=items, layers=layers, head=head)
