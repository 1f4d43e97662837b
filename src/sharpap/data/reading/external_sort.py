"""Sorting more pairs than memory holds: by ranges of users into files, each range sorted by itself."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from sharpap.data.reading.pairs import Counts, Pairs, distinct_of, latest_of

Array = np.ndarray[Any, np.dtype[Any]]
TIMED = np.dtype([("key", np.uint64), ("time", np.float64)])
RANGE_ROWS = 2_000_000
MOST_FILES = 200


def spill(batches: Iterable[Array], rows_of_user: Counts, num_items: int, folder: Path) -> Pairs:
    """Distinct pairs of any number of rows, kept in a file; of repeats with times, the latest.

    Two passes: every batch is divided among files by ranges of users with some `RANGE_ROWS` rows each, and each range is
    then read, sorted and freed of repeats. What is held: a batch, a range, and a number for each user. (A user with more rows
    than a range is a range.)

    Args:
        batches: (any,) uint64 ``user * num_items + item``, or records `TIMED` of such a key and a time.
        rows_of_user: (num_users,) rows of each or more, which gives the ranges.
        num_items: size of the catalogue.
        folder: for the files; 8 or 16 bytes a row, twice at the most.
    """
    ends = np.cumsum(rows_of_user)
    size = max(RANGE_ROWS, -(-int(ends[-1]) // MOST_FILES)) if len(ends) else RANGE_ROWS
    range_of = ((ends - rows_of_user) // size).astype(np.int64)
    parts = [folder / f"range-{number}" for number in range(int(range_of[-1]) + 1 if len(ends) else 0)]
    kind: Any = np.dtype(np.uint64)
    rows = 0
    with ExitStack() as stack:
        files = [stack.enter_context(part.open("wb")) for part in parts]
        for batch in batches:
            kind, rows = batch.dtype, rows + len(batch)
            keys = batch["key"] if kind.names else batch
            places = range_of[(keys // np.uint64(num_items)).astype(np.int64)]
            order = np.argsort(places, kind="stable")
            cuts = np.searchsorted(places[order], np.arange(len(files) + 1))
            for number in np.flatnonzero(np.diff(cuts)):
                files[number].write(batch[order[cuts[number] : cuts[number + 1]]].tobytes())
    whole, timed, distinct = folder / "pairs", folder / "times", 0
    with whole.open("wb") as file, timed.open("wb") as times:
        for part in parts:
            held: Any = np.fromfile(part, kind)
            part.unlink()
            if kind.names:
                held, latest = latest_of(held["key"], held["time"])
                latest.tofile(times)
            else:
                held = distinct_of(held)
            distinct += len(held)
            held.tofile(file)
    return Pairs(
        keys=whole, num_users=len(rows_of_user), num_items=num_items, repeats=rows - distinct,
        times=timed if kind.names else None,
    )  # fmt: skip
