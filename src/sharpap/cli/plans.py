"""What a verb is asked to do, as tables, checked word by word before any model is imported."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sharpap.cli import names
from sharpap.cli.own_code import only_victims, own_names
from sharpap.cli.settings import apply, only
from sharpap.cli.victims import victim_of
from sharpap.config import build, construct, locate
from sharpap.config.objects import outlined
from sharpap.config.outline import stand_in
from sharpap.config.recipes import read_recipe
from sharpap.config.sections import check, check_data, table_of
from sharpap.config.varied import Vary, read
from sharpap.errors import ConfigError, suggest

DEFAULT_VICTIMS = ["wrmf", "bpr-mf", "lightgcn"]
BASELINE = "random"
BACKENDS = ("serial", "processes", "ray")
PARTS = {"attacks": "attack", "detectors": "detector", "removals": "detector", "defenses": "defense"}  # of an audit
Recipe = dict[str, Any]


def of_run(
    name: str, shortcuts: Recipe, attacks: list[str] | None, victims: list[str] | None, targets: str | None,
    fakes: str | None, settings: list[str], *, allow_code: bool, allow_commands: bool,
) -> tuple[Recipe, frozenset[str]]:  # fmt: skip
    """The recipe of `sharpap run`, and the code that it may import."""
    recipe = read_recipe(name)
    only(recipe, "attacks", attacks)
    code = only_victims(recipe, victims, trusted=allow_code)
    apply(recipe, shortcuts, targets, fakes, settings)
    return _checked(recipe, code, allow_commands), code


def of_evaluate(
    shortcuts: Recipe, victims: list[str] | None, settings: list[str], *, commands: bool
) -> tuple[Recipe, frozenset[str]]:
    """The recipe of `sharpap evaluate`, without its profiles, and the code that it may import."""
    recipe: Recipe = {"victims": [] if commands else DEFAULT_VICTIMS}
    code = only_victims(recipe, victims)
    apply(recipe, shortcuts, None, None, settings)
    for section in ("attacks", "budget", "targets"):
        if section in recipe:
            raise ConfigError(
                f"--set {section}...: finished profiles are assessed as they are.",
                hint="Other targets: --targets ITEM,ITEM. Other profiles: `sharpap attack` or `sharpap run`.",
            )
    return _checked(recipe, code), code


def of_attack(
    name: str, shortcuts: Recipe, targets: str | None, draw: int, fakes: str | None, settings: list[str]
) -> Recipe:
    """The recipe of `sharpap attack`. `--set` paths without a section belong to the attack, e.g. ``epochs=10``."""
    recipe: Recipe = {"attacks": {name: {}}, "victims": ["popularity"]}
    sections = ("data.", "targets.", "budget.", "seed=", "direction=")
    own = [entry if entry.startswith(sections) else f"attacks.{name}.{entry}" for entry in settings]
    apply(recipe, shortcuts, targets, fakes, own)
    table_of(recipe, "targets")
    recipe.setdefault("targets", {}).setdefault("draws", draw + 1)
    return _checked(recipe)


def of_tune(
    name: str, space: dict[str, Any], shortcuts: Recipe, plan: Recipe, victims: list[str] | None, targets: str | None,
    fakes: str | None, settings: list[str], *, allow_code: bool, allow_commands: bool,
) -> tuple[Recipe, tuple[str, ...], frozenset[str]]:  # fmt: skip
    """The recipe of `sharpap tune`, the victims that judge, and the code that it may import."""
    from sharpap.assess.tuning.asked import asked

    recipe = read_recipe(name)
    judges, code = own_names(recipe, victims, trusted=allow_code)
    apply(recipe, shortcuts, targets, fakes, settings)
    table = copy.deepcopy(recipe)
    with outlined():
        _, dimensions, chosen = asked(table, space, judges, plan, stand_in("Plan"))
    _checked(table, code, allow_commands)
    kind = chosen.section.removesuffix("s")
    for dimension in dimensions:
        head, _, path = dimension.path.partition(".")
        place = f"{chosen.section}.{chosen.name}" if head == kind else head
        for probe in dimension.probes:
            tried = copy.deepcopy(table)
            apply(tried, {f"{place}.{path}": probe}, None, None, [])
            check(tried, code, allow_commands=allow_commands)
    return recipe, judges, code


def of_victim(target: str, data: str | None, threshold: float | None, settings: list[str]) -> Recipe:
    """Of a verb about one victim: its "options", and "data". `--set` paths outside ``data.`` are its options."""
    recipe: Recipe = {"options": {}}
    own = [entry if entry.startswith("data.") else f"options.{entry}" for entry in settings]
    apply(recipe, {"data.source": data, "data.threshold": threshold}, None, None, own)
    _check_victim(target, recipe["options"])
    _check_source(recipe)
    return recipe


def of_data(shortcuts: Recipe, settings: list[str]) -> Recipe:
    """Of `sharpap data show`: "data" alone. `--set` paths belong to it."""
    recipe: Recipe = {}
    own = [entry if entry.startswith("data.") else f"data.{entry}" for entry in settings]
    apply(recipe, shortcuts, None, None, own)
    _check_source(recipe)
    return recipe


def of_certify(fakes: str, vote: dict[str, int]) -> list[int]:
    """The numbers of fakes of `sharpap certify`; the vote is checked."""
    with outlined():
        build("defense", {"name": "certified-bagging", **vote}, where="certify")
    try:
        return [int(each) for each in fakes.split(",")]
    except ValueError:
        raise ConfigError(f"--fakes {fakes} is not a list of whole numbers.", hint="Such as --fakes 1,5,9.") from None


def of_detect(config: Recipe, wanted: list[str] | None, settings: list[str], victim: str | None) -> Recipe:
    """Of `sharpap detect`: "data" and "detectors", the random one before the named; others only where `--set` names them.

    `--set` paths begin with a detector, ``pca-varselect.components=5``, or with ``data.``.
    """
    recipe: Recipe = {
        "data": dict(config.get("data", {})),
        "detectors": {name: {} for name in dict.fromkeys([BASELINE, *(wanted or [])])},
    }
    apply(recipe, {}, None, None, [each if each.startswith("data.") else f"detectors.{each}" for each in settings])
    with outlined():
        for name, options in recipe["detectors"].items():
            build("detector", {"name": name} | options, where=f"detectors.{name}")
        if victim is not None and victim not in config.get("victims", {}):
            build("victim", victim, where="--victim")
    _check_source(recipe)
    return recipe


def of_audit(target: str, shortcuts: Recipe, settings: list[str], vary: list[str]) -> Recipe:
    """Of `sharpap audit`: "audit", "victim" and "data".

    `--set` paths without a section belong to the audit, e.g. ``draws=5``; those of ``victim.`` to the recommender.
    """
    recipe: Recipe = {"audit": {}, "victim": {}}
    own = [entry if entry.startswith(("data.", "victim.")) else f"audit.{entry}" for entry in settings]
    apply(recipe, shortcuts, None, None, own)
    options = dict(recipe["audit"])
    take_tuned = options.pop("tuned", True)
    if not isinstance(take_tuned, bool):
        raise ConfigError(f"tuned={take_tuned!r} is neither true nor false.")
    _check_source(recipe)
    with outlined():
        audit_settings(options, stand_in("Audit"))
        victim = victim_of(target, recipe, take_tuned=take_tuned)
        for each in varied(vary) if not locate.is_code(target) else ():
            for value in each.values or (1,):
                victim.varied(each.setting, value)
    _check_victim(target, recipe["victim"])
    return recipe


def varied(texts: list[str]) -> list[Vary]:
    """What `--vary` asks for."""
    return [] if texts == ["none"] else [read(text) for text in texts]


def audit_settings(options: Recipe, cls: Any, more: Mapping[str, list[str]] | None = None) -> Any:
    """The settings of an audit, of the class `Audit` or its stand-in.

    Attacks, detectors and defences are built by their names; `more` stand beside them.
    """
    options = dict(options)
    given = {part: options.pop(part) for part in PARTS if part in options}
    settings = construct(cls, options, where="audit")
    for part, chosen in given.items():
        if not isinstance(chosen, (dict, list)):
            raise ConfigError(f"{part}={chosen!r} is no list of names.", hint=f"Write --set '{part}=[\"NAME\"]'.")
        tables = chosen if isinstance(chosen, dict) else {str(key): {} for key in chosen}
        settings = replace(settings, **{part: _built(part, tables)})
    for part, chosen in (more or {}).items():
        settings = replace(
            settings, **{part: {**getattr(settings, part), **_built(part, {name: {} for name in chosen})}}
        )
    return settings


def _built(part: str, tables: Recipe) -> dict[str, Any]:
    return {name: build(PARTS[part], {"name": name} | table, where=f"{part}.{name}") for name, table in tables.items()}


def refuse_backend(backend: str | None, cluster: Recipe) -> None:
    """Raise `ConfigError` for a backend that there is not, and for options of Ray without it."""
    if backend is not None and backend not in BACKENDS:
        raise ConfigError(f"There is no backend {backend!r}.", hint=suggest(backend, BACKENDS))
    if backend != "ray" and any(value is not None for value in cluster.values()):
        raise ConfigError("--address and the options that end in -per-job are Ray's.", hint="Add --backend ray.")


def _checked(recipe: Recipe, code: frozenset[str] = frozenset(), allow_commands: bool = False) -> Recipe:
    check(recipe, code, allow_commands=allow_commands)
    names.check_source(table_of(recipe, "data").get("source", "ml-100k"))
    return recipe


def _check_victim(target: str, options: Recipe) -> None:
    if not locate.is_code(target):
        with outlined():
            build("victim", {"name": target, **options})


def _check_source(recipe: Recipe) -> None:
    data = table_of(recipe, "data")
    check_data(data)
    names.check_source(data.get("source", "ml-100k"))
