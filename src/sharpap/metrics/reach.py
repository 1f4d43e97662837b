"""Reach: the most that any fakes whatever can do, where a target's weights are a ridge regression on users' features.

Two bounds on the scores of a target that F fakes hold, which docs/reach.md proves. With w and w0 the weights of interactions
and of all other pairs:

- **Together.** At the optimum of the target's weights, whatever the users' features are,

      sum over all users who do not hold it of score^2  <=  w (owners + F) / (4 w0).

  To stand in a user's list costs the square of that user's K-th best score, so that the cheapest users are won first.
- **Each.** With the features of genuine users fixed, leverage l, score s without fakes and owners' pull b,

      score(u)  <=  (s + sqrt(l b)) / 2 + sqrt(w F l) / 2.

Both hold for fakes of any length and any content. What is assumed: the K-th best scores stay what they are without fakes; and
for the second that users' factors do, too. EASE's features are the interactions themselves, which do not move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
from scipy.sparse import csc_array, csr_array

from sharpap.kernels import mask_rows, topk, topk_scores
from sharpap.recommenders.base import FactorModel, LeastSquares, Recommender, Scorer
from sharpap.recommenders.calls import score_blocks
from sharpap.recommenders.neighbours import EASE, ItemModel

Array = np.ndarray[Any, np.dtype[Any]]
STEPS = 96


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

    def only(self, columns: Array) -> Reach:
        """The part of some targets."""
        return replace(self, most=self.most[..., columns], together=self.together[..., columns])


def reach(
    recommender: Recommender, model: Scorer, train: csr_array, ranks: Array, targets: Array,
    *, ks: tuple[int, ...], fakes: tuple[int, ...] | None = None,
) -> Reach | None:  # fmt: skip
    """The bounds for a model trained on genuine data alone, or None where none is known.

    They are known for least squares over all pairs (`WRMF` and whatever else has `least_squares`) and for `EASE`; for the
    promotion of items.

    Args:
        recommender: its settings.
        model: what it learnt from `train`.
        train: (n, m) genuine interactions.
        ranks: (u, t) `Evaluation.ranks` of `model`: its users are those with interactions.
        targets: (t,) item numbers.
        ks: lengths of lists.
        fakes: ascending numbers of fakes; None: all small ones, and about every tenth of a larger one up to that of the users.

    O(n (d^2 + t d)) for factors, O(m^3 + nnz m) for EASE, and the search for the K-th best scores.
    """
    users = np.flatnonzero(np.diff(train.indptr))
    by_item = csc_array(train)
    owners = [by_item.indices[by_item.indptr[t] : by_item.indptr[t + 1]] for t in targets]
    offered = getattr(recommender, "least_squares", None)
    squares: LeastSquares | None = offered(train) if offered else None
    if squares is not None and squares.negative_weight > 0 and isinstance(model, FactorModel):
        base, leverage = _by_factors(model.user_factors[: train.shape[0]], squares, owners, users)
    elif isinstance(recommender, EASE) and isinstance(model, ItemModel):
        squares = LeastSquares(positive_weight=1.0, negative_weight=1.0, reg=recommender.reg)
        base, leverage = _by_items(recommender, model, train, targets, owners, users)
    else:
        return None
    w, w0 = squares.positive_weight, squares.negative_weight
    fakes = fakes or tuple(np.unique(np.geomspace(1, len(users), STEPS).round().astype(int)).tolist())
    most, together = (np.full((len(ks), len(fakes), len(targets)), np.nan) for _ in range(2))
    for row, edge in enumerate(_edges(model, train, users, ks)):
        for t, held in enumerate(owners):
            free = ranks[:, t] >= 0
            if not free.any():
                continue
            cost = np.where(ranks[free, t] < ks[row], 0.0, np.square(np.maximum(edge[free], 0)))
            gap = edge[free] - base[free, t]
            own = np.where(gap > 0, 4 * np.square(gap), 0) / np.maximum(w * leverage[free, t], 1e-300)
            own[cost == 0] = 0
            order = np.argsort(cost)
            cost, own, whole = cost[order], own[order], np.cumsum(cost[order])
            for column, number in enumerate(fakes):
                purse, near = w * (len(held) + number) / (4 * w0), own <= number
                together[row, column, t] = np.searchsorted(whole, purse, side="right") / len(cost)
                most[row, column, t] = (near & (np.cumsum(cost * near) <= purse)).sum() / len(cost)
    return Reach(fakes=fakes, ks=ks, most=most, together=together)


def _by_factors(P: Array, squares: LeastSquares, owners: list[Array], users: Array) -> tuple[Array, Array]:
    """(u, t) the second bound without fakes, and the leverage of each user for each target."""
    P = P.astype(np.float64)
    w, w0 = squares.positive_weight, squares.negative_weight
    common = w0 * P.T @ P + squares.reg * np.eye(P.shape[1])
    base, leverage = (np.empty((len(users), len(owners))) for _ in range(2))
    for t, held in enumerate(owners):
        root = np.linalg.cholesky(common + (w - w0) * P[held].T @ P[held])
        rows = scipy.linalg.solve_triangular(root, P[users].T, lower=True)
        pull = w * scipy.linalg.solve_triangular(root, P[held].sum(0), lower=True)
        leverage[:, t] = np.square(rows).sum(0)
        base[:, t] = (pull @ rows + np.sqrt(leverage[:, t] * (pull @ pull))) / 2
    return base, leverage


def _by_items(
    settings: EASE, model: ItemModel, train: csr_array, targets: Array, owners: list[Array], users: Array
) -> tuple[Array, Array]:
    """The same for EASE.

    Its features for a target are the other items. The inverse of their Gram matrix is C - c c' / C_tt with c the target's
    column of the whole inverse C, so that the leverage is x'Cx - C_tt s^2; and b is the owners' sum of scores.
    """
    inverse = settings.inverse(train)
    rows = train[users].astype(np.float32)
    whole = np.concatenate(
        [part.multiply(part @ inverse).sum(1) for part in (rows[at : at + 256] for at in range(0, len(users), 256))]
    )
    weights = model.weights[:, targets]
    scores = np.asarray(train @ weights, np.float64)
    leverage = np.maximum(whole[:, None] - inverse[targets, targets] * np.square(scores[users]), 0)
    pull = np.array([max(float(scores[held, t].sum()), 0) for t, held in enumerate(owners)])
    return (scores[users] + np.sqrt(leverage * pull)) / 2, leverage


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
