"""How anyone's recommender is called: trained on a copy, scored in blocks of users, and checked."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap import kernels, threads
from sharpap.errors import ConfigError, ContractError
from sharpap.kernels import block_rows
from sharpap.recommenders.base import FactorModel, Recommender, Scorer
from sharpap.recommenders.perturb import Perturbation

Array = np.ndarray[Any, np.dtype[Any]]


def fit(
    recommender: Recommender,
    train: csr_array,
    valid: csr_array | None = None,
    *,
    seed: int,
    times: Array | None = None,
    perturb: Perturbation | None = None,
) -> Scorer:
    """Train a copy of a recommender, with `valid` and `times` where its `fit` takes them; a `fit` that returns nothing trained
    itself. `times` are aligned with `train.indices`.

    Raises:
        ConfigError: it is to be trained under `perturb`, and its `fit` does not take that.
    """
    named = inspect.signature(recommender.fit).parameters
    if perturb is not None and "perturb" not in named:
        own = recommender.recommender if isinstance(recommender, Timed) else recommender
        raise ConfigError(
            f"{type(perturb).__name__} moves the model in every step of training, and {type(own).__name__} cannot.",
            hint='bpr-mf and the graph recommenders can; sam, asam and awp also fit wrmf with solver = "adam". '
            "A recommender of your own can take `perturb` in its `fit` (docs/defences.md).",
        )
    given = {"valid": valid, "times": times, "perturb": perturb}
    extra: dict[str, Any] = {name: each for name, each in given.items() if each is not None and name in named}
    fresh: Any = copy.deepcopy(recommender)
    with threads.for_work_of(fresh):
        made = fresh.fit(train.copy(), seed=seed, **extra)
    return fresh if made is None else made


def reads_order(recommender: object) -> bool:
    """Whether a recommender makes use of times: its `fit` names them, or it says so itself."""
    said = getattr(recommender, "reads_order", None)
    return said if isinstance(said, bool) else "times" in inspect.signature(getattr(recommender, "fit")).parameters  # noqa: B009


@dataclass(frozen=True, eq=False, kw_only=True)
class Timed:
    """A recommender that knows all times already, for a defence that trains it on some of the interactions.

    Attributes:
        recommender: what is trained.
        known: canonical CSR of all interactions.
        times: (nnz,) aligned with them.
    """

    recommender: Recommender
    known: csr_array
    times: Array

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> Scorer:
        """See `Recommender`. Raises `ContractError` for an interaction without a time."""
        rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
        known_rows = np.repeat(np.arange(self.known.shape[0]), np.diff(self.known.indptr))
        wanted, keys = (
            of.astype(np.int64) * train.shape[1] + matrix.indices
            for of, matrix in ((rows, train), (known_rows, self.known))
        )
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        if (keys[places] != wanted).any():
            raise ContractError(
                f"{type(self.recommender).__name__} reads order, and the defence added interactions, which have no time."
            )
        return fit(self.recommender, train, valid, seed=seed, times=self.times[places])


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
