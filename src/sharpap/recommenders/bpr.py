"""BPR-MF: matrix factorisation by pairwise ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sharpap.kernels import Pattern
from sharpap.recommenders.pairwise import Encoder, Pair, Pairwise


@dataclass(frozen=True, kw_only=True)
class BPRMF(Pairwise):
    """Matrix factorisation with Bayesian personalised ranking.

    Attributes:
        embedding_size: d.
        epochs: most full-batch steps; each sees every interaction once, with one negative.
        learning_rate: Adam's.
        reg: L2 weight of the factors in each (user, positive, negative) triple, as in the source.
        init_std: standard deviation of the initial factors.
        check_every, patience, min_epochs: early stopping on validation NDCG@20, see `Training`.
        decay: let the learning rate fall to zero over `epochs`, without early stopping. A hundred steps from a rate of 0.1
            are as accurate here and for LightGCN as early stopping at a constant rate, at a third of the time.
        device: "auto" (CUDA where torch sees some), "cpu" or "cuda". Random numbers are the CPU's everywhere; CUDA's sums
            depend on their order, so that models there agree with the CPU's but are not the same bytes twice.

    Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009. Deviations: those of `Pairwise`.
    """

    embedding_size: int = 64
    epochs: int = 600
    learning_rate: float = 0.01
    reg: float = 0.01
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 100
    decay: bool = False
    device: str = "auto"

    def encoder(self, pattern: Pattern, seed: int) -> Encoder:
        """The factors themselves."""
        return _Factors()


class _Factors(Encoder):
    def final(self, users: Tensor, items: Tensor) -> Pair:
        return users, items

    def training(self, users: Tensor, items: Tensor, draw: np.random.Generator) -> tuple[Pair, None]:
        return (users, items), None
