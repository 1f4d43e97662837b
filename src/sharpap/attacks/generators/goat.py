"""GOAT: templates and items they share owners with, from which a generator smoothed over the item graph chooses."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import leaky_relu

from sharpap.attacks.generators.gan import (
    LEAK,
    Batch,
    Discriminator,
    Rounds,
    Templates,
    keep_best,
    layers,
    made_rows,
    perceptron,
    rows_of,
)
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import IntArray, cut_to_size, pinned_items, to_csr
from sharpap.errors import ConfigError
from sharpap.recommenders.neighbours import ItemKNN
from sharpap.seeds import rng
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, kw_only=True)
class GOAT(Rounds):
    """Samples selected and filler items by template; a generator on the item graph chooses which are in the profile.

    A genuine user's profile, cut to size, is the template: its most popular items are the selected ones, the rest fillers.
    For each profile the pool holds the template and as many other items: popular ones beside the selected, and
    neighbours of the selected beside the fillers. The generator gives each item of the pool a rating, out of the item's
    embedding and noise, smoothed twice over the links between the pool's items; the best rated of the pool's selected
    and filler items are the profile. It lowers the doubt of a Wasserstein critic with a gradient penalty, plus
    `rating_weight` times the squared difference from the template's own ratings (1 in the template, 0 beside it).

    Attributes:
        selected_share: share of a profile's non-target items that are selected ones.
        pool: pool size as a multiple of the profile's.
        neighbours: links of an item: the items with the most similar owners, by cosine.
        embedding_size: of an item in the generator.
        rating_weight: see above.
        penalty_weight: of the critic's gradient penalty.
        others: see `Rounds`.

    It has no attack loss on a model, so no worst case applies. To demote, targets are left out.

    Source: Wu et al. 2021, *Ready for emerging threats to recommender systems? A graph convolution-based generative shilling
    attack* (Information Sciences); its authors' code, silentair/GOAT.

    Deviations: (1) Feedback is binary. The source samples a profile's items and generates their ratings; here as many again
    are sampled, and the ratings choose. (2) There a rating comes from noise alone, links included, so that it does not depend
    on the item; here items have embeddings, and links are cosines of the item graph. (3) Selected items are the template's
    most popular ones, not those above a number of owners. (4) The critic sees whole rows instead of single ratings.
    (5) Tens of rounds instead of ten thousand; widths and rates are ours.
    """

    imitates: ClassVar[bool] = True
    rounds: int = 60
    warm_up: int = 60
    batch_size: int = 32
    selected_share: float = 0.3
    pool: float = 2.0
    neighbours: int = 50
    embedding_size: int = 32
    rating_weight: float = 1.0
    penalty_weight: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.selected_share <= 1:
            raise ConfigError(f"selected_share={self.selected_share} must lie in [0, 1].")
        for name, least in (("pool", 1), ("neighbours", 1), ("rating_weight", 0), ("penalty_weight", 0)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name}={getattr(self, name)} must be {least} or more.")

    def poison(
        self, train: csr_array, goal: Goal, budget: Budget, *, seed: int, templates: IntArray | None = None
    ) -> Poison:
        """See `Attack`; `templates` are the users that the fakes are made from, None: drawn.

        O(nnz + num_items (hidden + neighbours)) memory.
        """
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        num_items = train.shape[1]
        pinned = pinned_items(goal)
        size, targets = allowance.profile_size - len(pinned), np.array(goal.targets)
        plain = Templates.of(train, size, targets, goal.audience(train))
        graph = csr_array(ItemKNN(neighbours=self.neighbours).fit(train, seed=seed).weights)
        genuine = Pools.over(plain, graph, round(self.selected_share * plain.size), self.pool)
        draw = rng(seed, "goat")
        generator = Smoother(self, genuine, draw)
        judge = Discriminator(
            num_items,
            self.discriminator,
            draw,
            rate=self.discriminator_rate,
            kind="penalised",
            bound=self.penalty_weight,
        )
        history = tuple(self.play(generator, judge, genuine, draw, "GOAT"))
        batch = genuine.of_users(templates).draw(allowance.num_fake, draw, noise=generator.noise)
        return Poison(
            profiles=to_csr(made_rows(generator, batch, pinned), num_items),
            goal=goal,
            attack="goat",
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
            history=history,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Pools(Templates):
    """Templates with other items beside them: selected of the template, other popular items, fillers, other neighbours.

    Attributes:
        graph: (num_items, num_items) links.
        counts: how many of each of the four kinds.
    """

    graph: csr_array
    counts: tuple[int, int, int, int]

    @classmethod
    def over(cls, plain: Templates, graph: csr_array, selected: int, pool: float) -> Pools:
        """Pools of `pool` times the templates' size, or what the catalogue has."""
        fillers, spare = plain.size - selected, int(np.count_nonzero(plain.weights)) - plain.size
        popular = min(round((pool - 1) * selected), spare)
        near = min(round((pool - 1) * fillers), spare - popular)
        return cls(
            train=plain.train, size=plain.size, weights=plain.weights, sources=plain.sources, graph=graph,
            counts=(selected, popular, fillers, near),
        )  # fmt: skip

    def draw(self, count: int, generator: np.random.Generator, *, noise: int = 0) -> Batch:
        """Batches whose items are pools."""
        batch = super().draw(count, generator, noise=noise)
        selected, popular, _, near = self.counts
        pools = np.empty((count, sum(self.counts)), np.int64)
        for row, template in enumerate(batch.items.numpy()):
            ranked = template[np.argsort(-self.weights[template], kind="stable")]
            weights = self.weights.copy()
            weights[template] = 0
            others = cut_to_size(template[:0], popular, weights, generator)
            links = np.asarray(self.graph[ranked[:selected]].sum(axis=0)).ravel() + 1e-6
            links[self.weights == 0] = 0
            links[template] = 0
            links[others] = 0
            beside = cut_to_size(template[:0], near, links, generator)
            pools[row] = np.concatenate([ranked[:selected], others, ranked[selected:], beside])
        return replace(batch, items=torch.from_numpy(pools))

    def parts(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(b, pool) values by kind."""
        return values.split(self.counts, 1)  # pyright: ignore[reportReturnType]


class Smoother:
    """Embeddings and noise, smoothed twice over the links, then hidden - 1. See `gan.Generator`."""

    def __init__(self, settings: GOAT, templates: Pools, draw: np.random.Generator) -> None:
        self.settings, self.templates = settings, templates
        self.num_items = templates.train.shape[1]
        self.noise = sum(templates.counts)
        size = settings.embedding_size
        tables = [
            draw.standard_normal(shape, dtype=np.float32) * np.float32(0.1)
            for shape in ((self.num_items, size), (1, size))
        ]
        self.theta = [torch.from_numpy(part).requires_grad_() for part in tables] + layers(
            (size, settings.hidden, 1), draw
        )

    def ratings(self, batch: Batch) -> Tensor:
        """(b, pool) logits."""
        table, spread, *head = self.theta
        nodes = leaky_relu(table[batch.items] + batch.noise[:, :, None] * spread, LEAK)
        links = self.links(batch)
        smooth = links @ (links @ nodes)
        return perceptron(smooth.flatten(0, 1), head).view(batch.items.shape)

    def links(self, batch: Batch) -> Tensor:
        """(b, pool, pool) links between the items of each pool, and of each with itself; rows sum to 1."""
        graph = self.templates.graph
        found = np.stack([graph[items][:, items].toarray() for items in batch.items.numpy()])
        both = torch.from_numpy(found + found.transpose(0, 2, 1)) / 2 + torch.eye(found.shape[1])
        return both / both.sum(2, keepdim=True)

    def fake(self, batch: Batch) -> Tensor:
        """The best rated of both kinds, as many as the template has."""
        ratings = self.ratings(batch)
        selected, popular, fillers, _ = self.templates.counts
        pools = ratings.split([selected + popular, ratings.shape[1] - selected - popular], 1)
        kept = torch.cat([keep_best(pools[0], selected), keep_best(pools[1], fillers)], 1)
        return torch.zeros(len(kept), self.num_items).scatter(1, batch.items, kept)

    def real(self, batch: Batch) -> Tensor:
        """The templates."""
        selected, _, fillers, _ = self.templates.parts(batch.items)
        return rows_of(torch.cat([selected, fillers], 1), self.num_items)

    def penalty(self, batch: Batch) -> Tensor:
        """The squared difference from the template's ratings."""
        if not self.noise:
            return torch.zeros(())
        selected, popular, fillers, near = self.templates.parts(torch.sigmoid(self.ratings(batch)))
        inside, beside = torch.cat([selected, fillers], 1), torch.cat([popular, near], 1)
        missed = (1 - inside).square().sum() + beside.square().sum()
        return self.settings.rating_weight * missed / (len(batch.items) * self.noise)
