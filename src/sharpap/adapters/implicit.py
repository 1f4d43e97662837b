"""Models of the `implicit` library as victims: ALS, BPR, LMF and the item-item models."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from sharpap.adapters.scorers import factors
from sharpap.adapters.seeding import global_seed, small_seed
from sharpap.errors import ContractError
from sharpap.recommenders.base import LeastSquares, Scorer
from sharpap.recommenders.neighbours import ItemModel


@dataclass(frozen=True, kw_only=True)
class ImplicitModel:
    """An implicit model, trained anew from a copy for every `fit`; its scores give the ranking of its own `recommend`.

    Attributes:
        model: an untrained instance, e.g. ``AlternatingLeastSquares(factors=64)``, or a function without arguments that
            makes one. It is never trained itself.
        one_thread: train on one thread. implicit's BPR and LMF give different models on several threads even with the same
            seed, and then comparisons before and after an attack are not paired; ALS is not affected.

    The model's own `random_state` is replaced by the seed of each training. An item without interactions keeps what implicit
    gives it: in ALS and BPR a score of zero, which may be above others' scores.
    """

    model: Any
    one_thread: bool = True

    def fit(self, train: csr_array, *, seed: int) -> Scorer:
        """See `Recommender`. Raises `ContractError` for a model that has neither factors nor similarities."""
        from implicit.utils import ParameterWarning
        from threadpoolctl import threadpool_limits  # comes with implicit

        # implicit runs its own threads and warns about BLAS'; and of conversions of matrices that it makes itself
        with threadpool_limits(1, "blas"), global_seed(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore", ParameterWarning)
            model = copy.deepcopy(self.model) if hasattr(self.model, "fit") else self.model()
            if hasattr(model, "random_state"):
                model.random_state = small_seed(seed)
            if self.one_thread and hasattr(model, "num_threads"):
                model.num_threads = 1
            model.fit(csr_matrix(train, dtype=np.float32, copy=True), show_progress=False)
        name = type(model).__name__
        if getattr(model, "similarity", None) is not None:
            weights: Any = csr_array(model.similarity, dtype=np.float64)
            return ItemModel(train=train, weights=weights)
        users, items = getattr(model, "user_factors", None), getattr(model, "item_factors", None)
        if users is None or items is None:
            raise ContractError(
                f"implicit's {name} has neither factors nor a similarity matrix after training.",
                hint="Write a class with fit and score around it.",
            )
        if hasattr(items, "to_numpy"):  # a model on the GPU
            users, items = users.to_numpy(), items.to_numpy()
        return factors(users, items, train.shape, name)

    def least_squares(self, train: csr_array) -> LeastSquares | None:
        """ALS's loss, on which `sharpap.metrics.reach` has a bound; None for the other models."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):  # it warns of more threads when one is made
            model = self.model if hasattr(self.model, "fit") else self.model()
        if type(model).__name__ != "AlternatingLeastSquares":
            return None
        return LeastSquares(positive_weight=float(model.alpha), negative_weight=1.0, reg=float(model.regularization))
