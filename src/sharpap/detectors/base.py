"""What a detector is, and the one check every detector's scores pass."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from scipy.sparse import csr_array

from sharpap.errors import ConfigError, ContractError
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings
from sharpap.threads import for_work_of

Array = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class Detector(Protocol):
    """Anything that says how much each user looks like a fake one, from the training data alone.

    It is told neither which users are fake nor which items are attacked. SharpAP's own detectors are frozen dataclasses of
    settings that hold O(nnz).
    """

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """(num_users,) scores, higher is more suspicious; -inf marks a user that cannot be judged.

        `train` is (num_users, num_items) binary CSR and is not changed. Same seed, same scores.
        """
        ...


def suspicion(detector: Detector, train: csr_array, *, seed: int, known: Array | None = None) -> Array:
    """What a detector says of each user of `train`, (num_users,) float64; users without interactions get -inf.

    Attacks put fake users last. The detector is therefore given the rows in an order that is drawn from what they hold
    (`by_content`): it cannot learn from where a row stands, and its scores are the same wherever rows stand.

    `known` are row numbers of users known to be fakes, for a detector that takes them (`FAP`); None: it is told nothing.

    Raises:
        ContractError: scores of another shape or type, NaN or +inf.
    """
    order = by_content(train, seed=seed)
    told = {} if known is None else {"known": np.flatnonzero(np.isin(order, known))}
    found = np.empty(len(order))
    found[order] = judged(detector, csr_array(train[order]), seed=seed, **told)
    return found


def judged(detector: Detector, train: csr_array, *, seed: int, **told: Array) -> Array:
    """As `suspicion`, on a copy of the rows as they stand."""
    name = type(detector).__name__
    with for_work_of(detector):
        found = np.asarray(detector.suspicion(train.copy(), seed=seed, **told))
    if found.shape != (train.shape[0],):
        raise ContractError(
            f"{name}.suspicion returned shape {found.shape} for {train.shape[0]} users.",
            hint="Return one number a user.",
        )
    if not np.issubdtype(found.dtype, np.number) or np.issubdtype(found.dtype, np.complexfloating):
        raise ContractError(f"{name}.suspicion returned {found.dtype}, not numbers.")
    found = found.astype(np.float64)
    if np.isnan(found).any() or np.isposinf(found).any():
        raise ContractError(f"{name}.suspicion returned NaN or +inf.", hint="Use -inf for users that cannot be judged.")
    found[np.diff(train.indptr) == 0] = -np.inf
    return found


def by_content(train: csr_array, *, seed: int) -> Array:
    """(num_users,) row numbers in a random order that depends on what rows hold, and not on where they stand.

    Each item gets a random number and each row the sum of its own; rows are sorted by it. Equal rows keep their order.
    """
    return np.argsort(content_keys(train, seed=seed), kind="stable")


def content_keys(train: csr_array, *, seed: int) -> Array:
    """(num_users,) uint64, one random number for each set of items; sums wrap around."""
    of_item = rng(seed, "content").integers(0, 2**64, train.shape[1], dtype=np.uint64)
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(of_item[train.indices], dtype=np.uint64)])
    return total[train.indptr[1:]] - total[train.indptr[:-1]]


def most_suspicious(scores: Array, train: csr_array, *, seed: int) -> Array:
    """(num_users,) row numbers, the most suspicious first; ties are broken by chance, never by where a row stands."""
    return np.lexsort((content_keys(train, seed=seed), -scores))


def installed(detector: object) -> bool:
    """Whether the package that a detector, or its class, `needs` is there; most need none."""
    needed = getattr(detector, "needs", None)
    return needed is None or find_spec(needed) is not None


class ByScikitLearn(Settings):
    """Base of detectors that use scikit-learn, which is an extra."""

    needs: ClassVar[str] = "sklearn"

    def _judged_rows(self, train: csr_array, seed: int) -> Array:
        """Rows with interactions, `by_content`; raises `ConfigError` where the package is missing."""
        if not installed(self):
            raise ConfigError(
                f"{type(self).__name__} needs scikit-learn, which is not installed.",
                hint="pip install 'sharpap[outliers]'",
            )
        order = by_content(train, seed=seed)
        return order[np.diff(train.indptr)[order] > 0]


@dataclass(frozen=True, kw_only=True)
class RandomScores:
    """A random number for each user: guessing, to compare the other detectors with.

    It depends on the seed and on what a user holds, so that the order of users does not matter.
    """

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`."""
        return content_keys(train, seed=derive_seed(seed, "guess")).astype(np.float64) / 2.0**64
