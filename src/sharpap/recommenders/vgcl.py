"""VGCL: variational graph reconstruction with contrast of nodes and of clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from sharpap.checkpoints import State
from sharpap.kernels import Pattern
from sharpap.kernels.noise import normal
from sharpap.recommenders.contrastive import crowd, sampled_ends
from sharpap.recommenders.graph import Graph, LightEncoder
from sharpap.recommenders.pairwise import Encoder, Pair, Pairwise
from sharpap.seeds import rng


@dataclass(frozen=True, kw_only=True)
class VGCL(Pairwise):
    """LightGCN with a Gaussian around the embedding of each node; two samples of it are contrasted.

    mu = LightGCN(E) without layer 0, sigma = exp(mu W + b), z = mu + noise * sigma * a standard Gaussian. The loss is BPR on a
    sample (the reconstruction), the divergence of the Gaussians from the standard one, and agreement between two samples: of
    each node with itself, and of each node with those of its cluster.

    Attributes:
        noise: scale of the samples' spread around the means, as in the authors' code. The divergence draws sigma towards 1,
            ten times what an embedding's entries are at first: at 0.1 a sample is mostly noise, and accuracy 6 % lower.
        divergence_weight: beta, weight of the mean Kullback-Leibler divergence.
        contrast_weight, cluster_weight: lambda, and gamma, the cluster's part of it.
        temperature, cluster_temperature: of the two contrasts.
        clusters: clusters of users, and of items; found by k-means every `cluster_every` steps.
        contrast_size: interactions whose ends are contrasted in a step.
        embedding_size, layers, epochs, learning_rate, reg, init_std, check_every, patience, min_epochs, decay, device: as for
            `LightGCN`.

    Source: Yang et al. 2023, *Generative-contrastive graph learning for recommendation*; the scale of the noise and
    the means without layer 0 are in the authors' code only.
    Deviations: those of `Pairwise`; k-means takes ten Lloyd steps from
    the last centres and groups the means, not the layer-0 embeddings; the cluster's term averages logarithms, where the
    authors' code takes the logarithm of an average; weaker contrasts (deviations.md).
    """

    noise: float = 0.01
    divergence_weight: float = 5e-4
    contrast_weight: float = 0.05
    cluster_weight: float = 0.1
    temperature: float = 0.2
    cluster_temperature: float = 0.2
    clusters: int = 100
    cluster_every: int = 10
    contrast_size: int = 2048
    embedding_size: int = 64
    layers: int = 2
    epochs: int = 600
    learning_rate: float = 0.02
    reg: float = 1e-4
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 150
    decay: bool = False
    device: str = "auto"

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """LightGCN for the means, one linear layer for the spreads."""
        return _VGCLEncoder(self, Graph.normalised(pattern), seed)


class _VGCLEncoder(LightEncoder):
    def __init__(self, settings: VGCL, graph: Graph, seed: int) -> None:
        super().__init__(settings.layers, graph)
        self.settings = settings
        d = settings.embedding_size
        weight = rng(seed, "vgcl").standard_normal((d, d), dtype=np.float32) * np.float32(0.01)
        device = graph.pattern.indices.device
        self.weights = [part.to(device).requires_grad_() for part in (torch.from_numpy(weight), torch.zeros(d))]
        self.centres: list[Tensor | None] = [None, None]
        self.members: list[Tensor] = []
        self.calls = 0

    def final(self, users: Tensor, items: Tensor) -> Pair:
        return self.graph.smooth(users, items, self.layers, first=1)

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, Tensor]:
        settings, pattern = self.settings, self.graph.pattern
        means = self.final(users, items)
        spreads = [torch.exp(part @ self.weights[0] + self.weights[1]) for part in means]
        if self.calls % settings.cluster_every == 0:
            self._cluster(means, draw)
        self.calls += 1
        first, second = (
            tuple(
                part + settings.noise * spread * normal(part.shape, draw, part.device)
                for part, spread in zip(means, spreads, strict=True)
            )
            for _ in range(2)
        )
        nodes = sampled_ends(pattern, settings.contrast_size, draw)
        loss = means[0].new_zeros(())
        for side, chosen in enumerate(nodes):
            one, other = first[side][chosen], second[side][chosen]
            nce = self._contrast(normalize(one), normalize(other), self.members[side][chosen])
            mu, sigma = means[side], spreads[side]
            divergence = 0.5 * (mu.square() + sigma.square() - 2 * sigma.log() - 1).sum(1).mean()
            loss = loss + settings.contrast_weight * nce + settings.divergence_weight * divergence
        return (first[0], first[1]), loss

    def _contrast(self, first: Tensor, second: Tensor, members: Tensor) -> Tensor:
        """Of nodes plus of clusters, on unit rows; at one temperature they keep the same crowd away, made once."""
        settings = self.settings
        away = crowd(first, second, settings.temperature)
        same = settings.temperature == settings.cluster_temperature
        group_away = away if same else crowd(first, second, settings.cluster_temperature)
        node = away - (first * second).sum(1).mean() / settings.temperature
        group = group_away - agreement(first, second, members) / settings.cluster_temperature
        return node + settings.cluster_weight * group

    def state(self) -> State:
        groups = {f"centres {side}": part.cpu().numpy() for side, part in enumerate(self.centres) if part is not None}
        members = {f"members {side}": part.cpu().numpy() for side, part in enumerate(self.members)}
        return {"calls": self.calls} | groups | members

    def restore(self, kept: State) -> None:
        device = self.weights[0].device
        self.calls = kept["calls"]
        centres, members = (
            [torch.from_numpy(kept[name]).to(device) if name in kept else None for name in (f"{part} 0", f"{part} 1")]
            for part in ("centres", "members")
        )
        self.centres, self.members = centres, [part for part in members if part is not None]

    def _cluster(self, means: Pair, draw: np.random.Generator) -> None:
        self.members = []
        for side, part in enumerate(means):
            points = normalize(part.detach())
            centres = self.centres[side]
            if centres is None:
                count = min(self.settings.clusters, len(points))
                chosen = torch.from_numpy(draw.choice(len(points), count, replace=False))
                centres = points[chosen.to(points.device)]
            self.centres[side], nearest = k_means(points, centres)
            self.members.append(nearest)


def agreement(first: Tensor, second: Tensor, members: Tensor) -> Tensor:
    """Mean inner product of a row and all rows of `second` of its cluster, without the table of all products."""
    clusters, group = members.unique(return_inverse=True)
    sums = second.new_zeros(len(clusters), second.shape[1]).index_add(0, group, second)
    partner = sums / torch.bincount(group)[:, None]
    return (first * partner[group]).sum(1).mean()


def k_means(points: Tensor, centres: Tensor, steps: int = 10) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm: new centres (an empty cluster keeps its own) and the nearest centre of each point."""
    nearest = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for _ in range(steps):
        nearest = (points @ centres.T - centres.square().sum(1) / 2).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        counts = torch.bincount(nearest, minlength=len(centres))[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
    return centres, nearest
