"""A large table to another table without holding its interactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sharpap.data.columns.row_filter import RowFilter
from sharpap.data.form.column_names import Columns
from sharpap.data.form.layout import Format, Layout, detect
from sharpap.data.reading.external_sort import TIMED, spill
from sharpap.data.reading.lazy_table import batches
from sharpap.data.reading.pairs import BLOCK, Pairs
from sharpap.data.reading.stream import STREAM_FROM, refuse_repeats, selected
from sharpap.data.reading.table import BadRows, Duplicates
from sharpap.data.writing.write import write_blocks
from sharpap.scratch import Scratch


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """What `read_interactions` and `write_interactions` would have said; see there.

    Attributes:
        notes: as `Interactions.notes`.
        num_users, num_items, nnz: sizes.
        lost: what a table cannot keep.
    """

    notes: dict[str, Any]
    num_users: int
    num_items: int
    nnz: int
    lost: dict[str, int]


def large_table(
    path: Path, out: Path, *, format: Format | None, header: bool | None, separator: str | None
) -> Layout | None:
    """The layout of a table that is to be streamed to a table; None: small, of another kind, or to .npz, which is compressed
    whole.
    """
    if not path.is_file() or path.stat().st_size < STREAM_FROM or out.suffix.lower() == ".npz":
        return None
    layout = detect(path, format=format, header=header, separator=separator)
    return layout if layout.streamed else None


def rewrite(
    path: Path, layout: Layout, out: Path, *, columns: Columns | None = None, threshold: float | None = None,
    duplicates: Duplicates = "merge", bad_rows: BadRows = "refuse", separator: str | None = None,
    where: Mapping[str, Any] | None = None, missing: Any = None,
) -> Rewritten:  # fmt: skip
    """Read a table and write it, sorted by user and item. What is held: ids, and blocks; pairs lie in temporary files.

    Raises:
        DataError: as `read_interactions` and `write_interactions`.
    """
    with (
        selected(
            path, layout, columns, threshold=threshold, bad_rows=bad_rows, row_filter=RowFilter.of(where, missing)
        ) as chosen,
        Scratch() as folder,
    ):
        users, items = chosen.encoded.users, chosen.encoded.items
        keys = (_keys(batch) for batch in batches(chosen.frame, path))
        pairs = spill(keys, users["rows"].to_numpy().astype(np.int64), max(items.height, 1), folder)
        notes = chosen.counted(len(pairs) + pairs.repeats, path) | {"duplicates_merged": pairs.repeats}
        refuse_repeats(pairs.repeats, duplicates, path)
        counts = {"user": pairs.user_counts, "item": pairs.item_counts}
        ids = {"user": users["id"].to_numpy(), "item": items["id"].to_numpy()}
        write_blocks(
            lambda: _blocks(pairs, users["id"], items["id"]), {role: ids[role][counts[role] > 0] for role in ids}, out,
            separator=separator,
        )  # fmt: skip
        lost = {f"{role}s without interactions": int((counts[role] == 0).sum()) for role in counts}
    return Rewritten(
        notes=notes, num_users=pairs.num_users, num_items=pairs.num_items, nnz=int(pairs.user_counts.sum()),
        lost={what: number for what, number in lost.items() if number},
    )  # fmt: skip


def _keys(batch: pl.DataFrame) -> np.ndarray:
    keys = batch["key"].to_numpy()
    if "time" not in batch.columns:
        return keys
    records = np.empty(len(keys), TIMED)
    records["key"], records["time"] = keys, batch["time"].to_numpy()
    return records


def _blocks(pairs: Pairs, users: pl.Series, items: pl.Series) -> Iterator[pl.DataFrame]:
    for number, (rows, columns) in enumerate(pairs.blocks()):
        block = {"user_id": users.gather(rows), "item_id": items.gather(columns)}
        if pairs.times is not None:
            block["timestamp"] = pl.Series(np.fromfile(pairs.times, np.float64, count=BLOCK, offset=8 * BLOCK * number))
        yield pl.DataFrame(block)
