"""What can be said of a single profile in numbers: features for detectors, label-free or trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import svds

from sharpap.detectors.base import Array
from sharpap.detectors.neighbours import DegSim
from sharpap.detectors.statistics import RarityDeviation, item_popularity, means
from sharpap.seeds import rng

TAIL = 0.2  # the rarest items, and the most popular ones, are those that hold this share of all interactions
COMPONENTS = 16
NAMES = (
    "size", "mean_popularity", "std_popularity", "min_popularity", "max_popularity", "quartile_popularity",
    "rare_share", "popular_share", "rdma", "wdma", "likeness", "deg_sim", "deg_sim_rare", "explained",
)  # fmt: skip


def profile_features(train: csr_array, *, seed: int) -> Array:
    """(num_users, len(NAMES)) float64 features of every profile, from the training data alone.

    Columns, in the order of `NAMES`. Popularity is the natural logarithm of an item's number of users.

    - size: logarithm of the number of items.
    - mean, std, min, max, quartile of the popularity of a user's items; quartile is the lower one.
    - rare_share, popular_share: share of the items that belong to the rarest (most popular) ones of the catalogue, those that
      together hold a fifth of all interactions.
    - rdma, wdma: logarithm of `RarityDeviation`'s.
    - likeness: mean cosine with all other users.
    - deg_sim, deg_sim_rare: mean cosine with the nearest ten, plain and with rare items counted more (`DegSim`).
    - explained: share of the row, brought to length 1, that lies in the leading directions of all rows.

    Users without interactions get zeros. Nothing depends on the order of users, up to rounding. Memory is O(nnz) and a block
    of similarities, time that of `DegSim`.

    Sources: mean, range and quartile of popularity are the features of DegreeSAD (Li, Gao, Li et al. 2016; SDLib,
    Coder-Yu/SDLib); RDMA, WDMA, DegSim and the length are those of Chirita et al. 2005 and Burke et al. 2006. Deviations:
    logarithms; minimum and maximum instead of their difference; the last one and the two shares are this project's.
    """
    sizes = np.diff(train.indptr)
    known = sizes > 0
    popularity = item_popularity(train)
    level = np.log(np.maximum(popularity, 1))
    of_entries = level[train.indices]
    row = np.repeat(np.arange(len(sizes)), sizes)
    ordered = of_entries[np.lexsort((of_entries, row))]  # within each row
    first, last = train.indptr[:-1][known], train.indptr[1:][known] - 1
    mean = np.where(known, means(train, level), 0)
    found = np.zeros((len(sizes), len(NAMES)))
    rare, popular = _tails(popularity)
    columns: dict[str, Array] = {
        "size": np.log(np.maximum(sizes, 1)),
        "mean_popularity": mean,
        "std_popularity": np.sqrt(np.maximum(np.where(known, means(train, level**2), 0) - mean**2, 0)),
        "rare_share": means(train, rare),
        "popular_share": means(train, popular),
        "likeness": _likeness(train),
        "deg_sim": DegSim(inverse_popularity=False).suspicion(train, seed=seed),
        "deg_sim_rare": DegSim().suspicion(train, seed=seed),
        "explained": _explained(train, seed),
    }
    columns |= {
        "rdma": np.log(np.maximum(RarityDeviation().suspicion(train, seed=seed), 1e-12)),
        "wdma": np.log(np.maximum(RarityDeviation(kind="wdma").suspicion(train, seed=seed), 1e-12)),
    }
    for name, column in columns.items():
        found[known, NAMES.index(name)] = column[known]
    found[known, NAMES.index("min_popularity")] = ordered[first]
    found[known, NAMES.index("max_popularity")] = ordered[last]
    found[known, NAMES.index("quartile_popularity")] = ordered[first + (last - first) // 4]
    return np.where(np.isfinite(found), found, 0.0)


def user_embeddings(train: csr_array, size: int, *, seed: int) -> Array:
    """(num_users, size) embeddings: rows brought to length 1, then a truncated singular value decomposition.

    `size` is cut to min(shape) - 1. Users that hold alike items lie near one another. The sign of a column is
    the one with which its cubes add up to a positive number.
    """
    rows = _unit(train)
    count = max(1, min(size, min(train.shape) - 1))
    start: Any = rng(seed, "embeddings").standard_normal(min(train.shape))
    directions, lengths, _ = svds(rows, k=count, v0=start, return_singular_vectors="u")
    turned = np.where((directions**3).sum(0) < 0, -1.0, 1.0)
    return directions * lengths * turned


def standardised(columns: Array, known: Array) -> Array:
    """Columns with mean 0 and deviation 1 over the users that count, (num_users,) bool; constant columns become 0."""
    centred = columns - columns[known].mean(0)
    spread = columns[known].std(0)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12)


def _tails(popularity: Array) -> tuple[Array, Array]:
    """(num_items,) 0 or 1: the rarest and the most popular items that hold `TAIL` of all interactions.

    Items of one popularity are all in or all out, so that their numbers in the catalogue do not matter.
    """
    counts, weight = np.unique(popularity, return_counts=True)
    held = np.cumsum(counts * weight)
    total = max(held[-1], 1)
    rare = counts[held <= TAIL * total].max(initial=0)
    popular = counts[held > (1 - TAIL) * total].min(initial=np.inf)
    return (popularity <= rare).astype(np.float64), (popularity >= popular).astype(np.float64)


def _unit(train: csr_array) -> csr_array:
    sizes = np.diff(train.indptr)
    return csr_array(diags_array(1 / np.sqrt(np.maximum(sizes, 1))) @ train.astype(np.float64))


def _likeness(train: csr_array) -> Array:
    """Mean cosine with all other users that have interactions."""
    rows = _unit(train)
    others = max(int((np.diff(train.indptr) > 0).sum()) - 1, 1)
    return (rows @ np.asarray(rows.sum(0)).ravel() - 1) / others


def _explained(train: csr_array, seed: int) -> Array:
    return (user_embeddings(train, COMPONENTS, seed=seed) ** 2).sum(1)
