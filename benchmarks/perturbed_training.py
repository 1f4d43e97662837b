"""What training that perturbs the model costs in accuracy and time, by strength; no attack takes part.

    python benchmarks/perturbed_training.py --data ml-100k [--victims bpr-mf,lightgcn,wrmf] [--seeds 1] [--work FOLDER]

Each victim has the settings tuned on the data; WRMF takes Adam's steps. Every strength of every method is trained once a seed,
and judged by NDCG@20 on validation interactions: the defaults of `sharpap.defenses` are chosen by this table, as the largest
strength that costs at most 1 % on each victim. What is done already stands in FOLDER/DATA.json and is not done again.

    python benchmarks/perturbed_training.py --data ml-100k --directions

says where the loss of WRMF without its regularisation is steepest, plain and after SAM: the cosine of its gradient with
-theta, and how far the loss rises at SAM's point of rho 0.03.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sharpap.config import build
from sharpap.data import Dataset, load
from sharpap.defenses import SAM
from sharpap.files import write_text
from sharpap.kernels import Pattern
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_loss
from sharpap.recommenders.calls import fit
from sharpap.recommenders.perturb import moved
from sharpap.tuned import tuned

ADAM = {"solver": "adam", "epochs": 200, "check_every": 10, "patience": 5}
EPS, SHARES = (0.1, 0.3, 0.5), (0.01, 0.03, 0.1)
GRID = {
    "apr": ("eps", EPS),
    "vat": ("eps", EPS),
    "sam": ("rho", SHARES),
    "asam": ("rho", SHARES),
    "awp": ("gamma", SHARES),
}


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--victims", default="bpr-mf,lightgcn,wrmf")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--directions", action="store_true", help="where WRMF's loss is steepest, instead")
    parser.add_argument("--work", type=Path, default=Path("results/perturbed"))
    args = parser.parse_args()
    file = args.work / f"{args.data}.json"
    done: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    dataset, settings = load(args.data), tuned(args.data)
    if args.directions:
        return directions(dataset, {"name": "wrmf", **settings["wrmf"].settings, **ADAM})
    for victim in args.victims.split(","):
        table = {"name": victim, **settings[victim].settings, **(ADAM if victim == "wrmf" else {})}
        base = 0.0
        for method, name, strength in [("none", "", 0.0), *((m, n, s) for m, (n, all_) in GRID.items() for s in all_)]:
            if victim == "wrmf" and method in ("apr", "vat"):
                continue
            defense = None if method == "none" else build("defense", {"name": method, name: strength})
            rows = []
            for seed in range(args.seeds):
                key = f"{victim} {method} {strength:g} {seed}"
                if key not in done:
                    start = time.process_time()
                    model: Any = fit(
                        build("victim", table), dataset.train.matrix, dataset.valid.matrix, seed=seed, perturb=defense
                    )
                    spent = time.process_time() - start
                    steps = model.log["checks"][-1][0]
                    done[key] = {"valid": model.log["valid_ndcg"], "steps": steps, "seconds": spent}
                    write_text(file, json.dumps(done, indent=1))
                rows.append(done[key])
            valid, steps, seconds = (
                float(np.mean([row[part] for row in rows])) for part in ("valid", "steps", "seconds")
            )
            base = valid if method == "none" else base
            shown = f"{name}={strength:g}" if name else ""
            print(
                f"| {victim} | {method} | {shown} | {valid:.4f} | {100 * (valid / base - 1):+.1f} % | {steps:.0f} | "
                f"{1000 * seconds / steps:.1f} |",
                flush=True,
            )


def directions(dataset: Dataset, table: dict[str, Any]) -> None:
    """Print a row each for WRMF as it is and under SAM."""
    train, settings = dataset.train.matrix, build("victim", table)
    pattern, weights = Pattern.from_csr(train), asdict(settings.least_squares(train)) | {"reg": 0.0}
    for defense in (None, SAM(rho=0.03), SAM(rho=0.1)):
        model: Any = fit(settings, train, dataset.valid.matrix, seed=0, perturb=defense)
        theta = [torch.from_numpy(part) for part in (model.user_factors, model.item_factors)]
        grads = wrmf_gradient(pattern, theta[0], theta[1], **weights)
        here = wrmf_loss(pattern, theta[0], theta[1], **weights)
        with moved(theta, SAM(rho=0.03).offsets(theta, grads)):
            rise = wrmf_loss(pattern, theta[0], theta[1], **weights) - here
        flat = [torch.cat([part.flatten().double() for part in parts]) for parts in (grads, theta)]
        cosine = float(-(flat[0] @ flat[1]) / flat[0].norm() / flat[1].norm())
        print(f"| {defense} | cosine {cosine:.3f} | loss {here:.0f} | rise {rise:.0f} |", flush=True)


if __name__ == "__main__":
    main()
