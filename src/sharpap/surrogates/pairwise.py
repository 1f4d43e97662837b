"""BPR-MF and LightGCN as surrogates: pairwise training, differentiated through its last steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.device import resolve
from sharpap.errors import ConfigError, TrainingError
from sharpap.kernels import Pattern, sddmm, stacked
from sharpap.kernels.bpr import Negatives, bpr_gradient, bpr_hvp
from sharpap.recommenders.graph import Graph
from sharpap.recommenders.training import initial_factors
from sharpap.seeds import rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.surrogates.passing import GradientPassing
from sharpap.surrogates.unroll import Adam, AdjointMoments, Moments, steps_before

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class PairwiseSurrogate(Settings):
    """BPR-MF (`layers` 0) or LightGCN (`layers` 1 or more), trained by full-batch Adam.

    An entry x_ij of a profile weighs the pairwise loss of (i, j) and, with layers, the edge (i, j) of the graph, at the
    normalisation of the present degrees. The derivative covers both, in every unrolled step and in the final embeddings.

    Attributes:
        layers: propagations.
        embedding_size, epochs, learning_rate, reg, init_std: as for `recommenders.LightGCN`.
        unrolled_epochs: the last steps that `profile_gradient` differentiates through.
        passing: spread each step's gradient over the graph, so that fewer steps train as far; None: ordinary training.
        precision: "float32", or "float64" for checks.
        device: where it trains and differentiates, as for `recommenders.BPRMF`; what the attack sees lies on the CPU.

    Source: Tang, Wen and Wang 2020 differentiate other surrogates in the same way; the adjoint is this project's. Deviations:
    those of `recommenders.Pairwise`; the derivative of the graph's normalisation is left out.
    """

    layers: int = 0
    embedding_size: int = 64
    epochs: int = 120
    unrolled_epochs: int = 10
    learning_rate: float = 0.02
    reg: float = 1e-3
    init_std: float = 0.1
    passing: GradientPassing | None = None
    precision: str = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers < 0 or not 1 <= self.unrolled_epochs <= self.epochs:
            raise ConfigError(
                f"layers={self.layers} must be 0 or more, unrolled_epochs={self.unrolled_epochs} in 1..{self.epochs}."
            )

    def train(self, genuine: csr_array, fake: csr_array, *, seed: int) -> TrainedPairwise:
        """See `Surrogate`. O((layers + 1) nnz d) a step."""
        device = resolve(self.device)
        pattern = Pattern.from_csr(stacked(genuine, fake), device=device)
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        start = initial_factors(*pattern.shape, self.embedding_size, self.init_std, seed)
        theta = (torch.from_numpy(start[0]).to(device, dtype), torch.from_numpy(start[1]).to(device, dtype))
        net = Network(self.layers, Graph.normalised(pattern, dtype=dtype), self.reg)
        draw = rng(seed, "training")
        moments = tuple(Moments.zeros(part) for part in theta)
        adam = Adam(learning_rate=self.learning_rate)
        tape: list[Step] = []
        for t in range(1, self.epochs + 1):
            negatives = Negatives.draw(pattern, draw)
            grads, apart = net.gradient(negatives, theta), None
            if self.passing:
                apart = self.passing.apart(net.graph, theta, grads)
                grads = self.passing(net.graph, apart, grads)
            if t > self.epochs - self.unrolled_epochs:
                tape.append(Step(t, theta, grads, negatives, apart))
                theta = (theta[0].clone(), theta[1].clone())
            for part, moment, grad in zip(theta, moments, grads, strict=True):
                adam.step(part, moment, grad, t)
        users, items = net.propagate(theta)
        if not (torch.isfinite(users).all() and torch.isfinite(items).all()):
            raise TrainingError("The pairwise surrogate diverged.", hint="Lower its learning_rate or raise reg.")
        embeddings = Embeddings(users[: genuine.shape[0]].cpu(), items.cpu())
        return TrainedPairwise(self, net, embeddings, users[genuine.shape[0] :], theta, moments, tape)


@dataclass(frozen=True, eq=False)
class Step:
    """One unrolled step: parameters before it, the gradient it used, its negatives, and the edges it moved apart."""

    t: int
    theta: Pair
    grads: Pair
    negatives: Negatives
    apart: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """Propagation and training gradient on one graph. Propagation is symmetric: it is its own transpose.

    Attributes:
        layers: propagations.
        graph: normalised, in the parameters' type.
        reg: L2 weight of a parameter in each triple.
    """

    layers: int
    graph: Graph
    reg: float

    def powers(self, pair: Pair, count: int) -> list[Pair]:
        """The pair after 0, ..., count propagations."""
        return self.graph.layers(*pair, count)

    def propagate(self, pair: Pair) -> Pair:
        """The mean over layers."""
        return pair if self.layers == 0 else self.graph.smooth(*pair, self.layers)

    def counts(self) -> Pair:
        """Triples of each user and item, as in `recommenders.Pairwise`."""
        pattern = self.graph.pattern
        dtype = self.graph.user_scale.dtype
        items = torch.bincount(pattern.indices, minlength=pattern.shape[1]).to(dtype) + pattern.nnz / pattern.shape[1]
        return pattern.indptr.diff().to(dtype)[:, None], items[:, None]

    def gradient(self, negatives: Negatives, theta: Pair) -> Pair:
        """Of the training loss with respect to theta."""
        grads = self.propagate(bpr_gradient(negatives, *self.propagate(theta)))
        users, items = (
            grad + self.reg * count * part for grad, count, part in zip(grads, self.counts(), theta, strict=True)
        )
        return users, items


@dataclass(frozen=True, eq=False)
class TrainedPairwise:
    """A trained `PairwiseSurrogate` with the tape of its last steps."""

    settings: PairwiseSurrogate
    net: Network
    embeddings: Embeddings
    fake_users: Tensor
    theta: Pair
    moments: tuple[Moments, ...]
    tape: list[Step]

    def training_loss(self, embeddings: Embeddings) -> float:
        """The pairwise loss at these final embeddings, with the negatives of the last step; see `TrainedSurrogate`."""
        device, pattern = self.fake_users.device, self.net.graph.pattern
        users, items = torch.cat([embeddings.users.to(device), self.fake_users]), embeddings.items.to(device)
        rows = pattern.rows.cpu().numpy()
        against = self.tape[-1].negatives.of(rows, pattern.indices.cpu().numpy())
        order = np.lexsort((against, rows))
        other = Pattern(pattern.indptr, torch.from_numpy(against[order].astype(np.int32)).to(device), pattern.shape)
        margin = sddmm(pattern, users, items)[torch.from_numpy(order).to(device)] - sddmm(other, users, items)
        return float(torch.nn.functional.softplus(-margin).double().sum())

    def states(self, every: int) -> dict[int, Embeddings]:
        """See `TrainedSurrogate`. Each propagates once."""
        found, num_genuine = {0: self.embeddings}, self.embeddings.users.shape[0]
        for back in steps_before(len(self.tape), every):
            users, items = self.net.propagate(self.tape[-back].theta)
            found[back] = Embeddings(users[:num_genuine].cpu(), items.cpu())
        return found

    def profile_gradient(
        self, grad: Embeddings, earlier: Mapping[int, Embeddings] | None = None
    ) -> PairwiseProfileGradient:
        """Reverse the unrolled steps; see `TrainedSurrogate`. O(nnz d) a step and layer; O((n + m) d layers K) memory."""
        net = self.net
        final = self._with_fakes(grad)
        terms = PairwiseProfileGradient(net, grad.users.shape[0])
        terms.add_edges(self.theta, final)
        bars = [part.clone() for part in net.propagate(final)]
        states = [AdjointMoments.at(moment) for moment in self.moments]
        adam = Adam(learning_rate=self.settings.learning_rate)
        counts = net.counts()
        for before, step in enumerate(reversed(self.tape), start=1):
            back = (
                adam.adjoint(states[0], bars[0], step.grads[0], step.t),
                adam.adjoint(states[1], bars[1], step.grads[1], step.t),
            )
            if self.settings.passing and step.apart is not None:
                back = self.settings.passing(net.graph, step.apart, back)
            at, way = net.propagate(step.theta), net.propagate(back)
            curvature = bpr_hvp(step.negatives, *at, *way)
            terms.add_loss(step.negatives, at, way, step.theta, back)
            if net.layers:
                terms.add_edges(back, bpr_gradient(step.negatives, *at))
                terms.add_edges(step.theta, curvature)
            for bar, change, count, part in zip(bars, net.propagate(curvature), counts, back, strict=True):
                bar.add_(change).addcmul_(count, part, value=net.reg)
            if earlier and before in earlier:
                extra = self._with_fakes(earlier[before])
                terms.add_edges(step.theta, extra)
                for bar, change in zip(bars, net.propagate(extra), strict=True):
                    bar.add_(change)
        return terms

    def _with_fakes(self, grad: Embeddings) -> Pair:
        """A gradient over all users: the attack loss does not see fake ones."""
        device = self.fake_users.device
        return torch.cat([grad.users.to(device), torch.zeros_like(self.fake_users)]), grad.items.to(device)


class PairwiseProfileGradient:
    """Profile gradients as a sum of low-rank products, made a few rows at a time."""

    def __init__(self, net: Network, num_genuine: int) -> None:
        self.net, self.first = net, num_genuine
        self.losses: list[tuple[Negatives, Pair, Pair, Tensor]] = []
        self.edges: list[Pair] = []

    def add_loss(self, negatives: Negatives, at: Pair, way: Pair, theta: Pair, back: Pair) -> None:
        """The weight of the pairwise loss of (i, j) in one step: its derivative along `way`, and that of its penalty."""
        fakes = slice(self.first, None)
        penalty = self.net.reg * (back[1] * theta[1]).sum(1)
        self.losses.append((negatives, (at[0][fakes], at[1]), (way[0][fakes], way[1]), penalty))

    def add_edges(self, start: Pair, end: Pair) -> None:
        """The edge (i, j) in <end, propagate(start)>: sum over k + k' < layers of A^k end and A^k' start at its ends."""
        layers = self.net.layers
        if layers == 0:
            return
        ends, starts = self.net.powers(end, layers - 1), self.net.powers(start, layers - 1)
        fakes = slice(self.first, None)
        left, right = [], []
        for k in range(layers):
            users, items = (sum((s[side] for s in starts[1 : layers - k]), start=starts[0][side]) for side in (0, 1))
            left += [ends[k][0][fakes], users[fakes]]
            right += [items, ends[k][1]]
        self.edges.append((torch.cat(left, 1) / (layers + 1), torch.cat(right, 1)))

    def rows(self, fakes: Tensor) -> Tensor:
        """(len(fakes), num_items) derivatives of the attack loss."""
        num_items = self.net.graph.pattern.shape[1]
        graph = self.net.graph
        total = graph.user_scale.new_zeros(len(fakes), num_items)
        for left, right in self.edges:
            total.addmm_(left[fakes], right.T)
        total *= graph.user_scale[self.first + fakes][:, None]
        total *= graph.item_scale
        pairs = np.repeat(self.first + fakes.numpy(), num_items), np.tile(np.arange(num_items), len(fakes))
        for negatives, (users, items), (users_way, items_way), penalty in self.losses:
            score = users[fakes] @ items.T
            change = (users_way[fakes] @ items.T).addmm_(users[fakes], items_way.T)
            against = torch.from_numpy(negatives.of(*pairs)).view(len(fakes), num_items).to(score.device)
            slope = torch.sigmoid(score.gather(1, against) - score).neg_()
            total += slope.mul_(change - change.gather(1, against)) + penalty
        return total.cpu()
