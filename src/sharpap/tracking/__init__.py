"""Trackers: TensorBoard and MLflow, listening to what a run offers (`progress.offer`). SharpAP runs the same without.

with sharpap.track("tensorboard", "runs/first"):
    sharpap.stress_test(...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sharpap import progress
from sharpap.errors import ConfigError, suggest
from sharpap.tracking.mlflow import MLflowTracker
from sharpap.tracking.tensorboard import TensorBoardTracker
from sharpap.tracking.tracker import Tracker

KINDS: dict[str, Callable[[Path], Tracker]] = {"tensorboard": TensorBoardTracker, "mlflow": MLflowTracker}


def track(kind: str, folder: str | Path) -> AbstractContextManager[Tracker]:
    """Log everything that runs inside the block.

    Args:
        kind: "tensorboard" (event files in `folder`) or "mlflow" (``folder/mlflow.db`` and ``folder/artifacts``).
        folder: where to; made if there is none.

    Raises:
        ConfigError: an unknown kind, or its library is not installed.
    """
    if kind not in KINDS:
        raise ConfigError(f"There is no tracker {kind!r}.", hint=suggest(kind, KINDS))
    return _listening(KINDS[kind](Path(folder)))


def parse(text: str, out: Path) -> AbstractContextManager[Tracker]:
    """The tracker of ``KIND`` or ``KIND:DIR``; without a folder, a sibling of the results folder `out`."""
    kind, colon, folder = text.partition(":")
    if colon and not folder:
        raise ConfigError(f"--track {text!r} names no folder after the colon.", hint=f"Write {kind}:DIR, or {kind}.")
    return track(kind, folder or out.parent / kind / ("" if kind == "mlflow" else out.name))


@contextmanager
def _listening(tracker: Tracker) -> Iterator[Tracker]:
    with progress.listening(tracker):
        try:
            yield tracker
        except BaseException:
            tracker.close(failed=True)
            raise
        tracker.close(failed=False)
