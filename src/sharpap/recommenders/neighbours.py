"""Item-to-item models: ItemKNN with plain or learnt weights, and EASE."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import scipy.linalg
from scipy.sparse import csr_array, diags_array

from sharpap.errors import ConfigError, TrainingError
from sharpap.kernels import block_rows, topk_scores
from sharpap.recommenders.base import FloatArray, IntArray
from sharpap.settings import Settings


@dataclass(frozen=True, eq=False, kw_only=True)
class ItemModel:
    """Scores an item by the weights of a user's items.

    Attributes:
        train: (num_users, num_items) interactions, weighted.
        weights: (num_items, num_items) sparse or dense; row = owned item, column = scored item.
        log: training record.
    """

    train: csr_array
    weights: csr_array | FloatArray
    log: dict[str, Any] = field(default_factory=dict)

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), num_items) sums of weights."""
        found = self.train[users] @ self.weights
        return found if isinstance(found, np.ndarray) else found.toarray()


@dataclass(frozen=True, kw_only=True)
class ItemKNN(Settings):
    """Nearest neighbours of items by the cosine of their (weighted) user columns.

    Attributes:
        neighbours: most similar items kept for each item.
        item_weights: "none": every item counts the same; "learnt": each item has a weight, found by making users similar
            to those who share their items and dissimilar to the rest.
        weight_steps, weight_rate: gradient steps for the learnt weights, and their size.
        shrinkage: added to the norm product, against chance similarities of rare items.

    Source: Deshpande and Karypis 2004 for the model; Jin, Chai and Si 2004 for learnt weights, as gradient ascent on the
    log-likelihood of users' interactions under their neighbours (a leave-one-out softmax over weighted item similarities)
    for binary feedback. Deviations: the source learns from ratings and by user similarity; here the weights scale an item's
    contribution as evidence, which is what they do in its prediction rule.
    """

    neighbours: int = 100
    item_weights: Literal["none", "learnt"] = "none"
    weight_steps: int = 50
    weight_rate: float = 0.1
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1:
            raise ConfigError(f"neighbours={self.neighbours} must be 1 or more.")
        if self.item_weights not in ("none", "learnt"):
            raise ConfigError(f"item_weights={self.item_weights!r} is neither none nor learnt.")

    def fit(self, train: csr_array, *, seed: int) -> ItemModel:
        """See `Recommender`; nothing is random. O(sum of squared profile lengths) time, O(m neighbours) memory."""
        start = time.perf_counter()
        similarity = self._similarity(train)
        if self.item_weights == "learnt":
            weights = learnt_item_weights(train, similarity, self.weight_steps, self.weight_rate)
            similarity = csr_array(diags_array(weights.astype(np.float32)) @ similarity)
        return ItemModel(train=train, weights=similarity, log={"seconds": round(time.perf_counter() - start, 3)})

    def _similarity(self, train: csr_array) -> csr_array:
        """Row = owned item, column = scored item; each column keeps its nearest rows."""
        num_items = train.shape[1]
        by_item = csr_array(train.T).astype(np.float32)
        norm = np.sqrt(np.bincount(train.indices, minlength=num_items).astype(np.float32))
        kept = min(self.neighbours, num_items)
        rows, columns, values = [], [], []
        step = block_rows(num_items)
        for first in range(0, num_items, step):
            block = (by_item[first : first + step] @ train).toarray()
            mine = norm[first : first + step, None]
            block /= np.maximum(mine * norm + self.shrinkage, 1e-12)
            block[np.arange(len(block)), np.arange(first, first + len(block))] = 0
            near, value = topk_scores(block, kept)
            scored = np.repeat(np.arange(first, first + len(block)), kept)
            use = value.ravel() > 0
            rows.append(near.ravel()[use])
            columns.append(scored[use])
            values.append(value.ravel()[use])
        parts = (np.concatenate(rows), np.concatenate(columns))
        return csr_array((np.concatenate(values), parts), shape=(num_items, num_items))


def learnt_item_weights(train: csr_array, similarity: csr_array, steps: int, rate: float) -> FloatArray:
    """Evidence weights w of items, (m,), mean 1: ascent on the mean log-likelihood of users' own items.

    An interaction (u, i) has the likelihood s_ui / sum_j s_uj with s_u = sum over u's items k of w_k similarity[k], its own
    part (k = i) being 0 anyway. The normaliser needs only row sums of `similarity`, so a step is O(nnz of train x
    similarity on the pattern), taken once.
    """
    reach = np.asarray(similarity.sum(axis=1)).ravel()  # what one unit of w_k adds to a user's normaliser
    users = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    binary = csr_array((np.ones(train.nnz, np.float32), train.indices, train.indptr), shape=train.shape)
    log_w = np.zeros(train.shape[1])
    share = train.nnz
    for _ in range(steps):
        w = np.exp(log_w - np.log(np.mean(np.exp(log_w))))
        score = _on_pattern(csr_array(binary @ diags_array(w.astype(np.float32))), similarity, binary)
        total = binary @ (w * reach)
        inverse = csr_array((1 / np.maximum(score, 1e-6), train.indices, train.indptr), shape=train.shape)
        # d/dw_k: sum over (u, i), u owns k, of similarity[k, i] / s_ui, minus the normaliser's part
        gain = _column_evidence(binary, similarity, inverse)
        owned = np.bincount(users, minlength=train.shape[0]) / np.maximum(total, 1e-6)
        grad = w * (gain - reach * (binary.T @ owned))
        log_w += rate * grad / (share / train.shape[1])
        np.clip(log_w, -3, 3, out=log_w)
    return np.exp(log_w - np.log(np.mean(np.exp(log_w))))


def _on_pattern(weighted: csr_array, similarity: csr_array, pattern: csr_array) -> FloatArray:
    """(weighted @ similarity) on the entries of `pattern`, in blocks of users."""
    out = np.empty(pattern.nnz)
    step = block_rows(pattern.shape[1])
    for first in range(0, pattern.shape[0], step):
        part = slice(first, min(first + step, pattern.shape[0]))
        scores = (weighted[part] @ similarity).toarray()
        entries = slice(pattern.indptr[part.start], pattern.indptr[part.stop])
        rows = np.repeat(np.arange(part.stop - part.start), np.diff(pattern.indptr[part.start : part.stop + 1]))
        out[entries] = scores[rows, pattern.indices[entries]]
    return out


def _column_evidence(binary: csr_array, similarity: csr_array, inverse: csr_array) -> FloatArray:
    """(m,) sum over users u of k and their items i of similarity[k, i] inverse[u, i], in blocks of users."""
    gain = np.zeros(binary.shape[1])
    transposed = csr_array(similarity.T)
    step = block_rows(binary.shape[1])
    for first in range(0, binary.shape[0], step):
        part = slice(first, first + step)
        evidence = (inverse[part] @ transposed).toarray()
        own = binary[part].tocoo()
        np.add.at(gain, own.coords[1], evidence[own.coords])
    return gain


@dataclass(frozen=True, kw_only=True)
class EASE(Settings):
    """The linear autoencoder with a zero diagonal, in closed form.

    Attributes:
        reg: lambda, added to the diagonal of the item Gram matrix.
        most_items: larger catalogues are refused: the inverse is a dense items x items matrix.

    Source: Steck 2019, *Embarrassingly shallow autoencoders for sparse data*, eq. 8. O(m^3) time and O(m^2) memory: the one
    model here whose definition is dense.
    """

    reg: float = 500.0
    most_items: int = 30_000

    def fit(self, train: csr_array, *, seed: int) -> ItemModel:
        """See `Recommender`; nothing is random. Raises `TrainingError` above `most_items`."""
        start = time.perf_counter()
        inverse = self._inverse(train)
        weights = np.ascontiguousarray(inverse / -np.diag(inverse))
        np.fill_diagonal(weights, 0)
        return ItemModel(train=train, weights=weights, log={"seconds": round(time.perf_counter() - start, 3)})

    def _inverse(self, train: csr_array) -> FloatArray:
        """(m, m) inverse of the items' Gram matrix plus reg, float32. Raises `TrainingError` above `most_items`."""
        num_items = train.shape[1]
        if num_items > self.most_items:
            raise TrainingError(
                f"EASE needs a dense matrix of {num_items} x {num_items} items, {num_items**2 * 4 / 2**30:.0f} GiB.",
                hint="Raise most_items if that fits, or leave EASE out.",
            )
        gram = (train.T.astype(np.float32) @ train).toarray()
        gram[np.diag_indices(num_items)] += self.reg
        factor, _ = scipy.linalg.lapack.spotrf(gram, lower=1, overwrite_a=1)
        inverse, failed = scipy.linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
        if failed:
            raise TrainingError("EASE's Gram matrix is singular.", hint="Raise reg.")
        return np.tril(inverse) + np.tril(inverse, -1).T
