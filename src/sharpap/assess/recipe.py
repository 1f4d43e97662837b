"""Recipes: a TOML table becomes an `Experiment`, checked option by option."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, get_type_hints

from sharpap import progress
from sharpap.assess.experiment import Experiment
from sharpap.assess.tables.reported import Reported
from sharpap.attacks import Attack, Poison
from sharpap.attacks.poison_io import load_poison
from sharpap.config import allowing, build, construct, describe, locate
from sharpap.config.sections import (
    SETTINGS,
    catalogue_name,
    data_options,
    entries,
    fitting,
    named,
    refuse_unknown,
    table_of,
)
from sharpap.data import Dataset, Options, TargetPool, load, synthetic
from sharpap.errors import ConfigError
from sharpap.recommenders import Recommender
from sharpap.threat import Budget
from sharpap.tuned import TunedVictim, tuned


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
    refuse_unknown(table)
    settings = {key: _checked(key, table[key]) for key in SETTINGS if key in table}
    title: dict[str, Any] = {"title": str(table["title"])} if "title" in table else {}
    if "reported" in table:
        title["reported"] = [describe(figure) for figure in _reported(table["reported"])]
    tuning = table_of(table, "tune")
    title |= {"tune": tuning} if tuning else {}
    targets = construct(TargetPool, table_of(table, "targets"), where="targets")
    budget = construct(Budget, table_of(table, "budget"), where="budget")
    found = tuned(catalogue_name(table)) if fitting(bool, table.get("tuned", False), "tuned") else {}
    victims, described_victims = {}, {}
    with allowing(commands=allow_commands):
        for name, value in entries(table, "victims").items():
            victims[name], described_victims[name] = _victim(name, with_tuned(named(name, value), found), code)
        attacks = {
            name: value
            if isinstance(value, dict) and "file" in value
            else build("attack", named(name, value), where=f"attacks.{name}")
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
    source, checked, extra = data_options(table, Options, get_type_hints(synthetic))
    given = {key: getattr(checked, key) for key in table if key in Options.__dataclass_fields__}
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
    return fitting(get_type_hints(Experiment)[key], value, key)
