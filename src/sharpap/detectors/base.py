"""What a detector is, and the one check every detector's scores pass."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.sparse import csr_array

from sharpap.errors import ContractError
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


def suspicion(detector: Detector, train: csr_array, *, seed: int) -> Array:
    """What a detector says of a copy of `train`, (num_users,) float64; users without interactions get -inf.

    Raises:
        ContractError: scores of another shape or type, NaN or +inf.
    """
    name = type(detector).__name__
    with for_work_of(detector):
        found = np.asarray(detector.suspicion(train.copy(), seed=seed))
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
