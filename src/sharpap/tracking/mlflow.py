"""An MLflow run in a local SQLite store, through MLflow's client: no global state, no server, no telemetry."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from sharpap.errors import ConfigError
from sharpap.files import refuse_link
from sharpap.tracking.tracker import Tracker

EXPERIMENT = "sharpap"
BATCH = 100
LONGEST = 6000


class MLflowTracker(Tracker):
    """Logs to ``folder/mlflow.db``: parameters, metrics, and the report among the artifacts.

    MLflow's names have no @: H@10 is H_at_10 there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(_Run(folder))


class _Run:
    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before the import: nothing leaves this machine
        try:
            import_module("sqlalchemy")  # mlflow-skinny does without, its SQLite store does not
            self.entities: Any = import_module("mlflow.entities")
            make: Any = import_module("mlflow.tracking").MlflowClient
        except ImportError:
            raise ConfigError(
                "Tracking by MLflow needs its package, which is not installed.",
                hint="Install it: pip install 'sharpap[mlflow]'",
            ) from None
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve()
        _refuse_foreign(folder)
        self.client: Any = make(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
        found = self.client.get_experiment_by_name(EXPERIMENT)
        self.experiment: str = (
            self.client.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
            if found is None
            else found.experiment_id
        )
        self.run: str | None = None

    def config(self, settings: dict[str, str]) -> None:
        self.close(failed=False)
        self.run = self.client.create_run(self.experiment, run_name=settings.get("title")).info.run_id
        made = [self.entities.Param(_name(name), value[:LONGEST]) for name, value in settings.items()]
        for start in range(0, len(made), BATCH):
            self.client.log_batch(self.run, params=made[start : start + BATCH])

    def scalars(self, values: dict[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        made = [self.entities.Metric(_name(name), value, now, step) for name, value in values.items()]
        if made:
            self.client.log_batch(self.run, metrics=made)

    def text(self, name: str, markdown: str) -> None:
        self.client.log_text(self.run, markdown, f"{name}.md")

    def artifact(self, path: Path) -> None:
        if path.is_file():
            self.client.log_artifact(self.run, str(path))

    def close(self, *, failed: bool) -> None:
        if self.run is not None:
            self.client.set_terminated(self.run, "FAILED" if failed else "FINISHED")


def _refuse_foreign(folder: Path) -> None:
    """Raise where MLflow would write through a link, or make its tables in a database of someone else."""
    database = folder / "mlflow.db"
    for place in (database, folder / "artifacts"):
        refuse_link(place)
    if not database.exists() or not database.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
            tables = {name for (name,) in opened.execute("select name from sqlite_master where type = 'table'")}
    except sqlite3.Error:
        tables = set[str]()
    if "experiments" not in tables:
        raise ConfigError(f"{database} is no database of MLflow's.", hint="Name another folder: --track mlflow:DIR.")


def _name(name: str) -> str:
    """A name that MLflow takes."""
    return re.sub(r"[^\w.:/ -]", "_", name.replace("@", "_at_"), flags=re.ASCII)
