"""Tuning: the settings of an attack or a victim that are best on draws and seeds which the assessment does not report."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import tomli_w

from sharpap import folders
from sharpap.assess.experiment import Experiment
from sharpap.assess.folder.save import CELLS
from sharpap.assess.recipe import experiment_from
from sharpap.assess.tables.summary import leading_k
from sharpap.assess.tuning.asked import Choice, asked
from sharpap.assess.tuning.candidates import AttackCandidates, Candidates, VictimCandidates
from sharpap.assess.tuning.study import STUDY, Plan, Tuned, search
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.code_version import code_version
from sharpap.assess.work.pieces import MEASURED
from sharpap.attacks import Poison
from sharpap.config import allowing
from sharpap.config.recipes import read_recipe
from sharpap.data.targets import TuningPool
from sharpap.errors import ConfigError
from sharpap.files import explained, replacing, write_text
from sharpap.seeds import derive_seed

TRIALS, BEST = "trials.parquet", "best.toml"
OWN = (STUDY, f"{STUDY}.lock", TRIALS, BEST, CELLS, "log.jsonl")


def tune(
    recipe: dict[str, Any] | str | Path,
    space: Mapping[str, Any] | None = None,
    *,
    out: str | Path,
    judges: tuple[str, ...] = (),
    code: frozenset[str] = frozenset(),
    allow_commands: bool = False,
    jobs: int = 1,
    **options: Any,
) -> Tuned:
    """Search the settings of one attack or one victim of a recipe, and write best.toml, which `sharpap run` takes.

    Nothing that the recipe reports is used: targets come from the other end of the pool (`TuningPool`), attacks and victims
    have seeds of a stream of their own, and victims are judged on validation interactions.

    Args:
        recipe: name, path or table; its [tune] table may hold `options` and `space`.
        space: dotted path to a range "LOW:HIGH[:log]" or a list of choices; paths start with attack, budget or victim.
        out: folder for the study, the table of candidates and best.toml. A search that is there goes on.
        judges: victims that judge an attack; none: all of the recipe's.
        code, allow_commands: as in `experiment_from`.
        jobs: trainings of an attack's judges at once; a victim is tuned by one process. It does not change what is found.
        **options: fields of `Plan`, over those of the recipe.

    Raises:
        ConfigError: Optuna is missing, or a setting or a range that does not fit. DataError: the pool is too small to keep
            tuning and reported targets apart. TrainingError: every candidate failed.
    """
    folder = Path(out)
    table = copy.deepcopy(recipe) if isinstance(recipe, dict) else read_recipe(recipe)
    plan, dimensions, chosen = asked(table, space or {}, judges, options, Plan)
    experiment, config = experiment_from(table, code, allow_commands=allow_commands)
    candidates, tuned_on = _candidates(experiment, config, plan, chosen, folder, frozenset(code), jobs)
    ranges = {dimension.path: list(dimension.choices) or dimension.text for dimension in dimensions}
    how = {field.name: getattr(plan, field.name) for field in fields(Plan)} | {"space": ranges}
    how |= {chosen.section.removesuffix("s"): chosen.name}
    parts = [getattr(experiment, chosen.section)[chosen.name], *(experiment.victims[name] for name in chosen.judges)]
    settings = {
        "code": code_version(*parts, modules=("sharpap.attacks.base", *MEASURED)), "recipe": config,
        "data": experiment.dataset.fingerprint, "judges": chosen.judges,
        "plan": {key: value for key, value in how.items() if key != "trials"},
    }  # fmt: skip
    claim_folder(folder, overwrite=False)
    with allowing(commands=allow_commands):
        found = search(candidates, dimensions, plan, folder=folder, settings=settings, seed=experiment.seed)
    kept = {key: value for key, value in how.items() if value is not None}
    _write(found, folder, _best(config, found, chosen) | {"tune": kept | {"tuned_on": tuned_on}})
    return found


def claim_folder(folder: Path, *, overwrite: bool) -> None:
    """Make a folder that of a search, or find that it is; with `overwrite` the search in it is removed.

    Raises:
        ConfigError: it is someone else's. StorageError: it cannot be made, or a file in it is a link.
    """
    folders.claim(folder, "tuning", OWN)
    if overwrite:
        CellStore(folder / CELLS).clear()
        with explained(folder):
            for name in (STUDY, TRIALS, BEST):
                (folder / name).unlink(missing_ok=True)


def _candidates(
    experiment: Experiment, config: dict[str, Any], plan: Plan, chosen: Choice, folder: Path, code: frozenset[str],
    jobs: int,
) -> tuple[Candidates, list[Any]]:  # fmt: skip
    """What is compared, and the external ids of the targets it is compared on."""
    inner = replace(
        experiment, attacks={}, seeds=plan.seeds, seed=derive_seed(experiment.seed, "tune"), sharpness=False,
    )  # fmt: skip
    if chosen.section == "victims":
        inner = replace(inner, ks=(plan.k or leading_k(experiment.ks, 20),))
        return VictimCandidates(tables={"victim": config["victims"][chosen.name]}, experiment=inner, code=code), []
    if isinstance(experiment.attacks[chosen.name], Poison):
        raise ConfigError(f"{chosen.name} is a file of finished profiles; it has no settings to tune.")
    pool = experiment.targets
    if pool.items:
        raise ConfigError(
            "Named targets are those that are reported; tuning needs others.",
            hint="Tune on a pool (--targets unpopular), then run best.toml with your --targets.",
        )
    targets = TuningPool(
        kind=pool.kind, size=pool.size, min_count=pool.min_count, draws=plan.draws, root=experiment.seed,
        reported=pool.draws,
    )  # fmt: skip
    victims = {name: experiment.victims[name] for name in chosen.judges}
    inner = replace(inner, ks=(plan.k or leading_k(experiment.ks),), targets=targets, victims=victims)
    candidates = AttackCandidates(
        name=chosen.name, tables={"attack": config["attacks"][chosen.name], "budget": config["budget"]},
        experiment=inner, store=CellStore(folder / CELLS), jobs=jobs,
    )  # fmt: skip
    numbers = sorted(target for goal in inner.goals() for target in goal.targets)
    return candidates, experiment.dataset.train.item_ids[numbers].tolist()


def _best(config: dict[str, Any], found: Tuned, chosen: Choice) -> dict[str, Any]:
    """The whole recipe with the best settings in place."""
    tables = found.tables
    made = config | {chosen.section: config[chosen.section] | {chosen.name: tables[chosen.section.removesuffix("s")]}}
    return made | ({"budget": tables["budget"]} if "budget" in tables else {})


def _write(found: Tuned, folder: Path, recipe: dict[str, Any]) -> None:
    """best.toml and trials.parquet."""
    head = (
        f"# Written by sharpap tune: {found.metric} {found.value:.6f}, the best of {found.trials.height} candidates.\n"
    )
    if recipe["tune"]["tuned_on"]:
        head += "# Chosen on the targets of [tune] tuned_on; `sharpap run` with this file measures on others.\n"
    write_text(folder / BEST, head + tomli_w.dumps(recipe))
    with replacing(folder / TRIALS) as temporary:
        found.trials.write_parquet(temporary)
