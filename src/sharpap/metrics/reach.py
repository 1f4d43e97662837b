"""Reach: the most that any fakes whatever can do to a model trained on genuine data, where a bound is known.

Two bounds on the users whose lists a target of F fakes can enter, which docs/reach.md proves:

- **Together.** To stand in a user's list costs something that grows with that user's K-th best score, and F fakes have only so
  much to spend. For least squares over all pairs, whatever the users' features become,

      sum over all users who do not hold the target of score^2  <=  w (owners + F) / (4 w0).

- **Each.** A user whose K-th best score lies above what all fakes can do for that user alone is not won at all. For least
  squares, with the features of genuine users fixed, leverage l, score s without fakes and owners' pull b,

      score(u)  <=  (s + sqrt(l b)) / 2 + sqrt(w F l) / 2.

Both hold for fakes of any length and any content. What is assumed: the K-th best scores stay what they are without fakes; and
for the second that users' factors do, too. EASE's and ItemKNN's features are the interactions themselves, which do not move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array

from sharpap.kernels import mask_rows, topk, topk_scores
from sharpap.metrics.limits import Cosines, Limits, by_factors, by_items
from sharpap.recommenders.base import FactorModel, Recommender, Scorer
from sharpap.recommenders.calls import score_blocks
from sharpap.recommenders.neighbours import EASE, ItemKNN, ItemModel
from sharpap.threat import SHARES

Array = np.ndarray[Any, np.dtype[Any]]
STEPS, BLOCK = 96, 16


@dataclass(frozen=True, eq=False, kw_only=True)
class Reach:
    """The most that H@k of each target can be, by number of fakes.

    Attributes:
        fakes: (f,) ascending numbers of fake users.
        ks: lengths of lists.
        most: (ks, f, t) shares of the users not owning the target, by both bounds; NaN for a target that everybody owns.
        together: the same by the first bound alone, which does not assume that users' factors stay.
    """

    fakes: tuple[int, ...]
    ks: tuple[int, ...]
    most: Array
    together: Array

    def share(self, fakes: int, k: int) -> Array:
        """(t,) shares with so many fakes; for a number between two, those of the larger, which is a bound as well.

        Raises:
            ValueError: more fakes than were asked for, or another list length.
        """
        place = int(np.searchsorted(self.fakes, fakes))
        if place == len(self.fakes):
            raise ValueError(f"{fakes} fakes are more than the bound was made for ({self.fakes[-1]}).")
        return self.most[self.ks.index(k), place]

    @property
    def mean(self) -> Array:
        """(ks, f) means over the targets that somebody does not own; NaN where everybody owns all of them."""
        known = ~np.isnan(self.most[0, 0])
        return self.most[..., known].mean(-1) if known.any() else self.most[..., 0]

    def only(self, columns: Array) -> Reach:
        """The part of some targets."""
        return replace(self, most=self.most[..., columns], together=self.together[..., columns])


def reach(
    recommender: Recommender, model: Scorer, train: csr_array, ranks: Array, targets: Array,
    *, ks: tuple[int, ...], fakes: tuple[int, ...] | None = None,
) -> Reach | None:  # fmt: skip
    """The bounds for a model trained on genuine data alone, or None where none is known.

    They are known for least squares over all pairs (`WRMF` and whatever else has `least_squares`), for `EASE`, and for
    `ItemKNN` without learnt weights; for the promotion of items.

    Args:
        recommender: its settings.
        model: what it learnt from `train`.
        train: (n, m) genuine interactions.
        ranks: (u, t) `Evaluation.ranks` of `model`: its users are those with interactions.
        targets: (t,) item numbers.
        ks: lengths of lists.
        fakes: ascending numbers of fakes; None: `numbers` of the users.

    O(n (d^2 + t d)) for factors, O(nnz m) for EASE, O(nnz t f) for ItemKNN, and the search for the K-th best scores.
    """
    users = np.flatnonzero(np.diff(train.indptr))
    by_item = csc_array(train)
    owners = [by_item.indices[by_item.indptr[t] : by_item.indptr[t + 1]] for t in targets]
    limits = _limits(recommender, model, train, targets, owners, users)
    if limits is None:
        return None
    fakes = fakes or numbers(len(users))
    edges = _edges(model, train, users, ks)
    most, together = (np.full((len(ks), len(fakes), len(targets)), np.nan) for _ in range(2))
    for t in range(len(targets)):
        free = ranks[:, t] >= 0
        if not free.any():
            continue
        most[..., t] = together[..., t] = 1.0  # from where on all users are within reach nothing need be computed
        costs = [
            np.where(ranks[:, t] < k, 0.0, limits.cost(np.maximum(edge, 0))) for k, edge in zip(ks, edges, strict=True)
        ]
        orders = [np.argsort(cost, kind="stable") for cost in costs]
        for at in range(0, len(fakes), BLOCK):
            part = np.array(fakes[at : at + BLOCK])
            highest = limits.highest(t, part)
            for row, (edge, cost, order) in enumerate(zip(edges, costs, orders, strict=True)):
                near = free[:, None] & ((highest >= edge[:, None]) | (cost == 0)[:, None])
                for found, among in ((most, near), (together, free[:, None])):
                    first, purse = among[order], limits.purse(t, part, among)  # the cheapest users first
                    won = first & (np.cumsum(cost[order][:, None] * first, axis=0) <= purse)
                    found[row, at : at + len(part), t] = won.sum(0) / free.sum()
            if (most[:, at + len(part) - 1, t] == 1).all():
                break
    return Reach(fakes=fakes, ks=ks, most=most, together=together)


def numbers(users: int) -> tuple[int, ...]:
    """Numbers of fakes for a curve: all small ones, about every tenth of a larger one up to that of the users, and SHARES."""
    steps = np.geomspace(1, users, STEPS)
    return tuple(np.unique(np.concatenate([steps, np.array(SHARES) * users]).round().clip(1).astype(int)).tolist())


def _limits(
    recommender: Recommender, model: Scorer, train: csr_array, targets: Array, owners: list[Array], users: Array
) -> Limits | None:
    """What is known of this kind of model."""
    offered = getattr(recommender, "least_squares", None)
    loss = offered(train) if offered else None
    if loss is not None and loss.negative_weight > 0 and isinstance(model, FactorModel):
        return by_factors(model.user_factors[: train.shape[0]], loss, owners, users)
    if isinstance(recommender, EASE) and isinstance(model, ItemModel):
        return by_items(recommender.reg, model, train, targets, owners, users)
    if isinstance(recommender, ItemKNN) and recommender.item_weights == "none":
        return Cosines.of(recommender, train, targets, owners, users)
    return None


def _edges(model: Scorer, train: csr_array, users: Array, ks: tuple[int, ...]) -> Array:
    """(ks, u) each user's K-th best score, own items left out."""
    longest = max(ks)
    if isinstance(model, FactorModel):
        best = topk(model.user_factors, model.item_factors, longest, exclude=train, users=users)[1]
    else:
        parts = []
        for part, scores in score_blocks(model, users, train.shape[1]):
            mask_rows(scores, part, train.indptr, train.indices)
            parts.append(topk_scores(scores, longest)[1])
        best = np.concatenate(parts)
    return best[:, [k - 1 for k in ks]].T
