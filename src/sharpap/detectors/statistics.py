"""Statistics of single profiles against the population: size, popularity of the items, rarity, squared residue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from sharpap.detectors.base import Array
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ProfileSize:
    """An unusual number of items, longer or shorter.

    The absolute z-score of the logarithm of a user's number of items. A baseline: an attack whose profiles are as long as the
    mean genuine one is nearly invisible to it.
    """

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; nothing is random."""
        sizes = np.diff(train.indptr)
        return np.abs(_zscore(np.log(np.maximum(sizes, 1)), sizes))


@dataclass(frozen=True, kw_only=True)
class ProfilePopularity:
    """Items unusually popular or unusually rare for a profile of that length.

    The absolute z-score of the mean log popularity of a user's items, after the part that is explained by the length of the
    profile is taken out (a straight line in the logarithm: short profiles hold popular items).
    """

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; nothing is random."""
        sizes = np.diff(train.indptr)
        known = sizes > 0
        level = means(train, np.log(np.maximum(item_popularity(train), 1)))
        length = np.log(np.maximum(sizes, 1))
        centred = length - length[known].mean() if known.any() else length
        slope = (centred[known] @ level[known]) / max(float(centred[known] @ centred[known]), 1e-12)
        return np.abs(_zscore(level - slope * centred, sizes))


@dataclass(frozen=True, kw_only=True)
class RarityDeviation(Settings):
    """Items that few others have: RDMA and its variants for binary data (Chirita et al. 2005, Burke et al. 2006).

    RDMA averages a user's deviations from the mean rating of each item, divided by the item's number of ratings. With
    interactions for ratings, an item held by n of U users has the mean n / U, so that the deviation of a user who has it is
    1 - n / U.

    Attributes:
        kind: "rdma", the mean over a user's items of deviation / n; "wdma", the same with n squared; "wda", the sum instead of
            the mean, which grows with the profile.

    Sources: Chirita, Nejdl and Zamfir 2005, *Preventing shilling attacks in online recommender systems*; Burke, Mobasher,
    Williams and Bhaumik 2006, *Classification features for attack detection*. Deviation: items that a user does not have,
    which on ratings count for nothing, count for nothing here either.
    """

    kind: Literal["rdma", "wdma", "wda"] = "rdma"

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; nothing is random."""
        popularity = item_popularity(train)
        power = 2 if self.kind == "wdma" else 1
        share = popularity / max(int((np.diff(train.indptr) > 0).sum()), 1)
        weight = (1 - share) / np.maximum(popularity, 1) ** power
        return sums(train, weight) if self.kind == "wda" else means(train, weight)


@dataclass(frozen=True, kw_only=True)
class UnRAP:
    """A profile that the means of user, item and matrix explain badly (Bryan et al. 2008).

    The Hv score of a user over all items, held or not: the squared residue of x_ui - mean_i - mean_u + mean, over the squared
    deviation of x_ui from the user's own mean.

    Source: Bryan, O'Mahony and Cunningham 2008, *Unsupervised retrieval of attack profiles in collaborative recommender
    systems*. Deviations: for binary data, where a missing interaction is a 0; its second phase, which starts from the ten
    users of highest score and guesses the attacked item, is left out: it gives a set, not a score for each user. Computed
    from sums, O(nnz) time.
    """

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; nothing is random."""
        num_users, num_items = train.shape
        offset = item_popularity(train) / num_users - train.nnz / (
            num_users * num_items
        )  # item mean minus overall mean
        mean = np.diff(train.indptr) / num_items
        own = num_items * mean * (1 - mean)
        # sum over items of ((x - mean) - offset)^2, where the offsets sum to 0 over items
        residue = own - 2 * sums(train, offset) + offset @ offset
        return np.divide(residue, own, out=np.full(num_users, -np.inf), where=own > 0)


def item_popularity(train: csr_array) -> Array:
    """(num_items,) number of users of each item, as float64."""
    return np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)


def sums(train: csr_array, weight: Array) -> Array:
    """(num_users,) sums of an item weight over each user's items."""
    binary: Any = csr_array((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)
    return binary @ weight


def means(train: csr_array, weight: Array) -> Array:
    """(num_users,) means of an item weight over each user's items; -inf where there are none."""
    sizes = np.diff(train.indptr)
    return np.divide(sums(train, weight), sizes, out=np.full(len(sizes), -np.inf), where=sizes > 0)


def _zscore(values: Array, sizes: Array) -> Array:
    """Distance from the mean in deviations, over users with interactions; 0 for the others, which `suspicion` sets to -inf."""
    known = sizes > 0
    found = np.zeros(len(values))
    spread = float(values[known].std()) if known.any() else 0.0
    if spread > 0:
        found[known] = (values[known] - values[known].mean()) / spread
    return found
