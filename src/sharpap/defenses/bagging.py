"""Bagging: many models, each trained on some of the users, and their vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.defenses.remove import without
from sharpap.errors import ConfigError
from sharpap.kernels import mask_rows, topk_scores
from sharpap.recommenders import Recommender, Scorer
from sharpap.recommenders.calls import fit, score_blocks
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Bagging(Settings):
    """A vote of models, each trained on a random part of the users (Jia et al. 2023).

    A few fakes are in a few models only, as long as the parts are small. A user's list is made of the votes of those models
    that were trained with the user; each gives one vote to each of its `listed` best items that the user does not have.

    Attributes:
        models: how many; training costs that many times a share of `users`, and all models are held.
        users: share of the users in each.
        listed: items a model votes for.

    Source: Jia, Liu, Hu and Gong 2023, *PORE: Provably robust recommender systems against data poisoning attacks* (its
    ensemble; the certified bounds are not computed). Deviations: the number of models is small, so that votes are tied
    often; ties are broken by the mean of the models' scores, each brought to mean 0 and deviation 1 over a user's items.
    A user in no model gets what the first one says.
    """

    models: int = 10
    users: float = 0.5
    listed: int = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.models < 1 or self.listed < 1 or not 0 < self.users <= 1:
            raise ConfigError(
                f"models={self.models} and listed={self.listed} must be 1 or more, users={self.users} a share above 0 up to 1."
            )

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """See `Defense`."""
        num_users = train.shape[0]
        active = np.flatnonzero(np.diff(train.indptr))
        member = np.zeros((self.models, num_users), dtype=bool)
        models = []
        for number in range(self.models):
            order = rng(seed, "bagging", number).permutation(active)
            member[number, order[: max(1, round(self.users * len(active)))]] = True
            out, own = np.flatnonzero(~member[number]), derive_seed(seed, "bagging", "model", number)
            models.append(fit(recommender, without(train, out), without(valid, out), seed=own))
        member[0, ~member.any(0)] = True
        return Vote(models, member, train, self.listed)


class Vote:
    """Trained models and who belongs to which."""

    def __init__(self, models: list[Scorer], member: Array, train: csr_array, listed: int) -> None:
        self.models, self.member, self.train, self.listed = models, member, train, listed

    def score(self, users: Array) -> Array:
        """(len(users), num_items): share of votes, and less than the weight of one vote for the mean score."""
        users = np.asarray(users)
        num_items = self.train.shape[1]
        votes, means = np.zeros((len(users), num_items)), np.zeros((len(users), num_items))
        for number, model in enumerate(self.models):
            mine = np.flatnonzero(self.member[number, users])
            done = 0
            for part, scores in score_blocks(model, users[mine], num_items):
                rows = mine[done : done + len(part)]
                done += len(part)
                means[rows] += _standardised(scores)
                mask_rows(scores, part, self.train.indptr, self.train.indices)
                items, _ = topk_scores(scores, min(self.listed, num_items))
                places = np.nonzero(items >= 0)
                votes[rows[places[0]], items[places]] += 1
        count = self.member[:, users].sum(0)[:, None]
        return (votes + 0.4 * (1 + np.tanh(means / count))) / count


def _standardised(scores: Array) -> Array:
    """Rows with mean 0 and deviation 1; what cannot be scored is as low as the lowest."""
    known = np.isfinite(scores)
    lowest = np.where(known, scores, np.inf).min(1, keepdims=True)
    filled = np.where(known, scores, np.where(np.isfinite(lowest), lowest, 0)).astype(np.float64)
    spread = filled.std(1, keepdims=True)
    return np.divide(filled - filled.mean(1, keepdims=True), spread, out=np.zeros_like(filled), where=spread > 0)
