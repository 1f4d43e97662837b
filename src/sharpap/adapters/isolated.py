"""Models of RecBole and RecTools, each in an environment of its own (`sharpap env create`), run as commands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from scipy.sparse import csr_array

from sharpap.adapters.allowed import RECBOLE, RECTOOLS, check_options
from sharpap.adapters.command import CommandRecommender
from sharpap.adapters.environment import Environment
from sharpap.adapters.outputs import StoredScores, TopKLists
from sharpap.adapters.process import check_timeout
from sharpap.errors import ConfigError
from sharpap.recommenders import Capabilities


@dataclass(frozen=True, kw_only=True)
class RecBoleRecommender:
    """A model of RecBole 1.2, by name, in RecBole's own environment (`sharpap env create recbole`).

    It is trained on the train matrix alone, for all its epochs, on the processor; scores are those of RecBole's
    `full_sort_predict`. Deviation from RecBole's own pipeline: no validation, no early stopping.

    Attributes:
        model: a general recommender of RecBole, e.g. EASE, BPR, LightGCN, SGL.
        options: RecBole settings, e.g. {"epochs": 100, "embedding_size": 64, "learning_rate": 0.001}; those in `allowed.py`.
        timeout: seconds of one training.
    """

    model: str = "LightGCN"
    options: dict[str, Any] = field(default_factory=dict)
    timeout: float = 7200.0

    def __post_init__(self) -> None:
        check_options("RecBole", RECBOLE, self.model, self.options)
        check_timeout(self.timeout)

    def fit(self, train: csr_array, *, seed: int) -> StoredScores | TopKLists:
        """Train in the environment; raises `ConfigError` where it is not made, and what `CommandRecommender` raises."""
        command = (*_driver("recbole"), "{train}", "{scores}", "{seed}", self.model, json.dumps(self.options))
        return CommandRecommender(command=command, timeout=self.timeout).fit(train, seed=seed % 2**31)


@dataclass(frozen=True, kw_only=True)
class RecToolsRecommender:
    """A model of RecTools 0.19, by class name, in RecTools' own environment (`sharpap env create rectools`).

    Attributes:
        model: a class of `rectools.models` that needs nothing but interactions, e.g. EASEModel, ImplicitALSWrapperModel,
            PureSVDModel.
        options: for the class's `from_config`, e.g. {"model": {"factors": 64, "iterations": 15}} for ALS; see `allowed.py`.
        top_k: length of RecTools' own lists; None: full scores.
        timeout: seconds of one training.
    """

    model: str = "EASEModel"
    options: dict[str, Any] = field(default_factory=dict)
    top_k: int | None = None
    timeout: float = 7200.0

    def __post_init__(self) -> None:
        check_options("RecTools", RECTOOLS, self.model, self.options)
        check_timeout(self.timeout)
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k={self.top_k} must be 1 or more.")

    @property
    def capabilities(self) -> Capabilities:
        """Lists only, where `top_k` is set."""
        return Capabilities(top_k=self.top_k)

    def fit(self, train: csr_array, *, seed: int) -> StoredScores | TopKLists:
        """Train in the environment; raises `ConfigError` where it is not made, and what `CommandRecommender` raises."""
        output = "scores" if self.top_k is None else "topk"
        options = json.dumps(self.options)
        command = (
            *_driver("rectools"),
            "{train}",
            f"{{{output}}}",
            "{seed}",
            self.model,
            options,
            str(self.top_k or 0),
        )
        inner = CommandRecommender(command=command, output=output, timeout=self.timeout, top_k=self.top_k)
        return inner.fit(train, seed=seed % 2**31)


def _driver(name: str) -> tuple[str, str, str]:
    """Interpreter, isolated from this one's paths and variables, and script."""
    script = resources.files("sharpap.adapters") / "drivers" / f"{name}.py"
    return str(Environment(name).ready_python()), "-I", str(script)
