"""WRMF: weighted regularised matrix factorisation over all users x items pairs, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from scipy.sparse import csr_array

from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.kernels.als import solve_rows
from sharpap.kernels.wrmf import wrmf_gradient
from sharpap.recommenders.base import FactorModel, LeastSquares
from sharpap.recommenders.resume import Adam, Moving
from sharpap.recommenders.training import Training, initial_factors
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class WRMF(Settings):
    """Weighted regularised matrix factorisation over all users x items pairs, by ALS or by full-batch Adam.

    Minimises sum over all pairs of w_ui (r_ui - p_u . q_i)^2 + reg (|P|^2 + |Q|^2), w = positive or negative weight.

    Attributes:
        embedding_size: d.
        solver: "als" alternates least squares; "adam" takes full-batch gradient steps, as the surrogate does.
        epochs: most sweeps (als) or steps (adam).
        positive_weight, negative_weight: w on interactions and on all other pairs.
        reg: weight of the squared norms. It stands for implicit's `regularization`, positive_weight for its `alpha`.
        cg_steps: conjugate-gradient steps for each row and sweep, from the row's last value.
        learning_rate: of adam.
        init_std: standard deviation of the initial factors.
        check_every, patience: early stopping on validation NDCG@20, see `Training`.

    Source: Hu, Koren and Volinsky 2008; conjugate gradients after Takacs, Pilaszy and Tikk 2011.
    """

    embedding_size: int = 64
    solver: Literal["als", "adam"] = "als"
    epochs: int = 20
    positive_weight: float = 20.0
    negative_weight: float = 1.0
    reg: float = 20.0
    cg_steps: int = 4
    learning_rate: float = 0.1
    init_std: float = 0.1
    check_every: int = 2
    patience: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver not in ("als", "adam"):
            raise ConfigError(f"solver={self.solver!r} is neither als nor adam.")

    @property
    def least_squares(self) -> LeastSquares:
        """The loss, for `sharpap.metrics.reach`."""
        return LeastSquares(positive_weight=self.positive_weight, negative_weight=self.negative_weight, reg=self.reg)

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> FactorModel:
        """See `Recommender`. O(nnz d + (n + m) d^2) a sweep."""
        pattern = Pattern.from_csr(train)
        weights = {"positive_weight": self.positive_weight, "negative_weight": self.negative_weight, "reg": self.reg}
        users, items = initial_factors(*pattern.shape, self.embedding_size, self.init_std, seed)
        training = Training("WRMF", self.epochs, self.check_every, self.patience, 0, train, valid)

        def model() -> FactorModel:
            return FactorModel(user_factors=users, item_factors=items, log={})

        theta = [torch.from_numpy(users), torch.from_numpy(items)]
        if self.solver == "als":
            for _ in training.run(model, Moving(settings=self, seed=seed, parts=theta)):
                solve_rows(pattern, users, items, steps=self.cg_steps, **weights)
                solve_rows(pattern.transpose, items, users, steps=self.cg_steps, **weights)
        else:
            optimizer = Adam(theta, self.learning_rate)
            for _ in training.run(model, Moving(settings=self, seed=seed, parts=theta, optimizer=optimizer)):
                for part, grad in zip(theta, wrmf_gradient(pattern, theta[0], theta[1], **weights), strict=True):
                    part.grad = grad
                optimizer.step()
        return training.model(model())
