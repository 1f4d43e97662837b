"""`sharpap audit`."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.markdown import Markdown

from sharpap import folders, progress
from sharpap.assess.audit.audit import Audit, audit
from sharpap.assess.audit.vary import own_value, quick, variants
from sharpap.assess.folder.save import CELLS
from sharpap.assess.recipe import dataset_from
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.records import QUARANTINE
from sharpap.cli.console import finite, reporting, stdout
from sharpap.cli.plans import audit_settings, varied
from sharpap.cli.stops import kept_in
from sharpap.cli.victims import victim_of
from sharpap.errors import ConfigError
from sharpap.files import explained, write_text
from sharpap.report.audit import audit_html, audit_page

PAGE, TEXT, RECORD = "audit.html", "audit.md", "audit.json"
OWN = (PAGE, TEXT, RECORD, CELLS, "log.jsonl")


def run_audit(
    target: str, recipe: dict[str, Any], vary: list[str], more: dict[str, list[str]], out: Path | None, overwrite: bool,
    jobs: int | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Audit a victim by name or ``module:attribute`` (`plans.of_audit`), with `more` attacks and defences than by itself."""
    asked = varied(vary)
    folder = out or Path("results") / f"audit-{target.replace(':', '-')}"
    folders.check(folder, "audit", OWN)
    folders.check(folder / CELLS, "work", (QUARANTINE,))
    if (folder / RECORD).exists() and not overwrite:
        raise ConfigError(f"{folder} holds an audit.", hint="Name another --out, or pass --overwrite.")
    options = dict(recipe["audit"])
    victim = victim_of(target, recipe, take_tuned=options.pop("tuned", True))
    plan = audit_settings(options, Audit, more)
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
        jobs = jobs or _jobs(recommender)
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


def _jobs(recommender: Any) -> int:
    """Two processes where two processors are free, and the recommender can be sent to another process; says what it is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    free = max(0, round(cores - busy))
    try:
        pickle.dumps(recommender)
    except Exception:  # whatever an object of the user's raises that cannot be sent
        free = 1
    jobs = 2 if free >= 2 else 1
    progress.event(
        "jobs", message=f"{jobs} at once, of {cores} processors ({busy:.1f} busy); --jobs N chooses another number"
    )
    return jobs
