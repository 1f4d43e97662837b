"""What fakes could do at most to one target, for each family of recommenders: the two parts of every bound of `reach`.

docs/reach.md has the proofs. A family says

- **each**: which users a target could be lifted over, every fake spent on that one user;
- **together**: what it costs to stand in a user's list, and how much F fakes have to spend on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.linalg
from scipy.sparse import csr_array

from sharpap.recommenders.base import LeastSquares
from sharpap.recommenders.neighbours import ItemKNN, ItemModel

Array = np.ndarray[Any, np.dtype[Any]]
ROUNDING = 1e-5  # models score in single precision


class Limits(Protocol):
    """The bound of one family, for the users and targets it was made for; t is the place of a target, not its number."""

    def highest(self, t: int, fakes: Array) -> Array:
        """(u, f) the highest score of the target for each user, taken alone, by numbers (f,) of fakes."""
        ...

    def cost(self, edge: Array) -> Array:
        """(u,) what a place at an edge >= 0 costs."""
        ...

    def purse(self, t: int, fakes: Array, among: Array) -> Array:
        """(f,) what there is to spend on the users of a mask (u, f) or (u, 1), which holds no owner of the target."""
        ...


@dataclass(frozen=True, eq=False)
class Squares:
    """Least squares over all pairs, on features of the users that stay (each) or do not (together).

    Attributes:
        loss: its weights.
        owners: (t,) owners of each target.
        base: (u, t) the bound of each user without fakes.
        leverage: (u, t).
    """

    loss: LeastSquares
    owners: Array
    base: Array
    leverage: Array

    def highest(self, t: int, fakes: Array) -> Array:
        """See `Limits`: base + sqrt(w F l) / 2."""
        return self.base[:, [t]] + np.sqrt(self.loss.positive_weight * self.leverage[:, [t]] * fakes) / 2

    def cost(self, edge: Array) -> Array:
        """See `Limits`: the square."""
        return np.square(edge)

    def purse(self, t: int, fakes: Array, among: Array) -> Array:
        """See `Limits`: w (owners + F) / (4 w0), whoever the users are."""
        return self.loss.positive_weight * (self.owners[t] + fakes) / (4 * self.loss.negative_weight)


def by_factors(P: Array, loss: LeastSquares, owners: list[Array], users: Array) -> Squares:
    """Of a factor model; P (n, d) are users' factors. O(n d^2 + t n d)."""
    P = P.astype(np.float64)
    w, w0 = loss.positive_weight, loss.negative_weight
    common = w0 * P.T @ P + loss.reg * np.eye(P.shape[1])
    base, leverage = (np.empty((len(users), len(owners))) for _ in range(2))
    for t, held in enumerate(owners):
        root = np.linalg.cholesky(common + (w - w0) * P[held].T @ P[held])
        rows = scipy.linalg.solve_triangular(root, P[users].T, lower=True)
        pull = w * scipy.linalg.solve_triangular(root, P[held].sum(0), lower=True)
        leverage[:, t] = np.square(rows).sum(0)
        base[:, t] = (pull @ rows + np.sqrt(leverage[:, t] * (pull @ pull))) / 2
    return Squares(loss, np.array([len(held) for held in owners]), base, leverage)


def by_items(
    reg: float, model: ItemModel, train: csr_array, targets: Array, owners: list[Array], users: Array
) -> Squares:
    """Of EASE, from its weights alone. O(nnz m).

    Its features for a target are the other items. The inverse of their Gram matrix is C - c c' / C_tt with c the target's
    column of the whole inverse C, so that the leverage of a user x is x'Cx - C_tt s^2; and b is the owners' sum of scores.
    C need not be made a second time: the weights are -C_ij / C_jj, so that with s_j the score of a user's own item j

        x'Cx = sum over own items of C_jj (1 - s_j)      and      1 / C_jj = owners_j + reg - sum over them of s_j.
    """
    rows, weights = train.astype(np.float32), model.weights
    blocks = (rows[at : at + 256] for at in range(0, rows.shape[0], 256))
    parts = [csr_array(block.multiply(block @ weights)) for block in blocks]
    own = np.array([np.asarray(part.sum(0)).ravel() for part in parts], np.float64).sum(0)
    diagonal = 1 / (np.bincount(train.indices, minlength=train.shape[1]) + reg - own)
    whole = rows @ diagonal - np.concatenate([part @ diagonal for part in parts])
    scores = np.asarray(train @ weights[:, targets], np.float64)
    leverage = np.maximum(whole[:, None] - diagonal[targets] * np.square(scores), 0)[users]
    pull = np.array([max(float(scores[held, t].sum()), 0) for t, held in enumerate(owners)])
    loss = LeastSquares(positive_weight=1.0, negative_weight=1.0, reg=reg)
    base = (scores[users] + np.sqrt(leverage * pull)) / 2
    return Squares(loss, np.array([len(held) for held in owners]), base, leverage)


@dataclass(frozen=True, eq=False)
class Cosines:
    """Sums of the similarities of a user's items to the target, of which the target keeps `settings.neighbours`.

    Attributes:
        settings: of the recommender.
        rows: (u, m) interactions of the users.
        rarest: the same, of each user only as many of the least popular items as a target keeps.
        popularity: (m,) owners of each item.
        targets: (t,) item numbers.
        shared: (t, m) owners that a target has in common with each item.
    """

    settings: ItemKNN
    rows: csr_array
    rarest: csr_array
    popularity: Array
    targets: Array
    shared: Array

    @classmethod
    def of(cls, settings: ItemKNN, train: csr_array, targets: Array, owners: list[Array], users: Array) -> Cosines:
        """For a plain ItemKNN. O(nnz log nnz)."""
        popularity = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)
        rows = csr_array((np.ones(train.nnz), train.indices, train.indptr), shape=train.shape)[users]
        owner = np.repeat(np.arange(len(users)), np.diff(rows.indptr))
        order = np.lexsort((popularity[rows.indices], owner))  # within each user, the least popular first
        kept = order[np.arange(rows.nnz) - rows.indptr[owner] < settings.neighbours]
        rarest = csr_array((np.ones(len(kept)), (owner[kept], rows.indices[kept])), shape=rows.shape)
        shared = np.array([np.bincount(train[held].indices, minlength=train.shape[1]) for held in owners], np.float64)
        return cls(settings, rows, rarest, popularity, targets, shared)

    def highest(self, t: int, fakes: Array) -> Array:
        """See `Limits`: all fakes hold the user's items; the owners' part beside it."""
        scale = self._scale(t, fakes)
        return (self.rarest @ (fakes * scale) + self.rows @ (self.shared[t][:, None] * scale)) * (1 + ROUNDING)

    def cost(self, edge: Array) -> Array:
        """See `Limits`: the edge itself."""
        return edge / (1 + ROUNDING)

    def purse(self, t: int, fakes: Array, among: Array) -> Array:
        """See `Limits`: what the neighbours that are worth most give to all these users."""
        worth = (self.rows.T @ among.astype(np.float64)) * (self.shared[t][:, None] + fakes) * self._scale(t, fakes)
        kept = min(self.settings.neighbours, len(worth))
        return np.partition(worth, len(worth) - kept, axis=0)[len(worth) - kept :].sum(0)

    def _scale(self, t: int, fakes: Array) -> Array:
        """(m, f) one over the norms, where all fakes hold the item and the target; 0 at the target itself."""
        norms = np.sqrt((self.popularity[:, None] + fakes) * (self.popularity[self.targets[t]] + fakes))
        scale = 1 / (norms + self.settings.shrinkage)
        scale[self.targets[t]] = 0
        return scale
