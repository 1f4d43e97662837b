"""WRMF: weighted regularised matrix factorisation over all users x items pairs, exactly."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.kernels.als import solve_rows
from sharpap.kernels.wrmf import wrmf_gradient
from sharpap.recommenders.base import FactorModel, LeastSquares
from sharpap.recommenders.perturb import WeightAdversary, moved
from sharpap.recommenders.resume import Adam, Moving
from sharpap.recommenders.training import Training, initial_factors
from sharpap.settings import Settings


def weight_for(train: csr_array) -> float:
    """The weight of an interaction that suits the density of the data: 0.8 / sqrt(density), at least 1.

    The density is that among users and items with interactions. Found on five datasets (docs/recommenders.md).
    """
    users, items = _active(train)
    return max(1.0, 0.8 * float(np.sqrt(users * items / max(train.nnz, 1))))


def reg_for(train: csr_array) -> float:
    """The regularisation that goes with `weight_for`: 30, and 0.44 (sqrt(users) + sqrt(items)) where that is less.

    The largest singular value of noise of this density, times that weight, grows as sqrt(users) + sqrt(items): on data smaller
    than MovieLens-100K 30 would be above all that there is to learn.
    """
    users, items = _active(train)
    return min(30.0, 0.44 * float(np.sqrt(users) + np.sqrt(items)))


def size_for(train: csr_array) -> int:
    """The number of factors that goes with `weight_for`: 64, and 128 where that weight is 20 or more (density below 0.16 %).

    On sparse data each further factor is worth a good deal, on MovieLens nothing (docs/recommenders.md).
    """
    return 128 if weight_for(train) >= 20 else 64


def _active(train: csr_array) -> tuple[int, int]:
    """Users and items with interactions."""
    return int(np.count_nonzero(np.diff(train.indptr))), int(np.count_nonzero(np.bincount(train.indices)))


@dataclass(frozen=True, kw_only=True)
class WRMF(Settings):
    """Weighted regularised matrix factorisation over all users x items pairs, by ALS or by full-batch Adam.

    Minimises sum over all pairs of w_ui (r_ui - p_u . q_i)^2 + reg (|P|^2 + |Q|^2), w = positive or negative weight.

    Attributes:
        embedding_size: d; None: `size_for` the data.
        solver: "als" alternates least squares; "adam" takes full-batch gradient steps, as the surrogate does.
        epochs: most sweeps (als) or steps (adam).
        positive_weight, negative_weight: w on interactions and on all other pairs; None: `weight_for` the data.
        reg: weight of the squared norms; None: `reg_for` the data. It stands for implicit's `regularization`,
            positive_weight for its `alpha`.
        cg_steps: conjugate-gradient steps for each row and sweep, from the row's last value.
        learning_rate: of adam.
        init_std: standard deviation of the initial factors.
        check_every, patience: early stopping on validation NDCG@20, see `Training`.

    Source: Hu, Koren and Volinsky 2008; conjugate gradients after Takacs, Pilaszy and Tikk 2011. The default size, weight and
    reg are this project's: one rule that is near the best on sparse data and on dense (docs/recommenders.md).
    """

    embedding_size: int | None = None
    solver: Literal["als", "adam"] = "als"
    epochs: int = 20
    positive_weight: float | None = None
    negative_weight: float = 1.0
    reg: float | None = None
    cg_steps: int = 4
    learning_rate: float = 0.1
    init_std: float = 0.1
    check_every: int = 2
    patience: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver not in ("als", "adam"):
            raise ConfigError(f"solver={self.solver!r} is neither als nor adam.")

    def least_squares(self, train: csr_array) -> LeastSquares:
        """The loss on this data."""
        weight = weight_for(train) if self.positive_weight is None else self.positive_weight
        reg = reg_for(train) if self.reg is None else self.reg
        return LeastSquares(positive_weight=weight, negative_weight=self.negative_weight, reg=reg)

    def fit(
        self, train: csr_array, *, seed: int, valid: csr_array | None = None, perturb: WeightAdversary | None = None
    ) -> FactorModel:
        """See `Recommender`; `perturb`: what moves the factors before each step of adam. O(nnz d + (n + m) d^2) a sweep.

        Raises:
            ConfigError: there is no such step, or no such loss, to perturb.
        """
        if perturb is not None:
            self._check(perturb)
        pattern = Pattern.from_csr(train)
        weights = asdict(self.least_squares(train))
        size = size_for(train) if self.embedding_size is None else self.embedding_size
        users, items = initial_factors(*pattern.shape, size, self.init_std, seed)
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
            settings = self if perturb is None else (self, perturb)
            for _ in training.run(model, Moving(settings=settings, seed=seed, parts=theta, optimizer=optimizer)):
                if perturb is None:
                    grads = wrmf_gradient(pattern, theta[0], theta[1], **weights)
                else:
                    grads = _nearby(pattern, theta, weights, perturb)
                for part, grad in zip(theta, grads, strict=True):
                    part.grad = grad
                optimizer.step()
        return training.model(model())

    def _check(self, perturb: object) -> None:
        if not isinstance(perturb, WeightAdversary):
            raise ConfigError(
                f"{type(perturb).__name__} moves the embeddings in a pairwise loss, and WRMF's is a squared one.",
                hint="Put it on bpr-mf or lightgcn, or take sam, asam or awp here.",
            )
        if self.solver != "adam":
            raise ConfigError(
                f"{type(perturb).__name__} needs gradient steps, and this WRMF alternates least squares.",
                hint='Set solver = "adam", epochs = 200, check_every = 10 of the recommender.',
            )


def _nearby(
    pattern: Pattern, theta: list[torch.Tensor], weights: dict[str, float], perturb: WeightAdversary
) -> list[torch.Tensor]:
    """The gradient of the loss where `perturb` takes the factors, and of the regularisation where they are."""
    fit = weights | {"reg": 0.0}
    with moved(theta, perturb.offsets(theta, wrmf_gradient(pattern, theta[0], theta[1], **fit))):
        grads = wrmf_gradient(pattern, theta[0], theta[1], **fit)
    return [grad.add_(part, alpha=2 * weights["reg"]) for part, grad in zip(theta, grads, strict=True)]
