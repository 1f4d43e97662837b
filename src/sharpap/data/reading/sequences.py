"""Adjacency lists whose items stand in the order of time: one line a user, ``user item item ...``, oldest first."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpap.data.interactions import Interactions
from sharpap.data.reading.read import read_interactions


def read_sequences(path: Path) -> Interactions:
    """Interactions whose times are places in the line, from 0; users and items that do not occur get no number.

    Raises:
        DataError: what `read_interactions` finds wrong with an adjacency list.
    """
    notes = read_interactions(path, format="adjacency").notes
    lines = [np.array(line.split(), np.int64) for line in path.read_text("ascii").splitlines() if line.strip()]
    user_ids, rows = np.unique(
        np.repeat([line[0] for line in lines], [len(line) - 1 for line in lines]), return_inverse=True
    )
    item_ids, columns = np.unique(np.concatenate([line[1:] for line in lines]), return_inverse=True)
    times = np.concatenate([np.arange(len(line) - 1, dtype=np.float64) for line in lines])
    made, _ = Interactions.from_pairs(
        rows, columns, user_ids=user_ids, item_ids=item_ids, timestamps=times, notes=notes
    )
    return made
