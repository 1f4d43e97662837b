"""`sharpap run` and `sharpap evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sharpap import folders, tracking
from sharpap.assess import Experiment, Results, run
from sharpap.assess.execution.resources import OnRay
from sharpap.assess.folder.save import CELLS, OWN, POISONS, check_continues, check_folder, poison_path
from sharpap.assess.recipe import experiment_from
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.records import QUARANTINE
from sharpap.attacks.poison_io import direction_of, load_poison
from sharpap.cli.console import finite, reporting, stdout
from sharpap.cli.settings import command_victims, item_ids
from sharpap.cli.stops import kept_in
from sharpap.data import TargetPool
from sharpap.errors import ConfigError, Interrupted
from sharpap.files import locked
from sharpap.report import show
from sharpap.threat import Goal


def run_recipe(
    recipe: dict[str, Any], code: frozenset[str], out: Path, overwrite: bool, jobs: int | None, quiet: bool, as_json: bool,
    commands: list[str] | None = None, allow_commands: bool = False, store: Path | None = None, retries: int = 1,
    backend: str | None = None, cluster: dict[str, Any] | None = None, track: list[str] | None = None,
) -> None:  # fmt: skip
    """Run a recipe (`plans.of_run`), save and show its results. Finished work stays, for runs that go on or ask for more."""
    workers = _workers(backend, cluster or {})
    check_folder(out, overwrite=True)
    cells = store or out / CELLS
    if cells.resolve() == out.resolve():
        raise ConfigError(
            f"{out} cannot be both the results folder and the store.", hint=f"Name another --store, e.g. {out / CELLS}."
        )
    folders.check(cells, "work", (QUARANTINE,))
    more = command_victims(commands)
    trackers = [tracking.parse(text, out) for text in track or []]
    with ExitStack() as stack:
        stack.enter_context(kept_in(cells))
        stack.enter_context(_holding(out))
        for tracker in trackers:
            stack.enter_context(tracker)
        stack.enter_context(reporting(quiet=quiet, log=out / "log.jsonl", append=not overwrite))
        experiment, config = experiment_from(recipe, code, more_victims=more, allow_commands=allow_commands)
        if overwrite and store is None:
            CellStore(cells).clear()
        elif not overwrite:
            check_continues(out, config, experiment.dataset.fingerprint)
        results = run(experiment, config, cells=cells, jobs=jobs, backend=workers, retries=retries)
        results.save(out, overwrite=True)
    _finish(results, out, as_json, cells)


@contextmanager
def _holding(out: Path) -> Iterator[None]:
    """A results folder is one run's at a time; what killed runs left in it goes."""
    folders.claim(out, "results", OWN)
    with locked(out, tidy=lambda: folders.sweep(out, "results", POISONS)) as free:
        if not free:
            raise ConfigError(
                f"Another run is at work in {out}.",
                hint="Wait for it, or name another --out; --store lets runs share work.",
            )
        yield


def evaluate_profiles(
    files: list[Path], recipe: dict[str, Any], code: frozenset[str], targets: str | None, out: Path | None, overwrite: bool,
    quiet: bool, as_json: bool, commands: list[str] | None = None,
) -> None:  # fmt: skip
    """Assess finished profiles on freshly trained victims (`plans.of_evaluate`)."""
    if out is not None:
        check_folder(out, overwrite=overwrite)
    more = command_victims(commands)
    with ExitStack() as stack:
        if out is not None:
            stack.enter_context(_holding(out))
        stack.enter_context(reporting(quiet=quiet, log=None if out is None else out / "log.jsonl"))
        base, config = experiment_from(recipe, code, more_victims=more)
        train, poisons = base.dataset.train, {}
        direction = recipe.get("direction")
        wanted = () if targets is None else TargetPool(items=tuple(item_ids(targets))).draw(train, 0, seed=0)
        for path in files:
            goal = Goal(targets=wanted, direction=direction or direction_of(path)) if wanted else None
            made = load_poison(path, train, goal)
            poisons[path.stem] = replace(made, goal=replace(made.goal, direction=direction or made.goal.direction))
        if len(poisons) < len(files):
            raise ConfigError("Two of the files have the same name.", hint="Rename one: names label the table.")
        experiment = Experiment(
            dataset=base.dataset,
            attacks=poisons,
            victims=base.victims,
            seeds=base.seeds,
            ks=base.ks,
            seed=base.seed,
            sharpness=base.sharpness,
            fake_order=base.fake_order,
        )
        ids = train.item_ids[list(experiment.goals()[0].targets)].tolist()
        config |= experiment.facts() | {
            "attacks": {
                path.stem: {"file": str(path if out is None else poison_path(out, path.stem, 0))} for path in files
            },
            "targets": {"items": ids},
        }
        results = run(experiment, config)
        if out is not None:
            results.save(out, overwrite=True)
    _finish(results, out, as_json)


def _workers(backend: str | None, cluster: dict[str, Any]) -> str | OnRay | None:
    """The backend by name, with the options that only Ray knows."""
    return (
        OnRay(**{name: value for name, value in cluster.items() if value is not None}) if backend == "ray" else backend
    )


def _finish(results: Results, out: Path | None, as_json: bool, cells: Path | None = None) -> None:
    if as_json:
        print(json.dumps(summary_json(results, out), indent=2))
    else:
        console = stdout()
        show(results, console)
        if out is not None:
            console.print(f"Results in {out}, report in {out / 'report.html'}", markup=False, highlight=False)
    if results.provenance.get("interrupted"):
        done, planned = results.provenance["done"], results.provenance["planned"]
        kept = "" if cells is None else f" They are kept in {cells}: the same command goes on from there."
        raise Interrupted(f"{done} of {planned} trainings are done.{kept}")


def summary_json(results: Results, out: Path | None, metric: str = "H") -> dict[str, Any]:
    """What `--json` prints: the transfer matrix of a metric for every k, failures, costs, and where the folder is."""
    provenance = results.provenance
    return {
        "out": None if out is None else str(out),
        "interrupted": bool(provenance.get("interrupted")),
        "metric": metric,
        "dataset": results.provenance.get("dataset", {}).get("name"),
        "transfer": [
            finite({"k": k} | row)
            for k in results.ks
            for row in results.transfer_matrix(metric, k).iter_rows(named=True)
        ],
        "failed": [{"attack": c.attack, "victim": c.victim, "error": c.error} for c in results.cells if c.error],
        "costs": results.costs.to_dicts(),
        "wall_seconds": results.provenance.get("wall_seconds"),
    }
