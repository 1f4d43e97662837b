"""`sharpap audit`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.markdown import Markdown

from sharpap import folders
from sharpap.assess.audit.audit import Audit, audit
from sharpap.assess.audit.audit_report import Value
from sharpap.assess.audit.vary import own_value, quick, read, variants
from sharpap.assess.folder.save import CELLS
from sharpap.assess.recipe import catalogue_name, dataset_from
from sharpap.assess.tuning.candidates import with_values
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.records import QUARANTINE
from sharpap.cli.console import finite, reporting, stdout
from sharpap.cli.settings import apply
from sharpap.cli.stops import kept_in
from sharpap.config import build, construct, locate
from sharpap.config.objects import parameters
from sharpap.config.space import flatten
from sharpap.errors import ConfigError, ContractError, listed
from sharpap.files import explained, write_text
from sharpap.recommenders import Recommender
from sharpap.report.audit import audit_html, audit_page
from sharpap.tuned import tuned

PAGE, TEXT, RECORD = "audit.html", "audit.md", "audit.json"
OWN = (PAGE, TEXT, RECORD, CELLS, "log.jsonl")
NONE = "none"
SECTIONS = {"attacks": "attack", "detectors": "detector", "removals": "detector", "defenses": "defense"}


def run_audit(
    target: str, shortcuts: dict[str, Any], settings: list[str], vary: list[str], more: dict[str, list[str]],
    out: Path | None, overwrite: bool, jobs: int, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Audit a victim by name or ``module:attribute``, with more attacks and defences than are tried by themselves.

    `--set` paths without a section belong to the audit, e.g. ``draws=5``; those of ``victim.`` to the recommender.
    """
    asked = [] if vary == [NONE] else [read(text) for text in vary]
    folder = out or Path("results") / f"audit-{target.replace(':', '-')}"
    folders.check(folder, "audit", OWN)
    folders.check(folder / CELLS, "work", (QUARANTINE,))
    if (folder / RECORD).exists() and not overwrite:
        raise ConfigError(f"{folder} holds an audit.", hint="Name another --out, or pass --overwrite.")
    recipe: dict[str, Any] = {"audit": {}, "victim": {}}
    own = [entry if entry.startswith(("data.", "victim.")) else f"audit.{entry}" for entry in settings]
    apply(recipe, shortcuts, None, None, own)
    options = dict(recipe["audit"])
    take_tuned = options.pop("tuned", True)
    if not isinstance(take_tuned, bool):
        raise ConfigError(f"tuned={take_tuned!r} is neither true nor false.")
    plan = _plan(options)
    for section, names in more.items():
        plan = replace(plan, **{section: {**getattr(plan, section), **_built(section, {name: {} for name in names})}})
    victim = _victim(target, recipe, take_tuned=take_tuned)
    recommender = victim.make()
    given = [{value: victim.varied(each.setting, value) for value in each.values} for each in asked]
    for each in asked:
        victim.varied(each.setting, (*each.values, 1)[0])  # without values, the name is known
    folders.claim(folder, "audit")
    store = CellStore(folder / CELLS)
    if overwrite:
        store.clear()
    with (
        kept_in(folder / CELLS),
        reporting(quiet=quiet, log=folder / "log.jsonl", append=not overwrite),
        store.session(),
    ):
        dataset, _ = dataset_from(recipe.get("data", {}))
        train = dataset.train.matrix
        paths = {} if vary else quick(recommender, train)
        for each, made in zip(asked, given, strict=True):
            own = own_value(recommender, target, victim.options, each.setting, train)
            paths[each.setting] = variants(each, partial(victim.varied, each.setting), recommender, own, given=made)
        found = audit(dataset, recommender, plan, name=target, vary=paths, origin=victim.origin, store=store, jobs=jobs)
    text = audit_page(found)
    record = finite(asdict(found) | {"needed": {f"{level:g}": found.needed(level) for level in found.LEVELS}})
    with explained(folder):
        write_text(folder / PAGE, audit_html(found))
        write_text(folder / TEXT, text)
        write_text(folder / RECORD, json.dumps(record, indent=2))
    if as_json:
        print(json.dumps(record, indent=2))
        return
    stdout().print(Markdown(text))
    stdout().print(f"Written to {folder}: {PAGE}, {TEXT} and {RECORD}", markup=False, highlight=False)


@dataclass(frozen=True, kw_only=True)
class _Victim:
    """A recommender by name or code, its options, and where they come from."""

    target: str
    options: dict[str, Any]
    origin: str

    def make(self, options: dict[str, Any] | None = None) -> Recommender:
        """The recommender, with its own options or others."""
        table = {"name": self.target, **(self.options if options is None else options)}
        if locate.is_code(table["name"]):
            given = {name: each for name, each in table.items() if name != "name"}
            return locate.recommender(table["name"], given, where="victim")
        return build("victim", table, where="victim")

    def varied(self, setting: str, value: Value) -> Recommender:
        """The recommender with another value of a setting."""
        if isinstance(value, str) and isinstance(self._default(setting), (int, float)):
            raise ConfigError(
                f"--vary {setting}={value}: that is no number, and its default is {self._default(setting)}."
            )
        try:
            return self.make(with_values({"victim": self.options}, {f"victim.{setting}": value})["victim"])
        except (ConfigError, ContractError) as error:
            names = listed(self._settings, 20)
            raise ConfigError(
                f"--vary {setting}={value}: {error.message}",
                hint=f"{error.hint or ''} The settings of {self.target}: {names}.".strip(),
            ) from None

    def _default(self, setting: str) -> object:
        """Of a parameter of the user's code, which need not say of what type it is."""
        found = parameters(locate.locate(self.target)) if locate.is_code(self.target) else {}
        return found[setting].default if setting in found else None

    @property
    def _settings(self) -> list[str]:
        if locate.is_code(self.target):
            return list(parameters(locate.locate(self.target)))
        made: Any = self.make()
        return [field.name for field in fields(made)] if is_dataclass(made) else []


def _plan(options: dict[str, Any]) -> Audit:
    named = {section: options.pop(section) for section in SECTIONS if section in options}
    plan = construct(Audit, options, where="audit")
    for section, chosen in named.items():
        if not isinstance(chosen, (dict, list)):
            raise ConfigError(f"{section}={chosen!r} is no list of names.", hint=f"Write --set '{section}=[\"NAME\"]'.")
        tables = chosen if isinstance(chosen, dict) else {str(key): {} for key in chosen}
        plan = replace(plan, **{section: _built(section, tables)})
    return plan


def _built(section: str, tables: dict[str, Any]) -> dict[str, Any]:
    """Attacks, detectors or defences by name, from their options."""
    return {
        name: build(SECTIONS[section], {"name": name} | options, where=f"{section}.{name}")
        for name, options in tables.items()
    }


def _victim(target: str, recipe: dict[str, Any], *, take_tuned: bool) -> _Victim:
    """Settings of the user's own go before those that were tuned on the data, and these before a class's defaults."""
    options = recipe["victim"]
    if options:
        said = ", ".join(f"{name}={value}" for name, value in flatten(options))
        return _Victim(target=target, options=options, origin=f"Settings given: {said}.")
    source = catalogue_name(recipe)
    found = tuned(source).get(target) if take_tuned else None
    if found is not None:
        said = ", ".join(f"{name}={value}" for name, value in found.settings.items())
        origin = (
            f"Its settings are those tuned on {source}'s validation data: {said}; --set tuned=false takes its defaults."
        )
        return _Victim(target=target, options=dict(found.settings), origin=origin)
    return _Victim(target=target, options={}, origin="" if locate.is_code(target) else "Its settings are its defaults.")
