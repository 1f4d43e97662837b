"""DADA's losses: users who are easy to win, of many communities, weigh more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from sharpap.attacks.objective import TINY, add_margin_slope, margins, rival_scores, spread, target_slope_grad, zeros
from sharpap.attacks.scan import Scan
from sharpap.errors import ConfigError, ContractError
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings


@dataclass(frozen=True, kw_only=True)
class EasyCommunities(Settings):
    """DADA's aims by other means: users near their own threshold weigh more (difficulty), in every community (diversity).

    With h_ut = sigmoid((s_ut - threshold_K(u)) / bandwidth), the gain of a pair is -log(1 - convexity h): its slope rises up to
    the threshold, so that the easiest users weigh most. The loss is

        -(1 - diversity) log(mean gain) - diversity * mean over communities c of log(mean gain of c),

    so that a gain in a community where little is won yet counts more. Communities are groups of users of equal size, by
    their embeddings in a surrogate trained without fakes.

    Attributes:
        bandwidth: width of the step, as a share of the standard deviation of the margins s_ut - threshold_K(u) over
            eligible pairs, a constant in the gradient.
        convexity: how much more a pair near the threshold weighs; below 1.
        diversity: share of the second term; 0 and 1 switch one off.
        communities: how many.

    Source: the aims of Li, Di and Chen 2022 (DADA); their formulas are `DifficultyDiversity`. There, difficulty is the score
    over the greatest score of all users, which for unpopular targets makes the term nearly linear in all scores, and
    diversity is a sigmoid of the uplift, which is 1/2 wherever the uplift is small (docs/attacks.md). Inferred: both
    formulas here, the equal sizes, the number of communities.
    """

    bandwidth: float = 0.3
    convexity: float = 0.9
    diversity: float = 0.2
    communities: int = 8
    uses_clean: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.bandwidth > 0:
            raise ConfigError(f"bandwidth={self.bandwidth} must be positive.")
        if not 0 < self.convexity < 1:
            raise ConfigError(f"convexity={self.convexity} must lie between 0 and 1.")
        if not 0 <= self.diversity <= 1:
            raise ConfigError(f"diversity={self.diversity} must lie in [0, 1].")
        if self.communities < 1:
            raise ConfigError(f"communities={self.communities} must be 1 or more.")

    def value_and_grad(self, embeddings: Embeddings, scan: Scan) -> tuple[float, Embeddings]:
        """See `Objective`. O(users (rivals + targets) d)."""
        if scan.communities is None:
            raise ContractError("DADA's loss needs the users' communities in its scan.")
        weights = scan.weights
        ((margin, edge),) = margins(embeddings, scan, [scan.k])
        width = self.bandwidth * spread(margin, weights)
        hit = torch.sigmoid(scan.sign * margin / width)
        gain = -torch.log1p(-self.convexity * hit)
        rise = self.convexity * hit * (1 - hit) / (1 - self.convexity * hit) / width
        count = max(float((weights * gain).sum()), TINY)
        sums, sizes = (weights.new_zeros(self.communities) for _ in range(2))
        sums.index_add_(0, scan.communities, (weights * gain).sum(1))
        sizes.index_add_(0, scan.communities, weights.sum(1))
        there = sizes > 0
        means = (sums / sizes.clamp_min(TINY)).clamp_min(TINY)
        each = self.diversity / max(int(there.sum()), 1)
        scale = (1 - self.diversity) / count + (each / (means * sizes.clamp_min(TINY)))[scan.communities][:, None]
        value = -(1 - self.diversity) * math.log(count) - each * float(means[there].log().sum())
        grad = zeros(embeddings)
        add_margin_slope(grad, -scan.sign * scale * weights * rise, edge, embeddings, scan)
        return value, grad


@dataclass(frozen=True, kw_only=True)
class DifficultyDiversity(Settings):
    """DADA's loss: favours users who are nearly won (difficulty) and spreads the uplift over users (diversity).

    With M_ut = 1 where target t is outside u's top K, z = s M / (b1 (max(s M) + 0.1)), and the uplift s - s_clean:
    minus the mean over eligible pairs of  difficulty * -log(1 - b1 z) + diversity * sigmoid(b2 (uplift M - c_t)),
    c_t the least uplift of target t over users; maxima and minima are of eligible pairs, and constants in the gradient. To
    demote, M_ut = 1 where t is inside, the uplift changes sign, and max(s) - s stands for s.

    Attributes:
        difficulty, diversity: weights of the two terms; 0 switches one off.
        sharpness: b2.
        margin: b1, in (0, 1): how steeply the difficulty term rises for the best user.

    Source: Li, Di and Chen 2022, *Revisiting injective attacks on recommender systems*. A reconstruction: no public code was
    found. `EasyCommunities` is what the recipe name "dada" uses: this loss comes to little. Inferred: b1 is applied once
    (inside the logarithm z is at most 1 / b1 times b1, so the product is clipped at `margin`), negative scores count as 0,
    and terms are means.
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
