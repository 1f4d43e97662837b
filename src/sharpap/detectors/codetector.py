"""CoDetector: factors of users that explain their items and their company, and a classifier on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, vstack

from sharpap.detectors.base import Array
from sharpap.detectors.simulated import Supervised
from sharpap.errors import ConfigError
from sharpap.seeds import rng

BLOCK_ENTRIES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class CoDetector(Supervised):
    """Factors of users, which explain their items and whom they share items with, judged by a classifier (Dou et al. 2018).

    One matrix of user factors P factorises two matrices: the interactions, by item factors, and the shifted positive
    pointwise mutual information of users, by context factors and two biases. That is what word embeddings factorise, with
    users for words and items in common for neighbourhood. A classifier then learns which factors fakes have.

    Attributes:
        embedding_size: numbers a user.
        negatives: the shift is its logarithm: only users who share more than this many times what chance has count as company.
        common: items that two users must share to be company.
        contexts: company a user is explained by, the closest; bounds memory.
        co_weight: weight of the second factorisation.
        positive_weight, negative_weight: of interactions, and of entries without one.
        reg: L2 penalty of all factors.
        sweeps: rounds of alternating least squares.
        attacks, simulated, draws: see `Simulating`.
        classifier, folds: see `Supervised`.

    Source: Dou, Yu, Xiong, Gao, Song and Fang 2018, *Collaborative shilling detection bridging factorization and user
    embedding*; the repository Coder-Yu/SDLib is followed. Deviations: labels are simulated; entries without an interaction
    count, since those with one are all 1; least squares instead of gradient descent, so that equal users get equal factors; a
    shift of 0 (there that of 256, which leaves one pair of users in a thousand on MovieLens-100K); `contexts`; logistic
    regression for their decision tree, which gives no ranking.
    """

    embedding_size: int = 10
    negatives: int = 1
    common: int = 4
    contexts: int = 100
    co_weight: float = 1.0
    positive_weight: float = 1.0
    negative_weight: float = 0.1
    reg: float = 1.0
    sweeps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.common < 0 or self.co_weight < 0 or not self.reg > 0:
            raise ConfigError(
                f"common={self.common} and co_weight={self.co_weight} must be 0 or more, and reg={self.reg} above 0."
            )

    def columns(self, everyone: csr_array, *, seed: int) -> Array:
        """See `Supervised`: (num_rows, embedding_size) user factors."""
        company = user_sppmi(everyone, negatives=self.negatives, common=self.common, contexts=self.contexts)
        return self._factorised(everyone, company, seed)

    def _factorised(self, matrix: csr_array, company: csr_array, seed: int) -> Array:
        size, users = self.embedding_size, matrix.shape[0]
        held, turned, back = _of(matrix), csr_array(_of(matrix).T), csr_array(company.T)
        Q = rng(seed, "items").standard_normal((matrix.shape[1], size)) / np.sqrt(size)
        P, G = np.zeros((users, size + 1)), np.zeros((users, size + 1))  # the last column is the bias
        weights = self.positive_weight, self.negative_weight
        for _ in range(self.sweeps):
            context = np.column_stack([G[:, :-1], np.ones(users)])
            pairs = _Part(_less(company, G[:, -1]), context, self.co_weight, 0.0)
            P = _least_squares([_Part(held, np.pad(Q, ((0, 0), (0, 1))), *weights), pairs], self.reg)
            Q = _least_squares([_Part(turned, P[:, :-1], *weights)], self.reg)
            user = np.column_stack([P[:, :-1], np.ones(users)])
            G = _least_squares([_Part(_less(back, P[:, -1]), user, 1.0, 0.0)], self.reg)
        return P[:, :-1]


def user_sppmi(matrix: csr_array, *, negatives: int, common: int, contexts: int) -> csr_array:
    """(num_rows, num_rows) shifted positive pointwise mutual information of users, over its largest value; see `CoDetector`.

    log2(#(u, v) D / (#(u) #(v))) - log2(negatives), where #(u, v) is the number of items that both have, above `common`, #(u)
    its sum over v and D the sum of all; entries at or below 0 are left out, and of each row all but the `contexts` largest.
    """
    binary = _of(matrix)
    turned = csr_array(binary.T)
    totals = np.concatenate([_shared(binary, turned, rows, common).sum(1) for rows in _blocks(binary)])
    everything, blocks = float(totals.sum()), []
    for rows in _blocks(binary):
        near = _shared(binary, turned, rows, common).tocoo()
        value = np.log2(near.data * everything / (totals[rows][near.row] * totals[near.col])) - np.log2(negatives)
        blocks.append(_largest(near.row[value > 0], near.col[value > 0], value[value > 0], contexts, near.shape))
    found = csr_array(vstack(blocks))
    return csr_array(found / found.data.max()) if found.nnz else found


def _blocks(matrix: csr_array) -> list[slice]:
    step = max(1, BLOCK_ENTRIES // max(1, matrix.shape[0]))
    return [slice(start, min(start + step, matrix.shape[0])) for start in range(0, matrix.shape[0], step)]


def _shared(matrix: csr_array, turned: csr_array, rows: slice, common: int) -> csr_array:
    """Items in common of a block of users with all others, where there are more than `common`."""
    near = (matrix[rows] @ turned).tocoo()
    keep = (near.data > common) & (near.col != near.row + rows.start)
    return csr_array((near.data[keep], (near.row[keep], near.col[keep])), shape=near.shape)


def _largest(row: Array, col: Array, value: Array, count: int, shape: Any) -> csr_array:
    order = np.lexsort((col, -value, row))
    row, col, value = row[order], col[order], value[order]
    first = np.searchsorted(row, np.arange(shape[0]))
    keep = np.arange(len(row)) - first[row] < count
    return csr_array((value[keep], (row[keep], col[keep])), shape=shape)


class _Part(NamedTuple):
    """Entries that rows are to explain by the factors of the columns, the weight of an entry and that of a missing one."""

    values: csr_array
    factors: Array
    weight: float
    missing: float


def _least_squares(parts: list[_Part], reg: float) -> Array:
    """(num_rows, d) ridge regressions of the parts' rows, solved together."""
    rows, size = parts[0].values.shape[0], parts[0].factors.shape[1]
    base = reg * np.eye(size) + sum(each.missing * (each.factors.T @ each.factors) for each in parts)
    step = max(1, BLOCK_ENTRIES // size**2)
    found = np.empty((rows, size))
    for block in (slice(start, start + step) for start in range(0, rows, step)):
        gram, right = base, np.zeros((len(found[block]), size))
        for values, factors, weight, missing in parts:
            outer = (factors[:, :, None] * factors[:, None, :]).reshape(len(factors), -1)
            gram = gram + (weight - missing) * (_of(values[block]) @ outer).reshape(-1, size, size)
            right += weight * (values[block] @ factors)
        found[block] = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
    return found


def _of(matrix: csr_array) -> csr_array:
    """Ones where `matrix` has entries."""
    return csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)


def _less(matrix: csr_array, bias: Array) -> csr_array:
    """Each entry without the bias of its column."""
    return csr_array((matrix.data - bias[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)
