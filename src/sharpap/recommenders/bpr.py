"""BPR-MF and LightGCN: pairwise ranking by full-batch steps without a scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.kernels import Pattern, spmm, spmm_t
from sharpap.kernels.bpr import Groups, bpr_gradient
from sharpap.recommenders.base import FactorModel
from sharpap.recommenders.training import Training, adam, initial_factors
from sharpap.seeds import rng

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class BPRMF:
    """Matrix factorisation with Bayesian personalised ranking.

    Attributes:
        embedding_size: d.
        epochs: most full-batch steps; each sees every interaction once, with one negative.
        learning_rate: Adam's.
        reg: L2 weight of the factors in each (user, positive, negative) triple, as in the source.
        init_std: standard deviation of the initial factors.
        check_every, patience, min_epochs: early stopping on validation NDCG@20, see `Training`.

    Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme 2009.

    Deviations: full-batch Adam instead of SGD. One random permutation of the catalogue a step gives every positive item its
    negative (so that no gradient is scattered); a user's own items are not left out, they are a share nnz / (n m) of the
    negatives.
    """

    embedding_size: int = 64
    epochs: int = 600
    learning_rate: float = 0.01
    reg: float = 0.01
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 100

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> FactorModel:
        """See `Recommender`. O(nnz d) a step."""
        training = Training("BPR-MF", self.epochs, self.check_every, self.patience, self.min_epochs, train, valid)
        return _fit(self, training, train, seed, propagate=lambda pair: pair)


@dataclass(frozen=True, kw_only=True)
class LightGCN:
    """Graph convolution without weights: the mean of embeddings after 0 to `layers` propagations, trained by BPR.

    Attributes:
        embedding_size: d.
        layers: propagations over the symmetrically normalised interaction graph.
        epochs, learning_rate, init_std, check_every, patience, min_epochs: as for `BPRMF`.
        reg: L2 weight of the layer-0 embeddings in each triple.

    Source: He et al. 2020. Deviations: those of `BPRMF`.
    """

    embedding_size: int = 64
    layers: int = 3
    epochs: int = 1000
    learning_rate: float = 0.02
    reg: float = 1e-4
    init_std: float = 0.1
    check_every: int = 10
    patience: int = 5
    min_epochs: int = 100

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> FactorModel:
        """See `Recommender`. O(layers nnz d) a step."""
        pattern = Pattern.from_csr(train)
        norms = [counts.clamp_min(1).rsqrt() for counts in _degrees(pattern)]
        edge = norms[0][pattern.rows.long()] * norms[1][pattern.indices.long()]

        def propagate(pair: Pair) -> Pair:
            """Symmetric in the inner product, so that it is its own backward pass."""
            users, items = pair
            total = [users.clone(), items.clone()]
            for _ in range(self.layers):
                users, items = spmm(pattern, edge, items), spmm_t(pattern, edge, users)
                total[0] += users
                total[1] += items
            return total[0].div_(self.layers + 1), total[1].div_(self.layers + 1)

        training = Training("LightGCN", self.epochs, self.check_every, self.patience, self.min_epochs, train, valid)
        return _fit(self, training, train, seed, propagate)


def _fit(model: BPRMF | LightGCN, training: Training, train: csr_array, seed: int, propagate) -> FactorModel:
    pattern = Pattern.from_csr(train)
    groups = Groups(pattern)
    degrees = _degrees(pattern)
    triples = (degrees[0], degrees[1] + pattern.nnz / pattern.shape[1])
    draw = rng(seed, "negatives")
    theta = [
        torch.from_numpy(part) for part in initial_factors(*pattern.shape, model.embedding_size, model.init_std, seed)
    ]
    optimizer = adam(theta, model.learning_rate)

    def factors() -> tuple[np.ndarray, np.ndarray]:
        users, items = propagate((theta[0], theta[1]))
        return users.numpy(), items.numpy()

    for _ in training.run(factors):
        grads = propagate(bpr_gradient(groups.draw(draw), *propagate((theta[0], theta[1]))))
        for part, grad, weight in zip(theta, grads, triples, strict=True):
            part.grad = grad.addcmul(part, weight[:, None], value=model.reg)
        optimizer.step()
    return training.model(factors())


def _degrees(pattern: Pattern) -> tuple[Tensor, Tensor]:
    return (
        pattern.indptr.diff().float(),
        torch.bincount(pattern.indices, minlength=pattern.shape[1]).float(),
    )
