"""Communities of users: groups of equal size with similar embeddings."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sharpap.seeds import rng


def communities(users: Tensor, count: int, *, seed: int, rounds: int = 10) -> Tensor:
    """(n,) int64: the community of each row, 0 to `count` - 1 (or n - 1), sizes equal or one apart.

    Spherical k-means with a bound on sizes, so that no community is large: each round gives every row to the nearest centre
    with room, where a centre keeps those that lie nearest to it. O(rounds n count (d + count)).
    """
    found = torch.zeros(len(users), dtype=torch.int64)
    count = min(count, len(users))
    if count < 2:
        return found
    rows = torch.nn.functional.normalize(users.float(), dim=1)
    centres = rows[torch.from_numpy(np.sort(rng(seed, "communities").choice(len(rows), count, replace=False)))]
    for _ in range(rounds):
        fresh = _filled(rows @ centres.T)
        done = bool((fresh == found).all())
        found = fresh
        if done:
            break
        sums = torch.zeros_like(centres).index_add_(0, found, rows)
        centres = torch.nn.functional.normalize(sums, dim=1)
    return found


def _filled(likeness: Tensor) -> Tensor:
    """Each row's column: the best by `likeness` that has room; a column with too many takers keeps the likeliest."""
    rows, count = likeness.shape
    room = np.full(count, rows // count)
    room[: rows % count] += 1
    values, found = likeness.numpy().astype(np.float64), np.full(rows, -1)
    while (waiting := np.flatnonzero(found < 0)).size:
        open_columns = np.flatnonzero(room)
        wanted = open_columns[values[waiting][:, open_columns].argmax(1)]
        for column in np.unique(wanted):
            takers = waiting[wanted == column]
            kept = takers[np.argsort(-values[takers, column], kind="stable")[: room[column]]]
            found[kept] = column
            room[column] -= len(kept)
    return torch.from_numpy(found)
