"""Readers: a file, a frame or a sparse matrix in, `Interactions` out, or one clear `DataError`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from scipy.sparse import csr_array, issparse

from sharpap import progress
from sharpap.data.interactions import Interactions
from sharpap.data.table import Columns, Duplicates, Table
from sharpap.errors import DataError

Format = Literal["movielens-tab", "movielens-dat", "recbole", "adjacency", "csv", "tsv", "parquet", "npz"]
_BY_SUFFIX: dict[str, Format] = {
    ".data": "movielens-tab", ".dat": "movielens-dat", ".inter": "recbole",
    ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet", ".npz": "npz",
}  # fmt: skip


def read_interactions(
    source: Any,
    *,
    format: Format | None = None,
    columns: Columns | None = None,
    header: bool | None = None,
    threshold: float | None = None,
    duplicates: Duplicates = "merge",
    k_core: int = 0,
) -> Interactions:
    """Read interactions from anything the field keeps them in.

    Args:
        source: a path (MovieLens ``u.data`` or ``ratings.dat``, RecBole ``.inter``, LightGCN adjacency list, CSV, TSV,
            Parquet, ``.npz`` as written by `scipy.sparse.save_npz`), a polars or pandas frame, or a scipy sparse
            matrix (a stored value other than 0 is an interaction; with `threshold`, one at or above it).
        format: for a path whose name does not say it; text files are told apart by their first lines.
        columns: which column holds what; None: guessed from the header, or user, item, rating, timestamp in order.
        header: whether the first line of a CSV or TSV names the columns; None: it does if none of its fields is a number.
        threshold: ratings at or above it are positives. None: **every row is one**, whatever its rating.
        duplicates: "merge" keeps the latest of repeated pairs and notes how many there were; "refuse" raises.
        k_core: drop users and items with fewer interactions than this until none is left; 0: keep all.

    Returns:
        Binary interactions. Ids keep their external names, numbered in ascending order; adjacency lists and matrices
        keep their own row and column numbers, gaps included.

    Raises:
        DataError: with file and line, for anything that cannot be read as asked.
    """
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        made = _read_path(path, format, columns, header, threshold, duplicates)
        where: str | None = str(path)
    else:
        made, where = _read_object(source, columns, threshold, duplicates), None
    if made.notes.get("duplicates_merged"):
        progress.event("duplicates", path=where, merged=made.notes["duplicates_merged"])
    if k_core > 1:
        made = core(made, k_core)
    return made


def core(interactions: Interactions, k: int) -> Interactions:
    """The k-core: users and items with fewer than k interactions are removed, again and again, and renumbered."""
    users, items = interactions.entries()
    keep = np.ones(len(users), dtype=bool)
    while True:
        by_user = np.bincount(users[keep], minlength=interactions.num_users)
        by_item = np.bincount(items[keep], minlength=interactions.num_items)
        weak = keep & ((by_user[users] < k) | (by_item[items] < k))
        if not weak.any():
            break
        keep &= ~weak
    if not keep.any():
        raise DataError(f"The {k}-core is empty.", hint="Lower k_core.")
    kept_users, rows = np.unique(users[keep], return_inverse=True)
    kept_items, columns = np.unique(items[keep], return_inverse=True)
    titles = interactions.item_titles
    made, _ = Interactions.from_pairs(
        rows, columns, user_ids=interactions.user_ids[kept_users], item_ids=interactions.item_ids[kept_items],
        timestamps=None if interactions.timestamps is None else interactions.timestamps[keep],
        item_titles=None if titles is None else tuple(titles[item] for item in kept_items),
        notes=interactions.notes | {"k_core": k, "outside_core": int((~keep).sum())},
    )  # fmt: skip
    return made


def _read_path(
    path: Path, fmt: Format | None, columns: Columns | None, header: bool | None, threshold: float | None,
    duplicates: Duplicates,
) -> Interactions:  # fmt: skip
    if fmt is not None and fmt not in get_args(Format):
        raise DataError(f"There is no format {fmt!r}.", hint=f"Choose one of {', '.join(get_args(Format))}.")
    if not path.exists():
        raise DataError("There is no such file.", path=path)
    if path.is_dir():
        raise DataError("This is a folder.", path=path, hint="Name the file, or a dataset of `sharpap list datasets`.")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", path=path) from None
    if not raw.strip():
        raise DataError("The file is empty.", path=path)
    chosen = fmt or _BY_SUFFIX.get(path.suffix.lower()) or _sniff(raw)
    if chosen == "npz":
        return _read_npz(path, raw, threshold)
    if chosen == "adjacency":
        if threshold is not None:
            raise DataError("An adjacency list has no ratings for a threshold.", path=path)
        return _read_adjacency(path, raw, duplicates)
    table = _read_parquet(path) if chosen == "parquet" else _read_text(path, raw, chosen, header)
    return table.interactions(columns, threshold=threshold, duplicates=duplicates)


def _read_object(source: Any, columns: Columns | None, threshold: float | None, duplicates: Duplicates) -> Interactions:
    if issparse(source) or isinstance(source, csr_array):
        return _from_matrix(source, threshold, path=None)
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if not isinstance(source, pl.DataFrame) and type(source).__module__.startswith("pandas"):
        source = pl.DataFrame({str(name): source[name].to_numpy() for name in source.columns}, strict=False)
    if not isinstance(source, pl.DataFrame):
        raise DataError(
            f"Cannot read interactions from a {type(source).__name__}.",
            hint="Give a path, a polars or pandas frame, or a scipy sparse matrix.",
        )
    return Table(frame=source, header=True).interactions(columns, threshold=threshold, duplicates=duplicates)


def _from_matrix(matrix: Any, threshold: float | None, *, path: Path | None) -> Interactions:
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


def _sniff(raw: bytes) -> Format:
    """Tell text formats apart by their first lines."""
    lines = [line for line in raw[:65536].splitlines() if line.strip()][:20]
    first = lines[0]
    if b"::" in first:
        return "movielens-dat"
    if b":token" in first:
        return "recbole"
    if b"\t" in first:
        return "tsv"
    if b"," in first:
        return "csv"
    return "adjacency"


def _read_npz(path: Path, raw: bytes, threshold: float | None) -> Interactions:
    """`scipy.sparse.save_npz` files; arrays are read with pickling off, and checked before use."""
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
            parts = {name: stored[name] for name in ("indices", "indptr", "data", "shape")}
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"This is not a CSR matrix saved by scipy.sparse.save_npz ({error}).", path=path) from None
    indptr, indices, shape = parts["indptr"], parts["indices"], tuple(int(side) for side in parts["shape"])
    sound = (
        len(shape) == 2
        and len(indptr) == shape[0] + 1
        and indptr[0] == 0
        and np.all(np.diff(indptr) >= 0)
        and indptr[-1] == len(indices) == len(parts["data"])
        and (len(indices) == 0 or (indices.min() >= 0 and indices.max() < shape[1]))
    )
    if not sound:
        raise DataError("The CSR arrays do not fit together.", path=path, hint="Save the matrix again, as CSR.")
    return _from_matrix(csr_array((parts["data"], indices, indptr), shape=(shape[0], shape[1])), threshold, path=path)


def _read_parquet(path: Path) -> Table:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"The Parquet file is damaged or incomplete ({reason}).", path=path) from None
    return Table(frame=frame, header=True, path=str(path))


def _read_text(path: Path, raw: bytes, fmt: Format, header: bool | None) -> Table:
    """A delimited file as strings. Whole files go straight to polars; only odd ones are taken apart line by line."""
    separator = "," if fmt == "csv" else "\t"
    if fmt == "movielens-dat":
        raw = raw.replace(b"::", b"\t")
    if b"\x00" in raw:
        raise DataError("The file holds a zero byte.", path=path, line=raw[: raw.index(b"\x00")].count(b"\n") + 1)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    start = len(raw) - len(raw.lstrip())
    start = raw.rfind(b"\n", 0, start) + 1
    end = raw.find(b"\n", start) + 1 or len(raw)
    names = raw[start:end].decode("utf-8", "replace").strip("\r\n").split(separator)
    if fmt in ("movielens-tab", "movielens-dat"):
        header = False
    elif fmt == "recbole":
        header, names = True, [name.split(":")[0] for name in names]
    elif header is None:
        header = not any(_is_number(field) for field in names)
    names = [name.strip().strip('"') for name in names] if header else [f"column {i}" for i in range(len(names))]
    first = raw[:start].count(b"\n") + header
    if len(set(names)) < len(names):
        raise DataError(f"A column name is repeated: {', '.join(names)}.", path=path, line=first)
    body = raw[end if header else start :]
    if not body.strip():
        raise DataError("There is a header, but no interaction.", path=path)
    frame, line_of = _parse(body, names, separator), _offset(first)
    if frame is None or any(column.null_count() for column in frame):
        frame, line_of = _line_by_line(path, body, names, separator, first)
    integer_ids = fmt in ("movielens-tab", "movielens-dat")
    return Table(frame=frame, header=header, path=str(path), line_of=line_of, integer_ids=integer_ids)


def _parse(body: bytes, names: list[str], separator: str) -> pl.DataFrame | None:
    """All columns as strings; None where polars cannot make a table of it."""
    quote = '"' if separator == "," else None
    try:
        frame = pl.read_csv(
            body, separator=separator, has_header=False, new_columns=names, infer_schema=False, quote_char=quote
        )
    except pl.exceptions.PolarsError:
        return None
    return frame if frame.width == len(names) else None


def _offset(first: int) -> Callable[[int], int]:
    return lambda row: row + first + 1


def _line_by_line(
    path: Path, body: bytes, names: list[str], separator: str, first: int
) -> tuple[pl.DataFrame, Callable[[int], int]]:
    """A table of the lines that are not blank, and where they stand; or the error of the first line that does not fit."""
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError as error:
        line = first + body[: error.start].count(b"\n") + 1
        raise DataError("The text is not UTF-8.", path=path, line=line, hint="Save the file as UTF-8.") from None
    filled = [number for number, line in enumerate(lines) if line.strip()]
    error = _ragged(path, lines, filled, separator, len(names), first)
    frame = _parse("\n".join(lines[number] for number in filled).encode(), names, separator)
    if error is None and (frame is None or frame.height != len(filled)):
        error = DataError("The lines do not form a table.", path=path, hint="Quoted line breaks are not supported.")
    if error is not None or frame is None:
        raise error or DataError("The lines do not form a table.", path=path)
    return frame, lambda row: first + filled[row] + 1


def _ragged(
    path: Path, lines: list[str], body: list[int], separator: str, width: int, first: int
) -> DataError | None:  # fmt: skip
    """The first line with another number of fields, or an open quote."""
    for number in body:
        fields = lines[number].count(separator) + 1
        if '"' in lines[number] and lines[number].count('"') % 2 == 0:
            continue
        if fields != width or lines[number].count('"') % 2:
            return DataError(
                f"This line has {fields} fields, the first one {width}." if fields != width else "A quote is not closed.",
                path=path, line=first + number + 1, hint="Every line needs the same columns.",
            )  # fmt: skip
    return None


def _is_number(field: str) -> bool:
    try:
        float(field.strip().strip('"'))
    except ValueError:
        return False
    return True


def _read_adjacency(path: Path, raw: bytes, duplicates: Duplicates) -> Interactions:
    """One line a user: ``user item item ...``; ids are row and column numbers."""
    text = np.frombuffer(raw, dtype=np.uint8)
    digit = (text >= 48) & (text <= 57)
    blank = (text == 32) | (text == 9) | (text == 13) | (text == 10)
    newline = text == 10
    line = np.cumsum(newline, dtype=np.int32) - newline
    if not (digit | blank).all():
        at = int(np.argmin(digit | blank))
        words = raw.splitlines()[line[at]].split()
        word = next(word for word in words if not word.isdigit()).decode("utf-8", "replace")
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
