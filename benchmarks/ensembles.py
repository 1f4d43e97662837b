"""Ensembles of surrogates on MovieLens-100K: does a graph among the surrogates help transfer?

    python benchmarks/ensembles.py [--draws 2] [--data ml-100k]

H@10 in percent on retrained victims, mean over target draws and two victim seeds, as a Markdown table. All lines with the worst
case; about ten minutes a line and draw on a busy core.
"""

from __future__ import annotations

import argparse

import numpy as np

from sharpap.assess import Experiment
from sharpap.attacks import RevAdv, SharpnessAware, SmoothHits
from sharpap.data import TargetPool, load
from sharpap.metrics import evaluate, hit_ratio
from sharpap.recommenders import BPRMF, WRMF, LightGCN, SimGCL
from sharpap.recommenders.calls import fit
from sharpap.surrogates import ALSSurrogate, PairwiseSurrogate

GRAPH = PairwiseSurrogate(layers=3, reg=1e-4, epochs=60, learning_rate=0.05, unrolled_epochs=30)
WORST = SharpnessAware()


def relative(bandwidth: float) -> SmoothHits:
    return SmoothHits(bandwidth=bandwidth, relative=True)


VARIANTS = {
    "WRMF, bandwidth 0.1, 40 (SharpAP)": RevAdv(worst_case=WORST, epochs=40),
    "ALS, relative 0.5, 40": RevAdv(surrogate=ALSSurrogate(), objective=relative(0.5), worst_case=WORST, epochs=40),
    "ALS and LightGCN, relative 0.5, 30": RevAdv(
        surrogate=ALSSurrogate(), others=(GRAPH,), objective=relative(0.5), worst_case=WORST, epochs=30
    ),
    "WRMF and LightGCN, relative 0.45, 40": RevAdv(
        others=(GRAPH,), objective=relative(0.45), worst_case=WORST, epochs=40
    ),
    "LightGCN, relative 0.5, 30": RevAdv(surrogate=GRAPH, objective=relative(0.5), worst_case=WORST, epochs=30),
}
VICTIMS = {
    "WRMF": WRMF(),
    "BPR-MF": BPRMF(epochs=200),
    "LightGCN": LightGCN(epochs=200),
    "SimGCL": SimGCL(epochs=150, min_epochs=100, contrast_size=1024),
}


def main() -> None:
    """Print the table, a line as it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--data", default="ml-100k")
    args = parser.parse_args()
    dataset = load(args.data)
    train, valid = dataset.train.matrix, dataset.valid.matrix
    plan = Experiment(dataset=dataset, attacks={}, victims=VICTIMS, targets=TargetPool(draws=args.draws))
    print(f"| surrogates, loss, outer epochs | {' | '.join(VICTIMS)} | mean | least | seconds |")
    print(f"|---|{'---:|' * (len(VICTIMS) + 3)}", flush=True)
    for name, attack in VARIANTS.items():
        hits, seconds = np.zeros((args.draws, len(VICTIMS))), []
        for draw, goal in enumerate(plan.goals()):
            poison = attack.poison(train, goal, plan.budget, seed=plan.attack_seed(draw))
            poisoned = poison.inject(train)
            seconds.append(poison.seconds)
            for column, victim in enumerate(VICTIMS.values()):
                models = [fit(victim, poisoned, valid, seed=plan.victim_seed(seed)) for seed in range(2)]
                found = [evaluate(model, train, targets=goal.targets, ks=(10,)).ranks for model in models]
                hits[draw, column] = 100 * np.mean([hit_ratio(ranks, 10).mean() for ranks in found])
        mean = hits.mean(0)
        cells = " | ".join(f"{value:.3f}" for value in (*mean, mean.mean(), mean.min()))
        print(f"| {name} | {cells} | {np.mean(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
