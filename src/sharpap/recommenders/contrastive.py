"""Graph contrastive recommenders: SGL, SimGCL, XSimGCL. LightGCN plus agreement between two views of each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.kernels.noise import orthant_shift, uniform
from sharpap.recommenders.graph import Graph, LightEncoder, mean
from sharpap.recommenders.pairwise import Encoder, Pair, Pairwise

Augmentation = Literal["edge-drop", "node-drop", "random-walk"]


class _Crowd(torch.autograd.Function):
    """Mean log-sum-exp of a table of logits; the table itself becomes its gradient, so that there is one of it, not ten."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, temperature: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits = (first / temperature) @ second.T
        peak = logits.amax(1, keepdim=True)
        total = logits.sub_(peak).exp_().sum(1, keepdim=True)
        ctx.temperature = temperature
        ctx.save_for_backward(first, second, logits.div_(total))
        return (peak + total.log()).mean()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        first, second, share = ctx.saved_tensors
        scale = grad / (ctx.temperature * len(first))
        return (share @ second).mul_(scale), (share.T @ first).mul_(scale), None


def crowd(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """What contrast keeps small: the mean over unit rows of log sum exp of the agreement with all rows of `second`. O(b^2 d).

    Differentiable once.
    """
    return _Crowd.apply(first, second, temperature)  # pyright: ignore[reportReturnType]


def info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Mean of -log softmax of each row's agreement with its partner among all rows of `second`. O(b^2 d)."""
    first, second = normalize(first), normalize(second)
    return crowd(first, second, temperature) - (first * second).sum(1).mean() / temperature


def sampled_ends(pattern: Pattern, size: int, draw: np.random.Generator) -> Pair:
    """The distinct users and items of `size` random interactions."""
    edges = torch.from_numpy(draw.integers(0, pattern.nnz, size)).to(pattern.indices.device)
    return pattern.rows[edges].long().unique(), pattern.indices[edges].long().unique()


def contrast(
    first: Pair, second: Pair, pattern: Pattern, size: int, temperature: float, draw: np.random.Generator
) -> Tensor:
    """`info_nce` of users plus that of items, over the distinct ends of `size` random interactions.

    These are the nodes a minibatch of that size would hold: users and items in proportion to their activity, and
    memory O(size^2), whatever the graph.
    """
    nodes = sampled_ends(pattern, size, draw)
    users, items = (
        info_nce(one[chosen], other[chosen], temperature)
        for one, other, chosen in zip(first, second, nodes, strict=True)
    )
    return users + items


@dataclass(frozen=True, kw_only=True)
class SGL(Pairwise):
    """Self-supervised graph learning: LightGCN that also makes each node look alike in two randomly thinned graphs.

    Attributes:
        augmentation: "edge-drop" and "node-drop" thin the graph once a view, "random-walk" drops other edges in each layer.
        drop: share of edges (nodes) left out.
        temperature, contrast_weight: tau and lambda.
        contrast_size: interactions whose ends are contrasted in a step.
        embedding_size, layers, epochs, learning_rate, reg, init_std, check_every, patience, min_epochs, decay, device: as for
            `LightGCN`.

    Source: Wu et al. 2021, *Self-supervised graph learning for recommendation*. Deviations: those of `Pairwise`; negatives of
    the contrast are the nodes of a sample, not all nodes.
    """

    augmentation: Augmentation = "edge-drop"
    drop: float = 0.1
    temperature: float = 0.2
    contrast_weight: float = 0.02
    contrast_size: int = 2048
    embedding_size: int = 64
    layers: int = 3
    epochs: int = 600
    learning_rate: float = 0.01
    reg: float = 1e-4
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 300
    decay: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augmentation not in ("edge-drop", "node-drop", "random-walk"):
            raise ConfigError(f"augmentation={self.augmentation!r} is none of edge-drop, node-drop, random-walk.")
        if not 0 <= self.drop < 1:
            raise ConfigError(f"drop={self.drop} must lie in [0, 1).")

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """LightGCN with two thinned views."""
        return _SGLEncoder(self, Graph.normalised(pattern))


class _SGLEncoder(LightEncoder):
    def __init__(self, settings: SGL, graph: Graph) -> None:
        super().__init__(settings.layers, graph)
        self.settings = settings

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, Tensor]:
        settings = self.settings
        views = [self._view(users, items, draw) for _ in range(2)]
        loss = contrast(views[0], views[1], self.graph.pattern, settings.contrast_size, settings.temperature, draw)
        return self.final(users, items), settings.contrast_weight * loss

    def _view(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> Pair:
        if self.settings.augmentation != "random-walk":
            return self._thinned(draw).smooth(users, items, self.layers)
        layers = [(users, items)]
        for _ in range(self.layers):
            layers.append(self._thinned(draw).step(*layers[-1]))
        return mean(layers)

    def _thinned(self, draw: np.random.Generator) -> Graph:
        pattern = self.graph.pattern
        if self.settings.augmentation == "node-drop":
            user, item = (self._kept(size, draw) for size in pattern.shape)
            return Graph.normalised(pattern, user[pattern.rows.long()] & item[pattern.indices.long()])
        return Graph.normalised(pattern, self._kept(pattern.nnz, draw))

    def _kept(self, count: int, draw: np.random.Generator) -> Tensor:
        return uniform((count,), draw, self.graph.pattern.indices.device) >= self.settings.drop


@dataclass(frozen=True, kw_only=True)
class SimGCL(Pairwise):
    """LightGCN that also makes each node look alike under two small random shifts of the embeddings in every layer.

    Attributes:
        noise: length of the shift of a node in a layer, in the orthant of its embedding.
        temperature, contrast_weight, contrast_size: as for `SGL`.
        embedding_size, layers, epochs, learning_rate, reg, init_std, check_every, patience, min_epochs, decay, device: as for
            `LightGCN`.

    Source: Yu et al. 2022, *Are graph augmentations necessary?* As there, layer 0 is left out of the mean. Deviations: those
    of `Pairwise`.
    """

    noise: float = 0.1
    temperature: float = 0.2
    contrast_weight: float = 0.05
    contrast_size: int = 2048
    embedding_size: int = 64
    layers: int = 2
    epochs: int = 600
    learning_rate: float = 0.02
    reg: float = 1e-4
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 300
    decay: bool = False
    device: str = "auto"

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """Propagation without layer 0, with two shifted views."""
        return _SimEncoder(self, Graph.normalised(pattern))


class _SimEncoder(Encoder):
    def __init__(self, settings: SimGCL | XSimGCL, graph: Graph) -> None:
        super().__init__()
        self.settings, self.graph = settings, graph

    def final(self, users: Tensor, items: Tensor) -> Pair:
        return self.graph.smooth(users, items, self.settings.layers, first=1)

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, Tensor]:
        settings = self.settings
        if isinstance(settings, XSimGCL):
            layers = self._shifted(users, items, draw)
            pair = mean(layers)
            views = (pair, layers[settings.contrast_layer - 1])
        else:
            layers = self.graph.layers(users, items, settings.layers)[1:]
            pair = mean(layers)
            first, second = (self._drift(layers, draw) for _ in range(2))
            views = (pair[0] + first[0], pair[1] + first[1]), (pair[0] + second[0], pair[1] + second[1])
        loss = contrast(views[0], views[1], self.graph.pattern, settings.contrast_size, settings.temperature, draw)
        return pair, settings.contrast_weight * loss

    def _shifted(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> list[Pair]:
        """Layers 1 to L; each output moves by noise * sign(embedding) * a random positive unit vector."""
        layers = []
        pair = (users, items)
        for _ in range(self.settings.layers):
            users, items = self.graph.step(*pair)
            pair = (users + self._shift(users.detach(), draw), items + self._shift(items.detach(), draw))
            layers.append(pair)
        return layers

    @torch.no_grad()
    def _drift(self, layers: list[Pair], draw: np.random.Generator) -> Pair:
        """How far the mean of the shifted layers lies from that of these.

        Propagation is linear, and shifts have no gradient: they travel by themselves, which saves a shifted view its own way
        through the graph and back.
        """
        drifts = []
        for users, items in layers:
            came = self.graph.step(*drifts[-1]) if drifts else (torch.zeros_like(users), torch.zeros_like(items))
            drifts.append(
                tuple(way + self._shift(part + way, draw) for part, way in zip((users, items), came, strict=True))
            )
        return mean(drifts)

    def _shift(self, part: Tensor, draw: np.random.Generator) -> Tensor:
        return orthant_shift(part, self.settings.noise, draw)


@dataclass(frozen=True, kw_only=True)
class XSimGCL(Pairwise):
    """SimGCL in a single pass: the shifted embeddings rank, and are contrasted with those of an early layer.

    Attributes:
        contrast_layer: l*, from 1; the layer that the mean over layers is contrasted with.
        noise, temperature, contrast_weight, contrast_size: as for `SimGCL`.
        embedding_size, layers, epochs, learning_rate, reg, init_std, check_every, patience, min_epochs, decay, device: as for
            `LightGCN`.

    Source: Yu et al. 2023, *XSimGCL: towards extremely simple graph contrastive learning*. Deviations: those of `Pairwise`.
    """

    contrast_layer: int = 1
    noise: float = 0.2
    temperature: float = 0.2
    contrast_weight: float = 0.05
    contrast_size: int = 2048
    embedding_size: int = 64
    layers: int = 3
    epochs: int = 600
    learning_rate: float = 0.01
    reg: float = 1e-4
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 300
    decay: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.contrast_layer <= self.layers:
            raise ConfigError(f"contrast_layer={self.contrast_layer} must lie between 1 and layers={self.layers}.")

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """Propagation without layer 0, shifted in training."""
        return _SimEncoder(self, Graph.normalised(pattern))
