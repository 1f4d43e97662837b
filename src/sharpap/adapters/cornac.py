"""Cornac models as victims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.adapters.seeding import global_seed, small_seed
from sharpap.errors import ContractError
from sharpap.recommenders.base import FloatArray, IntArray


@dataclass(frozen=True, eq=False, kw_only=True)
class CornacScorer:
    """A trained Cornac model that is asked user by user.

    Attributes:
        model: the trained model.
        users: (num_users,) Cornac's number of each row, -1 for users without interactions.
        items: (known items,) the column of each of Cornac's item numbers.
        num_items: columns.
    """

    model: Any
    users: IntArray
    items: IntArray
    num_items: int

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), num_items) scores; -inf for items without interactions, and throughout for unknown users."""
        scores = np.full((len(users), self.num_items), -np.inf, np.float32)
        for row, user in zip(scores, self.users[users].tolist(), strict=True):
            if user >= 0:
                row[self.items] = np.asarray(self.model.score(user), np.float32)[: len(self.items)]
        return scores


@dataclass(frozen=True, kw_only=True)
class CornacModel:
    """Any Cornac model that scores users and items by number; its scores give the ranking of Cornac's own `rank`.

    Attributes:
        model: a model, e.g. ``BPR(k=64)``; it is cloned with a seed for every `fit` and never trained itself.

    Cornac numbers users and items by first appearance, here undone. Items without interactions are unknown to it and score
    -inf. A model without a `seed` option is trained under seeded global generators.
    """

    model: Any

    def fit(self, train: csr_array, *, seed: int) -> CornacScorer:
        """See `Recommender`. Raises `ContractError` for a class in the place of a model."""
        from cornac.data import Dataset  # pyright: ignore[reportMissingImports]

        if isinstance(self.model, type) or not hasattr(self.model, "clone"):
            raise ContractError(f"{self.model!r} is no Cornac model.", hint="Give an instance, e.g. BPR(k=64).")
        rows, columns = (part.tolist() for part in train.nonzero())
        data = Dataset.from_uir(list(zip(rows, columns, [1.0] * len(rows), strict=True)), seed=small_seed(seed))
        with global_seed(seed):
            model = self.model.clone({"seed": small_seed(seed)})
            model.fit(data)
        users = np.full(train.shape[0], -1)
        users[list(data.uid_map)] = list(data.uid_map.values())
        items = np.empty(len(data.iid_map), np.int64)
        items[list(data.iid_map.values())] = list(data.iid_map)
        return CornacScorer(model=model, users=users, items=items, num_items=train.shape[1])
