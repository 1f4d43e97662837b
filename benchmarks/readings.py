"""Which reading of the paper's unstated settings comes closest to "RevAdv 32 %, SharpAP 64 % H@10 on WRMF, ML-1M"?

    python benchmarks/readings.py --data ml-1m --kinds unpopular,random,head --fakes 0.01,0.05

For every target pool and budget: RevAdv and SharpAP on an ALS surrogate, judged on the exact WRMF, a strongly regularised
one and an MF with sampled negatives (which some papers call WRMF), as H@10 and anyH@10, in percent; without attack beside it.
"""

from __future__ import annotations

import argparse
import time

from sharpap.config import build
from sharpap.data import TargetPool, load
from sharpap.metrics import any_hit_ratio, evaluate, hit_ratio
from sharpap.recommenders import WRMF, BiasedMF
from sharpap.recommenders.calls import fit
from sharpap.threat import Budget, Goal

VICTIMS = {"wrmf": WRMF(), "wrmf, reg 100": WRMF(reg=100.0), "sampled MF": BiasedMF()}


def main() -> None:
    """Print a Markdown table, a row for each reading, draw by draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--kinds", default="unpopular,random,head")
    parser.add_argument("--fakes", default="0.01,0.05")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--draws", type=int, default=1)
    args = parser.parse_args()
    dataset = load(args.data)
    train = dataset.train.matrix
    print("| targets | fakes | draw | attack | " + " | ".join(f"{name}: H, anyH" for name in VICTIMS) + " | seconds |")
    print("|---|---:|---:|---|" + "---:|" * (len(VICTIMS) + 1), flush=True)
    for kind in args.kinds.split(","):
        for draw in range(args.draws):
            goal = Goal(targets=TargetPool(kind=kind).draw(dataset.train, draw, seed=0))  # pyright: ignore
            for share in ("0", *args.fakes.split(",")):
                for name in ("none",) if share == "0" else ("revadv-als", "sharpap-als"):
                    start = time.perf_counter()
                    poisoned = train
                    if name != "none":
                        attack = build("attack", {"name": name, "epochs": args.epochs})
                        made = attack.poison(train, goal, Budget(fake_users=float(share)), seed=1)
                        poisoned = made.inject(train)
                    seconds = time.perf_counter() - start
                    cells = []
                    for victim in VICTIMS.values():
                        model = fit(victim, poisoned, dataset.valid.matrix, seed=5)
                        ranks = evaluate(model, train, targets=goal.targets, ks=(10,)).ranks
                        cells.append(f"{100 * hit_ratio(ranks, 10).mean():.2f}, {100 * any_hit_ratio(ranks, 10):.2f}")
                    print(f"| {kind} | {share} | {draw} | {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
