"""A recommender, an attack and a detector for SharpAP: frozen dataclasses of settings, named by entry points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, diags_array

from sharpap.attacks import Poison
from sharpap.seeds import rng
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, kw_only=True)
class CoCounts:
    """Scores an item by how often it was taken together with a user's items.

    Attributes:
        damping: power of an item's popularity that its counts are divided by.
    """

    damping: float = 0.5

    def fit(self, train: csr_array, *, seed: int) -> CoCountsModel:
        """Nothing is random."""
        weights = diags_array(np.maximum(train.sum(axis=0), 1) ** -self.damping)
        return CoCountsModel(train, csr_array(train.T @ train @ weights))


@dataclass(frozen=True)
class CoCountsModel:
    """The trained model."""

    train: csr_array
    weights: csr_array

    def score(self, users: np.ndarray) -> np.ndarray:
        """(len(users), num_items) sums of weights."""
        return (self.train[users] @ self.weights).toarray()


@dataclass(frozen=True, kw_only=True)
class Companions:
    """Fills fake profiles with the targets' companions: items of users who have a target, else any items.

    Attributes:
        share: of the free places that companions get; the rest is drawn from the catalogue.
    """

    share: float = 0.5

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """Targets are held when promoting and left out when demoting."""
        allowance = budget.resolve(train, goal)
        generator = rng(seed, "companions")
        pinned = np.array(goal.targets if goal.direction == "promote" else (), np.int64)
        owners = np.flatnonzero(train[:, list(goal.targets)].sum(axis=1))
        everything = np.setdiff1d(np.arange(train.shape[1]), goal.targets)
        companions = np.setdiff1d(train[owners].indices, goal.targets)
        free = allowance.profile_size - len(pinned)
        dense = np.zeros((allowance.num_fake, train.shape[1]), np.float32)
        for row in dense:
            near = generator.permutation(companions)[: round(self.share * free)]
            far = generator.permutation(np.setdiff1d(everything, near))[: free - len(near)]
            row[np.concatenate([pinned, near, far])] = 1
        return Poison(
            profiles=csr_array(dense), goal=goal, attack="companions", settings={"share": self.share}, seed=seed
        )


@dataclass(frozen=True, kw_only=True)
class RareItems:
    """Suspects users whose items hardly anybody else has.

    Attributes:
        rare: an item with fewer users than this is rare.
    """

    rare: int = 5

    def suspicion(self, train: csr_array, *, seed: int) -> np.ndarray:
        """(num_users,) shares of rare items in each profile; -inf for users without any."""
        rare = np.bincount(train.indices, minlength=train.shape[1]) < self.rare
        sizes = np.diff(train.indptr)
        return np.where(sizes > 0, (train @ rare.astype(float)) / np.maximum(sizes, 1), -np.inf)
