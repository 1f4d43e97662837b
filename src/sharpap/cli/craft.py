"""`sharpap attack`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpap.assess.recipe import experiment_from
from sharpap.attacks import Poison, check_poison
from sharpap.attacks.poison_io import files_of, provenance, save_poison
from sharpap.cli.console import reporting, stdout
from sharpap.errors import ConfigError
from sharpap.files import refuse_link
from sharpap.threads import for_work_of


def craft(name: str, recipe: dict[str, Any], out: Path, draw: int, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Craft one poison (`plans.of_attack`) and write it."""
    for path in files_of(out):
        refuse_link(path)
        if path.exists() and not overwrite:
            raise ConfigError(f"{path} exists.", hint="Name another file, or pass --overwrite.")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if out.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"--out {out} cannot be written.", hint="Name a file in a folder of yours.")
    with reporting(quiet=quiet):
        experiment, _ = experiment_from(recipe)
        dataset = experiment.dataset
        goal = experiment.goal(draw)
        train = dataset.train.matrix
        attack = experiment.attacks[name]
        if isinstance(attack, Poison):
            raise ConfigError(f"{name} is a file of finished profiles.", hint="Use `sharpap evaluate`.")
        with for_work_of(attack):
            made = attack.poison(train, goal, experiment.budget, seed=experiment.attack_seed(draw))
        check_poison(made, dataset.num_items, experiment.budget.resolve(train, goal))
        made = replace(made, data_fingerprint=dataset.train.fingerprint)
    save_poison(made, out, dataset.train)
    if as_json:
        print(json.dumps({"out": str(out)} | provenance(made, dataset.train), indent=2))
        return
    labels = ", ".join(dataset.item_label(target) for target in goal.targets)
    sizes, down = np.unique(made.profile_sizes), " down" if goal.direction == "demote" else ""
    stdout().print(
        f"{made.num_fake} profiles of {sizes[0]}{f' to {sizes[-1]}' if len(sizes) > 1 else ''} items pushing {labels}{down}\n"
        f"crafted by {made.attack} in {made.seconds:.1f} s, written to {out}",
        markup=False, highlight=False,
    )  # fmt: skip
