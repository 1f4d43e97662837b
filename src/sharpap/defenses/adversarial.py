"""Training against moved embeddings: APR and VAT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sharpap.defenses.base import Perturbing
from sharpap.kernels.bpr import Negatives
from sharpap.kernels.triples import Triples


class _Adversarial(Perturbing):
    """What APR and VAT share; their fields stand in each."""

    eps: float
    adv_reg: float
    start: int

    def radius(self, triples: Triples) -> Tensor:
        """(n,) length of the moves of each user's interactions."""
        raise NotImplementedError

    def gradient(self, negatives: Negatives, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `EmbeddingAdversary`. O(nnz d)."""
        triples = Triples.at(negatives, users, items)
        return triples.gradient(self.radius(triples), self.adv_reg)


@dataclass(frozen=True, kw_only=True)
class APR(_Adversarial):
    """Adversarial personalised ranking: adds the pairwise loss at embeddings that are moved to raise it.

    The three rows of an interaction, user, positive and negative, each move by `eps` along their part of its gradient. They are
    those in front of the loss: after propagation, where there is one.

    Attributes:
        eps: length of a move.
        adv_reg: weight of the loss at the moved rows.
        start: plain steps before. Moves that are longer than untrained embeddings drive all of them to zero.

    Source: He, He, Du and Chua 2018, *Adversarial personalized ranking for recommendation*, as Kaike-Zhang/VAT puts it on
    MF and LightGCN (RecSys 2024). Deviations: those of `recommenders.Pairwise`; from the first step, not from a trained model
    on or after five epochs. As in the latter repository each interaction moves its own rows by themselves; the
    former's (hexiangnan/adversarial_personalized_ranking) sums a row's gradient over 512 interactions before it makes it
    that long.
    """

    eps: float = 0.3
    adv_reg: float = 1.0
    start: int = 50

    def radius(self, triples: Triples) -> Tensor:
        """The same for all."""
        return triples.P.new_full((len(triples.P),), self.eps)


@dataclass(frozen=True, kw_only=True)
class VAT(_Adversarial):
    """Vulnerability-aware adversarial training: APR that moves the interactions of well-fitted users farther.

    A user's length is eps * user_weight * sigmoid(L / L_u - 1): L_u the mean loss of the user's interactions, L the mean of
    these over users. Users with a small loss are taken for those that an attack moves most.

    Attributes:
        eps, adv_reg, start: as for `APR`.
        user_weight: lambda.

    Source: Zhang, Cao, Wu, Sun, He and Cheng 2024, *Improving the shortest plank: vulnerability-aware adversarial training for
    robust recommender system*, and Kaike-Zhang/VAT. Deviations: those of `APR`; L_u is a mean over all of a user's
    interactions, where the source sums those in a minibatch: most users stand in one of theirs once at most, and a sum over all
    would tell how many there are.
    """

    eps: float = 0.3
    adv_reg: float = 1.0
    start: int = 50
    user_weight: float = 2.0

    def radius(self, triples: Triples) -> Tensor:
        """By the users' losses in this step."""
        losses = triples.user_losses()
        known = triples.pattern.indptr.diff() > 0
        ratio = losses[known].mean() / losses.clamp_min(1e-9)
        return self.eps * self.user_weight * torch.sigmoid(ratio - 1)
