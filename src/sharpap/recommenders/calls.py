"""How anyone's recommender is called: trained on a copy, scored in blocks of users, and checked."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap import kernels, threads
from sharpap.errors import ContractError
from sharpap.kernels import block_rows
from sharpap.recommenders.base import FactorModel, Recommender, Scorer

Array = np.ndarray[Any, np.dtype[Any]]


def fit(recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
    """Train a copy of a recommender, with `valid` where its `fit` takes it; a `fit` that returns nothing trained itself."""
    extra = {"valid": valid} if valid is not None and "valid" in inspect.signature(recommender.fit).parameters else {}
    fresh: Any = copy.deepcopy(recommender)
    with threads.for_work_of(fresh):
        made = fresh.fit(train.copy(), seed=seed, **extra)
    return fresh if made is None else made


def score_blocks(model: Scorer, users: Array, num_items: int) -> Iterator[tuple[Array, Array]]:
    """Blocks of users with their scores, a float array that may be overwritten; checked against `Scorer.score`."""
    if isinstance(model, FactorModel):
        yield from kernels.score_blocks(
            torch.from_numpy(model.user_factors), torch.from_numpy(model.item_factors), users
        )
        return
    step = block_rows(num_items)
    for start in range(0, len(users), step):
        part = users[start : start + step]
        scores = np.asarray(model.score(part))
        name = type(model).__name__
        if scores.shape != (len(part), num_items):
            raise ContractError(
                f"{name}.score returned shape {scores.shape} for {len(part)} users and {num_items} items.",
                hint=f"It must return ({len(part)}, {num_items}): one row a user, one column an item.",
            )
        if not np.issubdtype(scores.dtype, np.floating):
            if not np.issubdtype(scores.dtype, np.integer):
                raise ContractError(f"{name}.score returned {scores.dtype}, not numbers.")
            scores = scores.astype(np.float64)
        if scores.dtype not in (np.float32, np.float64):
            scores = scores.astype(np.float32)
        if np.isnan(scores).any():
            raise ContractError(f"{name}.score returned NaN.", hint="Use -inf for items that cannot be scored.")
        yield part, np.array(scores, order="C")
