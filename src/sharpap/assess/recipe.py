"""Recipes: a TOML table becomes an `Experiment`, checked option by option."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from sharpap import progress
from sharpap.assess.experiment import Experiment
from sharpap.assess.tables.reported import Reported
from sharpap.attacks import Attack, Poison
from sharpap.attacks.poison_io import load_poison
from sharpap.config import allowing, build, construct, describe, locate
from sharpap.data import Dataset, Options, TargetPool, load, synthetic
from sharpap.errors import ConfigError, suggest
from sharpap.recommenders import Recommender
from sharpap.threat import Budget
from sharpap.tuned import TunedVictim, tuned

SETTINGS = ("seeds", "ks", "seed", "direction", "sharpness", "fake_order")
SECTIONS = ("data", "targets", "budget", "attacks", "victims", *SETTINGS, "tuned", "title", "reported", "tune")
# The split as a recipe may have it, and as the results folder does.
_LEFT_OUT = ("leave-one-out", {"name": "leave-one-out"}, {"name": "leave-one-out", "by": "time", "valid": True})


def experiment_from(
    table: dict[str, Any], code: Container[str] = (), *, more_victims: Mapping[str, Recommender] | None = None,
    allow_commands: bool = False,
) -> tuple[Experiment, dict[str, Any]]:  # fmt: skip
    """The experiment of a recipe, and the recipe with every default spelled out.

    Args:
        table: the recipe.
        code: victims of the form ``module:attribute`` that may be imported: those the user named, never the recipe alone.
        more_victims: victims beside those of the recipe.
        allow_commands: let the recipe name victims that run a command or call a server.

    Raises:
        ConfigError: an unknown section, name or option, or a value that does not fit. DataError, DownloadError: from
            loading the data.
    """
    for key in table:
        if key not in SECTIONS:
            raise ConfigError(f"A recipe has no section {key!r}.", hint=suggest(key, SECTIONS))
    settings = {key: _checked(key, table[key]) for key in SETTINGS if key in table}
    title: dict[str, Any] = {"title": str(table["title"])} if "title" in table else {}
    if "reported" in table:
        title["reported"] = [describe(figure) for figure in _reported(table["reported"])]
    tuning = table_of(table, "tune")
    title |= {"tune": tuning} if tuning else {}
    targets = construct(TargetPool, table_of(table, "targets"), where="targets")
    budget = construct(Budget, table_of(table, "budget"), where="budget")
    found = tuned(catalogue_name(table)) if _fitting(bool, table.get("tuned", False), "tuned") else {}
    victims, described_victims = {}, {}
    with allowing(commands=allow_commands):
        for name, value in entries(table, "victims").items():
            victims[name], described_victims[name] = _victim(name, with_tuned(_named(name, value), found), code)
        attacks = {
            name: value
            if isinstance(value, dict) and "file" in value
            else build("attack", _named(name, value), where=f"attacks.{name}")
            for name, value in entries(table, "attacks").items()
        }
    for name, victim in (more_victims or {}).items():
        if name in victims:
            raise ConfigError(f"There are two victims called {name!r}.")
        victims[name], described_victims[name] = victim, describe(victim, "victim")
    dataset, data = dataset_from(table_of(table, "data"))
    described = {
        name: attack if isinstance(attack, dict) else describe(attack, "attack") for name, attack in attacks.items()
    }
    experiment = Experiment(
        dataset=dataset,
        attacks={name: _finished(attack, dataset, name) for name, attack in attacks.items()},
        victims=victims, targets=targets, budget=budget, **settings,
    )  # fmt: skip
    _compare_targets(experiment, tuning.get("tuned_on", []))
    _compare_users(experiment)
    return experiment, {
        **title, **experiment.facts(), "data": data, "targets": describe(targets), "budget": describe(budget),
        "attacks": described, "victims": described_victims,
    }  # fmt: skip


def dataset_from(table: dict[str, Any]) -> tuple[Dataset, dict[str, Any]]:
    """The dataset of a recipe's data section, ``{"source": "ml-100k", "threshold": 4, ...}``, and the section in full."""
    options = dict(table)
    source = options.pop("source", "ml-100k")
    if not isinstance(source, str):
        raise ConfigError(f"data.source: expected a name or a path, not {source!r}.")
    known = {field.name for field in fields(Options)}
    checked = construct(Options, {key: value for key, value in options.items() if key in known}, where="data")
    extra = {key: value for key, value in options.items() if key not in known}
    if extra and source != "synthetic":
        raise ConfigError(f"data: there is no option {next(iter(extra))!r}.", hint=suggest(next(iter(extra)), known))
    hints = get_type_hints(synthetic)
    extra = {key: _fitting(hints[key], value, f"data.{key}") if key in hints else value for key, value in extra.items()}
    given = {key: getattr(checked, key) for key in options if key in known}
    described = describe(given) | ({"split": describe(checked.split, "split")} if checked.split else {})
    return load(source, **given, **extra), {"source": source, **extra, **described}


def with_tuned(victim: Any, found: Mapping[str, TunedVictim]) -> Any:
    """A victim's table with the settings that were tuned on its dataset, where it has none of its own; a victim under a
    defence, with those of the recommender inside.
    """
    name = victim.get("name") if isinstance(victim, dict) else victim
    if isinstance(victim, dict) and name == "defended":
        return victim | {"recommender": with_tuned(victim.get("recommender", "wrmf"), found)}
    if not isinstance(name, str) or name not in found:
        return victim
    return {"name": name, **found[name].settings, **(victim if isinstance(victim, dict) else {})}


def catalogue_name(recipe: dict[str, Any]) -> str:
    """The dataset of a recipe that takes it as the catalogue prepares it, or so but for leaving one out, or ""."""
    data = table_of(recipe, "data")
    source, more = str(data.get("source", "ml-100k")), {key: value for key, value in data.items() if key != "source"}
    if set(more) == {"split"} and more["split"] in _LEFT_OUT:
        return f"{source}-leave-one-out"
    return "" if more else source


def _compare_targets(experiment: Experiment, tuned_on: Any) -> None:
    """Warn of reported targets on which the recipe's settings were chosen."""
    if not tuned_on:
        return
    if not isinstance(tuned_on, list):
        raise ConfigError(f"tune.tuned_on: expected a list of item ids, not {tuned_on!r}.")
    ids = experiment.dataset.train.item_ids
    reported = {str(ids[target]) for goal in experiment.goals() for target in goal.targets}
    both = sorted(reported & {str(item) for item in tuned_on})
    if both:
        message = f"{len(both)} of the targets are among those the settings were tuned on: {', '.join(both[:5])}."
        progress.event("warning", message=message)


def _compare_users(experiment: Experiment) -> None:
    """Warn of attacks that do not look at the users the recipe aims at."""
    if experiment.targets.users is None and experiment.targets.fans_of is None:
        return
    blind = [
        name
        for name, attack in experiment.attacks.items()
        if not isinstance(attack, Poison) and not getattr(attack, "aims_at_users", False)
    ]
    if blind:
        progress.event(
            "warning", message=f"These attacks aim at everybody, not at the users named: {', '.join(blind)}."
        )


def _reported(value: Any) -> list[Reported]:
    if not isinstance(value, list) or not all(isinstance(figure, dict) for figure in value):
        raise ConfigError("reported: expected a list of tables, [[reported]].")
    return [construct(Reported, figure, where=f"reported[{place}]") for place, figure in enumerate(value)]


def table_of(recipe: dict[str, Any], key: str) -> dict[str, Any]:
    """A section that must be a table; empty where there is none."""
    value = recipe.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{key}: expected a table, not {value!r}.")
    return value


def entries(recipe: dict[str, Any], key: str) -> dict[str, Any]:
    """The attacks or victims of a recipe: a table of tables, or a list of names."""
    value = recipe.get(key, {})
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    return table_of(recipe, key)


def _named(key: str, value: Any) -> Any:
    """A table without a name takes its key in the recipe as its name."""
    return {"name": key, **value} if isinstance(value, dict) and "name" not in value else value


def _victim(key: str, value: Any, code: Container[str]) -> tuple[Recommender, dict[str, Any]]:
    """A victim and the table that makes it again."""
    name = value.get("name") if isinstance(value, dict) else value
    if locate.is_code(name) and name in code:
        options = (
            {option: given for option, given in value.items() if option != "name"} if isinstance(value, dict) else {}
        )
        return locate.recommender(name, options, where=f"victims.{key}"), {"name": name, **options}
    made = build("victim", value, where=f"victims.{key}")
    return made, describe(made, "victim")


def _finished(attack: Attack | dict[str, Any], dataset: Dataset, name: str) -> Any:
    if not isinstance(attack, dict):
        return attack
    if set(attack) != {"file"}:
        raise ConfigError(f"attacks.{name}: an attack from a file takes no further options.")
    if not isinstance(attack["file"], str):
        raise ConfigError(f"attacks.{name}.file: expected a path, not {attack['file']!r}.")
    return load_poison(Path(attack["file"]), dataset.train)


def _checked(key: str, value: Any) -> Any:
    return _fitting(get_type_hints(Experiment)[key], value, key)


def _fitting(hint: Any, value: Any, where: str) -> Any:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise ConfigError(f"{where}: {value!r} does not fit: {error.errors()[0]['msg'].lower()}.") from None
