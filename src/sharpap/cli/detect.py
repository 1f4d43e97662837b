"""`sharpap detect`: all detectors on the stored profiles of a finished run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text
from scipy.sparse import csr_array

from sharpap.assess import CLEAN, Results
from sharpap.assess.audit.detection import Detection, detect, references, retraining, usable
from sharpap.assess.folder.load import check
from sharpap.assess.folder.save import poison_path
from sharpap.assess.recipe import dataset_from, with_tuned
from sharpap.assess.tables.summary import leading_k
from sharpap.attacks import Poison, RandomAttack
from sharpap.attacks.poison_io import load_poison
from sharpap.checksums import note_again
from sharpap.cli.console import finite, reporting, stdout
from sharpap.cli.plans import BASELINE
from sharpap.config import build
from sharpap.config.sections import catalogue_name
from sharpap.errors import ConfigError, DataError
from sharpap.files import explained, write_text
from sharpap.folders import MARKER, is_ours
from sharpap.metrics import Interval
from sharpap.recommenders import Recommender
from sharpap.report.width import print_whole
from sharpap.seeds import derive_seed
from sharpap.threat import Budget
from sharpap.tuned import tuned

RECORD = "detection.json"


def detect_folder(
    folder: Path, results: Results, recipe: dict[str, Any], wanted: list[str] | None, seed: int | None, quiet: bool,
    as_json: bool, victim: str | None = None,
) -> None:  # fmt: skip
    """Score the profiles of a results folder; the figures are written beside them, where the folder is ours.

    The random detector and the random attack stand beside all others, whether the run has them or not. With a victim, it is
    trained without each detector's suspects.

    Args:
        folder, results: where, and what is there.
        recipe: see `plans.of_detect`.
        wanted: detectors by name; None: all that can be used.
        seed, quiet, as_json, victim: options of the verb.
    """
    set_up = recipe["detectors"]
    tables = {name: set_up.get(name, {}) for name in dict.fromkeys([BASELINE, *(wanted or usable()), *set_up])}
    chosen = {
        name: build("detector", {"name": name} | options, where=f"detectors.{name}") for name, options in tables.items()
    }
    recommender = None if victim is None else _victim(victim, results.config)
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
        train = dataset.train.matrix
        if BASELINE not in poisons:
            size = results.config.get("budget", {}).get("profile_size")
            poisons[BASELINE] = _baseline(train, next(iter(poisons.values())), size)
        k = leading_k(tuple(results.config.get("ks", (10,))))
        again = None if recommender is None else retraining(dataset, recommender, poisons, k=k, seed=seed or 0)
        found = detect(train, poisons, chosen, seed=seed or 0, retrain=again)
        beside = references(train, poisons, again) if again else {}
    facts: dict[str, Any] = {"detectors": list(chosen), "detections": [finite(asdict(each)) for each in found]}
    if beside:
        shown = {
            attack: {who: {key: asdict(x) for key, x in y.items()} for who, y in z.items()}
            for attack, z in beside.items()
        }
        facts |= {"victim": victim, "k": k, "references": finite(shown)}
    ours = is_ours(folder, "results")
    if ours:
        with explained(folder):
            write_text(folder / RECORD, json.dumps(facts, indent=2))
            note_again(folder, RECORD)
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    _show(found, list(poisons))
    if beside:
        _show_aftermath(found, beside, f"{victim}, k={k}")
    end = f"Written to {folder}/{RECORD}" if ours else f"{folder} holds no {MARKER}: nothing is written there."
    stdout().print(f"\n{end}", markup=False, highlight=False)


def _victim(name: str, config: dict[str, Any]) -> Recommender:
    """A victim of the run with its settings, or any other with those that were tuned on the data, else with its defaults."""
    known = config.get("victims", {})
    if name in known:
        return build("victim", known[name], where=f"victims.{name}")
    return build("victim", with_tuned(name, tuned(catalogue_name(config))), where="--victim")


def _baseline(train: csr_array, made: dict[int, Poison], size: int | None) -> dict[int, Poison]:
    """The random attack with the targets and the number of other profiles, of the size that the run allowed."""
    found = {}
    for draw, poison in made.items():
        budget = Budget(fake_users=poison.num_fake, profile_size=size)
        found[draw] = RandomAttack().poison(train, poison.goal, budget, seed=derive_seed(poison.seed, "baseline"))
    return found


def _show(found: list[Detection], attacks: list[str]) -> None:
    guess = {each.attack: each.guessing for each in found}
    guessing = ", ".join(f"{share:.2g} ({attack})" for attack, share in guess.items())
    figures: list[tuple[str, Callable[[Detection], str]]] = [
        (
            "AUC: chance that a fake user is ranked above a genuine one (0.50: guessing)",
            lambda each: _interval(each.auc),
        ),
        (f"average precision (guessing: {guessing})", lambda each: _interval(each.average_precision)),
        (
            f"precision: fakes among as many suspects as there are fakes (guessing: {guessing})",
            lambda each: _interval(each.precision),
        ),
        (
            "genuine users among the suspects, and how many items they hold (1: as many as genuine users do on average)",
            lambda each: f"{each.lost:.0f}" + ("" if each.lost_size != each.lost_size else f" ({each.lost_size:.1f})"),
        ),
    ]
    for title, shown in figures:
        _table(title, found, attacks, shown)


def _show_aftermath(found: list[Detection], beside: dict[str, dict[str, dict[str, Interval]]], victim: str) -> None:
    for key, title in (
        ("hits", "share of genuine users with a target in their list"),
        ("ndcg", "NDCG of genuine users on held-out interactions"),
    ):
        first = [
            [who, *(_interval(each[who][key], 4) for each in beside.values())] for who in next(iter(beside.values()))
        ]
        _table(
            f"{title}, trained without the suspects ({victim})", found, list(beside),
            lambda each, key=key: _interval(getattr(each, key), 4), first,
        )  # fmt: skip


def _table(
    title: str, found: list[Detection], attacks: list[str], shown: Callable[[Detection], str],
    first: list[list[str]] | None = None,
) -> None:  # fmt: skip
    """A row a detector, a column an attack; `first` are rows above them."""
    console, figures = stdout(), {(each.attack, each.detector): each for each in found}
    console.print(f"\n{title}", markup=False, highlight=False)
    table = Table("suspects" if first else "detector", box=None, padding=(0, 2), header_style="bold")
    for attack in attacks:
        table.add_column(Text(attack), justify="right")
    for row in first or []:
        table.add_row(*row)
    for name, label in {each.detector: each.label for each in found}.items():
        table.add_row(label, *(shown(figures[attack, name]) for attack in attacks))
    print_whole(console, table)


def _interval(found: Interval, digits: int = 2) -> str:
    spread = "" if found.n < 2 else f" ({max(found.low, 0):.{digits}f} to {min(found.high, 1):.{digits}f})"
    return f"{found.mean:.{digits}f}{spread}"
