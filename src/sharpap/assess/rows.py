"""The rows of results: what is written down of one training, and of one measurement in it (`work.measurements`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

Row = tuple[str, int, int, float | None]
SCHEMA: dict[str, Any] = {
    "attack": pl.String, "victim": pl.String, "draw": pl.Int32, "seed": pl.Int32, "metric": pl.String, "k": pl.Int32,
    "target": pl.Int32, "value": pl.Float64,
}  # fmt: skip
CELL_SCHEMA: dict[str, Any] = {
    "attack": pl.String, "victim": pl.String, "draw": pl.Int32, "seed": pl.Int32, "error": pl.String, "traceback": pl.String,
    "attempts": pl.Int64, "train_seconds": pl.Float64, "evaluate_seconds": pl.Float64, "epochs": pl.Int64,
    "valid_ndcg": pl.Float64,
}  # fmt: skip
ALL = -1


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One victim training.

    Attributes:
        attack, victim, draw, seed: which; the clean run has attack "none" and draw -1.
        error: why it failed, or "".
        traceback: the frames in which it failed, without the folders they lie in, or "".
        attempts: how often it was tried.
        train_seconds, evaluate_seconds: wall time.
        epochs, valid_ndcg: from the model's own log, if it has one.
    """

    attack: str
    victim: str
    draw: int
    seed: int
    error: str = ""
    traceback: str = ""
    attempts: int = 1
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    epochs: int | None = None
    valid_ndcg: float | None = None
