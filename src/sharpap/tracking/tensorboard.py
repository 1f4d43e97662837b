"""TensorBoard event files, by torch's own writer."""

from __future__ import annotations

from pathlib import Path

from sharpap.errors import ConfigError
from sharpap.tracking.tracker import Tracker


class TensorBoardTracker(Tracker):
    """Logs to event files in `folder`: scalars, the configuration and the tables as text. Files are not copied there."""

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
        self.writer = SummaryWriter(str(folder))

    def config(self, settings: dict[str, str]) -> None:
        rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in settings.items())
        self.text("config", f"| setting | value |\n|---|---|\n{rows}")

    def scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def text(self, name: str, markdown: str) -> None:
        self.writer.add_text(name, markdown)

    def artifact(self, path: Path) -> None: ...

    def close(self, *, failed: bool) -> None:
        self.writer.close()


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")
