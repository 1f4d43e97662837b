"""The checks that a detector and a defence pass. Each returns what it saw, or raises what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

from sharpap.data.interactions import canonical_csr
from sharpap.detectors import suspicion
from sharpap.detectors.base import judged
from sharpap.errors import ContractError
from sharpap.kernels import block_rows
from sharpap.recommenders import Popularity, Recommender
from sharpap.recommenders.calls import score_blocks
from sharpap.testing.finding import Doubt, blamed
from sharpap.testing.trial import Trial, example, same_entries


@dataclass(eq=False)
class Watchman:
    """A detector and small data.

    Attributes:
        detector: with `suspicion(train, *, seed)`.
        data: (num_users, num_items) training matrix; None: `example()`.
    """

    detector: Any
    data: csr_array | None = None

    @cached_property
    def train(self) -> csr_array:
        """Training data; the last user has no interaction."""
        matrix = example() if self.data is None else self.data
        return canonical_csr(csr_array(vstack([matrix, csr_array((1, matrix.shape[1]))])))

    def scores(self, train: csr_array | None = None, seed: int = 0) -> Any:
        """Checked scores; raises `ContractError` for whatever goes wrong."""
        given = self.train if train is None else train
        with blamed(f"suspicion on {given.shape[0]} users and {given.shape[1]} items"):
            return suspicion(self.detector, given, seed=seed)


def form(watchman: Watchman) -> str:
    """One number a user, without NaN or +inf, and not the same for all."""
    found = watchman.scores()
    known = found[np.isfinite(found)]
    if len(known) == 0:
        raise ContractError("Every user got -inf: nobody was judged.")
    if np.ptp(known) == 0:
        raise Doubt("All users are equally suspicious.")
    return f"{len(known)} of {len(found)} users judged"


def same_seed(watchman: Watchman) -> str:
    """One seed, one ranking."""
    if not np.array_equal(watchman.scores(seed=3), watchman.scores(seed=3)):
        raise ContractError(
            "Two calls with the same seed differ.", hint="Draw everything from the seed argument, and keep no state."
        )
    return "the same seed gives the same scores"


def order_of_users(watchman: Watchman) -> str:
    """Scores belong to rows, wherever they stand: fakes always come last here, and a detector must not know."""
    with blamed("suspicion"):  # not in the order that `suspicion` draws, which would hide it
        straight = judged(watchman.detector, watchman.train, seed=0)
        turned = judged(watchman.detector, canonical_csr(csr_array(watchman.train[::-1])), seed=0)[::-1]
    known = np.isfinite(straight)
    if not np.array_equal(known, np.isfinite(turned)):
        raise ContractError("Which users are judged depends on their order.")
    order, again = np.argsort(straight[known]), np.argsort(turned[known])
    correlation = np.corrcoef(np.argsort(order), np.argsort(again))[0, 1]
    if not np.allclose(straight[known], turned[known], rtol=1e-5, atol=1e-9) and not correlation > 0.99:
        raise ContractError(
            f"Reversing the order of users changes who is suspicious (rank correlation {correlation:.2f}).",
            hint="A detector may not use the position of a row: fake users stand last.",
        )
    return "the order of users does not matter"


def training_data_untouched(watchman: Watchman) -> str:
    """`suspicion` leaves the matrix as it is."""
    given = watchman.train.copy()
    with blamed("suspicion"):
        watchman.detector.suspicion(given, seed=0)
    if not same_entries(given, watchman.train):
        raise ContractError("Detecting changed the training matrix.", hint="Work on a copy: train.copy().")
    return "the training matrix is not changed"


@dataclass(eq=False)
class Shield:
    """A defence, a recommender and small data.

    Attributes:
        defense: with `fit(recommender, train, valid=None, *, seed)`.
        recommender: what is trained under it.
        data: (num_users, num_items) training matrix; None: `example()`.
    """

    defense: Any
    recommender: Recommender = Popularity()  # noqa: RUF009 - frozen
    data: csr_array | None = None

    @cached_property
    def train(self) -> csr_array:
        """Training data with one empty row and one empty column."""
        return Trial(self.recommender, self.data).train

    def scores(self, seed: int = 0, train: csr_array | None = None, valid: csr_array | None = None) -> Any:
        """(num_users, num_items) checked scores of a model trained under the defence."""
        given = self.train if train is None else train
        with blamed(f"fit on {given.shape[0]} users and {given.shape[1]} items"):
            model = self.defense.fit(self.recommender, given, valid, seed=seed)
        if not callable(getattr(model, "score", None)):
            raise ContractError(f"fit returned {type(model).__name__}, which has no score method.")
        with blamed(f"score for blocks of up to {block_rows(given.shape[1])} users"):
            blocks = score_blocks(model, np.arange(given.shape[0]), given.shape[1])
            found = np.concatenate([scores.copy() for _, scores in blocks])
        if found.shape != given.shape:
            raise ContractError(
                f"score returned shape {found.shape} for {given.shape[0]} users and {given.shape[1]} items.",
                hint="A defence may empty rows and columns, but not leave them out: users and items keep their numbers.",
            )
        return found


def trains(shield: Shield) -> str:
    """A model that scores every user and item, also with held-out interactions of the first users."""
    found = shield.scores()
    half = canonical_csr(csr_array(shield.train[: shield.train.shape[0] // 2]))
    shield.scores(valid=half)
    return f"scores {found.shape[0]} x {found.shape[1]}"


def same_model_for_same_seed(shield: Shield) -> str:
    """One seed, one model."""
    if not np.array_equal(shield.scores(3), shield.scores(3)):
        raise ContractError("Two trainings with the same seed differ.", hint="Draw everything from the seed argument.")
    return "the same seed gives the same model"


def matrix_untouched(shield: Shield) -> str:
    """`fit` leaves the matrix as it is."""
    given = shield.train.copy()
    shield.scores(train=given)
    if not same_entries(given, shield.train):
        raise ContractError("Training changed the matrix.", hint="Work on a copy: train.copy().")
    return "the training matrix is not changed"


DETECTOR_CHECKS = (form, same_seed, order_of_users, training_data_untouched)
DEFENSE_CHECKS = (trains, same_model_for_same_seed, matrix_untouched)
