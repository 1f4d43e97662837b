"""What tuning compares: an attack or a victim with some settings replaced, and how good it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from sharpap import progress
from sharpap.assess.execution.backend import work_through
from sharpap.assess.execution.choice import backend
from sharpap.assess.experiment import Experiment
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.pieces import Craft, Made, Train, Work
from sharpap.config import build, construct, locate
from sharpap.config.toml import with_values
from sharpap.errors import AttackError, ConfigError, TrainingError
from sharpap.metrics import evaluate, hit_ratio
from sharpap.recommenders import Recommender
from sharpap.recommenders.calls import fit
from sharpap.threat import Budget

Values = dict[str, Any]
Report = Callable[[int, float], None]


class Candidates(Protocol):
    """Settings to choose from.

    Attributes:
        metric: what `score` gives, for tables.
        maximise: whether more is better.
        tables: the settings before tuning, by the first word of a path.
    """

    @property
    def metric(self) -> str: ...  # noqa: D102
    @property
    def maximise(self) -> bool: ...  # noqa: D102
    @property
    def tables(self) -> dict[str, Any]: ...  # noqa: D102

    def check(self, values: Values) -> None:
        """Raise `ConfigError` or `BudgetError` unless an object can be made with these values."""
        ...

    def score(self, values: Values, report: Report) -> float:
        """Measure one candidate; `report(step, value)` is told intermediate values, and may raise to end it early."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class AttackCandidates:
    """An attack and its budget, judged by H@k: the mean over draws, of victims and their seeds.

    Attributes:
        name: of the attack in tables.
        tables: "attack" and "budget".
        experiment: victims, tuning draws, seeds and the root of all randomness; its attacks play no part.
        store: where poisons and cells are kept.
        jobs: trainings of one draw that are done at once, by processes that are started anew for each candidate.
    """

    name: str
    tables: dict[str, Any]
    experiment: Experiment
    store: CellStore | None = None
    jobs: int = 1

    @property
    def metric(self) -> str:
        """For tables."""
        return f"H@{self.experiment.ks[0]}"

    @property
    def maximise(self) -> bool:
        """More hits are better for who promotes."""
        return self.experiment.direction == "promote"

    def check(self, values: Values) -> None:
        """See `Candidates`; a budget that cannot be met counts, too."""
        made = self._made(values)
        made.budget.resolve(made.dataset.train.matrix, made.goals()[0])

    def score(self, values: Values, report: Report) -> float:
        """See `Candidates`; step d is the mean over draws 0 to d."""
        experiment = self._made(values)
        work = Work(experiment, self.store)
        means: list[float] = []
        with backend(work, self.jobs) as workers:
            for draw, goal in enumerate(experiment.goals()):
                crafted = work.do(Craft(attack=self.name, draw=draw, goal=goal))
                if crafted.value is None:
                    raise AttackError(crafted.error)
                pieces = [
                    Train(
                        attack=self.name, draw=draw, victim=victim, seed=seed, poison=crafted.value, targets=goal.targets
                    ) for victim in experiment.victims for seed in range(experiment.seeds)
                ]  # fmt: skip
                hits = {(piece.victim, piece.seed): self._hits(piece, made)
                        for piece, made, _ in work_through(workers, pieces)}  # fmt: skip
                means.append(float(np.mean([hits[piece.victim, piece.seed] for piece in pieces])))
                report(draw, float(np.mean(means)))
        return float(np.mean(means))

    def _made(self, values: Values) -> Experiment:
        tables = with_values(self.tables, values)
        attack = build("attack", tables["attack"], where="attack")
        budget = construct(Budget, tables["budget"], where="budget")
        return replace(self.experiment, attacks={self.name: attack}, budget=budget)

    def _hits(self, piece: Train, made: Made) -> float:
        found, k = made.value[1], self.experiment.ks[0]
        if found is None:
            raise TrainingError(f"{piece.victim}: {made.error}")
        if not found.capabilities.reaches(k):
            raise ConfigError(f"{piece.victim} gives shorter lists than {k}.", hint="Set a smaller --k.")
        return float(np.nanmean(hit_ratio(found.ranks, k)))


@dataclass(frozen=True, eq=False, kw_only=True)
class VictimCandidates:
    """A victim, judged by NDCG@k on validation interactions: the mean over training seeds. Test interactions are not used.

    Attributes:
        tables: "victim".
        experiment: the data, seeds and the root of all randomness.
        code: victims of the form ``module:attribute`` that may be imported.
    """

    tables: dict[str, Any]
    experiment: Experiment
    code: frozenset[str] = frozenset()
    maximise: bool = True

    def __post_init__(self) -> None:
        if self.experiment.dataset.valid.nnz == 0:
            raise ConfigError("The data has no validation interactions to tune a victim on.", hint="Split some off.")

    @property
    def metric(self) -> str:
        """For tables."""
        return f"valid NDCG@{self.experiment.ks[0]}"

    def check(self, values: Values) -> None:
        """See `Candidates`."""
        self._made(values)

    def score(self, values: Values, report: Report) -> float:
        """See `Candidates`; steps are the epochs of the first training's own validations, which are NDCG@20."""
        recommender = self._made(values)
        dataset, k = self.experiment.dataset, self.experiment.ks[0]
        train, valid, times = dataset.train.matrix, dataset.valid.matrix, dataset.train.timestamps

        def listen(kind: str, made: Any, **place: Any) -> None:
            if kind == "validation":
                report(place["epoch"], made)

        found = []
        for number in range(self.experiment.seeds):
            seed = self.experiment.victim_seed(number)
            if number == 0:
                with progress.listening(listen):
                    model = fit(recommender, train, valid, seed=seed, times=times)
            else:
                model = fit(recommender, train, valid, seed=seed, times=times)
            reached = evaluate(model, train, targets=(), held_out=valid, ks=(k,)).ndcg
            if k not in reached:
                raise ConfigError(
                    f"The victim's lists, or the catalogue, are shorter than {k}.", hint="Set a smaller --k."
                )
            found.append(reached[k])
        return float(np.mean(found))

    def _made(self, values: Values) -> Recommender:
        table = with_values(self.tables, values)["victim"]
        if locate.is_code(table.get("name")) and table["name"] in self.code:
            options = {option: value for option, value in table.items() if option != "name"}
            return locate.recommender(table["name"], options, where="victim")
        return build("victim", table, where="victim")
