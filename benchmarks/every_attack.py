"""One table of every attack on MovieLens-100K: what it wins on each victim, and what it costs to craft.

    sharpap run everything --out results/everything-5
    sharpap run everything --fakes 0.01 --out results/everything-1
    python benchmarks/every_attack.py costs [--fakes 0.05] [--only sharpap,feo]      # -> benchmarks/results/every-attack.json
    python benchmarks/every_attack.py table results/everything-5                     # Markdown

`costs` crafts the first draw of each attack of the recipe in a process of its own, with one thread. Seconds are those of the
processor, after one warm-up of everything that is compiled (the same attack on generated data). Memory is the largest that the
process held, less what it held before the attack began: the data and the libraries, about half a gibibyte.

`table` reads a results folder. A cell holds the mean over draws of H@10 and H@50 in percent; the last columns hold the mean
of all victims with its 95 % t-interval over the draws, and the change of NDCG@10 in percent of what it is without attack.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from sharpap.assess import Results
from sharpap.assess.experiment import CLEAN
from sharpap.assess.recipe import experiment_from
from sharpap.config.recipes import read_recipe
from sharpap.data import synthetic
from sharpap.significance import interval
from sharpap.threat import Budget, Goal

RESULTS = Path(__file__).parent / "results" / "every-attack.json"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["costs", "craft", "table"])
    parser.add_argument("of", nargs="?", help="an attack for craft, a results folder for table")
    parser.add_argument("--fakes", type=float, default=0.05)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    if args.what == "craft":
        print(json.dumps(craft(args.of, args.fakes)))
    elif args.what == "costs":
        costs(args.fakes, [name for name in args.only.split(",") if name] or read_recipe("everything")["attacks"])
    else:
        table(Results.load(args.of))


def costs(fakes: float, names: list[str]) -> None:
    """Craft each in a fresh process, and keep the figures; those of other attacks and budgets stay as they are."""
    alone = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    for name in names:
        command = [sys.executable, __file__, "craft", name, "--fakes", str(fakes)]
        done = subprocess.run(command, env=alone, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        made = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        made.setdefault(str(fakes), {})[name] = found
        RESULTS.write_text(json.dumps(made, indent=1) + "\n")
        print(f"{name}: {found['seconds']:.1f} s, {found['mebibytes']:.0f} MiB", flush=True)


def craft(name: str, fakes: float) -> dict[str, float]:
    """Seconds of the processor and mebibytes of one craft."""
    recipe = read_recipe("everything") | {"attacks": [name], "budget": {"fake_users": fakes}}
    experiment, _ = experiment_from(recipe)
    attack, goal, small = experiment.attacks[name], experiment.goal(0), synthetic(80, 60, 900, seed=0).matrix
    attack.poison(small, Goal(targets=(1, 2)), Budget(fake_users=4, profile_size=8), seed=0)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    attack.poison(experiment.dataset.train.matrix, goal, experiment.budget, seed=experiment.attack_seed(0))
    seconds, after = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": round(seconds, 2), "mebibytes": round((after - before) / 1024, 1)}


def table(results: Results) -> None:
    """Print the folder's table."""
    share = str(results.config["budget"]["fake_users"])
    known = json.loads(RESULTS.read_text()).get(share, {}) if RESULTS.is_file() else {}
    mean = (
        results.frame.filter(pl.col("metric").is_in(["H", "NDCG"]))
        .group_by("attack", "victim", "draw", "metric", "k")
        .agg(pl.col("value").mean())
    )
    hits = {
        k: {(a, v): part["value"].to_numpy() for (a, v), part in of.group_by("attack", "victim")}
        for k in (10, 50)
        for of in [mean.filter((pl.col("metric") == "H") & (pl.col("k") == k)).sort("draw")]
    }
    accuracy = mean.filter((pl.col("metric") == "NDCG") & (pl.col("k") == 10))
    victims = results.victims
    head = ["H@10, H@50", *victims, "mean", "NDCG@10", *(["seconds", "MiB"] if known else [])]
    print(f"| {' | '.join(head)} |")
    print("|---|" + "---:|" * (len(head) - 1))
    for name in results.attacks:
        if name == CLEAN:
            continue
        cells = [", ".join(number(100 * hits[k][name, victim].mean()) for k in (10, 50)) for victim in victims]
        means = [interval(100 * np.mean([hits[k][name, victim] for victim in victims], axis=0)) for k in (10, 50)]
        both = ", ".join(f"{number(found.mean)} ({number(found.low)} to {number(found.high)})" for found in means)
        change = [
            accuracy.filter((pl.col("attack") == name) & (pl.col("victim") == victim))["value"].mean()
            / accuracy.filter((pl.col("attack") == CLEAN) & (pl.col("victim") == victim))["value"].mean()
            - 1
            for victim in victims
        ]
        cost = known.get(name, {})
        spent = (
            [f"{cost.get('seconds', float('nan')):.1f}", f"{cost.get('mebibytes', float('nan')):.0f}"] if known else []
        )
        print(f"| {' | '.join([name, *cells, both, f'{100 * np.mean(change):+.1f} %', *spent])} |")


def number(value: float) -> str:
    """Two digits behind the point below one, else one."""
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"


if __name__ == "__main__":
    main()
