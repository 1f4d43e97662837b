"""Attack losses: differentiable stand-ins for "the target is in the top K", lower is better for the attacker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sharpap.attacks.scan import Scan
from sharpap.kernels import block_rows
from sharpap.surrogates.base import Embeddings


@runtime_checkable
class Objective(Protocol):
    """An attack loss of the surrogate's embeddings."""

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """The loss over the scanned users, and its gradient. `scan` may stem from nearby embeddings."""
        ...


@dataclass(frozen=True, kw_only=True)
class SmoothHits:
    """A smooth hit count: minus the mean of sigmoid((s_ut - threshold_K(u)) / bandwidth) over eligible pairs.

    The threshold is the K-th best score among the user's rivals, taken afresh from the embeddings at hand. The gradient
    goes to users near their threshold; losses that average over everybody are spent on users who will never be won,
    and fall without a hit (docs/attacks.md).

    Attributes:
        bandwidth: width of the step, in units of the score.

    Source: this project. RAPU-G's Wilcoxon-Mann-Whitney loss (Zhang et al. 2021) compares with all of the top 50 instead.
    Deviations: at embeddings away from where `scan` was made, the threshold is exact as long as the top K stays within
    the scanned rivals.
    """

    bandwidth: float = 0.1

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users (rivals + targets) d)."""
        users, items = embeddings.users[scan.users], embeddings.items
        scores = _rival_scores(users, items, scan.rivals)
        edge = scan.rivals.gather(1, scores.topk(scan.k, dim=1).indices[:, -1:]).squeeze(1)
        wanted = items[scan.targets]
        margin = users @ wanted.T - (users * items[edge]).sum(1, keepdim=True)
        hit = torch.sigmoid(margin / self.bandwidth)
        weights = scan.weights
        slope = -scan.sign * weights * hit * (1 - hit) / self.bandwidth
        total = slope.sum(1, keepdim=True)
        user_grad = torch.zeros_like(embeddings.users)
        user_grad[scan.users] = slope @ wanted - total * items[edge]
        item_grad = torch.zeros_like(items).index_add_(0, edge, total * users, alpha=-1)
        item_grad.index_add_(0, scan.targets, slope.T @ users)
        return -scan.sign * float((weights * hit).sum()), Embeddings(user_grad, item_grad)


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """RevAdv's own loss: minus the mean log softmax of the targets over the whole catalogue.

    Source: Tang, Wen and Wang 2020, eq. 4, as a mean over users instead of a sum (the step is row-normalised). As there,
    owned items are not masked.
    """

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users m d) time in blocks of users."""
        items, weights = embeddings.items, scan.weights
        user_grad, item_grad = torch.zeros_like(embeddings.users), torch.zeros_like(items)
        value = 0.0
        step = block_rows(items.shape[0], itemsize=items.element_size())
        for start in range(0, len(scan.users), step):
            part = slice(start, start + step)
            rows, weight = scan.users[part], weights[part]
            users = embeddings.users[rows]
            log_p = torch.log_softmax(users @ items.T, dim=1)
            value -= float((weight * log_p[:, scan.targets]).sum())
            slope = log_p.exp_().mul_(weight.sum(1, keepdim=True))
            slope[:, scan.targets] -= weight
            user_grad[rows] = slope @ items
            item_grad.addmm_(slope.T, users)
        return scan.sign * value, Embeddings(user_grad.mul_(scan.sign), item_grad.mul_(scan.sign))


def _rival_scores(users: Tensor, items: Tensor, rivals: Tensor, block: int = 4096) -> Tensor:
    """(u, c) scores of each user's rivals; the (block, c, d) gather is the only large temporary."""
    out = torch.empty(rivals.shape, dtype=users.dtype)
    for start in range(0, len(users), block):
        part = slice(start, start + block)
        out[part] = torch.einsum("ud,ucd->uc", users[part], items[rivals[part]])
    return out
