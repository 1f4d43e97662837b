"""`sharpap certify`: what a vote of small models promises against any number of fakes, for one recommender."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from sharpap.assess.audit.certified import KINDS, Certified, certified
from sharpap.assess.recipe import dataset_from
from sharpap.cli.check import victim_from
from sharpap.cli.console import reporting, stdout
from sharpap.config import build
from sharpap.defenses import CertifiedBagging
from sharpap.report.template import number
from sharpap.report.width import print_whole

TITLES = {"these": "these models", "ideal": "ideal vote (PORE)"}


def show_certificate(
    target: str, recipe: dict[str, Any], numbers: list[int], vote: dict[str, int], k: int, confidence: float,
    attack: str | None, seed: int | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Of a victim by name or ``module:attribute`` (`plans.of_victim`, `plans.of_certify`)."""
    defense = CertifiedBagging(**vote)
    crafted = None if attack is None else build("attack", {"name": attack})
    made = victim_from(target, recipe)
    with reporting(quiet=quiet):
        dataset, _ = dataset_from(recipe.get("data", {}))
        asked = {"k": k, "confidence": confidence, "attack": crafted, "seed": seed or 0}
        found = certified(dataset, made, defense, numbers, **asked)
    if as_json:
        facts = {"target": target, "data": dataset.name, "k": k, "confidence": confidence, "attack": attack}
        facts |= {"models": defense.models, "sample": defense.users, "listed": defense.listed}
        print(json.dumps(facts | found.facts()))
        return
    title = f"What any fakes leave of {target} on {dataset.name}: lists of {k}, a vote of {defense.models} models, in %"
    print_whole(stdout(), _table(found, title, attack), labels=2)
    least, median, most = found.voters
    lines = [
        f"Each model has {defense.users} of {found.users} users, and a user {median} of the models ({least} to {most}).",
        f"With probability {confidence:g} all that is said of one number of fakes is true. They may be anything, but do not "
        "know who is in which model.",
    ]
    if found.precision is not None:
        lines[:0] = [
            f"Without fakes: precision {100 * found.precision:.2f} %, recall {100 * (found.recall or 0):.2f} %."
        ]
    if not any(each.kept for each in found.promises):
        lines.append("Nothing is certified: fewer users for each model (--sample) or more models help.")
    for line in lines:
        stdout().print(Text(line))


def _table(found: Certified, title: str, attack: str | None) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold", min_width=min(len(title), 100))
    heads = ["fakes", "certificate of", "list kept", "users with some", "precision", "recall"]
    heads += [] if attack is None else [f"{attack} left", "broken"]
    for head in heads:
        table.add_column(head, justify="left" if head == "certificate of" else "right")
    for kind in KINDS:
        for each in (each for each in found.promises if each.kind == kind):
            shares = [each.kept, each.users, each.precision, each.recall]
            cells = [str(each.fakes), TITLES[kind], *(_percent(share) for share in shares)]
            table.add_row(*cells, *([] if attack is None else [_percent(each.measured), str(each.broken)]))
    return table


def _percent(share: float | None) -> str:
    return number(None if share is None else 100 * share, 2)
