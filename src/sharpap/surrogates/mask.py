"""Which pairs look unobserved or disturbed, by expectation-maximisation over a short list; see `MaskedWRMFSurrogate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sharpap.errors import TrainingError
from sharpap.kernels import Pattern, mask_rows, score_blocks, sddmm

Array = NDArray[np.float64]
Index = NDArray[np.int64]
_START = 0.8
_FEW = 1 << 18  # pairs of which all may be listed


@dataclass(frozen=True, eq=False)
class Mask:
    """Genuine pairs left out of the loss.

    Attributes:
        rows, columns: absent ones.
        present: (genuine positives,) True where a positive is left out, in the pattern's order.
        share: of all genuine pairs that stays in.
    """

    rows: Index
    columns: Index
    present: NDArray[np.bool_]
    share: float


def find_mask(genuine: Pattern, users: Tensor, items: Tensor, *, sigma: float, disturbed: float, em_steps: int) -> Mask:
    """The genuine pairs that these parameters leave out of the loss.

    Args:
        genuine: positives, (n, m).
        users, items: (n, d) and (m, d).
        sigma, disturbed, em_steps: as for `MaskedWRMFSurrogate`.

    Raises:
        TrainingError: pairs with a score near 0 could be left out, and there are too many to list them all.
    """
    n, m = genuine.shape
    for cut in (disturbed, disturbed / 2, 0.0):
        if cut == 0 and n * m > _FEW:
            break
        rest = _Rest.of(genuine, users, items, cut, sigma, disturbed)
        found = _settle(genuine, users, items, rest, sigma, disturbed, em_steps)
        if found is not None:
            return found
    raise TrainingError(
        "Too many genuine pairs look unobserved for a mask that is a short list.",
        hint="Set masked_epochs to 0, or raise positive_weight or epochs.",
    )


def _settle(
    genuine: Pattern, users: Tensor, items: Tensor, rest: _Rest, sigma: float, disturbed: float, em_steps: int
) -> Mask | None:
    """The iterations; None when pairs that are not listed could be left out."""
    n, m, nnz = *genuine.shape, genuine.nnz
    rows = np.concatenate([genuine.rows.numpy().astype(np.int64), rest.rows])
    columns = np.concatenate([genuine.indices.numpy().astype(np.int64), rest.columns])
    present = np.arange(len(rows)) < nnz
    miss = np.concatenate([sddmm(genuine, users, items).numpy().astype(np.float64) - 1, rest.scores])
    # Likelihood of "disturbed" over that of "undisturbed", and the density of a disturbed 0.
    ratio = _ratio(miss, np.where(present, 1 - disturbed, disturbed), sigma)
    density = float(np.exp(-((disturbed / sigma) ** 2) / 2) / (np.sqrt(2 * np.pi) * sigma))
    gamma, iota, eta, zeta = (np.full(size, _START) for size in (n, m, n, m))
    observed, fine = np.ones(len(rows), dtype=bool), np.ones(len(rows))
    for _ in range(em_steps):
        a, b = (gamma.min() + iota.min()) / 2, (eta.min() + zeta.min()) / 2
        if rest.cut > 0 and (a * density * (b / rest.worst + 1 - b) < 1 - a or b < (1 - b) * rest.worst):
            return None
        a, b = (gamma[rows] + iota[columns]) / 2, (eta[rows] + zeta[columns]) / 2
        fine = b / (b + (1 - b) * ratio)
        observed = present | (a * density * (b / ratio + 1 - b) >= 1 - a)
        missing = [np.bincount(index[~observed], minlength=size) for index, size in ((rows, n), (columns, m))]
        sums = [
            np.bincount(index, weights=fine * observed, minlength=size) for index, size in ((rows, n), (columns, m))
        ]
        others = rest.fine(eta, zeta)
        after = (
            1 - missing[0] / m, 1 - missing[1] / n,
            (sums[0] + others[0]) / np.maximum(m - missing[0], 1), (sums[1] + others[1]) / np.maximum(n - missing[1], 1),
        )  # fmt: skip
        settled = all(np.allclose(new, old) for new, old in zip(after, (gamma, iota, eta, zeta), strict=True))
        gamma, iota, eta, zeta = after
        if settled:
            break
    out = ~(observed & (fine >= 0.5))
    return Mask(rows[out & ~present], columns[out & ~present], out[:nnz], 1 - float(out.sum()) / (n * m))


@dataclass(frozen=True, eq=False)
class _Rest:
    """Absent pairs: those with |score| >= `cut` one by one, the others by row and by column.

    Attributes:
        cut: 0: all are listed.
        worst: highest likelihood ratio of the others.
        rows, columns, scores: the former.
        counts: of the latter, how many in each row and in each column.
        ratios: of the latter, in each row and column, the likelihood ratio that stands for all of them: with it, they have
            together the posterior that they have one by one at the start of the iterations.
    """

    cut: float
    worst: float
    rows: Index
    columns: Index
    scores: Array
    counts: tuple[Array, Array]
    ratios: tuple[Array, Array]

    @classmethod
    def of(cls, genuine: Pattern, users: Tensor, items: Tensor, cut: float, sigma: float, disturbed: float) -> _Rest:
        """One pass over all scores, in blocks of users."""
        n, m = genuine.shape
        indptr, indices = genuine.indptr.numpy(), genuine.indices.numpy()
        counts, first = (np.zeros(n), np.zeros(m)), (np.zeros(n), np.zeros(m))
        found: list[tuple[Index, Index, Array]] = []
        for part, scores in score_blocks(users, items, np.arange(n)):
            mask_rows(scores, part, indptr, indices)
            strong = np.isfinite(scores) & (np.abs(scores) >= cut)
            block, columns = np.nonzero(strong)
            found.append((part[block], columns, scores[block, columns].astype(np.float64)))
            scores[strong] = -np.inf
            weak = np.isfinite(scores)
            scores[~weak] = 0
            fine = _START / (_START + (1 - _START) * _ratio(scores, disturbed, sigma)) * weak
            for side, axis in enumerate((1, 0)):
                place = part if side == 0 else slice(None)
                counts[side][place] += weak.sum(axis)
                first[side][place] += fine.sum(axis, dtype=np.float64)
        rows, columns, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
        odds = _START / (1 - _START)
        ratios = tuple(
            odds * (np.divide(count, total, out=np.ones_like(count), where=total > 0) - 1)
            for count, total in zip(counts, first, strict=True)
        )
        worst = float(_ratio(np.array(cut), disturbed, sigma))
        return cls(cut, worst, rows, columns, values, counts, (ratios[0], ratios[1]))

    def fine(self, eta: Array, zeta: Array) -> tuple[Array, Array]:
        """Expected undisturbed ones among the others, of each row and of each column."""
        b = ((eta + zeta.mean()) / 2, (zeta + eta.mean()) / 2)
        by_row, by_column = (
            count * chance / (chance + (1 - chance) * ratio)
            for count, chance, ratio in zip(self.counts, b, self.ratios, strict=True)
        )
        return by_row, by_column


def _ratio(miss: Array, other: Array | float, sigma: float) -> Array:
    """Density at a distance `other` over the density at a distance `miss`, of a normal; bounded so that it stays finite."""
    return np.exp(np.minimum((miss * miss - other * other) / (2 * sigma * sigma), 80))
