"""Attack losses: differentiable stand-ins for "the target is in the top K", lower is better for the attacker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sharpap.attacks.scan import Scan
from sharpap.errors import ConfigError
from sharpap.kernels import Pattern, block_rows, sddmm, spmm, spmm_t
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings

# Far below any count of hits that float32 can tell from none.
TINY = 1e-30


@runtime_checkable
class Objective(Protocol):
    """An attack loss of the surrogate's embeddings."""

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """The loss over the scanned users, and its gradient. `scan` may stem from nearby embeddings."""
        ...


@dataclass(frozen=True, kw_only=True)
class SmoothHits(Settings):
    """A smooth hit count: minus the mean of sigmoid((s_ut - threshold_K(u)) / bandwidth) over eligible pairs.

    The threshold is the K-th best score among the user's rivals, taken afresh from the embeddings at hand. The gradient
    goes to users near their threshold; losses that average over everybody are spent on users who will never be won,
    and fall without a hit (docs/attacks.md).

    Attributes:
        bandwidth: width of the step, in units of the score. A narrow one spends itself on users who are nearly won, which
            short lists reward; a wide one on many users, which long lists reward.
        relative: bandwidths are shares of the standard deviation of the margins s_ut - threshold_K(u) over eligible
            pairs, a constant in the gradient: one setting then fits models whose scores differ in scale (WRMF, LightGCN).
        longer: length of a second list that is counted as well; 0: none.
        longer_bandwidth, longer_share: its width, and its part of the loss.
        geometric: the loss is minus the sum of share * log(count) instead of minus the sum of share * count. A step then
            weighs a *relative* gain in either list. Without it the wide count, which is never small, decides everything where
            the narrow one is: at small budgets no list of ten is won (docs/attacks.md).

    Source: this project. RAPU-G's Wilcoxon-Mann-Whitney loss (Zhang et al. 2021) compares with all of the top 50 instead.
    Deviations: at embeddings away from where `scan` was made, the threshold is exact as long as the top K stays within
    the scanned rivals.
    """

    bandwidth: float = 0.1
    relative: bool = False
    longer: int = 0
    longer_bandwidth: float = 0.1
    longer_share: float = 0.3
    geometric: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("bandwidth", "longer_bandwidth"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be positive.")
        if self.longer < 0 or not 0 <= self.longer_share <= 1:
            raise ConfigError(
                f"longer={self.longer} must be 0 or a list length, and longer_share={self.longer_share} between 0 and 1."
            )

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users (rivals + targets) d)."""
        weights = scan.weights
        lists = [(scan.k, self.bandwidth, 1 - self.longer_share if self.longer else 1.0)]
        if self.longer:
            lists.append((min(self.longer, scan.rivals.shape[1]), self.longer_bandwidth, self.longer_share))
        found = margins(embeddings, scan, [k for k, _, _ in lists])
        value, grad = 0.0, zeros(embeddings)
        for (_, bandwidth, share), (margin, edge) in zip(lists, found, strict=True):
            width = bandwidth * (spread(margin, weights) if self.relative else 1.0)
            hit = torch.sigmoid(margin / width)
            count = float((weights * hit).sum())
            scale = share / max(count, TINY) if self.geometric else share
            slope = -scan.sign * scale * weights * hit * (1 - hit) / width
            add_margin_slope(grad, slope, edge, embeddings, scan)
            value -= scan.sign * share * (math.log(max(count, TINY)) if self.geometric else count)
        return value, grad


@dataclass(frozen=True, kw_only=True)
class Hinge(Settings):
    """How far a target is from a user's top K, up to a margin beyond it: mean of max(threshold_K(u) - s_ut, -kappa).

    Attributes:
        kappa: how far beyond a win the loss still pushes, in units of the score.

    Source: Carlini and Wagner 2017 for classifiers; in CoAttack (Wang et al. 2024) with kappa 0.2.
    """

    kappa: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kappa >= 0:
            raise ConfigError(f"kappa={self.kappa} must be 0 or positive.")

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users (rivals + targets) d)."""
        ((margin, edge),) = margins(embeddings, scan, [scan.k])
        behind = -scan.sign * margin
        grad = zeros(embeddings)
        add_margin_slope(grad, -scan.sign * scan.weights * (behind > -self.kappa), edge, embeddings, scan)
        return float((scan.weights * behind.clamp_min(-self.kappa)).sum()), grad


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


@dataclass(frozen=True, kw_only=True)
class WilcoxonMannWhitney(Settings):
    """RAPU-G's loss: how many of a user's top items outrank a target, smoothly, summed over the scanned rivals.

    mean over eligible (u, t) of sum over rivals k of sigmoid((s_uk - s_ut) / bandwidth). The rivals are the scan's, 50 by
    default, as in the source.

    Attributes:
        bandwidth: b.

    Source: Zhang et al. 2021, eq. 11.
    """

    bandwidth: float = 0.1

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users rivals targets + users rivals d)."""
        users, items = embeddings.users[scan.users], embeddings.items
        scores = rival_scores(users, items, scan.rivals)
        wanted = items[scan.targets]
        own = users @ wanted.T
        value, weights = 0.0, scan.weights
        rival_slope, own_slope = torch.zeros_like(scores), torch.zeros_like(own)
        for t in range(own.shape[1]):
            ahead = torch.sigmoid((scores - own[:, [t]]) / self.bandwidth)
            value += float((weights[:, [t]] * ahead).sum())
            slope = ahead.mul_(1 - ahead).mul_(scan.sign * weights[:, [t]] / self.bandwidth)
            rival_slope += slope
            own_slope[:, t] = -slope.sum(1)
        listed, slope = _listed(scan.rivals, len(items)), rival_slope.flatten()
        mine = spmm(listed, slope, items).addmm_(own_slope, wanted)
        item_grad = spmm_t(listed, slope, users)
        user_grad = torch.zeros_like(embeddings.users)
        user_grad[scan.users] = mine
        item_grad.index_add_(0, scan.targets, own_slope.T @ users)
        return scan.sign * value, Embeddings(user_grad, item_grad)


@dataclass(frozen=True, kw_only=True)
class MeanScore:
    """PGA's integrity loss: minus the mean score of the targets, over all users, in the top K or not.

    Source: Li et al. 2016, section 3.3, with equal weights for all users and targets. Checked against two ports:
    fuying-wang/Data-poisoning-attacks-on-factorization-based-collaborative-filtering has the same, beside a term for
    the availability attack; WuYunfan/FEOAttack has `CrossEntropy` over all users instead. Note: it depends on the targets'
    items only. Where users are held fixed, as in that paper's gradient, a filler's entry moves that filler's factors alone,
    so that its derivative is 0, and binary profiles stay as they were.
    """

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users targets d)."""
        slope = -scan.sign * scan.weights
        scores = embeddings.users[scan.users] @ embeddings.items[scan.targets].T
        return float((slope * scores).sum()), target_slope_grad(slope, embeddings, scan)


def spread(values: Tensor, weights: Tensor) -> float:
    """Weighted standard deviation; `weights` sum to 1."""
    mean = (weights * values).sum()
    return max(float((weights * (values - mean).square()).sum().sqrt()), 1e-12)


def margins(embeddings: Embeddings, scan: Scan, lengths: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """For each list length: (u, t) margins s_ut - threshold(u), and (u,) the rival that is the threshold."""
    users, items = embeddings.users[scan.users], embeddings.items
    best = rival_scores(users, items, scan.rivals).topk(max(lengths), dim=1).indices
    own = users @ items[scan.targets].T
    edges = [scan.rivals.gather(1, best[:, k - 1 : k]).squeeze(1) for k in lengths]
    return [(own - (users * items[edge]).sum(1, keepdim=True), edge) for edge in edges]


def add_margin_slope(grad: Embeddings, slope: Tensor, edge: Tensor, embeddings: Embeddings, scan: Scan) -> None:
    """Add to `grad`, in place, that of a loss of margins; `slope` is (u, t), `edge` as `margins` gives it."""
    users, items = embeddings.users[scan.users], embeddings.items
    total = slope.sum(1, keepdim=True)
    grad.users[scan.users] += slope @ items[scan.targets] - total * items[edge]
    grad.items.index_add_(0, edge, total * users, alpha=-1)
    grad.items.index_add_(0, scan.targets, slope.T @ users)


def zeros(embeddings: Embeddings) -> Embeddings:
    """Of the same shapes."""
    return Embeddings(torch.zeros_like(embeddings.users), torch.zeros_like(embeddings.items))


def target_slope_grad(slope: Tensor, embeddings: Embeddings, scan: Scan) -> Embeddings:
    """Gradient of a loss that depends on target scores only; `slope` is (u, t)."""
    user_grad, item_grad = torch.zeros_like(embeddings.users), torch.zeros_like(embeddings.items)
    user_grad[scan.users] = slope @ embeddings.items[scan.targets]
    item_grad.index_add_(0, scan.targets, slope.T @ embeddings.users[scan.users])
    return Embeddings(user_grad, item_grad)


def _listed(rivals: Tensor, num_items: int) -> Pattern:
    """Users by items, with each user's (u, c) rivals as entries."""
    ends = torch.arange(len(rivals) + 1) * rivals.shape[1]
    return Pattern(ends, rivals.flatten().int(), (len(rivals), num_items))


def rival_scores(users: Tensor, items: Tensor, rivals: Tensor) -> Tensor:
    """(u, c) scores of each user's rivals."""
    return sddmm(_listed(rivals, len(items)), users, items).view(rivals.shape)
