"""Profiles as a generator's draw: rows of k ones, by k rounds of Gumbel-softmax without replacement, with a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sharpap.recommenders.pointwise import glorot

# Far below any logit: an item that no round may take.
NEVER = -1e30


def gumbel(shape: tuple[int, ...], draw: np.random.Generator) -> Tensor:
    """Independent standard Gumbel numbers, float32."""
    return torch.from_numpy(draw.gumbel(size=shape).astype(np.float32))


def k_hot(logits: Tensor, noise: Tensor, k: int, temperature: float) -> Tensor:
    """(b, m) rows with exactly k ones, drawn without replacement by softmax(logits); the gradient is that of `soft_k_hot`.

    Entries of `NEVER` are not drawn; at least k others must be there.
    """
    soft = soft_k_hot(logits, noise, k, temperature)
    chosen = (logits + noise).topk(k, dim=1).indices
    hard = torch.zeros_like(soft).scatter_(1, chosen, 1.0)
    return hard + (soft - soft.detach())


def soft_k_hot(logits: Tensor, noise: Tensor, k: int, temperature: float) -> Tensor:
    """The sum of k softmaxes of (logits + noise) / temperature, each over the items that no earlier one has as its best.

    A row sums to k. With the same noise in all rounds the best items are a draw without replacement, as with fresh noise
    in each. Round r divides by S_r, the sum of exp over all but the r - 1 best: an item's part is exp(z) times the sum of
    1 / S_r over the rounds it takes part in, O(m + k) for a row instead of O(m k).
    """
    z = (logits + noise) / temperature
    best, place = z.topk(k, dim=1)
    rest = z.scatter(1, place, NEVER).logsumexp(1, keepdim=True)
    left = torch.cat([rest, best.flip(1)], 1).logcumsumexp(1)[:, 1:].flip(1)
    rounds = (-left).logcumsumexp(1)
    return (z + rounds[:, -1:]).exp().scatter(1, place, (best + rounds).exp())


@dataclass(frozen=True, eq=False)
class Generator:
    """Logits of a fake user's edges: a perceptron of the pair of embeddings [p; q], with one hidden layer.

    Attributes:
        own, other: (d, h) the halves of its first weight, for users and items.
        bias: (h,).
        head: (h, 1).
    """

    own: Tensor
    other: Tensor
    bias: Tensor
    head: Tensor

    @classmethod
    def new(cls, size: int, hidden: int, draw: np.random.Generator) -> Generator:
        """Glorot-uniform weights, no bias."""
        own, other = (part.clone().requires_grad_() for part in glorot(2 * size, hidden, draw).detach().split(size))
        return cls(own, other, torch.zeros(hidden, requires_grad=True), glorot(hidden, 1, draw))

    @property
    def parameters(self) -> list[Tensor]:
        """All tensors that are trained."""
        return [self.own, self.other, self.bias, self.head]

    def logits(self, p: Tensor, q: Tensor) -> Tensor:
        """(b, m) of fake users' embeddings p and items' q; (b, m, h) numbers exist."""
        return torch.relu((p @ self.own)[:, None] + (q @ self.other + self.bias)).matmul(self.head)[:, :, 0]
