"""TensorBoard event files, by torch's own writer."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

from sharpap.errors import ConfigError
from sharpap.tracking.tracker import Tracker


class TensorBoardTracker(Tracker):
    """Logs each run to event files in a folder of its own under `folder`: scalars, and configuration and tables as text.

    Files are not copied there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(_Events(folder))


class _Events:
    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            raise ConfigError(
                "Tracking by TensorBoard needs its package, which is not installed.",
                hint="Install it: pip install 'sharpap[tensorboard]'",
            ) from None
        self.make, self.folder = SummaryWriter, folder
        self.writer: Any = None

    def config(self, settings: dict[str, str]) -> None:
        self.close(failed=False)
        self.writer = self.make(str(_fresh(self.folder)))
        rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in settings.items())
        self.text("config", f"| setting | value |\n|---|---|\n{rows}")

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def text(self, name: str, markdown: str) -> None:
        self.writer.add_text(name, markdown)

    def artifact(self, path: Path) -> None: ...

    def close(self, *, failed: bool) -> None:
        if self.writer is not None:
            self.writer.close()


def _fresh(folder: Path) -> Path:
    """A folder by the time, so that TensorBoard does not draw two runs as one."""
    name = time.strftime("%Y%m%d-%H%M%S")
    tries = (
        folder / f"{name}{suffix}" for suffix in itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    )
    return next(path for path in tries if not path.exists())


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
