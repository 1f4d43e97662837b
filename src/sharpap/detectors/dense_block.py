"""DenseBlock: users and items that hold more of one another than their number explains (Fraudar)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from sharpap.detectors.base import Array, by_content
from sharpap.detectors.statistics import item_popularity
from sharpap.kernels.peel import peel
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DenseBlock(Settings):
    """How long a user stays when the least held users and items are taken away one by one (Fraudar, Hooi et al. 2016).

    An edge to an item with d users weighs 1 / log(d + offset), so that popular items, which a fake may hold as camouflage,
    count little. What is left when the mean weight a node is highest is the densest block (`block`); users who go later are
    more suspicious, and those of the block go last.

    Attributes:
        offset: added to the number of users of an item.

    Source: Hooi, Song, Beutel et al. 2016, *FRAUDAR: bounding graph fraud in the face of camouflage* (greedy.py of its
    authors: `logWeightedAveDegree`). Deviation: the paper names a set of users; the step at which each goes makes a ranking
    of it. One block, not several. O(nnz log n) time, O(nnz) memory.
    """

    offset: float = 5.0

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; ties in the peeling are broken by the seed and what users hold."""
        return self._peeled(train, seed)[0]

    def block(self, train: csr_array, *, seed: int) -> Array:
        """Row numbers of the users in the densest block, ascending."""
        step, best = self._peeled(train, seed)
        return np.flatnonzero(step >= best)

    def _peeled(self, train: csr_array, seed: int) -> tuple[Array, int]:
        """(num_users,) step at which each user goes, and the step before which the block is densest."""
        order = by_content(train, seed=seed)
        rows = csr_array(train[order])
        back = csr_array(rows.T)
        weight = 1 / np.log(item_popularity(train) + max(self.offset, 1.1))
        step, density = peel(rows.indptr, rows.indices, back.indptr, back.indices, weight)
        found = np.empty(train.shape[0])
        found[order] = step[: train.shape[0]]
        return found, int(np.argmax(density))
