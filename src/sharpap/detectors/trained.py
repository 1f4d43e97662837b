"""DegreeSAD and SemiSAD, and a classifier on all features of profiles, all learnt from simulated fakes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.detectors.base import Array
from sharpap.detectors.features import profile_features, standardised
from sharpap.detectors.simulated import Simulating, Supervised
from sharpap.detectors.statistics import item_popularity
from sharpap.errors import ConfigError
from sharpap.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class DegreeSAD(Supervised):
    """Mean, range and lower quartile of the popularity of a user's items, judged by a classifier (Li et al. 2016).

    Attributes:
        attacks, simulated, draws: see `Simulating`.
        classifier, folds: see `Supervised`.

    Source: Li, Gao, Li et al. 2016, *Shilling attack detection in recommender systems via selecting patterns analysis*; the
    repository Coder-Yu/SDLib for the three numbers (MUD, RUD, QUD). Deviations: labels are simulated; logistic regression
    for a decision tree, which gives no ranking; the mean is a mean (in SDLib a sum, by a slip).
    """

    def columns(self, everyone: csr_array, *, seed: int) -> Array:
        """See `Supervised`: (num_rows, 3)."""
        own = item_popularity(everyone)[everyone.indices]
        sizes = np.diff(everyone.indptr)
        row = np.repeat(np.arange(len(sizes)), sizes)
        own = own[np.lexsort((own, row))]  # within each row; no row is empty
        first, last = everyone.indptr[:-1], everyone.indptr[1:] - 1
        mean = np.add.reduceat(own, first) / sizes
        return np.column_stack([mean, own[last] - own[first], own[first + (last - first) // 4]])


@dataclass(frozen=True, kw_only=True)
class ProfileClassifier(Supervised):
    """All of `profile_features`, judged by a classifier.

    Attributes:
        attacks, simulated, draws: see `Simulating`.
        classifier, folds: see `Supervised`.

    Source: Burke, Mobasher, Williams and Bhaumik 2006, *Classification features for attack detection*, for the idea: a
    supervised classifier on generic features of profiles. Deviations: labels are simulated; features for binary data.
    """

    def columns(self, everyone: csr_array, *, seed: int) -> Array:
        """See `Supervised`."""
        return profile_features(everyone, seed=seed)


@dataclass(frozen=True, kw_only=True)
class SemiSAD(Simulating):
    """Naive Bayes that begins with labels and then follows its own judgements (Cao et al. 2013).

    First all users count as genuine and the simulated fakes as fakes. Then, in rounds of expectation and maximisation, each
    user counts as fake by the chance that the last model gave, so that real fakes can leave the genuine class.

    Attributes:
        unlabelled: weight of a user against a simulated fake, the source's lambda.
        steps: rounds at most.
        tolerance: ends when no chance moves by more.
        attacks, simulated, draws: see `Simulating`.

    Source: Cao, Wu, Mao and Zhang 2013, *Shilling attack detection utilizing semi-supervised learning method for collaborative
    recommender system*; its repository version is in Coder-Yu/SDLib. Deviations: labels are simulated, and no user is known
    to be genuine; of its five numbers two, the entropy of ratings and the difference between extreme and other ratings, have no
    meaning for binary data: it looks at `profile_features` instead, which hold the other three (RDMA, DegSim, length); chances
    for the labels that SDLib gives to five users at a time.
    """

    unlabelled: float = 0.5
    steps: int = 30
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.unlabelled <= 1:
            raise ConfigError(f"unlabelled={self.unlabelled} must lie above 0 and at most at 1.")

    def _judged(self, everyone: csr_array, genuine: int, seed: int) -> Array:
        from sklearn.naive_bayes import GaussianNB  # pyright: ignore[reportMissingImports]

        features = profile_features(everyone, seed=derive_seed(seed, "columns"))
        features = standardised(features, np.ones(len(features), dtype=bool))
        users, fakes = features[:genuine], features[genuine:]
        rows = np.concatenate([users, users, fakes])
        labels = np.arange(len(rows)) >= genuine  # each user once as genuine and once as fake, by their chances
        chance = np.zeros(genuine)
        found = chance
        for _ in range(self.steps + 1):
            weight = np.concatenate([self.unlabelled * (1 - chance), self.unlabelled * chance, np.ones(len(fakes))])
            model: Any = GaussianNB().fit(rows, labels, np.maximum(weight, 1e-9))
            both = model.predict_joint_log_proba(users)
            found = both[:, 1] - both[:, 0]  # as the chance, but with no ties near 0 and 1
            before, chance = chance, model.predict_proba(users)[:, 1]
            if np.abs(chance - before).max() <= self.tolerance:
                break
        return found
