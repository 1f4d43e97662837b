"""The search itself: candidates by Optuna's TPE, one after the other, in a study that an interrupt does not lose."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import polars as pl

from sharpap import __version__, progress
from sharpap.assess.tuning.candidates import Candidates, Values
from sharpap.assess.tuning.journal import check_journal, check_trials, damaged
from sharpap.config.space import Dimension, Value
from sharpap.config.toml import with_values
from sharpap.errors import ConfigError, SharpAPError, TrainingError, said
from sharpap.files import detach
from sharpap.seeds import derive_seed

STUDY = "study.journal"
STARTUP = 5
SEED_LIMIT = 2**32


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to search.

    Attributes:
        attack, victim: which one of the recipe is tuned; a victim beside an attack is the one that judges it.
        trials: candidates in all, those of an earlier, interrupted call included. The first is the recipe's own setting,
            where it lies in the space.
        draws: target draws an attack is judged on; none of them is reported.
        seeds: trainings of each victim.
        k: list length; None: 10 for an attack's H@k, 20 for a victim's NDCG@k, where the recipe has it; else its shortest.
        pruner: "median" ends a candidate that is worse than the median of the others at the same step; "halving" goes on
            with the best of each rung (asynchronous successive halving); "none".
    """

    attack: str | None = None
    victim: str | None = None
    trials: int = 20
    draws: int = 3
    seeds: int = 1
    k: int | None = None
    pruner: Literal["median", "halving", "none"] = "median"

    def __post_init__(self) -> None:
        for name in ("trials", "draws", "seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        if self.k is not None and self.k < 1:
            raise ConfigError(f"k={self.k} must be 1 or more.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Tuned:
    """What a search found.

    Attributes:
        metric: what was compared.
        maximise: whether more of it is better.
        values: the best settings, by path.
        value: their score.
        tables: all settings of what was tuned, the best in place.
        trials: one row a candidate: number, state, value, steps (intermediate values), error, and one column a path.
        importance: share of the spread of scores that a setting explains (PED-ANOVA); empty with few candidates.
    """

    metric: str
    maximise: bool
    values: Values
    value: float
    tables: dict[str, Any]
    trials: pl.DataFrame
    importance: dict[str, float] = field(default_factory=dict)


def search(
    candidates: Candidates, space: tuple[Dimension, ...], plan: Plan, *, folder: Path, settings: dict[str, Any], seed: int
) -> Tuned:  # fmt: skip
    """Try candidates one after the other, or go on with those of an earlier call; the same seed tries the same.

    Args:
        candidates: what is compared.
        space: what is searched.
        plan: how.
        folder: keeps the study, a journal of JSON lines, after every candidate.
        settings: JSON-ready; all that the scores depend on. A study in `folder` must have the same.
        seed: of the sampler.

    Raises:
        ConfigError: Optuna is missing, a setting does not exist or does not take a value of the space, or the folder holds
            a study of other settings. BudgetError: a budget of the space cannot be met. TrainingError: every candidate failed.
    """
    optuna = _optuna()
    for dimension in space:
        for probe in dimension.probes:
            candidates.check({dimension.path: probe})
    with _quiet(optuna):
        study = _study(optuna, plan, candidates.maximise, folder / STUDY, space)
        _same(study, json.loads(json.dumps({"version": __version__, "seed": seed, **settings}, default=str)), folder)
        states = optuna.trial.TrialState
        if not study.get_trials(deepcopy=False):
            study.enqueue_trial(_own(candidates.tables, space))
        done = len(study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED, states.FAIL)))
        with progress.task("Tuning", plan.trials) as task:
            task.advance(done)
            for number in range(done, plan.trials):
                study.sampler = _sampler(optuna, seed, number)
                trial = _next(optuna, study, space)
                note = _try(optuna, study, trial, candidates)
                task.advance(note=note)
        return _tuned(optuna, study, candidates, [dimension.path for dimension in space])


def _optuna() -> Any:
    try:
        return import_module("optuna")
    except ImportError:
        raise ConfigError(
            "Tuning needs Optuna, which is not installed.", hint="Install it: pip install 'sharpap[tune]'"
        ) from None


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's own log lines and its notes on experimental parts."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _study(optuna: Any, plan: Plan, maximise: bool, path: Path, space: tuple[Dimension, ...]) -> Any:
    journal, name = import_module("optuna.storages.journal"), str(path)
    detach(path)
    check_journal(path)
    pruners = {
        "median": optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
        "halving": optuna.pruners.SuccessiveHalvingPruner(reduction_factor=2),
        "none": optuna.pruners.NopPruner(),
    }
    try:
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(
                journal.JournalFileBackend(name, lock_obj=journal.JournalFileOpenLock(name))
            ),
            study_name="sharpap", load_if_exists=True, pruner=pruners[plan.pruner],
            direction="maximize" if maximise else "minimize",
        )  # fmt: skip
        check_trials(optuna, study, space, path)
    except (SharpAPError, OSError):
        raise
    except Exception as error:  # whatever Optuna raises for tables that are none of its own
        raise damaged(path, str(error) or type(error).__name__) from None
    return study


def _same(study: Any, settings: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a study of other settings."""
    if "settings" not in study.user_attrs:
        study.set_user_attr("settings", settings)
    kept = study.user_attrs["settings"]
    other = [key for key in settings if kept.get(key) != settings[key]]
    if other:
        raise ConfigError(
            f"{folder} holds a study that differs in {', '.join(other)}.",
            hint="Name another --out, or pass --overwrite.",
        )


def _suggest(trial: Any, dimension: Dimension) -> Value:
    if dimension.choices:
        return trial.suggest_categorical(dimension.path, dimension.choices)
    suggest = trial.suggest_int if dimension.whole else trial.suggest_float
    return suggest(dimension.path, dimension.low, dimension.high, log=dimension.log)


def _sampler(optuna: Any, seed: int, number: int) -> Any:
    """A sampler for one candidate, seeded by its number: a study that goes on tries what an unbroken one would have."""
    return optuna.samplers.TPESampler(seed=derive_seed(seed, "sampler", number) % SEED_LIMIT, n_startup_trials=STARTUP)


def _own(tables: dict[str, Any], space: tuple[Dimension, ...]) -> Values:
    """The present settings, as far as they lie in the space."""
    found: Values = {}
    for dimension in space:
        value: Any = tables
        for key in dimension.path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if dimension.holds(value):
            found[dimension.path] = value
    return found


def _next(optuna: Any, study: Any, space: tuple[Dimension, ...]) -> Any:
    """The candidate that an interrupt left unfinished, or a new one; its values are in `params`."""
    unfinished = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    trial = optuna.trial.Trial(study, unfinished[0]._trial_id) if unfinished else study.ask()
    for dimension in space:
        _suggest(trial, dimension)
    return trial


def _try(optuna: Any, study: Any, trial: Any, candidates: Candidates) -> str:
    """Score one candidate and tell the study; returns a note for the progress line."""
    reported = set(study.get_trials(deepcopy=False)[trial.number].intermediate_values)
    states = optuna.trial.TrialState

    def report(step: int, value: float) -> None:
        if step not in reported:
            trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        value = candidates.score(trial.params, report)
        if value != value:
            raise TrainingError("There was nothing to measure.")
    except optuna.TrialPruned:
        study.tell(trial, state=states.PRUNED)
        note = "pruned"
    except Exception as problem:  # settings that do not go together, or a victim, which is foreign code
        trial.set_user_attr("error", said(problem))
        study.tell(trial, state=states.FAIL)
        note = "failed"
    else:
        study.tell(trial, value)
        note = f"{candidates.metric} {value:.4f}"
    error = trial.user_attrs.get("error", "")
    progress.event("trial", number=trial.number, result=note, error=error, **trial.params)
    return note


def _tuned(optuna: Any, study: Any, candidates: Candidates, paths: list[str]) -> Tuned:
    trials = study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        errors = [trial.user_attrs.get("error", "pruned") for trial in trials]
        raise TrainingError(f"Every candidate failed; the first: {errors[0] if errors else 'there is none'}")
    best = study.best_trial
    importance: dict[str, float] = {}
    if len(paths) > 1 and len({trial.value for trial in complete}) > STARTUP:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        importance = dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    return Tuned(
        metric=candidates.metric, maximise=candidates.maximise, values=dict(best.params), value=best.value,
        tables=with_values(candidates.tables, best.params), trials=_frame(trials, paths),
        importance=importance,
    )  # fmt: skip


def _frame(trials: list[Any], paths: list[str]) -> pl.DataFrame:
    columns: dict[str, Any] = {
        "number": pl.Series([trial.number for trial in trials], dtype=pl.Int32),
        "state": [trial.state.name.lower() for trial in trials],
        "value": pl.Series([trial.value for trial in trials], dtype=pl.Float64),
        "steps": pl.Series(
            [[value for _, value in sorted(trial.intermediate_values.items())] for trial in trials],
            dtype=pl.List(pl.Float64),
        ),
        "error": [trial.user_attrs.get("error", "") for trial in trials],
    }
    for path in paths:
        values = [trial.params.get(path) for trial in trials]
        kinds = {type(value) for value in values if value is not None}
        columns[path] = values if len(kinds) == 1 else [None if value is None else str(value) for value in values]
    return pl.DataFrame(columns)
