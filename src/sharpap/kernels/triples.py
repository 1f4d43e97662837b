"""The pairwise loss where each interaction's own rows are moved against it.

An interaction (u, i) with its negative j has the margin m = p_u . (q_i - q_j) and the loss softplus(-m). Its steepest ascent
lies against q_i - q_j in p_u, against p_u in q_i and along it in q_j. Rows that each move by r that way leave

    p_u - r gap / |gap|,    q_i - r p_u / |p_u|,    q_j + r p_u / |p_u|,        gap = q_i - q_j,

and the margin m - r (|gap| + 2 |p_u|) + 2 r^2 m / (|gap| |p_u|): no moved row has to be stored. What the moves add to the
gradient is again sparse: multiples of p_u for users, a Laplacian of the pairs (i, j) for items.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from sharpap.kernels.bpr import Negatives, drawn_pattern
from sharpap.kernels.csr import Pattern
from sharpap.kernels.sddmm import forward as scores
from sharpap.kernels.spmm import forward as product

_LEAST = 1e-12  # a row without direction does not move


@dataclass(frozen=True, eq=False)
class Triples:
    """All (user, positive, negative) of a step, at embeddings P (n, d) and Q (m, d). O(nnz) memory, O(nnz d) time.

    Attributes:
        pattern, drawn: positives and negatives, both (n, m) and in one order.
        P, Q: the embeddings.
    """

    pattern: Pattern
    drawn: Pattern
    P: Tensor
    Q: Tensor

    @classmethod
    def at(cls, negatives: Negatives, P: Tensor, Q: Tensor) -> Triples:
        """With these negatives."""
        return cls(negatives.pattern, drawn_pattern(negatives), P, Q)

    @cached_property
    def margins(self) -> Tensor:
        """(nnz,) m."""
        return scores(self.pattern, self.P, self.Q).sub_(scores(self.drawn, self.P, self.Q))

    def user_losses(self) -> Tensor:
        """(n,) mean loss of each user's interactions; 0 of a user without any."""
        counts = self.pattern.indptr.diff()
        return torch.segment_reduce(softplus(-self.margins), "mean", lengths=counts, initial=0.0).nan_to_num(0.0)

    def moved_margins(self, radius: Tensor) -> Tensor:
        """(nnz,) margins where each interaction's rows have moved; `radius` as for `gradient`."""
        away, length = radius[self.pattern.rows], self.P.norm(dim=1)[self.pattern.rows]
        back = (2 * away.square()).mul_(self.margins).div_((self._gaps * length).clamp_min_(_LEAST))
        return back.add_(self.margins).sub_(away.mul_(length.mul_(2).add_(self._gaps)))

    def gradient(self, radius: Tensor, weight: float) -> tuple[Tensor, Tensor]:
        """Gradient of sum softplus(-m) + `weight` times the same where the rows of each interaction have moved.

        The moves are constants: a step does not differentiate how they came about.

        Args:
            radius: (n,) length of the moves of a user's interactions.
            weight: of the loss at the moved rows.

        Returns:
            Gradients of the shapes of P and Q.
        """
        pattern, drawn, P, Q = self.pattern, self.drawn, self.P, self.Q
        moved = self.moved_margins(radius).neg_().sigmoid_().mul_(-weight)
        slopes = torch.sigmoid(-self.margins).neg_().add_(moved)
        users, items = (
            product(pattern, slopes, side, transposed=over).sub_(product(drawn, slopes, side, transposed=over))
            for side, over in ((Q, False), (P, True))
        )
        shrink = torch.segment_reduce(moved, "sum", lengths=pattern.indptr.diff(), initial=0.0).mul_(-2 * radius)
        users.addcmul_(normalize(P), shrink[:, None])
        ties = moved.mul_(radius[pattern.rows]).div_(self._gaps.clamp_min(_LEAST))
        return users, items.add_(self._tied(ties))

    @cached_property
    def _by_item(self) -> tuple[tuple[Tensor, Pattern], ...]:
        """The pairs (i, j) of positives and negatives by either end, each with its entries' numbers: O(nnz), no sorting."""
        size = (self.Q.shape[0], self.Q.shape[0])
        return tuple(
            (one.order, Pattern(one.transpose.indptr, other.indices[one.order], size))
            for one, other in ((self.pattern, self.drawn), (self.drawn, self.pattern))
        )

    @cached_property
    def _gaps(self) -> Tensor:
        """(nnz,) |q_i - q_j|."""
        order, pairs = self._by_item[0]
        squares = self.Q.square().sum(1)
        together = torch.empty_like(self.margins)
        together[order] = scores(pairs, self.Q, self.Q)
        whole = squares[self.pattern.indices] + squares[self.drawn.indices]
        return whole.sub_(together, alpha=2).clamp_min_(0).sqrt_()

    def _tied(self, values: Tensor) -> Tensor:
        """sum over e of values[e] (q_j - q_i) in row i of each interaction, and of its opposite in row j."""
        out, degrees = torch.zeros_like(self.Q), self.Q.new_zeros(len(self.Q))
        for order, pairs in self._by_item:
            out.add_(product(pairs, values[order], self.Q, transposed=False))
            degrees.add_(torch.segment_reduce(values[order], "sum", lengths=pairs.indptr.diff(), initial=0.0))
        return out.sub_(self.Q * degrees[:, None])
