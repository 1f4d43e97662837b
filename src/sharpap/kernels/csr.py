"""`Pattern`: which entries a sparse matrix has, with its transpose at hand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numba
import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from sharpap.errors import ContractError

Array = np.ndarray[Any, np.dtype[Any]]
CHUNKS = 64


@dataclass(frozen=True, eq=False)
class Pattern:
    """A CSR pattern without values.

    Attributes:
        indptr: (num_rows + 1,) int64.
        indices: (nnz,) int32 columns, ascending within a row.
        shape: (num_rows, num_cols).
    """

    indptr: Tensor
    indices: Tensor
    shape: tuple[int, int]

    @classmethod
    def from_csr(cls, matrix: csr_array, *, device: str | torch.device = "cpu") -> Pattern:
        """The pattern of any scipy CSR matrix; explicit zeros count as entries."""
        csr = matrix if matrix.has_sorted_indices else matrix.sorted_indices()
        indptr = torch.from_numpy(csr.indptr.astype(np.int64))
        indices = torch.from_numpy(csr.indices.astype(np.int32))
        return cls(indptr.to(device), indices.to(device), (int(csr.shape[0]), int(csr.shape[1])))

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return self.indices.shape[0]

    @cached_property
    def rows(self) -> Tensor:
        """(nnz,) int32 row of every entry."""
        counts = self.indptr.diff()
        rows = torch.arange(self.shape[0], dtype=torch.int32, device=counts.device)
        return torch.repeat_interleave(rows, counts, output_size=self.nnz)

    @cached_property
    def order(self) -> Tensor:
        """(nnz,) int64 entry numbers in column-major order."""
        return self._column_major[1]

    @cached_property
    def transpose(self) -> Pattern:
        """The transposed pattern; its entry e is this pattern's entry `order[e]`."""
        indptr, _, rows = self._column_major
        return Pattern(indptr, rows, (self.shape[1], self.shape[0]))

    @cached_property
    def _column_major(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where each column begins, and the numbers and rows of its entries."""
        if self.indices.device.type != "cpu":  # without a result whose size the CPU would have to wait for
            columns, order = torch.sort(self.indices, stable=True)
            bounds = torch.arange(self.shape[1] + 1, dtype=torch.int32, device=columns.device)
            return torch.searchsorted(columns, bounds), order, self.rows[order]
        indptr = torch.zeros(self.shape[1] + 1, dtype=torch.int64)
        order, rows = torch.empty(self.nnz, dtype=torch.int64), torch.empty(self.nnz, dtype=torch.int32)
        _count_sort(*(part.numpy() for part in (self.indptr, self.indices, indptr, order, rows)))
        return indptr, order, rows

    def where(self, keep: Tensor) -> Pattern:
        """The entries where `keep` (nnz,) is true; its transpose is thinned along, not sorted again."""
        by_column = self.transpose
        thinned = _thin(self, keep)
        thinned.__dict__["transpose"] = _thin(by_column, keep, self.order)  # the cached property, filled in
        return thinned

    @cached_property
    def chunks(self) -> Array:
        """Row bounds of chunks with about equal work, for the parallel loops on a CPU."""
        indptr = self.indptr.cpu().numpy()
        work = indptr + np.arange(len(indptr))
        bounds = np.searchsorted(work, np.linspace(0, work[-1], CHUNKS + 1))
        return np.unique(np.clip(bounds, 0, self.shape[0]))


@numba.njit(cache=True, nogil=True)
def _count_sort(indptr: Array, indices: Array, columns: Array, order: Array, rows: Array) -> None:
    for column in indices:
        columns[column + 1] += 1
    for column in range(1, len(columns)):
        columns[column] += columns[column - 1]
    place = columns[:-1].copy()
    for row in range(len(indptr) - 1):
        for e in range(indptr[row], indptr[row + 1]):
            at = place[indices[e]]
            order[at] = e
            rows[at] = row
            place[indices[e]] = at + 1


def _thin(pattern: Pattern, keep: Tensor, order: Tensor | None = None) -> Pattern:
    """The entries where `keep`, or `keep[order]`, is true."""
    if keep.device.type != "cpu":
        keep = keep if order is None else keep[order]
        before = torch.zeros(pattern.nnz + 1, dtype=torch.int64, device=keep.device)
        torch.cumsum(keep, 0, out=before[1:])
        return Pattern(before[pattern.indptr], pattern.indices[keep], pattern.shape)
    indptr, indices = torch.empty_like(pattern.indptr), torch.empty(pattern.nnz + 1, dtype=torch.int32)
    places = None if order is None else order.numpy()
    count = _kept(
        pattern.indptr.numpy(), pattern.indices.numpy(), keep.numpy(), places, indptr.numpy(), indices.numpy()
    )
    return Pattern(indptr, indices[:count], pattern.shape)


@numba.njit(cache=True, nogil=True)
def _kept(indptr: Array, indices: Array, keep: Array, order: Any, new_indptr: Array, new_indices: Array) -> int:
    """Every entry is written, and the next over it unless it is kept: no branch that the processor would have to guess."""
    count = 0
    for row in range(len(indptr) - 1):
        new_indptr[row] = count
        for e in range(indptr[row], indptr[row + 1]):
            new_indices[count] = indices[e]
            count += np.int64(keep[e] if order is None else keep[order[e]])
    new_indptr[-1] = count
    return new_indptr[-1]


def check_dense(name: str, dense: Tensor, rows: int, pattern: Pattern, *, like: Tensor | None = None) -> None:
    """Raise `ContractError` unless `dense` is a (rows, d) float matrix on the pattern's device."""
    if dense.ndim != 2 or dense.shape[0] != rows:
        raise ContractError(f"{name} must have shape ({rows}, d), not {tuple(dense.shape)}.")
    if dense.dtype not in (torch.float32, torch.float64):
        raise ContractError(f"{name} must be float32 or float64, not {dense.dtype}.")
    if dense.device != pattern.indptr.device:
        raise ContractError(f"{name} is on {dense.device}, the pattern on {pattern.indptr.device}.")
    if like is not None and (like.shape[1] != dense.shape[1] or like.dtype != dense.dtype):
        raise ContractError(
            f"{name} is {tuple(dense.shape)} of {dense.dtype}, but its partner {tuple(like.shape)} of {like.dtype}."
        )


def stored(matrix: csr_array, columns: Array) -> Array:
    """Which rows have an entry in which of the columns, (n, t) bool. O(nnz + n t)."""
    wanted, back = np.unique(columns, return_inverse=True)
    place = np.full(matrix.shape[1], -1)
    place[wanted] = np.arange(len(wanted))
    entries = np.flatnonzero(place[matrix.indices] >= 0)
    found = np.zeros((matrix.shape[0], len(wanted)), dtype=bool)
    found[np.searchsorted(matrix.indptr, entries, side="right") - 1, place[matrix.indices[entries]]] = True
    return found[:, back]


def stacked(genuine: csr_array, fake: csr_array) -> csr_array:
    """Genuine rows, then fake ones."""
    return csr_array(vstack([genuine, fake], format="csr"))
