"""A recommender, small data, and its trainings, each done once."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks import RandomAttack
from sharpap.data import synthetic
from sharpap.data.interactions import canonical_csr
from sharpap.errors import ContractError
from sharpap.recommenders.base import FloatArray, IntArray
from sharpap.testing.finding import blamed
from sharpap.threat import Budget, Goal

FAKES = 6
MOST_USERS = 300


@dataclass(frozen=True, eq=False)
class Trained:
    """One training.

    Attributes:
        model: what `fit` returned, or the object itself where it returned nothing.
        returned_nothing: whether it did.
        given, before: the matrix handed to `fit`, and what it held.
        seconds: of `fit`.
    """

    model: Any
    returned_nothing: bool
    given: csr_array
    before: csr_array
    seconds: float


@dataclass(eq=False)
class Trial:
    """What the checks look at.

    Attributes:
        recommender: copied before each training.
        data: (num_users, num_items) training matrix; one user and one item lose their interactions. None: `example()`.
        seed: of the first training.
    """

    recommender: Any
    data: csr_array | None = None
    seed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @cached_property
    def train(self) -> csr_array:
        """Training data with one empty row and one empty column."""
        matrix = example() if self.data is None else canonical_csr(self.data)
        return emptied(matrix, self.empty_user(matrix), self.cold_item(matrix))

    @staticmethod
    def empty_user(matrix: csr_array) -> int:
        """Who loses all interactions: the user in the middle."""
        return matrix.shape[0] // 2

    @staticmethod
    def cold_item(matrix: csr_array) -> int:
        """What loses all interactions: the item a third of the way."""
        return matrix.shape[1] // 3

    @cached_property
    def users(self) -> IntArray:
        """At most `MOST_USERS` users over the whole range, the one without interactions among them."""
        count = self.train.shape[0]
        spread = np.linspace(0, count - 1, min(count, MOST_USERS)).astype(np.int64)
        return np.union1d(spread, [self.empty_user(self.train)])

    @cached_property
    def first(self) -> Trained:
        """Trained on genuine rows."""
        return self.fit(self.train, self.seed)

    @cached_property
    def again(self) -> Trained:
        """Trained in the same way once more."""
        return self.fit(self.train, self.seed)

    @cached_property
    def other(self) -> Trained:
        """Trained with another seed."""
        return self.fit(self.train, self.seed + 1)

    @cached_property
    def poisoned(self) -> Trained:
        """Trained on genuine rows and `FAKES` fake ones."""
        goal = Goal(targets=(int(np.bincount(self.train.indices, minlength=self.train.shape[1]).argmax()),))
        poison = RandomAttack().poison(self.train, goal, Budget(fake_users=FAKES), seed=0)
        return self.fit(poison.inject(self.train), self.seed)

    def fit(self, matrix: csr_array, seed: int) -> Trained:
        """Train a copy. Raises `ContractError` for whatever goes wrong."""
        with blamed("Copying the recommender (each training starts from a copy)"):
            fresh = copy.deepcopy(self.recommender)
        given = matrix.copy()
        start = time.perf_counter()
        with blamed(f"fit on {matrix.shape[0]} users and {matrix.shape[1]} items"):
            made = fresh.fit(given, seed=seed)
        seconds = time.perf_counter() - start
        model = fresh if made is None else made
        if not callable(getattr(model, "score", None)):
            what = (
                "fit returned nothing and the object" if made is None else f"fit returned {type(made).__name__}, which"
            )
            raise ContractError(f"{what} has no score method.", hint="Return an object with score(users), often self.")
        return Trained(model, made is None, given, matrix, seconds)

    def raw(self, trained: Trained, users: IntArray) -> Any:
        """What `score` returns, unchecked."""
        with blamed(f"score for {len(users)} users"):
            return trained.model.score(users.copy())

    def scores(self, trained: Trained, users: IntArray | None = None) -> FloatArray:
        """(len(users), num_items) float64 scores of the right shape; by default of `users`."""
        users = self.users if users is None else users
        found = np.array(self.raw(trained, users), np.float64)
        if found.shape != (len(users), self.train.shape[1]):
            raise ContractError(f"score gave shape {found.shape} for {len(users)} users, {self.train.shape[1]} items.")
        return found


def example() -> csr_array:
    """Small interactions with tastes to learn: 150 users x 100 items, so that swapped axes show."""
    return synthetic(150, 100, 3000, clusters=5, seed=7).matrix


def emptied(matrix: csr_array, user: int, item: int) -> csr_array:
    """Without the interactions of one user and one item."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    keep = (rows != user) & (matrix.indices != item)
    parts = (matrix.data[keep], (rows[keep], matrix.indices[keep]))
    return canonical_csr(csr_array(parts, shape=matrix.shape))


def same_entries(one: csr_array, other: csr_array) -> bool:
    """Whether two matrices in canonical form hold the same."""
    pairs = ((one.indptr, other.indptr), (one.indices, other.indices), (one.data, other.data))
    return one.shape == other.shape and all(np.array_equal(*pair) for pair in pairs)
