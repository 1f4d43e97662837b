"""Training that perturbs the model: what a step minimises is not the loss here, but the loss nearby, where it is worse.

An `EmbeddingAdversary` moves each interaction's own embeddings, in front of the pairwise loss; a `WeightAdversary` moves all
that is trained. The methods stand in `sharpap.defenses`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sharpap.kernels.bpr import Negatives


@runtime_checkable
class EmbeddingAdversary(Protocol):
    """Moves what the pairwise loss sees."""

    @property
    def start(self) -> int:
        """Plain steps before the first move."""
        ...

    def gradient(self, negatives: Negatives, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """What a step follows in the place of `bpr_gradient`, with the same arguments and shapes."""
        ...


@runtime_checkable
class WeightAdversary(Protocol):
    """Moves what is trained; the step follows the gradient at the moved parameters, from where they were."""

    def offsets(self, parts: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
        """How far each of the parameters moves, given the gradient of the loss without its regularisation."""
        ...


Perturbation = EmbeddingAdversary | WeightAdversary


@contextmanager
def moved(parts: Sequence[Tensor], offsets: Sequence[Tensor]) -> Iterator[None]:
    """Inside the block the parameters lie elsewhere; afterwards to the last bit where they were."""
    kept = [part.detach().clone() for part in parts]
    with torch.no_grad():
        for part, offset in zip(parts, offsets, strict=True):
            part.add_(offset)
    try:
        yield
    finally:
        with torch.no_grad():
            for part, was in zip(parts, kept, strict=True):
                part.copy_(was)
