"""LensKit scorers and pipelines as victims."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.adapters.seeding import global_seed, small_seed
from sharpap.errors import ContractError
from sharpap.recommenders.base import FloatArray, IntArray

SCORER = "scorer"


@dataclass(frozen=True, eq=False, kw_only=True)
class LensKitScorer:
    """A trained pipeline that is asked user by user.

    Attributes:
        pipeline: the trained LensKit pipeline, history lookup included.
        known: (num_users,) bool: who has interactions. LensKit does not know the others.
        items: LensKit's list of all items, by column.
    """

    pipeline: Any
    known: np.ndarray[Any, np.dtype[np.bool_]]
    items: Any

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), num_items) scores; -inf for items LensKit does not score, and throughout for unknown users."""
        scores = np.full((len(users), len(self.items)), -np.inf, np.float32)
        for row, user in zip(scores, users.tolist(), strict=True):
            if self.known[user]:
                found = self.pipeline.run(SCORER, query=user, items=self.items).scores()
                row[:] = np.where(np.isnan(found), -np.inf, found)
        return scores


@dataclass(frozen=True, kw_only=True)
class LensKitModel:
    """Any LensKit scorer, in LensKit's own top-n pipeline; or a pipeline of one's own with a component "scorer".

    Attributes:
        model: an untrained scorer, e.g. ``ImplicitMFScorer(embedding_size=64)``, or a pipeline. It is never trained itself.
        training: further fields of LensKit's `TrainingOptions`, e.g. ``{"device": "cpu"}``.

    Items without interactions are unknown to LensKit and score -inf. By default LensKit computes a user's factors anew from
    the history when it is asked (`user_embeddings` of its matrix factorisations); that is the ranking measured here.
    """

    model: Any
    training: dict[str, Any] = field(default_factory=dict)

    def fit(self, train: csr_array, *, seed: int) -> LensKitScorer:
        """See `Recommender`; about a millisecond a user when scoring."""
        import pandas as pd
        from lenskit.data import ItemList, from_interactions_df  # pyright: ignore[reportMissingImports]
        from lenskit.pipeline import Pipeline, topn_pipeline  # pyright: ignore[reportMissingImports]
        from lenskit.training import TrainingOptions  # pyright: ignore[reportMissingImports]

        if isinstance(self.model, Pipeline):
            pipeline = self.model.clone()
            if pipeline.node(SCORER, missing=None) is None:
                raise ContractError("The LensKit pipeline has no component called scorer.", hint="Name its scorer so.")
        else:
            pipeline = topn_pipeline(copy.deepcopy(self.model))
        rows, columns = train.nonzero()
        data = from_interactions_df(pd.DataFrame({"user_id": rows, "item_id": columns}))
        with global_seed(seed):
            pipeline.train(data, TrainingOptions(rng=small_seed(seed), **self.training))
        items = ItemList(item_ids=np.arange(train.shape[1]))
        return LensKitScorer(pipeline=pipeline, known=np.diff(train.indptr) > 0, items=items)
