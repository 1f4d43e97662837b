"""NGCF: graph convolution with weights and interactions between neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize

from sharpap.kernels import Pattern
from sharpap.recommenders.graph import Graph
from sharpap.recommenders.pairwise import Encoder, Pair, Pairwise
from sharpap.recommenders.training import dropout
from sharpap.seeds import rng


@dataclass(frozen=True, kw_only=True)
class NGCF(Pairwise):
    """Neural graph collaborative filtering; factors are the concatenation of all layers, d (layers + 1) wide.

    E' = LeakyReLU((L + I) E W1 + (L E * E) W2 + b), each layer's output normalised.

    Attributes:
        message_dropout: share of each layer's output dropped in training.
        embedding_size, layers, epochs, learning_rate, reg, init_std, check_every, patience, min_epochs, decay, device: as for
            `LightGCN`.

    Source: Wang et al. 2019, eq. 7. Deviations: those of `Pairwise`; no node dropout; the bias b,
    which eq. 7 lacks and RecBole's implementation has.
    """

    message_dropout: float = 0.1
    embedding_size: int = 64
    layers: int = 3
    epochs: int = 600
    learning_rate: float = 0.005
    reg: float = 1e-4
    init_std: float = 0.03
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 100
    decay: bool = False
    device: str = "auto"

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """Weighted propagation, concatenated."""
        return _NGCFEncoder(self, Graph.normalised(pattern), seed)


class _NGCFEncoder(Encoder):
    def __init__(self, settings: NGCF, graph: Graph, seed: int) -> None:
        super().__init__()
        self.settings, self.graph = settings, graph
        d, draw = settings.embedding_size, rng(seed, "ngcf")
        limit = (6 / (2 * d)) ** 0.5  # Glorot
        self.weights = [
            torch.from_numpy(draw.uniform(-limit, limit, (d, d)).astype(np.float32)) for _ in range(2 * settings.layers)
        ]
        self.weights += [torch.zeros(d) for _ in range(settings.layers)]
        self.weights = [part.to(graph.pattern.indices.device).requires_grad_() for part in self.weights]

    def final(self, users: Tensor, items: Tensor) -> Pair:
        return self._forward(users, items, None)

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, None]:
        return self._forward(users, items, draw), None

    def _forward(self, users: Tensor, items: Tensor, draw: np.random.Generator | None) -> Pair:
        kept = [[users], [items]]
        now = [users, items]
        count = self.settings.layers
        for layer in range(count):
            own, mixed = self.weights[2 * layer : 2 * layer + 2]
            bias = self.weights[2 * count + layer]
            received = self.graph.step(now[0], now[1])
            now = [
                leaky_relu((got + part) @ own + (got * part) @ mixed + bias, 0.2)
                for got, part in zip(received, now, strict=True)
            ]
            if draw is not None:
                now = [dropout(part, self.settings.message_dropout, draw) for part in now]
            for side, part in zip(kept, now, strict=True):
                side.append(normalize(part))
        return torch.cat(kept[0], 1), torch.cat(kept[1], 1)
