"""APT: the defender adds users of its own, whose profiles lower the training risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from sharpap.data.interactions import canonical_csr
from sharpap.errors import ConfigError
from sharpap.kernels import Pattern, block_rows, sddmm, spmm_t, topk_scores
from sharpap.recommenders import WRMF, FactorModel, Recommender, Scorer
from sharpap.recommenders.base import LeastSquares
from sharpap.recommenders.calls import Timed, fit
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class APT(Settings):
    """Adversarial poisoning training: adds users of the defender's own, whose profiles lower the empirical risk.

    A WRMF is trained on what there is; by its influence function each item of each added user raises or lowers the risk of the
    data, and a profile is made of those that lower it most. So it goes for some rounds, each on the data and the users of
    the round before. The recommender is trained on the data and the last of them. What they lower is the part of the risk
    that regularisation keeps: where there is little of it, more users, of any kind, raise the risk.

    Attributes:
        users: how many are added: a share of the users with interactions (float below 1) or a number (int).
        profile_size: items of each; None: the mean of the users.
        rounds: how often they are made anew; the first time they take the tastes of random users.

    Source: Wu, Lian, Ge, Zhu, Chen and Yuan 2021, *Fight fire with fire: towards robust recommender systems via adversarial
    poisoning training* (no code was at hand). Deviations: for binary data, so that an added user has items and no ratings; the
    influence is one on the item factors, with users held; profiles have the best items, none are drawn; the risk is that of
    a WRMF (the recommender's own settings where it is one, else the defaults), whatever is trained in the end, and rounds are
    trainings, not epochs of one.
    """

    users: float | int = 0.05
    profile_size: int | None = None
    rounds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.users <= 0 or (isinstance(self.users, float) and self.users >= 1) or self.rounds < 1:
            raise ConfigError(
                f"users={self.users} is neither a share between 0 and 1 nor a number of users, or rounds={self.rounds} below 1."
            )
        if self.profile_size is not None and self.profile_size < 1:
            raise ConfigError(f"profile_size={self.profile_size} must be 1 or more.")

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """See `Defense`. Rows of added users come after all others. Raises `ConfigError` where the recommender reads order."""
        if isinstance(recommender, Timed):
            raise ConfigError(
                f"APT adds users without times, and {type(recommender.recommender).__name__} reads the order of items.",
                hint="Use another defence, or a recommender that does not.",
            )
        own = recommender if isinstance(recommender, WRMF) else WRMF()
        return fit(recommender, with_profiles(train, self.profiles(own, train, seed=seed)), valid, seed=seed)

    def profiles(self, model: WRMF, train: csr_array, *, seed: int) -> csr_array:
        """(added users, num_items) profiles of the last round."""
        active = np.flatnonzero(np.diff(train.indptr))
        count = max(1, round(self.users * len(active))) if isinstance(self.users, float) else self.users
        size = min(self.profile_size or max(1, round(train.nnz / max(len(active), 1))), train.shape[1])
        found = canonical_csr(csr_array((0, train.shape[1])))
        for number in range(self.rounds):
            poisoned = with_profiles(train, found)
            trained = fit(model, poisoned, seed=derive_seed(seed, "apt", "model"))
            assert isinstance(trained, FactorModel)
            if number:
                tastes = trained.user_factors[train.shape[0] :]
            else:
                tastes = trained.user_factors[rng(seed, "apt").choice(active, count)]
            found = _best(Influence.of(trained, poisoned, model.least_squares(poisoned)), tastes, size)
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Influence:
    """What another user's items do to the risk sum of w_ui (r_ui - p_u . q_i)^2 over all pairs, to first order.

    With users held, giving item i to a user with factor p adds w e p to its normal equations, e being what the pair leaves
    unexplained. So q_i moves by H_i^-1 w e p, with H_i = sum over u of w_ui p_u p_u^T + reg I. The gradient of the risk at the
    optimum is -2 reg q_i, and so the risk changes by -2 reg w e (H_i^-1 q_i) . p.

    Attributes:
        items: (num_items, d) q_i.
        solved: (num_items, d) H_i^-1 q_i.
        loss: weights and reg.
    """

    items: Tensor
    solved: Tensor
    loss: LeastSquares

    @classmethod
    def of(cls, model: FactorModel, train: csr_array, loss: LeastSquares, steps: int = 30) -> Influence:
        """By conjugate gradients for all items at once; O(steps nnz d)."""
        users, items = (torch.from_numpy(part).double() for part in (model.user_factors, model.item_factors))
        pattern, gram = Pattern.from_csr(train), loss.negative_weight * users.T @ users
        gram.diagonal().add_(loss.reg)
        more = loss.positive_weight - loss.negative_weight

        def curved(at: Tensor) -> Tensor:
            return at @ gram + more * spmm_t(pattern, sddmm(pattern, users, at), users)

        return cls(items=items, solved=_solve(curved, items, steps), loss=loss)

    def __call__(self, tastes: Tensor) -> Tensor:
        """(b, num_items) change of the risk when a user of that factor (b, d) gets an item that it did not have."""
        said = tastes @ self.items.T
        more = self.loss.positive_weight * (1 - said) + self.loss.negative_weight * said
        return -2 * self.loss.reg * more * (tastes @ self.solved.T)


def _solve(curved: Any, right: Tensor, steps: int) -> Tensor:
    """Conjugate gradients, one system a row."""
    found = torch.zeros_like(right)
    rest = right.clone()
    way, size = rest.clone(), rest.square().sum(1)
    for _ in range(steps):
        turned = curved(way)
        length = size / (way * turned).sum(1).clamp_min(1e-300)
        found += length[:, None] * way
        rest -= length[:, None] * turned
        before, size = size, rest.square().sum(1)
        way = rest + (size / before.clamp_min(1e-300))[:, None] * way
    return found


def _best(influence: Influence, tastes: Array, size: int) -> csr_array:
    """Profiles of the `size` items that lower the risk most; fewer where fewer do. A block of users at a time."""
    num_items = len(influence.items)
    step = block_rows(num_items, itemsize=8)
    found = []
    for start in range(0, len(tastes), step):
        lowers = -influence(torch.from_numpy(tastes[start : start + step]).double()).numpy()
        lowers[lowers <= 0] = -np.inf
        found.append(topk_scores(lowers, size)[0])
    users, places = np.nonzero(np.concatenate(found) >= 0)
    items = np.concatenate(found)[users, places]
    ones = np.ones(len(items), dtype=np.float32)
    return canonical_csr(csr_array((ones, (users, items)), shape=(len(tastes), num_items)))


def with_profiles(train: csr_array, profiles: csr_array) -> csr_array:
    """The data and further users after all others."""
    return canonical_csr(vstack([train, profiles], format="csr"))
