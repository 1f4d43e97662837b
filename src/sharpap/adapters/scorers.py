"""What a training returned, as a `Scorer`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse

from sharpap.errors import ContractError
from sharpap.recommenders.base import FactorModel, FloatArray, IntArray, Scorer

FORMS = (
    "an object with score(users), a callable users -> scores, a pair of factors (users x d, items x d), "
    "or a users x items matrix of scores"
)
PAIRS = (("user_factors", "item_factors"), ("user_embeddings", "item_embeddings"))


@dataclass(frozen=True, eq=False)
class CallableScorer:
    """Scores by a function of user numbers."""

    function: Callable[[IntArray], Any]

    def score(self, users: IntArray) -> FloatArray:
        """See `Scorer`."""
        return array(self.function(users))


@dataclass(frozen=True, eq=False)
class MatrixScorer:
    """Scores that a user's own code already holds, dense or sparse; rows are handed out in blocks."""

    matrix: Any

    def score(self, users: IntArray) -> FloatArray:
        """See `Scorer`."""
        rows = self.matrix[users]
        return rows if isinstance(rows, np.ndarray) else rows.toarray()


def as_scorer(made: Any, shape: tuple[int, int], name: str) -> Scorer:
    """A `Scorer` of whatever a training gave.

    Args:
        made: one of the forms above.
        shape: (num_users, num_items) of the training matrix, fake users included.
        name: of the model, for errors.

    Raises:
        ContractError: another form, or one of the wrong size; says which axis is wrong.
    """
    if callable(getattr(made, "score", None)):
        return made
    for users, items in PAIRS:
        if getattr(made, users, None) is not None and getattr(made, items, None) is not None:
            return factors(getattr(made, users), getattr(made, items), shape, name)
    if isinstance(made, (tuple, list)) and len(made) == 2:
        return factors(made[0], made[1], shape, name)
    predict = getattr(made, "predict", None)
    if callable(predict):
        return CallableScorer(predict)
    if isinstance(made, (np.ndarray, torch.Tensor)) or sparse.issparse(made):
        found: Any = array(made) if isinstance(made, (np.ndarray, torch.Tensor)) else sparse.csr_array(made)  # pyright: ignore
        if found.shape != shape:
            swapped = found.shape == shape[::-1]
            raise ContractError(
                f"{name} gave a score matrix of shape {found.shape} for {shape[0]} users and {shape[1]} items.",
                hint="The axes are swapped: return its transpose." if swapped else _rows_hint(shape),
            )
        return MatrixScorer(found)
    if callable(made):
        return CallableScorer(made)
    raise ContractError(f"Training {name} gave {type(made).__name__}.", hint=f"It must give {FORMS}.")


def factors(users: Any, items: Any, shape: tuple[int, int], name: str) -> FactorModel:
    """A dot-product model of two arrays or tensors, checked."""
    pair = [array(part) for part in (users, items)]
    wanted = [(shape[0], "user"), (shape[1], "item")]
    for part, (rows, side) in zip(pair, wanted, strict=True):
        if part.ndim != 2 or len(part) != rows:
            if part.ndim == 2 and part.shape[1] == rows:
                hint = "They are transposed: one row each is needed."
            elif part.ndim == 2 and len(part) == shape[side == "user"]:
                hint = "User and item factors are swapped."
            else:
                hint = _rows_hint(shape)
            raise ContractError(f"{name} has {side} factors of shape {part.shape} for {rows} {side}s.", hint=hint)
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ContractError(f"{name} has {pair[0].shape[1]} factors a user and {pair[1].shape[1]} an item.")
    U, V = (np.ascontiguousarray(part, dtype=np.float32) for part in pair)
    return FactorModel(user_factors=U, item_factors=V, log={})


def array(made: Any) -> FloatArray:
    """A numpy array of an array or tensor, wherever it lies."""
    return made.detach().cpu().numpy() if isinstance(made, torch.Tensor) else np.asarray(made)


def _rows_hint(shape: tuple[int, int]) -> str:
    return (
        f"One row for each of the {shape[0]} rows of the training matrix (fake users are rows, too) and one column or row "
        f"for each of its {shape[1]} items, those without interactions included."
    )
