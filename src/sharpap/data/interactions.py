"""`Interactions`: who interacted with what, as a binary CSR matrix with its id vocabularies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpap.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # imported where a matrix is made: looking at a file makes none

IdArray = np.ndarray[Any, np.dtype[Any]]


def distinct(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`np.unique` by sorting: NumPy 2.4 has a hash table for it, which takes forty times as long on millions of pairs."""
    ordered = np.sort(values, axis=None)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def canonical_csr(matrix: Any) -> csr_array:
    """Any scipy sparse matrix as this project's CSR: float32 ones, int32 sorted indices, no duplicates.

    Explicit zeros are dropped; every other stored value becomes 1. The input is not changed.
    """
    from scipy.sparse import csr_array

    csr: Any = csr_array(matrix, dtype=np.float32, copy=True)
    csr.sum_duplicates()
    csr.eliminate_zeros()
    csr.sort_indices()
    csr.data = np.ones(csr.nnz, dtype=np.float32)
    csr.indices = csr.indices.astype(np.int32, copy=False)
    csr.indptr = csr.indptr.astype(np.int32 if csr.nnz < 2**31 else np.int64, copy=False)
    return csr


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Interactions:
    """Immutable binary feedback.

    Attributes:
        matrix: (num_users, num_items) CSR as made by `canonical_csr`; its arrays are read-only.
        user_ids: (num_users,) external ids, strings or integers, by row.
        item_ids: (num_items,) external ids by column.
        timestamps: (nnz,) float64 seconds aligned with `matrix.indices`, or None.
        item_titles: (num_items,) display names, or None.
        notes: JSON-ready facts of how it was read, e.g. {"rows": 100000, "duplicates_merged": 0}.
    """

    matrix: csr_array
    user_ids: IdArray
    item_ids: IdArray
    timestamps: np.ndarray[Any, np.dtype[np.float64]] | None = None
    item_titles: tuple[str, ...] | None = field(default=None, repr=False)
    notes: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        n, m = self.matrix.shape
        if len(self.user_ids) != n or len(self.item_ids) != m:
            raise DataError(
                f"A {n} x {m} matrix came with {len(self.user_ids)} user ids and {len(self.item_ids)} item ids."
            )
        if self.timestamps is not None and len(self.timestamps) != self.matrix.nnz:
            raise DataError(f"{self.matrix.nnz} interactions came with {len(self.timestamps)} timestamps.")
        for array in (self.matrix.data, self.matrix.indices, self.matrix.indptr):
            array.flags.writeable = False

    def __repr__(self) -> str:
        n, m = self.matrix.shape
        return (
            f"<Interactions: {n:,} users x {m:,} items, {self.matrix.nnz:,} interactions "
            f"({100 * self.matrix.nnz / max(n * m, 1):.3g} %){', with times' if self.timestamps is not None else ''}>"
        )

    @classmethod
    def from_csr(cls, matrix: Any, **kwargs: Any) -> Interactions:
        """Interactions from any scipy sparse matrix; ids default to row and column numbers."""
        csr = canonical_csr(matrix)
        kwargs.setdefault("user_ids", np.arange(csr.shape[0]))
        kwargs.setdefault("item_ids", np.arange(csr.shape[1]))
        return cls(matrix=csr, **kwargs)

    @classmethod
    def from_pairs(
        cls, users: IdArray, items: IdArray, *, user_ids: IdArray, item_ids: IdArray,
        timestamps: np.ndarray[Any, Any] | None = None, **kwargs: Any,
    ) -> tuple[Interactions, int]:  # fmt: skip
        """Interactions from row and column numbers, with the number of repeated pairs merged; the latest time stays."""
        from scipy.sparse import csr_array

        n, m = len(user_ids), len(item_ids)
        key = users.astype(np.int64) * max(m, 1) + items
        order = np.argsort(key, kind="stable") if timestamps is None else np.lexsort((timestamps, key))
        key = key[order]
        last = np.append(key[1:] != key[:-1], True) if len(key) else np.empty(0, bool)
        kept = key[last]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(kept // max(m, 1), minlength=n))])
        matrix = csr_array((np.ones(len(kept), np.float32), kept % max(m, 1), indptr), shape=(n, m))
        made = cls(
            matrix=canonical_csr(matrix),
            user_ids=user_ids,
            item_ids=item_ids,
            timestamps=None if timestamps is None else timestamps[order][last].astype(np.float64),
            **kwargs,
        )
        return made, len(key) - len(kept)

    def entries(self) -> tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]:
        """(nnz,) row and (nnz,) column numbers, row by row."""
        return np.repeat(np.arange(self.num_users), self.user_counts), self.matrix.indices.astype(np.int64)

    def select(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Interactions:
        """The same users, items and titles with only the entries where (nnz,) `keep` is true."""
        from scipy.sparse import csr_array

        rows, columns = self.entries()
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[keep], minlength=self.num_users))])
        matrix = csr_array((np.ones(int(keep.sum()), np.float32), columns[keep], indptr), shape=self.matrix.shape)
        return Interactions(
            matrix=canonical_csr(matrix), user_ids=self.user_ids, item_ids=self.item_ids,
            timestamps=None if self.timestamps is None else self.timestamps[keep], item_titles=self.item_titles,
        )  # fmt: skip

    @property
    def num_users(self) -> int:
        """Rows, users without interactions included."""
        return self.matrix.shape[0]

    @property
    def num_items(self) -> int:
        """Columns, items without interactions included."""
        return self.matrix.shape[1]

    @property
    def nnz(self) -> int:
        """Distinct (user, item) pairs."""
        return int(self.matrix.nnz)

    @cached_property
    def item_counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(num_items,) interactions per item."""
        return np.bincount(self.matrix.indices, minlength=self.num_items)

    @cached_property
    def user_counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(num_users,) interactions per user."""
        return np.diff(self.matrix.indptr).astype(np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest (BLAKE2b, 16 bytes) of shape, pattern and ids: what results are tied to."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(repr(self.matrix.shape).encode())
        digest.update(np.ascontiguousarray(self.matrix.indptr, dtype=np.int64).tobytes())
        digest.update(np.ascontiguousarray(self.matrix.indices, dtype=np.int64).tobytes())
        for ids in (self.user_ids, self.item_ids):
            digest.update("\x1f".join(map(str, ids.tolist())).encode())
        return digest.hexdigest()
