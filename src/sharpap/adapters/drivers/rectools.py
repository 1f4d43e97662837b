"""Train one RecTools model on a train matrix and write scores or lists; run by the interpreter of RecTools' environment.

    python rectools.py TRAIN.npz OUTPUT.npy SEED MODEL OPTIONS TOP_K

OPTIONS is a JSON object for the model's `from_config`, checked by `allowed.py`. TOP_K 0: (num_users, num_items) scores; else
RecTools' own lists of that length without the items that a user has, as item numbers, -1 after the end.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pandas as pd
from rectools import models
from rectools.dataset import Dataset
from scipy.sparse import coo_matrix, load_npz

USERS_PER_BLOCK = 256
# Where the settings of a model take the seed; others are not random.
SEED_AT = {
    "ImplicitALSWrapperModel": ("model", "random_state"), "ImplicitBPRWrapperModel": ("model", "random_state"),
    "PureSVDModel": ("random_state",), "RandomModel": ("random_state",),
}  # fmt: skip


def main(train: str, target: str, seed: int, name: str, options: dict[str, Any], top_k: int) -> None:
    """Train and write."""
    matrix = coo_matrix(load_npz(train))
    table = pd.DataFrame({
        "user_id": matrix.row, "item_id": matrix.col, "weight": 1.0, "datetime": pd.Timestamp("2000-01-01"),
    })  # fmt: skip
    data = Dataset.construct(table)
    model = build(name, options, seed)
    model.fit(data)
    users = np.unique(matrix.row)
    if top_k:
        lists = np.full((matrix.shape[0], top_k), -1, np.int32)
        found = model.recommend(users, data, k=top_k, filter_viewed=True)
        lists[found["user_id"].to_numpy(), found["rank"].to_numpy() - 1] = found["item_id"].to_numpy()
        np.save(target + ".npy", lists)
        return
    scores = np.lib.format.open_memmap(target, "w+", np.float32, matrix.shape)
    scores[:] = -np.inf
    for first in range(0, len(users), USERS_PER_BLOCK):
        found = model.recommend(users[first : first + USERS_PER_BLOCK], data, k=matrix.shape[1], filter_viewed=False)
        scores[found["user_id"].to_numpy(), found["item_id"].to_numpy()] = found["score"].to_numpy()
    scores.flush()


def build(name: str, options: dict[str, Any], seed: int) -> Any:
    """The model with its seed."""
    places = SEED_AT.get(name, ())
    table = options
    for place in places[:-1]:
        table = table.setdefault(place, {})
    for place in places[-1:]:
        table[place] = seed % 2**31
    return getattr(models, name).from_config(options)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], json.loads(sys.argv[5]), int(sys.argv[6]))
