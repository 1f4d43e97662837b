"""Outliers among users, by scikit-learn: isolation forest and local outlier factor, on features or on embeddings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from sharpap.detectors.base import Array, ByScikitLearn
from sharpap.detectors.features import profile_features, standardised, user_embeddings
from sharpap.errors import ConfigError
from sharpap.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class _Outliers(ByScikitLearn):
    """What both have in common: (num_users, columns) numbers, of which the users with interactions are looked at."""

    on: Literal["features", "embeddings"] = "features"
    embedding_size: int = 16

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`."""
        order = self._judged_rows(train, seed)
        found = np.full(train.shape[0], -np.inf)
        if len(order) > 1:
            found[order] = self._score(self._numbers(train, seed)[order], derive_seed(seed, "outliers") % 2**32)
        return found

    def _numbers(self, train: csr_array, seed: int) -> Array:
        if self.on == "embeddings":
            return user_embeddings(train, self.embedding_size, seed=seed)
        return standardised(profile_features(train, seed=seed), np.diff(train.indptr) > 0)

    def _score(self, numbers: Array, seed: int) -> Array:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class IsolationForest(_Outliers):
    """Users whom a few random cuts separate from all others (Liu et al. 2008).

    Attributes:
        on: "features", `profile_features`, brought to mean 0 and deviation 1; "embeddings", `user_embeddings`.
        embedding_size: of the embeddings.
        trees: trees of the forest.
        sample: users that each tree is made of.

    Source: Liu, Ting and Zhou 2008, *Isolation forest*; `sklearn.ensemble.IsolationForest`, with its score.
    """

    trees: int = 200
    sample: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trees < 1 or self.sample < 2:
            raise ConfigError(f"trees={self.trees} must be 1 or more, sample={self.sample} 2 or more.")

    def _score(self, numbers: Array, seed: int) -> Array:
        from sklearn.ensemble import IsolationForest as Forest  # pyright: ignore[reportMissingImports]

        made: Any = Forest(n_estimators=self.trees, max_samples=min(self.sample, len(numbers)), random_state=seed)  # pyright: ignore[reportArgumentType]
        return -made.fit(numbers).score_samples(numbers)


@dataclass(frozen=True, kw_only=True)
class LocalOutlierFactor(_Outliers):
    """Users with fewer others around them than their neighbours have (Breunig et al. 2000).

    Attributes:
        on: "features", `profile_features`, brought to mean 0 and deviation 1; "embeddings", `user_embeddings`.
        embedding_size: of the embeddings.
        neighbours: how many. A group of fakes that is larger and close together is a dense place of its own, and not seen.

    Source: Breunig, Kriegel, Ng and Sander 2000, *LOF: identifying density-based local outliers*;
    `sklearn.neighbors.LocalOutlierFactor`, with its factor.
    """

    neighbours: int = 20

    def _score(self, numbers: Array, seed: int) -> Array:
        from sklearn.neighbors import LocalOutlierFactor as Factor  # pyright: ignore[reportMissingImports]

        made: Any = Factor(n_neighbors=min(self.neighbours, len(numbers) - 1))
        with warnings.catch_warnings():  # equal profiles are no error: users with one item have them
            warnings.filterwarnings("ignore", message="Duplicate values")
            return -made.fit(numbers).negative_outlier_factor_
