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
from sharpap.cli.own_code import only_victims
from sharpap.cli.settings import apply, command_victims, item_ids, only
from sharpap.cli.stops import kept_in
from sharpap.config.recipes import read_recipe
from sharpap.data import TargetPool
from sharpap.errors import ConfigError, Interrupted
from sharpap.files import locked
from sharpap.report import show
from sharpap.threat import Goal

DEFAULT_VICTIMS = ["wrmf", "bpr-mf", "lightgcn"]


def run_recipe(
    name: str, shortcuts: dict[str, Any], attacks: list[str] | None, victims: list[str] | None, targets: str | None,
    fakes: str | None, settings: list[str], out: Path | None, overwrite: bool, jobs: int | None, quiet: bool,
    as_json: bool, allow_code: bool = False, commands: list[str] | None = None, allow_commands: bool = False,
    store: Path | None = None, retries: int = 1, backend: str | None = None, cluster: dict[str, Any] | None = None,
    track: list[str] | None = None,
) -> None:  # fmt: skip
    """Run a recipe with overrides, save and show its results. Finished work stays, for runs that go on or ask for more."""
    workers = _workers(backend, cluster or {})
    out = out or Path("results") / name.removesuffix(".toml").lstrip("./")
    check_folder(out, overwrite=True)
    cells = store or out / CELLS
    if cells.resolve() == out.resolve():
        raise ConfigError(
            f"{out} cannot be both the results folder and the store.", hint=f"Name another --store, e.g. {out / CELLS}."
        )
    folders.check(cells, "work", (QUARANTINE,))
    more = command_victims(commands)
    trackers = [tracking.parse(text, out) for text in track or []]
    recipe = read_recipe(name)
    only(recipe, "attacks", attacks)
    code = only_victims(recipe, victims, trusted=allow_code)
    apply(recipe, shortcuts, targets, fakes, settings)
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
    files: list[Path], shortcuts: dict[str, Any], targets: str | None, victims: list[str] | None, settings: list[str],
    out: Path | None, overwrite: bool, quiet: bool, as_json: bool, commands: list[str] | None = None,
) -> None:  # fmt: skip
    """Assess finished profiles on freshly trained victims."""
    if out is not None:
        check_folder(out, overwrite=overwrite)
    more = command_victims(commands)
    recipe: dict[str, Any] = {"victims": [] if more else DEFAULT_VICTIMS}
    code = only_victims(recipe, victims)
    apply(recipe, shortcuts, None, None, settings)
    for section in ("attacks", "budget", "targets"):
        if section in recipe:
            raise ConfigError(
                f"--set {section}...: finished profiles are assessed as they are.",
                hint="Other targets: --targets ITEM,ITEM. Other profiles: `sharpap attack` or `sharpap run`.",
            )
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
    given = {name: value for name, value in cluster.items() if value is not None}
    if backend == "ray":
        return OnRay(**given)
    if given:
        raise ConfigError("--address and the options that end in -per-job are Ray's.", hint="Add --backend ray.")
    return backend


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
