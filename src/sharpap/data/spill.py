"""Sorting more pairs than memory holds: by ranges of users into files, each range sorted by itself."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from sharpap.data.structure import Counts, Keys, Pairs, distinct_of

RANGE_ROWS = 2_000_000
MOST_FILES = 200


def spill(batches: Iterable[Keys], rows_of_user: Counts, num_items: int, folder: Path) -> Pairs:
    """Distinct pairs of any number of rows, kept in a file.

    Two passes: every batch is divided among files by ranges of users with some `RANGE_ROWS` rows each, and each range is
    then read, sorted and freed of repeats. What is held: a batch, a range, and a number for each user. (A user with more rows
    than a range is a range.)

    Args:
        batches: (any,) uint64 ``user * num_items + item``.
        rows_of_user: (num_users,) rows of each, which gives the ranges.
        num_items: size of the catalogue.
        folder: for the files; 8 bytes a row, twice at the most.
    """
    ends = np.cumsum(rows_of_user)
    rows = int(ends[-1]) if len(ends) else 0
    size = max(RANGE_ROWS, -(-rows // MOST_FILES))
    range_of = ((ends - rows_of_user) // size).astype(np.int64)
    parts = [folder / f"range-{number}" for number in range(int(range_of[-1]) + 1 if len(ends) else 0)]
    with ExitStack() as stack:
        files = [stack.enter_context(part.open("wb")) for part in parts]
        for keys in batches:
            places = range_of[(keys // np.uint64(num_items)).astype(np.int64)]
            order = np.argsort(places, kind="stable")
            cuts = np.searchsorted(places[order], np.arange(len(files) + 1))
            for number in np.flatnonzero(np.diff(cuts)):
                files[number].write(keys[order[cuts[number] : cuts[number + 1]]].tobytes())
    whole, distinct = folder / "pairs", 0
    with whole.open("wb") as file:
        for part in parts:
            keys = distinct_of(np.fromfile(part, np.uint64))
            part.unlink()
            distinct += len(keys)
            keys.tofile(file)
    return Pairs(keys=whole, num_users=len(rows_of_user), num_items=num_items, repeats=rows - distinct)
