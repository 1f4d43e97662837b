"""What all trackers have in common: which offered things they log, and under what names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from sharpap.assess.results import Results
from sharpap.assess.rows import ALL
from sharpap.attacks import Poison
from sharpap.report.markdown import markdown

ARTIFACTS = ("report.html", "config.toml", "results.parquet", "cells.parquet", "provenance.json")


class Sink(Protocol):
    """Where a tracker's numbers and texts go."""

    def config(self, settings: dict[str, str]) -> None:
        """All settings of the run by dotted path."""
        ...

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Numbers by name."""
        ...

    def text(self, name: str, markdown: str) -> None:
        """A table."""
        ...

    def artifact(self, path: Path) -> None:
        """A file of the results folder."""
        ...

    def close(self, *, failed: bool) -> None:
        """End the run."""
        ...


class Tracker:
    """A listener: poisons, cells and results as they are made.

    Names: ``METRIC/ATTACK/VICTIM`` by cell, whose step counts draws, and seeds within a draw ("none" is the clean run; means
    over targets only); ``attack/ATTACK/draw D/FIGURE`` by outer epoch; ``mean METRIC/ATTACK/VICTIM`` at the end.

    Args:
        sink: where to.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink, self.seeds = sink, 1

    def __call__(self, kind: str, made: Any, **place: Any) -> None:
        """See `progress.offer`."""
        if kind == "config":
            self.seeds = int(made.get("seeds", 1))
            self.sink.config(flat(made))
        elif kind == "poison":
            self._history(made, **place)
        elif kind == "rows":
            step = place["draw"] * self.seeds + place["seed"]
            values = {
                f"{_metric(metric, k)}/{place['attack']}/{place['victim']}": value
                for metric, k, target, value in made
                if target == ALL and value is not None and value == value
            }
            self.sink.scalars(values, step)
        elif kind == "results":
            self._summary(made)
        elif kind == "saved":
            for name in ARTIFACTS:
                self.sink.artifact(made / name)

    def close(self, *, failed: bool) -> None:
        """End the run."""
        self.sink.close(failed=failed)

    def _history(self, poison: Poison, *, attack: str, draw: int) -> None:
        for place, record in enumerate(poison.history):
            values = {
                f"attack/{attack}/draw {draw}/{name}": float(value)
                for name, value in record.items()
                if name != "epoch" and isinstance(value, (int, float)) and value == value
            }
            self.sink.scalars(values, int(record.get("epoch", place)))

    def _summary(self, results: Results) -> None:
        for k in results.ks:
            table = results.transfer_matrix("H", k)
            values = {
                f"mean H@{k}/{row['attack']}/{row['victim']}": row["mean"]
                for row in table.iter_rows(named=True)
                if row["mean"] is not None and row["mean"] == row["mean"]
            }
            self.sink.scalars(values, 0)
        self.sink.text("results", markdown(results))


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested tables as dotted paths and text."""
    found: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def _metric(name: str, k: int) -> str:
    return f"{name}@{k}" if k else name
