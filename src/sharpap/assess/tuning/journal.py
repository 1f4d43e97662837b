"""A study's journal from anyone: read before Optuna reads it, and what Optuna made of it checked against the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sharpap.config.space import Dimension
from sharpap.errors import ConfigError
from sharpap.files import replacing
from sharpap.untrusted import json_value, read_bytes

MOST_JOURNAL = 256 << 20
MOST_STEPS = 2**31


def check_journal(path: Path) -> None:
    """Check that a journal is lines of JSON tables; half a line after whole ones, which a killed process left, is cut off.

    Raises:
        ConfigError: it is not. DataError: it is no regular file, or far too long.
    """
    if not path.exists():
        return
    raw = read_bytes(path, MOST_JOURNAL)
    whole = raw[: raw.rfind(b"\n") + 1] or raw
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            fits = isinstance(json_value(line.decode()), dict)
        except ValueError:
            fits = False
        if not fits:
            raise damaged(path, f"line {number} is no table of JSON")
    if whole != raw:
        with replacing(path) as temporary:
            temporary.write_bytes(whole)


def check_trials(optuna: Any, study: Any, space: tuple[Dimension, ...], path: Path) -> None:
    """Check that what a journal says of candidates is a search of this space; raises `ConfigError`."""
    asked = {dimension.path: (dimension, distribution(optuna, dimension)) for dimension in space}
    if not isinstance(study.user_attrs.get("settings", {}), dict):
        raise damaged(path, "its settings are no table")
    for trial in study.get_trials(deepcopy=False):
        scores = [trial.value, *trial.intermediate_values.values()]
        texts = [trial.user_attrs.get("error", ""), trial.state.name]
        if not all(score is None or _is_score(score) for score in scores) or not all(
            isinstance(text, str) for text in texts
        ):
            raise damaged(path, f"the score of candidate {trial.number} is none")
        if not all(type(step) is int and abs(step) < MOST_STEPS for step in trial.intermediate_values):
            raise damaged(path, f"the steps of candidate {trial.number} are none")
        for name, value in trial.params.items():
            dimension, wanted = asked.get(name, (None, None))
            if dimension is None or trial.distributions.get(name) != wanted or not dimension.holds(value):
                raise damaged(path, f"candidate {trial.number} lies outside of the space")


def _is_score(value: object) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < MOST_STEPS)


def distribution(optuna: Any, dimension: Dimension) -> Any:
    """Optuna's name for what is searched."""
    kinds = optuna.distributions
    if dimension.choices:
        return kinds.CategoricalDistribution(dimension.choices)
    kind = kinds.IntDistribution if dimension.whole else kinds.FloatDistribution
    return kind(dimension.low, dimension.high, log=dimension.log)


def damaged(path: Path, problem: object) -> ConfigError:
    """What is said of a journal that is none."""
    return ConfigError(f"{path} is damaged ({problem}).", hint="Start anew: --overwrite.")
