"""`sharpap audit`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.markdown import Markdown

from sharpap import folders
from sharpap.assess.audit import Audit, audit
from sharpap.assess.cells import CellStore
from sharpap.assess.recipe import dataset_from
from sharpap.assess.records import QUARANTINE
from sharpap.assess.store import CELLS
from sharpap.cli.console import finite, reporting, stdout
from sharpap.cli.settings import apply
from sharpap.cli.stops import kept_in
from sharpap.config import build, construct, locate
from sharpap.errors import ConfigError
from sharpap.files import explained, write_text
from sharpap.report.audit import audit_html, audit_page

PAGE, TEXT, RECORD = "audit.html", "audit.md", "audit.json"
OWN = (PAGE, TEXT, RECORD, CELLS, "log.jsonl")
SECTIONS = {"attacks": "attack", "detectors": "detector", "defenses": "defense"}


def run_audit(
    target: str, shortcuts: dict[str, Any], settings: list[str], out: Path | None, overwrite: bool, jobs: int,
    quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Audit a victim by name or ``module:attribute``.

    `--set` paths without a section belong to the audit, e.g. ``draws=5``; those of ``victim.`` to the recommender.
    """
    folder = out or Path("results") / f"audit-{target.replace(':', '-')}"
    folders.check(folder, "audit", OWN)
    folders.check(folder / CELLS, "work", (QUARANTINE,))
    if (folder / RECORD).exists() and not overwrite:
        raise ConfigError(f"{folder} holds an audit.", hint="Name another --out, or pass --overwrite.")
    recipe: dict[str, Any] = {"audit": {}, "victim": {}}
    own = [entry if entry.startswith(("data.", "victim.")) else f"audit.{entry}" for entry in settings]
    apply(recipe, shortcuts, None, None, own)
    options = dict(recipe["audit"])
    named = {section: options.pop(section) for section in SECTIONS if section in options}
    plan = construct(Audit, options, where="audit")
    for section, chosen in named.items():
        if not isinstance(chosen, (dict, list)):
            raise ConfigError(f"{section}={chosen!r} is no list of names.", hint=f"Write --set '{section}=[\"NAME\"]'.")
        tables = chosen if isinstance(chosen, dict) else {str(key): {} for key in chosen}
        made = {
            name: build(SECTIONS[section], {"name": name} | options, where=f"{section}.{name}")
            for name, options in tables.items()
        }
        plan = replace(plan, **{section: made})
    if locate.is_code(target):
        recommender = locate.recommender(target, recipe["victim"], where="victim")
    else:
        recommender = build("victim", {"name": target} | recipe["victim"], where="victim")
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
        found = audit(dataset, recommender, plan, name=target, store=store, jobs=jobs)
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
