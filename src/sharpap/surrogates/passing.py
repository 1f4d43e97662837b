"""Gradient passing: one step of training that does the work of several."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from sharpap.errors import ConfigError
from sharpap.kernels import sddmm
from sharpap.recommenders.graph import Graph
from sharpap.settings import Settings

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class GradientPassing(Settings):
    """Each embedding's training gradient g is replaced by a sum over its neighbourhood in the interaction graph.

        g + odd (A' g + A'^3 g + ...) + even (A^2 g + A^4 g + ...)

    with A the symmetrically normalised interactions, and A' those of its edges whose ends the step would move apart. What
    moves a user moves his items in the same step, and their other owners, where ordinary training needs a step for each hop.

    Attributes:
        odd, even: weights of odd and even hops.
        rounds: of two hops each.

    Source: Wu et al. 2024, *Accelerating the surrogate retraining for poisoning attacks against recommender systems* (RecSys;
    code: WuYunfan/GradientPassingAttack). Weights and hops are those of its configuration for Gowalla; A is a constant in the
    profile gradient, and the gradient of the squared norms is passed with that of the loss, as there. It hastens the
    retraining inside RAPU-R and DPA2DL there; here that of `CoAttack`, which like DPA2DL reads profiles off a model, and of
    `PairwiseSurrogate`. Deviation: with layers, the gradient of the free embeddings is passed, not of the propagated ones.
    """

    odd: float = 1.0
    even: float = 10.0
    rounds: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("odd", "even"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"{name}={getattr(self, name)} must be 0 or positive.")
        if self.rounds < 1:
            raise ConfigError(f"rounds={self.rounds} must be 1 or more.")

    def apart(self, graph: Graph, theta: Pair, grads: Pair) -> Tensor:
        """(nnz,) where a step against `grads` lowers the score of an edge, to first order."""
        return sddmm(graph.pattern, theta[0], grads[1]).add_(sddmm(graph.pattern, grads[0], theta[1])) > 0

    def __call__(self, graph: Graph, apart: Tensor, pair: Pair) -> Pair:
        """The sum; symmetric in `pair`, and so its own transpose. O(rounds nnz d)."""
        parted = Graph(graph.pattern.where(apart), graph.user_scale, graph.item_scale)
        users, items = (part.clone() for part in pair)
        near, far = pair, pair
        for hop in range(1, 2 * self.rounds + 1):
            near, far = parted.step(*near), graph.step(*far)
            weight, more = (self.odd, near) if hop % 2 else (self.even, far)
            users.add_(more[0], alpha=weight)
            items.add_(more[1], alpha=weight)
        return users, items
