"""RAPU-R: profiles by ranking with a trained surrogate, without a gradient."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import pinned_items, to_csr
from sharpap.errors import ConfigError
from sharpap.seeds import derive_seed
from sharpap.settings import Settings
from sharpap.surrogates.base import Surrogate
from sharpap.surrogates.wrmf import WRMFSurrogate
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, kw_only=True)
class RAPUR(Settings):
    """Fills a profile with the popular items that an average user who also likes a target would rank first.

    p = mean of the genuine users' embeddings (of the goal's users, if it names some) + q_t, for each target t in turn; its
    fillers are the best by p . q among the most popular items. It has no attack loss to differentiate, so no worst case
    applies.

    Attributes:
        surrogate: the model trained on the genuine data.
        popular_share: share of the catalogue, by training count, that fillers come from.

    Source: Zhang et al. 2021, *Data poisoning attack against recommender system using incomplete and perturbed data*, RAPU-R.
    Deviations: every profile holds all targets, as for all attacks here; when demoting, none, and p = mean - q_t.
    """

    surrogate: Surrogate = field(default_factory=WRMFSurrogate)
    popular_share: float = 0.1
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.popular_share <= 1:
            raise ConfigError(f"popular_share={self.popular_share} must lie above 0 and at most at 1.")

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        none = to_csr([], train.shape[1])
        trained = self.surrogate.train(train, none, seed=derive_seed(seed, "surrogate")).embeddings
        users, items = trained.users.numpy(), trained.items.numpy()
        middle = (users if goal.users is None else users[goal.audience(train)]).mean(0)
        pinned = pinned_items(goal)
        wanted = allowance.profile_size - len(pinned)
        allowed = np.setdiff1d(np.arange(train.shape[1]), goal.targets)
        counts = np.bincount(train.indices, minlength=train.shape[1])
        popular = allowed[np.argsort(-counts[allowed], kind="stable")]
        popular = popular[: max(wanted, round(self.popular_share * train.shape[1]))]
        sign = 1 if goal.direction == "promote" else -1
        rows = []
        for fake in range(allowance.num_fake):
            target = goal.targets[fake % len(goal.targets)]
            score = items[popular] @ (middle + sign * items[target])
            rows.append(np.concatenate([pinned, popular[np.argsort(-score, kind="stable")[:wanted]]]).astype(np.int64))
        return Poison(
            profiles=to_csr(rows, train.shape[1]),
            goal=goal,
            attack="rapu-r",
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
        )
