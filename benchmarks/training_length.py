"""Exposure against accuracy while a victim trains: does a model whose accuracy has settled show what an attack does?

    python benchmarks/training_length.py [--data ml-100k] [--draws 3] [--models lightgcn,sgl,simgcl,vgcl,bpr-mf]

SharpAP's profiles for each draw; every victim is trained for fixed numbers of full-batch steps at its default rate, and
for 100 and 150 steps at rates that decay to 0. NDCG@20 on held-out test interactions and H@10 of the targets in percent, means
over draws, one seed, as a Markdown table; a row is printed when it is done.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from sharpap.assess import Experiment
from sharpap.attacks import RevAdv, SharpnessAware
from sharpap.config import build
from sharpap.data import TargetPool, load
from sharpap.metrics import evaluate, hit_ratio
from sharpap.recommenders.calls import fit

STEPS = (50, 100, 150, 200, 300, 400, 600)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--models", default="bpr-mf,lightgcn,sgl,simgcl,vgcl")
    args = parser.parse_args()
    dataset = load(args.data)
    train, nothing = dataset.train.matrix, csr_array(dataset.train.matrix.shape)
    victims: dict[str, Any] = {name: build("victim", name) for name in args.models.split(",")}
    plan = Experiment(dataset=dataset, attacks={}, victims=victims, targets=TargetPool(draws=args.draws))
    attack = RevAdv(worst_case=SharpnessAware(), epochs=40)
    poisons = [
        attack.poison(train, goal, plan.budget, seed=plan.attack_seed(draw)) for draw, goal in enumerate(plan.goals())
    ]
    print("| victim | rate | steps | NDCG@20 | H@10 |\n|---|---|---:|---:|---:|", flush=True)
    for name, victim in victims.items():
        versions = [(f"{victim.learning_rate}", replace(victim, epochs=steps)) for steps in STEPS]
        for rate, steps in ((0.1, 100), (0.03, 150)):
            short = replace(victim, epochs=steps, learning_rate=rate, decay=True)
            versions.append((f"{rate} to 0", short))
        for rate, version in versions:
            found = []
            for poison in poisons:
                model = fit(version, poison.inject(train), nothing, seed=plan.victim_seed(0))
                seen = evaluate(model, train, targets=poison.goal.targets, held_out=dataset.test.matrix, ks=(10, 20))
                found.append((seen.ndcg[20], 100 * np.nanmean(hit_ratio(seen.ranks, 10))))
            accuracy, hits = np.mean(found, 0)
            print(f"| {name} | {rate} | {version.epochs} | {accuracy:.4f} | {hits:.3f} |", flush=True)


if __name__ == "__main__":
    main()
