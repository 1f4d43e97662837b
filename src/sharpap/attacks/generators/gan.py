"""What learned generators share: genuine profiles cut to size, a step that keeps that size, a discriminator, and the rounds.

The discriminator is the attack's own, trained on genuine rows. It is none of `sharpap.detectors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import embedding_bag, leaky_relu, softplus

from sharpap import progress
from sharpap.attacks.profiles import cut_to_size, item_counts
from sharpap.errors import ConfigError
from sharpap.kernels import topk_scores
from sharpap.recommenders.pointwise import glorot
from sharpap.settings import Settings

IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]
Kind = Literal["logistic", "clipped", "penalised"]
# Profiles at a time where all fakes are made: the rows of a block are dense.
BLOCK = 64
LEAK = 0.2


@dataclass(frozen=True, eq=False)
class Batch:
    """Templates for some fake profiles.

    Attributes:
        users: (b,) the genuine users they come from.
        items: (b, size) distinct items of each.
        noise: (b, width) standard normal numbers, for generators that ask for any.
    """

    users: IntArray
    items: Tensor
    noise: Tensor

    def part(self, rows: slice) -> Batch:
        """Some of them."""
        return Batch(self.users[rows], self.items[rows], self.noise[rows])

    def blocks(self) -> Iterator[Batch]:
        """All of them, few at a time."""
        return (self.part(slice(first, first + BLOCK)) for first in range(0, len(self.users), BLOCK))


@dataclass(frozen=True, eq=False)
class Templates:
    """Genuine profiles cut to one size; those too short are topped up by popularity.

    Attributes:
        train: genuine rows.
        size: items in a template.
        weights: (num_items,) for topping up; 0 for items that are in no template.
        sources: users with enough items, or no fewer than half of those there are.
    """

    train: csr_array
    size: int
    weights: np.ndarray
    sources: IntArray

    @classmethod
    def of(cls, train: csr_array, size: int, left_out: IntArray, users: IntArray | None = None) -> Templates:
        """Templates of at most `size` items without those left out; fewer where the catalogue has no more. O(nnz).

        `users` are those they may come from; None: all.
        """
        weights = item_counts(train) + 1e-3
        weights[left_out] = 0
        rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
        usable = np.bincount(rows[weights[train.indices] > 0], minlength=train.shape[0])
        sources = np.arange(train.shape[0]) if users is None else users
        found = usable[sources]
        least = min(size, np.median(found[found > 0])) if found.any() else 0
        return cls(train, min(size, int(np.count_nonzero(weights))), weights, sources[found >= least])

    def among(self, wanted: np.ndarray) -> Templates:
        """The same of wanted users only, a truth value for each user; the same of all where none of them is wanted."""
        kept = self.sources[wanted[self.sources]]
        return replace(self, sources=kept) if len(kept) else self

    def of_users(self, users: IntArray | None) -> Templates:
        """The same of these users, one for each fake profile; None: as it is."""
        return self if users is None else replace(self, sources=users)

    def draw(self, count: int, generator: np.random.Generator, *, noise: int = 0) -> Batch:
        """Templates of `count` users, each user once as far as they go."""
        users = self.sources[np.arange(count) % len(self.sources)]
        if count <= len(self.sources):
            users = generator.choice(self.sources, count, replace=False)
        items = np.empty((count, self.size), np.int64)
        for row, user in enumerate(users):
            own = self.train.indices[self.train.indptr[user] : self.train.indptr[user + 1]]
            items[row] = cut_to_size(own[self.weights[own] > 0], self.size, self.weights, generator)
        drawn = generator.standard_normal((count, noise), dtype=np.float32)
        return Batch(users, torch.from_numpy(items), torch.from_numpy(drawn))


def rows_of(items: Tensor, num_items: int) -> Tensor:
    """(b, num_items) zeros and ones."""
    return torch.zeros(len(items), num_items).scatter_(1, items, 1.0)


class _KeepBest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, count: int) -> Tensor:
        width = scores.shape[1]
        if not 0 < count < width:
            ctx.save_for_backward(torch.zeros_like(scores))
            return (scores > -torch.inf).to(scores.dtype) if count else torch.zeros_like(scores)
        items, values = (torch.from_numpy(part) for part in topk_scores(scores.detach().numpy(), count + 1))
        # half-way to the first that is left out; at the last one kept where no other has a score
        cut = torch.where(items[:, -1:] < 0, values[:, -2:-1], (values[:, -2:-1] + values[:, -1:]) / 2)
        ctx.save_for_backward(1 - (scores - cut).nan_to_num(nan=torch.inf).tanh().square())
        kept = torch.where(items < 0, width, items.long())[:, :-1]
        return scores.new_zeros(len(scores), width + 1).scatter_(1, kept, 1.0)[:, :-1]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        mean = (slope * grads[0]).sum(1, keepdim=True) / slope.sum(1, keepdim=True).clamp_min(1e-30)
        return slope * (grads[0] - mean), None


def keep_best(scores: Tensor, count: int) -> Tensor:
    """1 for the `count` best entries of each row, 0 for the others; entries of -inf are never kept.

    Backwards it is Leg-UP's HeaviTanh, the step with the derivative of tanh, around the row's cut. The cut moves with the
    scores so that their sum keeps its value.
    """
    return _KeepBest.apply(scores, count)  # pyright: ignore[reportReturnType]


def layers(widths: tuple[int, ...], draw: np.random.Generator) -> list[Tensor]:
    """Glorot-uniform weights and zero biases, in turn."""
    theta = []
    for fan_in, fan_out in pairwise(widths):
        theta += [glorot(fan_in, fan_out, draw), torch.zeros(fan_out, requires_grad=True)]
    return theta


def perceptron(x: Tensor, theta: list[Tensor]) -> Tensor:
    """Layers with leaky rectifiers between them; the last one is linear."""
    for weight, bias in zip(theta[:-2:2], theta[1:-2:2], strict=True):
        x = leaky_relu(torch.addmm(bias, x, weight), LEAK)
    return torch.addmm(theta[-1], x, theta[-2])


def read(items: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The first layer on rows of zeros and ones, each row of length 1, given by their items. O(items width)."""
    if not items.shape[1]:
        return bias.expand(len(items), -1)
    return embedding_bag(items, weight, mode="sum") / items.shape[1] ** 0.5 + bias


class Discriminator:
    """Tells genuine rows from generated ones: the higher its score, the more genuine a row looks.

    Args:
        num_items, hidden: widths of its perceptron, but for the last, which is 1.
        kind: "logistic" (cross-entropy), or a Wasserstein critic: "clipped" weights or a "penalised" gradient.
        rate: learning rate.
        bound: where weights are clipped, or the weight of the penalty.
        draw: generator of its first weights and of its mixtures.
    """

    def __init__(
        self, num_items: int, hidden: tuple[int, ...], draw: np.random.Generator, *, rate: float, kind: Kind = "logistic",
        bound: float = 0.0,
    ) -> None:  # fmt: skip
        self.theta = layers((num_items, *hidden, 1), draw)
        self.kind: Kind = kind
        self.bound = bound
        self.draw = draw
        optimizer = (
            torch.optim.RMSprop if kind == "clipped" else torch.optim.Adam
        )  # momentum and clipping do not go together
        self.optimizer = optimizer(self.theta, lr=rate)

    def score(self, rows: Tensor) -> Tensor:
        """(b,) scores."""
        return perceptron(rows, self.theta)[:, 0]

    def learn(self, real: Tensor, fake: Tensor) -> None:
        """One step on rows of both kinds."""
        genuine, made = self.score(real), self.score(fake)
        if self.kind == "logistic":
            loss = softplus(-genuine).mean() + softplus(made).mean()
        else:
            loss = made.mean() - genuine.mean()
        if self.kind == "penalised":
            share = torch.from_numpy(self.draw.random((len(real), 1), dtype=np.float32))
            between = (share * real + (1 - share) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(self.score(between).sum(), between, create_graph=True)
            loss = loss + self.bound * (torch.linalg.vector_norm(slope, dim=1) - 1).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if self.kind == "clipped":
            with torch.no_grad():
                for part in self.theta:
                    part.clamp_(-self.bound, self.bound)

    def doubt(self, fake: Tensor) -> Tensor:
        """What a generator lowers to pass for genuine."""
        made = self.score(fake)
        return softplus(-made).mean() if self.kind == "logistic" else -made.mean()

    def told_apart(self, real: Tensor, fake: Tensor) -> float:
        """Share of pairs of a genuine and a generated row in which the genuine one scores higher; 0.5 is chance."""
        with torch.no_grad():
            gap = self.score(real)[:, None] - self.score(fake)
        return float(((gap > 0).float() + 0.5 * (gap == 0)).mean())


class Generator(Protocol):
    """A network that makes rows of fillers out of templates; targets are added to what it makes."""

    noise: int
    theta: list[Tensor]

    def fake(self, batch: Batch) -> Tensor:
        """(b, num_items) rows of zeros and ones, which carry a gradient."""
        ...

    def real(self, batch: Batch) -> Tensor:
        """The genuine rows they are compared with."""
        ...

    def penalty(self, batch: Batch) -> Tensor:
        """What it lowers beside the discriminator's doubt."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rounds(Settings):
    """Base of the generators' settings: how they and their discriminator train in turn.

    Attributes:
        rounds: of both.
        warm_up: steps of the discriminator before the first round.
        discriminator_steps, generator_steps: in one round.
        batch_size: templates in a step.
        discriminator: widths of its hidden layers.
        hidden: width of the generator's hidden layer.
        discriminator_rate, generator_rate: learning rates.
    """

    rounds: int = 40
    warm_up: int = 20
    discriminator_steps: int = 1
    generator_steps: int = 1
    batch_size: int = 128
    discriminator: tuple[int, ...] = (128,)
    hidden: int = 128
    discriminator_rate: float = 1e-3
    generator_rate: float = 1e-3
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rounds", "warm_up", "discriminator_steps", "generator_steps", "discriminator"):
            value = getattr(self, name)
            least = 1 if name == "discriminator" else 0
            if min(value if isinstance(value, tuple) else (value,), default=0) < least:
                raise ConfigError(f"{name}={value} must be {least} or more.")
        for name in ("discriminator_rate", "generator_rate"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be 0 or positive.")

    def play(
        self, generator: Generator, judge: Discriminator, templates: Templates, draw: np.random.Generator, name: str
    ) -> Iterator[dict[str, Any]]:
        """Train both in turn; after each round its record, so that an attack may take steps of its own between rounds.

        "discriminator_auc" is its share of pairs told apart (0.5: chance) before the generator moves.
        """
        optimizer = torch.optim.Adam(generator.theta, lr=self.generator_rate)
        for _ in range(self.warm_up):
            self._teach(generator, judge, templates, draw)
        with progress.task(f"{name}: rounds", self.rounds) as task:
            for number in range(self.rounds):
                for _ in range(self.discriminator_steps):
                    self._teach(generator, judge, templates, draw)
                batch = self._batch(generator, templates, draw)
                with torch.no_grad():
                    told_apart = judge.told_apart(generator.real(batch), generator.fake(batch))
                record: dict[str, Any] = {"epoch": number, "discriminator_auc": told_apart}
                for _ in range(self.generator_steps):
                    batch = self._batch(generator, templates, draw)
                    loss = judge.doubt(generator.fake(batch)) + generator.penalty(batch)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    record["generator_loss"] = float(loss.detach())
                yield record
                task.advance(note=f"discriminator's AUC {told_apart:.2f}")

    def _teach(
        self, generator: Generator, judge: Discriminator, templates: Templates, draw: np.random.Generator
    ) -> None:
        batch = self._batch(generator, templates, draw)
        with torch.no_grad():
            real, fake = generator.real(batch), generator.fake(batch)
        judge.learn(real, fake)

    def _batch(self, generator: Generator, templates: Templates, draw: np.random.Generator) -> Batch:
        return templates.draw(min(self.batch_size, len(templates.sources)), draw, noise=generator.noise)


def made_rows(generator: Generator, batch: Batch, pinned: IntArray) -> list[IntArray]:
    """The items of each fake profile: pinned ones, then those of its generated row. Rows are dense a block at a time."""
    found = []
    with torch.no_grad():
        for block in batch.blocks():
            found += [np.concatenate([pinned, np.flatnonzero(row)]) for row in generator.fake(block).numpy()]
    return found
