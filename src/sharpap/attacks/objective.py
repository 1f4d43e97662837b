"""Attack losses: differentiable stand-ins for "the target is in the top K", lower is better for the attacker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from sharpap.attacks.scan import Scan
from sharpap.errors import ConfigError, ContractError
from sharpap.kernels import Pattern, block_rows, sddmm, spmm, spmm_t
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings

# Far below any count of hits that float32 can tell from none.
_TINY = 1e-30


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
        users, items = embeddings.users[scan.users], embeddings.items
        wanted, weights = items[scan.targets], scan.weights
        lists = [(scan.k, self.bandwidth, 1 - self.longer_share if self.longer else 1.0)]
        if self.longer:
            lists.append((min(self.longer, scan.rivals.shape[1]), self.longer_bandwidth, self.longer_share))
        best = rival_scores(users, items, scan.rivals).topk(max(k for k, _, _ in lists), dim=1).indices
        own, value = users @ wanted.T, 0.0
        user_grad, item_grad = torch.zeros_like(embeddings.users), torch.zeros_like(items)
        for k, bandwidth, share in lists:
            edge = scan.rivals.gather(1, best[:, k - 1 : k]).squeeze(1)
            margin = own - (users * items[edge]).sum(1, keepdim=True)
            width = bandwidth * (_spread(margin, weights) if self.relative else 1.0)
            hit = torch.sigmoid(margin / width)
            count = float((weights * hit).sum())
            scale = share / max(count, _TINY) if self.geometric else share
            slope = -scan.sign * scale * weights * hit * (1 - hit) / width
            total = slope.sum(1, keepdim=True)
            user_grad[scan.users] += slope @ wanted - total * items[edge]
            item_grad.index_add_(0, edge, total * users, alpha=-1)
            item_grad.index_add_(0, scan.targets, slope.T @ users)
            value -= scan.sign * share * (math.log(max(count, _TINY)) if self.geometric else count)
        return value, Embeddings(user_grad, item_grad)


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
    """PGA's integrity loss: minus the mean score of the targets.

    Source: Li et al. 2016, section 3.3, with equal weights for all users.
    """

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users targets d)."""
        slope = -scan.sign * scan.weights
        scores = embeddings.users[scan.users] @ embeddings.items[scan.targets].T
        return float((slope * scores).sum()), target_slope_grad(slope, embeddings, scan)


@dataclass(frozen=True, kw_only=True)
class DifficultyDiversity(Settings):
    """DADA's loss: favour the users who are nearly won (difficulty) and spread the uplift over users (diversity).

    With M_ut = 1 where target t is outside u's top K, z = s M / (b1 (max(s M) + 0.1)), and the uplift s - s_clean:
    minus the mean over eligible pairs of  difficulty * -log(1 - b1 z) + diversity * sigmoid(b2 (uplift M - c_t)),
    c_t the least uplift of target t over users; maxima and minima are of eligible pairs, and constants in the gradient. To
    demote, M_ut = 1 where t is inside, the uplift changes sign, and max(s) - s stands for s.

    Attributes:
        difficulty, diversity: weights of the two terms; 0 switches one off.
        sharpness: b2.
        margin: b1, in (0, 1): how steeply the difficulty term rises for the best user.

    Source: Li, Di and Chen 2022, *Revisiting injective attacks on recommender systems*. A reconstruction: no public code was
    found. Inferred: b1 is applied once (inside the logarithm z is at most 1 / b1 times b1, so the product is clipped at
    `margin`), negative scores count as 0, and terms are means.
    """

    difficulty: float = 1.0
    diversity: float = 1.0
    sharpness: float = 5.0
    margin: float = 0.9
    uses_clean: ClassVar[bool] = True

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users (rivals + targets) d)."""
        if scan.clean is None:
            raise ContractError("DADA's loss needs the scores of a clean surrogate in its scan.")
        users, items = embeddings.users[scan.users], embeddings.items
        edge = rival_scores(users, items, scan.rivals).topk(scan.k, dim=1).values[:, -1:]
        with torch.enable_grad():
            scores = (users @ items[scan.targets].T).detach().requires_grad_()
            outside = (scores.detach() <= edge) if scan.sign > 0 else (scores.detach() > edge)
            known = outside * scan.eligible
            nearness = scores if scan.sign > 0 else (scores.detach() * known).max() - scores
            z = (nearness * known).clamp_min(0) / ((nearness.detach() * known).max().clamp_min(0) + 0.1)
            uplift = scan.sign * (scores - scan.clean) * outside
            least = (uplift.detach() + (1 - scan.eligible) * 1e9).min(0).values
            gain = self.difficulty * -torch.log1p(-self.margin * z)
            gain = gain + self.diversity * torch.sigmoid(self.sharpness * (uplift - least))
            won = self._won()
            value = -(scan.weights * torch.where(outside, gain, won)).sum()
            (slope,) = torch.autograd.grad(value, scores)
        return float(value.detach()), target_slope_grad(slope, embeddings, scan)

    def _won(self) -> float:
        """What a pair inside the top K counts: the most that one outside can, so that a win never raises the loss."""
        return self.difficulty * -float(np.log1p(-self.margin)) + self.diversity


def _spread(values: Tensor, weights: Tensor) -> float:
    """Weighted standard deviation; `weights` sum to 1."""
    mean = (weights * values).sum()
    return max(float((weights * (values - mean).square()).sum().sqrt()), 1e-12)


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
