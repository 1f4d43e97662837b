"""The interaction graph, its propagation, and LightGCN."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sharpap.kernels import Pattern, spmm, spmm_t
from sharpap.recommenders.pairwise import Encoder, Pair, Pairwise


@dataclass(frozen=True, eq=False)
class Graph:
    """The bipartite graph of users and items with symmetrically normalised edges D^-1/2 A D^-1/2.

    Attributes:
        pattern: its edges, (n, m).
        edge: (nnz,) weights; 0 where an edge is left out.
    """

    pattern: Pattern
    edge: Tensor

    @classmethod
    def normalised(cls, pattern: Pattern, keep: Tensor | None = None) -> Graph:
        """All edges, or those where `keep` (nnz,) is true, with the degrees of what is left."""
        rows, columns = pattern.rows.long(), pattern.indices.long()
        kept = torch.ones(pattern.nnz) if keep is None else keep.float()
        user, item = (
            torch.bincount(ends, weights=kept, minlength=size).float().clamp_min(1).rsqrt()
            for ends, size in zip((rows, columns), pattern.shape, strict=True)
        )
        return cls(pattern, kept * user[rows] * item[columns])

    def step(self, users: Tensor, items: Tensor) -> Pair:
        """One propagation: each node receives the weighted sum of its neighbours."""
        return spmm(self.pattern, self.edge, items), spmm_t(self.pattern, self.edge, users)

    def layers(self, users: Tensor, items: Tensor, count: int) -> list[Pair]:
        """The embeddings after 0, 1, ..., count propagations."""
        out = [(users, items)]
        for _ in range(count):
            out.append(self.step(*out[-1]))
        return out


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
        epochs, learning_rate, init_std, check_every, patience, min_epochs: as for `BPRMF`.
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

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """Propagation and the mean over layers."""
        return LightEncoder(self.layers, Graph.normalised(pattern))


class LightEncoder:
    """LightGCN's forward pass."""

    def __init__(self, layers: int, graph: Graph) -> None:
        self.layers, self.graph = layers, graph
        self.weights: list[Tensor] = []

    def final(self, users: Tensor, items: Tensor) -> Pair:
        """See `Encoder`."""
        return mean(self.graph.layers(users, items, self.layers))

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, Tensor | None]:
        """See `Encoder`."""
        return self.final(users, items), None
