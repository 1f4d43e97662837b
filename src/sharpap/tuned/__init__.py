"""Settings of victims that were chosen on validation data, dataset by dataset, and the spaces they were searched in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from sharpap.config import read_toml


@dataclass(frozen=True, kw_only=True)
class TunedVictim:
    """The best settings that a search found for one recommender on one dataset.

    Attributes:
        settings: what differs from the class's defaults.
        space, trials, seeds: the search.
        valid: NDCG@20 on validation interactions, which it was chosen by.
        test: list length to NDCG on test interactions, measured once, after the choice.
        command: what makes it again.
    """

    settings: dict[str, Any]
    space: dict[str, Any]
    trials: int
    seeds: int
    valid: float
    test: dict[str, float]
    command: str


@cache
def spaces() -> dict[str, dict[str, Any]]:
    """Registered name of a victim to the space that is searched where none is given: setting to a range or choices."""
    return _read("spaces")


@cache
def tuned(dataset: str) -> dict[str, TunedVictim]:
    """Registered name to the tuned settings on a dataset of the catalogue, prepared by default; empty where none were made."""
    there = {entry.name for entry in (resources.files("sharpap") / "tuned").iterdir()}
    if dataset == "spaces" or f"{dataset}.toml" not in there:  # the name may come from a results folder: it is no path
        return {}
    return {name: TunedVictim(**table) for name, table in _read(dataset).items()}


def _read(name: str) -> dict[str, Any]:
    with resources.as_file(resources.files("sharpap") / "tuned" / f"{name}.toml") as inside:
        return read_toml(inside)
