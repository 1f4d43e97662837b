"""Tuned settings of every victim on one dataset: src/sharpap/tuned/DATASET.toml.

    python benchmarks/tune_victims.py --data ml-100k [--victims wrmf,bpr-mf] [--trials 20] [--seeds 1] [--space KEY=RANGE]
    python benchmarks/tune_victims.py --data ml-100k --leave-one-out --victims sasrec,gru4rec

Each victim is searched by `sharpap tune` in its space of src/sharpap/tuned/spaces.toml, or in that of --space (a range
or choices for each setting; a single choice is fixed), on validation NDCG@20. With --grid every combination of these choices
is tried, and no search is needed: what suits large data, where few trials are affordable. The best
settings are then trained once more on the seeds of a run, and their NDCG on test interactions is written beside them. Victims
that are in the file already and not named keep their entries.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

import sharpap
from sharpap.assess.experiment import Experiment
from sharpap.assess.tuning.candidates import VictimCandidates
from sharpap.assess.tuning.tune import tune
from sharpap.config import build, read_toml
from sharpap.data import Dataset, LeaveOneOut, load
from sharpap.metrics import evaluate
from sharpap.recommenders.calls import fit
from sharpap.seeds import derive_seed
from sharpap.tuned import spaces

KS = (10, 20, 50)


def main() -> None:
    """Search victim by victim, and write the file after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--victims", default=",".join(spaces()))
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--space", action="append", default=[], metavar="KEY=RANGE", help="LOW:HIGH[:log] or [a, b]")
    parser.add_argument("--leave-one-out", action="store_true", help="split so, and write DATASET-leave-one-out.toml")
    parser.add_argument("--grid", action="store_true", help="all combinations of the choices of --space")
    parser.add_argument("--work", type=Path, default=Path("results/tuned"), help="folder of the searches")
    args = parser.parse_args()
    split = "-leave-one-out" if args.leave_one_out else ""
    file = Path(sharpap.__file__).parent / "tuned" / f"{args.data}{split}.toml"
    dataset = load(args.data, split=LeaveOneOut() if args.leave_one_out else None)
    own = dict(given.split("=", 1) for given in args.space)
    own = {key: json.loads(text) if text.startswith("[") else text for key, text in own.items()}
    for name in args.victims.split(","):
        start = time.perf_counter()
        space = own or spaces()[name]
        fixed = {key: value[0] for key, value in space.items() if isinstance(value, list) and len(value) == 1}
        ranges = {f"victim.{key}": value for key, value in space.items() if key not in fixed}
        if args.grid:
            tried = grid(dataset, {"name": name, **fixed}, ranges, args.seeds)
            trials, (values, score) = len(tried), max(tried, key=lambda each: each[1])
        else:
            chosen = {"split": "leave-one-out"} if args.leave_one_out else {}
            recipe = {"data": {"source": args.data, **chosen}, "victims": {name: fixed}}
            folder = args.work / f"{args.data}{split}" / name
            found = tune(recipe, ranges, out=folder, judges=(name,), trials=args.trials, seeds=args.seeds)
            trials, values, score = args.trials, found.values, found.value
        settings = fixed | {path.removeprefix("victim."): _short(value) for path, value in values.items()}
        recommender = build("victim", {"name": name, **settings})
        experiment = Experiment(dataset=dataset, attacks={}, victims={name: recommender})
        rows = []
        for seed in range(args.seeds):
            model = fit(
                recommender, dataset.train.matrix, dataset.valid.matrix, seed=experiment.victim_seed(seed),
                times=dataset.train.timestamps,
            )  # fmt: skip
            rows.append(evaluate(model, dataset.train.matrix, targets=(), held_out=dataset.test.matrix, ks=KS).ndcg)
        test = {str(k): round(float(np.mean([row[k] for row in rows])), 4) for k in KS}
        how = " ".join(
            ["--grid" if args.grid else f"--trials {trials}", f"--seeds {args.seeds}"]
            + ["--leave-one-out"] * args.leave_one_out
            + [f"--space {shlex.quote(each)}" for each in args.space]
        )
        made = read_toml(file) if file.is_file() else {}
        made[name] = {
            "settings": settings, "space": space, "trials": trials, "seeds": args.seeds,
            "valid": round(score, 4), "test": test,
            "command": f"python benchmarks/tune_victims.py --data {args.data} --victims {name} {how}",
        }  # fmt: skip
        order = [each for each in spaces() if each in made]
        file.write_text(tomli_w.dumps({each: made[each] for each in order}), "utf-8")
        print(f"{name}: valid {score:.4f}, test {test}, {settings}, {time.perf_counter() - start:.0f} s", flush=True)


def grid(
    dataset: Dataset, table: dict[str, Any], choices: dict[str, list[Any]], seeds: int
) -> list[tuple[dict[str, Any], float]]:
    """Every combination of choices by dotted path, with its NDCG@20 on validation interactions."""
    experiment = Experiment(
        dataset=dataset, attacks={}, victims={"victim": build("victim", table)}, ks=(20,), seeds=seeds,
        seed=derive_seed(0, "tuning"),
    )  # fmt: skip
    candidates = VictimCandidates(tables={"victim": table}, experiment=experiment)
    tried = []
    for combination in itertools.product(*choices.values()):
        values = dict(zip(choices, combination, strict=True))
        tried.append((values, candidates.score(values, lambda step, value: None)))
        print(f"{tried[-1][1]:.4f} {values}", flush=True)
    return tried


def _short(value: object) -> object:
    """Three digits: what a search finds is not known better."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
