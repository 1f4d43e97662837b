"""What a victim is: anything with `fit` and `score`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from scipy.sparse import csr_array

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]
IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]


@runtime_checkable
class Scorer(Protocol):
    """A trained recommender."""

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), num_items) scores, higher is better; -inf marks an item that cannot be scored.

        Training items are *not* masked here; the evaluation does that.
        """
        ...


@runtime_checkable
class Recommender(Protocol):
    """Anything that can be trained on a CSR matrix. Third-party classes may return themselves from `fit`.

    SharpAP's own recommenders are frozen dataclasses of hyperparameters; `fit` leaves them unchanged and
    returns a new `Scorer`. They also take `valid`, a (num_genuine, num_items) CSR of held-out interactions
    of the first num_genuine rows, for early stopping; the evaluation passes it to any `fit` that names it. A `fit` that names
    `times` gets the times of the interactions, (nnz,) float64 aligned with `train.indices`; only their order within a row
    means something. An attribute `capabilities` says what a victim cannot do (`Capabilities`).
    """

    def fit(self, train: csr_array, *, seed: int) -> Scorer:
        """Train from scratch on (num_users, num_items) binary CSR. Same seed, same model."""
        ...


@dataclass(frozen=True, kw_only=True)
class LeastSquares:
    """The loss of a factor model over all pairs: sum of w_ui (r_ui - p_u . q_i)^2 + reg (|P|^2 + |Q|^2).

    A recommender with `least_squares(train)` has a bound on what any fakes can do (`sharpap.metrics.reach`).

    Attributes:
        positive_weight, negative_weight: w on interactions and on all other pairs.
        reg: weight of the squared norms, at least.
    """

    positive_weight: float
    negative_weight: float
    reg: float


@dataclass(frozen=True, eq=False, kw_only=True)
class FactorModel:
    """A trained dot-product model.

    Attributes:
        user_factors: (num_users, d) float32.
        item_factors: (num_items, d) float32.
        log: training record, e.g. {"epochs": 40, "seconds": 2.1, "valid_ndcg": 0.21}.
    """

    user_factors: FloatArray
    item_factors: FloatArray
    log: dict[str, Any]

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), num_items) inner products."""
        return (torch.from_numpy(self.user_factors[users]) @ torch.from_numpy(self.item_factors).T).numpy()
