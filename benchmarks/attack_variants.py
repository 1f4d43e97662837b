"""Variants of the gradient attack on MovieLens-100K: what each choice is worth, on freshly trained victims.

    python benchmarks/attack_variants.py [--draws 6] [--data ml-100k] [--only "NAME; NAME"]

H@10 in percent: mean over target draws with its standard error. The WRMF victims are the mean of four seeds a draw, the others
one seed. About two minutes a variant on two cores; rows are printed as they are done, as a Markdown table.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from sharpap.assess import Experiment
from sharpap.attacks import (
    DPA2DL,
    Bandwagon,
    CrossEntropy,
    MomentumStep,
    RandomAttack,
    RandomDirection,
    RevAdv,
    SharpnessAware,
    SmoothHits,
    SwapStep,
)
from sharpap.config import build
from sharpap.data import TargetPool, load
from sharpap.metrics import evaluate, hit_ratio
from sharpap.recommenders import BPRMF, WRMF, LightGCN
from sharpap.recommenders.calls import fit
from sharpap.surrogates import WRMFSurrogate

RAPU_G_ORIGINAL: RevAdv = build("attack", "rapu-g-original")
WEIGHTS = {"positive_weight": 20.0, "reg": 20.0}


def paper(**options: Any) -> RevAdv:
    """RevAdv as it was by default when the table was made, with other options."""
    return replace(build("attack", "revadv-paper"), **options)


VARIANTS = {
    "random": RandomAttack(),
    "bandwagon": Bandwagon(),
    "revadv-original": paper(
        objective=CrossEntropy(), step=MomentumStep(), epochs=30, reseed=False, users_per_epoch=None
    ),
    "revadv": paper(),
    "sharpap, row ball, rho 0.02": paper(worst_case=SharpnessAware(rho=0.02)),
    "sharpap, row ball, rho 0.05": paper(worst_case=SharpnessAware(rho=0.05)),
    "sharpap, row ball, rho 0.1": paper(worst_case=SharpnessAware(rho=0.1)),
    "sharpap, worst case at every 5th unrolled step": paper(worst_case=SharpnessAware(rho=0.05, every_step=5)),
    "control: mean of every 5th unrolled step, rho 0": paper(worst_case=SharpnessAware(rho=0, every_step=5)),
    "sharpap, global ball, rho 0.02": paper(worst_case=SharpnessAware(ball="global", rho=0.02)),
    "random direction, rho 0.05": paper(worst_case=RandomDirection(rho=0.05)),
    "revadv, bandwidth 0.05": paper(objective=SmoothHits(bandwidth=0.05)),
    "sharpap, bandwidth 0.05": paper(objective=SmoothHits(bandwidth=0.05), worst_case=SharpnessAware(rho=0.05)),
    "revadv, bandwidth 0.2": paper(objective=SmoothHits(bandwidth=0.2)),
    "revadv, one surrogate seed": paper(reseed=False),
    "dpa2dl": DPA2DL(),
    "dpa2dl, worst case": DPA2DL(worst_case=SharpnessAware(rho=0.05)),
    "revadv, 10 unrolled steps": paper(surrogate=WRMFSurrogate(**WEIGHTS, unrolled_epochs=10)),
    **{
        f"sharpap, {steps} unrolled steps": paper(
            worst_case=SharpnessAware(rho=0.05), surrogate=WRMFSurrogate(**WEIGHTS, unrolled_epochs=steps)
        )
        for steps in (5, 10, 15, 20, 45)
    },
    "revadv, 55 unrolled steps": paper(surrogate=WRMFSurrogate(**WEIGHTS, unrolled_epochs=55)),
    "revadv, surrogate reg 100": paper(surrogate=WRMFSurrogate(positive_weight=20.0, reg=100.0)),
    "revadv, a quarter of the rows moves": paper(step=SwapStep(row_share=0.25)),
    "rapu-g-original": RAPU_G_ORIGINAL,
    "rapu-g-original, no masked epoch": replace(
        RAPU_G_ORIGINAL, surrogate=WRMFSurrogate(**WEIGHTS, unrolled_epochs=20)
    ),
}
VICTIMS = {
    "WRMF": (WRMF(**WEIGHTS), 4),
    "WRMF, reg 100": (WRMF(positive_weight=20.0, reg=100.0), 4),
    "BPR-MF": (BPRMF(), 1),
    "LightGCN": (LightGCN(), 1),
}


def main() -> None:
    """Run the variants and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--only", default="", help="names, separated by semicolons; default: all")
    args = parser.parse_args()
    chosen = [name.strip() for name in args.only.split(";") if name.strip()] or list(VARIANTS)
    dataset = load(args.data)
    train, valid = dataset.train.matrix, dataset.valid.matrix
    plan = Experiment(
        dataset=dataset, attacks={}, victims={name: model for name, (model, _) in VICTIMS.items()},
        targets=TargetPool(draws=args.draws),
    )  # fmt: skip
    print(f"| attack | {' | '.join(VICTIMS)} | seconds |\n|---|{'---|' * (len(VICTIMS) + 1)}", flush=True)
    for name in chosen:
        hits: dict[str, list[float]] = {victim: [] for victim in VICTIMS}
        seconds = []
        for draw, goal in enumerate(plan.goals()):
            poison = VARIANTS[name].poison(train, goal, plan.budget, seed=plan.attack_seed(draw))
            poisoned = poison.inject(train)
            seconds.append(poison.seconds)
            for victim, (model, seeds) in VICTIMS.items():
                found = [
                    evaluate(
                        fit(model, poisoned, valid, seed=plan.victim_seed(seed)), train, targets=goal.targets, ks=(10,)
                    )
                    for seed in range(seeds)
                ]
                hits[victim].append(float(np.mean([hit_ratio(each.ranks, 10) for each in found])))
        cells = [
            f"{100 * np.mean(values):.3f} ({100 * np.std(values, ddof=1) / len(values) ** 0.5:.3f})"
            for values in hits.values()
        ]
        print(f"| {name} | {' | '.join(cells)} | {np.mean(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
