"""`sharpap detect`: all detectors on the stored profiles of a finished run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sharpap.assess import CLEAN
from sharpap.assess.detection import Detection, detect
from sharpap.assess.recipe import dataset_from
from sharpap.assess.saved import check
from sharpap.assess.store import poison_path
from sharpap.attacks.poison_io import load_poison
from sharpap.checksums import note_again
from sharpap.cli.console import finite, loaded, reporting, stdout
from sharpap.cli.settings import apply
from sharpap.config import REGISTRY, build
from sharpap.errors import ConfigError, DataError
from sharpap.files import explained, write_text
from sharpap.folders import MARKER, is_ours
from sharpap.metrics import Interval
from sharpap.report.width import print_whole

RECORD = "detection.json"


def detect_folder(
    folder: Path, wanted: list[str] | None, settings: list[str], seed: int | None, quiet: bool, as_json: bool
) -> None:
    """Score the profiles of a results folder; the figures are written beside them, where the folder is ours.

    `--set` paths begin with a detector, ``pca-varselect.components=5``, or with ``data.``.
    """
    results = loaded(folder)
    recipe: dict[str, Any] = {"data": dict(results.config.get("data", {})), "detectors": {}}
    for name in wanted or REGISTRY["detector"]:
        recipe["detectors"][name] = {}
    apply(recipe, {}, None, None, [each if each.startswith("data.") else f"detectors.{each}" for each in settings])
    chosen = {
        name: build("detector", {"name": name} | options, where=f"detectors.{name}")
        for name, options in recipe["detectors"].items()
    }
    with reporting(quiet=quiet):
        dataset, _ = dataset_from(recipe["data"])
        known = results.provenance.get("dataset", {}).get("fingerprint")
        if known != dataset.fingerprint:
            raise DataError(
                f"{dataset.name} is not the data of this run: its fingerprint is {dataset.fingerprint}, not {known}.",
                path=folder, hint="Say where it lies: --set data.source=PATH.",
            )  # fmt: skip
        cells = [cell for cell in results.cells if cell.attack != CLEAN]
        measured = {(cell.attack, cell.draw) for cell in cells if not cell.error}
        poisons: dict[str, dict[int, Any]] = {}
        for attack, draw in dict.fromkeys((cell.attack, cell.draw) for cell in cells):
            path = poison_path(folder, attack, draw)
            if path.is_file() or (attack, draw) in measured:  # else it was never made
                check(folder, [path.relative_to(folder).as_posix()])
                poisons.setdefault(attack, {})[draw] = load_poison(path, dataset.train)
        if not poisons:
            raise ConfigError(f"The run in {folder} made no profiles.")
        found = detect(dataset.train.matrix, poisons, chosen, seed=seed or 0)
    facts = {"detectors": list(chosen), "detections": [finite(asdict(each)) for each in found]}
    ours = is_ours(folder, "results")
    if ours:
        with explained(folder):
            write_text(folder / RECORD, json.dumps(facts, indent=2))
            note_again(folder, RECORD)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    _show(found, list(poisons))
    end = f"Written to {folder}/{RECORD}" if ours else f"{folder} holds no {MARKER}: nothing is written there."
    stdout().print(f"\n{end}", markup=False, highlight=False)


def _show(found: list[Detection], attacks: list[str]) -> None:
    console = stdout()
    figures = {(each.attack, each.detector): each for each in found}
    names = list(dict.fromkeys(each.detector for each in found))
    guessing = ", ".join(f"{100 * figures[attack, names[0]].guessing:.2g} % ({attack})" for attack in attacks)
    for title, pick in (
        ("AUC: chance that a fake user is ranked above a genuine one (0.50: guessing)", lambda each: each.auc),
        (
            f"precision: fakes among as many suspects as there are fakes (guessing: {guessing})",
            lambda each: each.precision,
        ),
    ):
        console.print(f"\n{title}", markup=False, highlight=False)
        table = Table("detector", box=None, padding=(0, 2), header_style="bold")
        for attack in attacks:
            table.add_column(Text(attack), justify="right")
        for name in names:
            table.add_row(name, *(_interval(pick(figures[attack, name])) for attack in attacks))
        print_whole(console, table)


def _interval(found: Interval) -> str:
    spread = "" if found.n < 2 else f" ({max(found.low, 0):.2f} to {min(found.high, 1):.2f})"
    return f"{found.mean:.2f}{spread}"
