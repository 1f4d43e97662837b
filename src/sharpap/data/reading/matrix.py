"""Readers of forms without columns: sparse matrices (``.npz``) and adjacency lists (``user item item ...``)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpap.data.form.arrays import stored_arrays
from sharpap.data.interactions import Interactions, distinct
from sharpap.data.reading.table import Duplicates
from sharpap.errors import DataError

MOST_ITEMS = 100_000_000  # ids are numbered, so that a wrong number here would fill the memory
_WHOLE, _REAL = "bhilqBHILQ", "fd"
_KINDS = {
    "indices": _WHOLE, "indptr": _WHOLE, "shape": _WHOLE, "data": "?" + _WHOLE + _REAL,
    "timestamps": _WHOLE + _REAL,
}  # fmt: skip


def from_matrix(matrix: Any, threshold: float | None, *, path: Path | None) -> Interactions:
    """A scipy sparse matrix; a stored value other than 0 is an interaction; with `threshold`, one at or above it."""
    from scipy.sparse import csr_array  # here: looking at a file imports this module, and makes no matrix

    csr = csr_array(matrix)
    if not np.all(np.isfinite(csr.data)):
        raise DataError("The matrix holds a value that is not finite.", path=path)
    if threshold is not None:
        csr = csr.copy()
        csr.data = (csr.data >= threshold).astype(np.float32)
    made = Interactions.from_csr(csr, notes={"rows": int(csr.nnz), "threshold": threshold})
    if made.nnz == 0:
        raise DataError("The matrix has no interaction.", path=path)
    return made


def read_npz(path: Path, raw: bytes, threshold: float | None) -> Interactions:
    """`scipy.sparse.save_npz` files; arrays are read with pickling off, and checked before use.

    Arrays ``user_ids``, ``item_ids`` and ``timestamps`` beside the matrix, as `write_interactions` leaves them, are kept.
    """
    from scipy.sparse import csr_array

    parts = npz_arrays(path, raw)
    indptr, indices, shape = parts["indptr"], parts["indices"], tuple(int(side) for side in parts["shape"])
    csr = csr_array((parts["data"], indices, indptr), shape=(shape[0], shape[1]))
    made = from_matrix(csr, threshold, path=path)
    extra: dict[str, Any] = {name: parts[name] for name in ("user_ids", "item_ids") if name in parts}
    if "timestamps" in parts and made.nnz == csr.nnz and csr.has_canonical_format:
        extra["timestamps"] = parts["timestamps"]
    return replace(made, **extra)


def npz_arrays(path: Path, raw: bytes) -> dict[str, np.ndarray]:
    """The arrays of a saved CSR matrix, checked to fit together; raises `DataError` where they do not."""
    parts = stored_arrays(
        raw, path, what="a CSR matrix saved by scipy.sparse.save_npz", needed=("indices", "indptr", "data", "shape"),
        more=("user_ids", "item_ids", "timestamps"),
    )  # fmt: skip
    for name, kinds in _KINDS.items():
        if name in parts and (parts[name].ndim != 1 or parts[name].dtype.char not in kinds):
            found = f"{parts[name].ndim} dimensions of {parts[name].dtype}"
            raise DataError(f"The array {name} has {found}.", path=path, hint="Save the matrix again, as CSR.")
    for name in ("indptr", "indices"):
        if parts[name].dtype.kind == "u":
            parts[name] = parts[name].astype(np.int64)
    indptr, indices, shape = parts["indptr"], parts["indices"], tuple(int(side) for side in parts["shape"])
    if len(shape) == 2 and shape[1] > MOST_ITEMS:
        raise DataError(f"The matrix has {shape[1]:,} columns; {MOST_ITEMS:,} items are the most.", path=path)
    if not (len(shape) == 2 and fits_together(indptr, indices, shape) and len(indices) == len(parts["data"])):
        raise DataError("The CSR arrays do not fit together.", path=path, hint="Save the matrix again, as CSR.")
    for name, length in (("user_ids", shape[0]), ("item_ids", shape[1])):
        ids = parts.get(name)
        sound = ids is None or (
            ids.shape == (length,) and ids.dtype.char in "U" + _WHOLE and len(distinct(ids)) == length
        )
        if not sound:
            raise DataError(f"{name} does not hold {length} different ids.", path=path, hint="Write the file again.")
    if "timestamps" in parts and not (
        len(parts["timestamps"]) == len(indices) and np.isfinite(parts["timestamps"]).all()
    ):
        raise DataError("Not every interaction has a finite timestamp.", path=path, hint="Write the file again.")
    return parts


def fits_together(indptr: np.ndarray, indices: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether arrays of whole numbers are the pointers and columns of a CSR of this shape; scipy takes any, and may crash."""
    return bool(
        indptr.ndim == indices.ndim == 1
        and shape[1] >= 0
        and len(indptr) == shape[0] + 1 > 0
        and indptr[0] == 0
        and np.all(indptr[1:] >= indptr[:-1])
        and indptr[-1] == len(indices)
        and (len(indices) == 0 or (indices.min() >= 0 and indices.max() < shape[1]))
    )


def read_adjacency(path: Path, raw: bytes, duplicates: Duplicates) -> Interactions:
    """One line a user: ``user item item ...``; ids are row and column numbers."""
    text = np.frombuffer(raw, dtype=np.uint8)
    digit = (text >= 48) & (text <= 57)
    blank = (text == 32) | (text == 9) | (text == 13) | (text == 10)
    newline = text == 10
    line = np.cumsum(newline, dtype=np.int32) - newline
    if not (digit | blank).all():
        at = int(np.argmin(digit | blank))
        words = raw.split(b"\n")[line[at]].split()
        word = next((word for word in words if not word.isdigit()), raw[at : at + 1]).decode("utf-8", "replace")
        raise DataError(
            f"{word[:40]!r} is not a whole number from 0.", path=path, line=int(line[at]) + 1,
            hint="An adjacency list holds `user item item ...`; for other tables, name the format.",
        )  # fmt: skip
    start = digit & ~np.concatenate([[False], digit[:-1]])
    tokens_line = line[start]
    lengths = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], digit.view(np.int8), [0]]))))[::2]
    if lengths.max() > 18:
        raise DataError("An id is too long.", path=path, line=int(tokens_line[np.argmax(lengths)]) + 1)
    tokens = np.array(raw.split(), dtype=np.int64)
    is_user = np.concatenate([[True], tokens_line[1:] != tokens_line[:-1]])
    per_line = np.diff(np.append(np.flatnonzero(is_user), len(tokens)))
    users, items = np.repeat(tokens[is_user], per_line - 1), tokens[~is_user]
    lines = tokens_line[~is_user]
    if len(items) == 0:
        raise DataError("No user has an item.", path=path)
    for role, ids, at in (("user", tokens[is_user], tokens_line[is_user]), ("item", items, lines)):
        limit = 1_000_000 + 100 * len(items)
        if ids.max() >= limit:
            raise DataError(
                f"{role} id {ids.max()} is a row or column number far beyond the {len(items)} interactions.",
                path=path, line=int(at[np.argmax(ids)]) + 1,
                hint="Write it as a two-column CSV, where ids may be anything.",
            )  # fmt: skip
    made, merged = Interactions.from_pairs(
        users, items, user_ids=np.arange(int(tokens[is_user].max()) + 1), item_ids=np.arange(int(items.max()) + 1),
        notes={"rows": len(items), "threshold": None},
    )  # fmt: skip
    if merged and duplicates == "refuse":
        pairs = users * (items.max() + 1) + items
        _, first = np.unique(pairs, return_index=True)
        again = int(np.setdiff1d(np.arange(len(pairs)), first)[0])
        raise DataError(
            f"User {users[again]} has item {items[again]} twice.", path=path, line=int(lines[again]) + 1,
            hint='duplicates="merge" keeps one of each.',
        )  # fmt: skip
    made.notes["duplicates_merged"] = merged
    return made
