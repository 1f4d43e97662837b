"""Discrete steps: how a profile gradient changes binary profiles of fixed size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from sharpap.errors import ConfigError
from sharpap.kernels import topk_scores
from sharpap.settings import Settings
from sharpap.surrogates.base import ProfileGradient

Array = np.ndarray[Any, np.dtype[Any]]
IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]
ROW_BLOCK = 64


class Mover(Protocol):
    """One attack's running step: may hold state such as a velocity."""

    def move(
        self, fillers: Tensor, gradient: ProfileGradient, *, done: float, generator: np.random.Generator
    ) -> Tensor:
        """New (num_fake, c) filler items from the current ones; `done` in [0, 1) is the attack's progress."""
        ...

    def state(self) -> dict[str, Array]:
        """What it remembers, as arrays by name; empty if nothing."""
        ...

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from a `state`."""
        ...


@runtime_checkable
class Step(Protocol):
    """Settings of a discrete step."""

    def begin(self, num_fake: int, num_items: int, forbidden: Tensor, popularity: IntArray) -> Mover:
        """A fresh mover; `forbidden` items are never chosen as fillers. `popularity` is (num_items,) counts."""
        ...


@dataclass(frozen=True, kw_only=True)
class SwapStep(Settings):
    """Swap the fillers that hurt most for the absent items that help most, in a random part of the profiles.

    To first order a swap changes the attack loss by G[absent] - G[present]; pairs are taken best with worst, as long as
    they help. Only some profiles move at once, since all see the same gradient and would overshoot together.

    Attributes:
        swap_share: share of a profile's fillers exchanged at most, at the start.
        row_share: share of the profiles that move in one epoch.
        anneal: lower `swap_share` linearly to a single swap at the end.
        group_size: profiles that share their fillers, from the first step on, and move together, by the sum of their gradients.
            The number of groups comes as near to it as it can, and `row_share` of them move at once. 1: each on its own.

    Source: this project. Row-normalised gradient descent with top-n projection, the original's step (`MomentumStep`), seldom
    changes an entry (docs/attacks.md).
    """

    swap_share: float = 0.2
    row_share: float = 0.5
    anneal: bool = True
    group_size: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("swap_share", "row_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must lie above 0 and at most at 1.")
        if self.group_size < 1:
            raise ConfigError(f"group_size={self.group_size} must be 1 or more.")

    def begin(self, num_fake: int, num_items: int, forbidden: Tensor, popularity: IntArray) -> Mover:
        """See `Step`."""
        return _Swaps(self, num_items, forbidden)


@dataclass(frozen=True, eq=False)
class _Swaps:
    settings: SwapStep
    num_items: int
    forbidden: Tensor

    def move(
        self, fillers: Tensor, gradient: ProfileGradient, *, done: float, generator: np.random.Generator
    ) -> Tensor:
        settings = self.settings
        num_fake, size = fillers.shape
        share = settings.swap_share * (1 - done if settings.anneal else 1)
        absent = self.num_items - size - len(self.forbidden)
        swaps = min(max(1, round(share * size)), size, absent)
        if swaps < 1:
            return fillers
        groups = max(1, round(num_fake / settings.group_size))
        moving = np.sort(generator.choice(groups, max(1, round(settings.row_share * groups)), replace=False))
        fillers = fillers.clone()
        if groups == num_fake:
            for rows in torch.from_numpy(moving).split(ROW_BLOCK):
                fillers[rows] = self._swapped(fillers[rows], gradient.rows(rows), swaps)
            return fillers
        for group, members in enumerate(torch.arange(num_fake).tensor_split(groups)):
            shared = fillers[members[:1]]
            if group in moving:
                slope = torch.stack([gradient.rows(rows).sum(0) for rows in members.split(ROW_BLOCK)])
                shared = self._swapped(shared, slope.sum(0, keepdim=True), swaps)
            fillers[members] = shared
        return fillers

    def _swapped(self, present: Tensor, slope: Tensor, swaps: int) -> Tensor:
        """The rows of fillers with up to `swaps` exchanged each; `slope` is overwritten."""
        harm = slope.gather(1, present)
        slope.scatter_(1, present, torch.inf)
        slope[:, self.forbidden] = torch.inf
        arrivals, gain = (torch.from_numpy(part) for part in topk_scores((-slope).numpy(), swaps))
        worst, leavers = harm.topk(swaps, dim=1)
        kept = present.gather(1, leavers)
        return present.scatter(1, leavers, torch.where(-gain < worst, arrivals.long(), kept))

    def state(self) -> dict[str, Array]:
        return {}

    def restore(self, state: Mapping[str, Array]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class MomentumStep(Settings):
    """The original step: row-normalised gradient, momentum, projection to the top n of each row.

    Attributes:
        learning_rate, momentum: as in the source.
        latent: keep the real-valued profiles between epochs and train on their projection, so that small steps add up;
            False: start every epoch from the projected binary profiles, as the source does.
        popularity_weight: times an item's share of the greatest count is added before the projection, as in RAPU-G.

    Source: Tang, Wen and Wang 2020, algorithm 1; top-n projection after later re-implementations (the original thresholds,
    which leaves the profile size open). Holds two dense (num_fake, num_items) arrays.
    """

    learning_rate: float = 1.0
    momentum: float = 0.95
    latent: bool = False
    popularity_weight: float = 0.0

    def begin(self, num_fake: int, num_items: int, forbidden: Tensor, popularity: IntArray) -> Mover:
        """See `Step`."""
        share = torch.from_numpy(popularity / max(int(popularity.max(initial=0)), 1)).float()
        return _Momentum(self, forbidden, self.popularity_weight * share)


@dataclass(eq=False)
class _Momentum:
    settings: MomentumStep
    forbidden: Tensor
    bonus: Tensor
    velocity: Tensor | None = field(default=None)
    profiles: Tensor | None = field(default=None)

    def move(
        self, fillers: Tensor, gradient: ProfileGradient, *, done: float, generator: np.random.Generator
    ) -> Tensor:
        if fillers.shape[1] == 0:
            return fillers
        slope = torch.cat([gradient.rows(rows) for rows in torch.arange(len(fillers)).split(ROW_BLOCK)])
        slope[:, self.forbidden] = 0
        slope /= torch.linalg.vector_norm(slope, dim=1, keepdim=True).clamp_min(1e-30)
        if self.velocity is None:
            self.velocity = torch.zeros_like(slope)
        if self.profiles is None or not self.settings.latent:
            self.profiles = torch.zeros_like(slope).scatter_(1, fillers, 1)
        self.velocity.mul_(self.settings.momentum).add_(slope)
        self.profiles.add_(self.velocity, alpha=-self.settings.learning_rate)
        ranked = self.profiles + self.bonus
        ranked[:, self.forbidden] = -torch.inf
        chosen, _ = topk_scores(ranked.numpy(), fillers.shape[1])
        return torch.from_numpy(chosen.astype(np.int64))

    def state(self) -> dict[str, Array]:
        if self.velocity is None or self.profiles is None:
            return {}
        return {"velocity": self.velocity.numpy(), "profiles": self.profiles.numpy()}

    def restore(self, state: Mapping[str, Array]) -> None:
        if state:
            self.velocity, self.profiles = (torch.from_numpy(state[name]) for name in ("velocity", "profiles"))
