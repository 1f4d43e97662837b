"""The interaction graph, its propagation, and LightGCN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sharpap.kernels import Pattern, spmm, spmm_t
from sharpap.recommenders.pairwise import Encoder, Pair, Pairwise


@dataclass(frozen=True, eq=False)
class Graph:
    """The bipartite graph of users and items with symmetrically normalised edges D^-1/2 A D^-1/2.

    The weights are products of a user's and an item's part, so that none is stored and a propagation is a sum of rows.

    Attributes:
        pattern: its edges, (n, m).
        user_scale, item_scale: (n,) and (m,) degrees to the power -1/2.
    """

    pattern: Pattern
    user_scale: Tensor
    item_scale: Tensor

    @classmethod
    def normalised(cls, pattern: Pattern, keep: Tensor | None = None, *, dtype: torch.dtype = torch.float32) -> Graph:
        """All edges, or those where `keep` (nnz,) is true, with the degrees of what is left."""
        pattern = pattern if keep is None else pattern.where(keep)
        user, item = (side.indptr.diff().to(dtype).clamp_min(1).rsqrt() for side in (pattern, pattern.transpose))
        return cls(pattern, user, item)

    def step(self, users: Tensor, items: Tensor) -> Pair:
        """One propagation: each node receives the weighted sum of its neighbours."""
        own, other = self.user_scale[:, None], self.item_scale[:, None]
        return spmm(self.pattern, None, items * other) * own, spmm_t(self.pattern, None, users * own) * other

    def layers(self, users: Tensor, items: Tensor, count: int) -> list[Pair]:
        """The embeddings after 0, 1, ..., count propagations."""
        out = [(users, items)]
        for _ in range(count):
            out.append(self.step(*out[-1]))
        return out

    def smooth(self, users: Tensor, items: Tensor, layers: int, *, first: int = 0) -> Pair:
        """The mean of the embeddings after `first`, ..., `layers` propagations, as one differentiable step."""
        return _Smooth.apply(self, layers, first, users, items)  # pyright: ignore[reportReturnType]


class _Smooth(torch.autograd.Function):
    """A symmetric linear map, and so its own backward pass."""

    @staticmethod
    def forward(ctx: Any, graph: Graph, layers: int, first: int, users: Tensor, items: Tensor) -> Pair:
        ctx.settings = graph, layers, first
        now = (users.detach(), items.detach())
        total = tuple(part.clone() if first == 0 else torch.zeros_like(part) for part in now)
        for layer in range(1, layers + 1):
            now = graph.step(*now)
            if layer >= first:
                for part, more in zip(total, now, strict=True):
                    part += more
        count = layers + 1 - first
        return total[0].div_(count), total[1].div_(count)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, None, None, *_Smooth.apply(*ctx.settings, *grads)  # pyright: ignore[reportGeneralTypeIssues]


def mean(layers: list[Pair]) -> Pair:
    """The mean over layers, users and items apart."""
    users, items = layers[0]
    for more_users, more_items in layers[1:]:
        users, items = users + more_users, items + more_items
    return users / len(layers), items / len(layers)


@dataclass(frozen=True, kw_only=True)
class LightGCN(Pairwise):
    """Graph convolution without weights: the mean of embeddings after 0 to `layers` propagations, trained by BPR.

    Attributes:
        embedding_size: d.
        layers: propagations over the symmetrically normalised interaction graph.
        epochs, learning_rate, init_std, check_every, patience, min_epochs, decay, device: as for `BPRMF`.
        reg: L2 weight of the layer-0 embeddings in each triple.

    Source: He et al. 2020. Deviations: those of `Pairwise`.
    """

    embedding_size: int = 64
    layers: int = 3
    epochs: int = 1000
    learning_rate: float = 0.02
    reg: float = 1e-4
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 100
    decay: bool = False
    device: str = "auto"

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """Propagation and the mean over layers."""
        return LightEncoder(self.layers, Graph.normalised(pattern))


class LightEncoder(Encoder):
    """LightGCN's forward pass."""

    def __init__(self, layers: int, graph: Graph) -> None:
        super().__init__()
        self.layers, self.graph = layers, graph

    def final(self, users: Tensor, items: Tensor) -> Pair:
        """See `Encoder`."""
        return self.graph.smooth(users, items, self.layers)

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, Tensor | None]:
        """See `Encoder`."""
        return self.final(users, items), None
