"""Is the attack as strong with each optimisation as by the slow reference path? SharpAP on MovieLens-100K.

    python benchmarks/strength.py [--draws 5] [--epochs 40] [--only "NAME; NAME"] [--out benchmarks/results/strength.json]
    python benchmarks/strength.py --data gowalla --victims WRMF --draws 3 --epochs 15 --only "only 10,000 users a step"

Every row switches one optimisation off, "slow reference" all of them. Two switch something on that is off by default, and
change what is computed: a sample of the users a step, and all 60 steps unrolled. H@10 in percent: mean over target draws with
its standard error on the attack's own fresh surrogates and on two victims trained afterwards (WRMF, the mean of two seeds;
LightGCN, 300 epochs, one), and the paired difference to the path that ships, with its 95 % t-interval. Rows are printed, as
Markdown, as they are done; those in --out with the same draws, epochs, data and victims are not run again.
"""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.attacks import RevAdv
from sharpap.config import build
from sharpap.data import TargetPool, load
from sharpap.kernels import Pattern, mask_rows, score_blocks, sddmm, topk_scores
from sharpap.metrics import evaluate, hit_ratio
from sharpap.recommenders import WRMF, LightGCN
from sharpap.seeds import derive_seed
from sharpap.significance import interval
from sharpap.surrogates import WRMFSurrogate
from sharpap.surrogates.wrmf import Loss
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, eq=False)
class AutogradLoss:
    """The surrogate's loss by automatic differentiation over the plain sparse kernels: what the fused kernels stand for."""

    pattern: Pattern
    w1: float
    w0: float
    reg: float

    def _gradient(self, users: Tensor, items: Tensor, *, again: bool) -> tuple[Tensor, ...]:
        score = sddmm(self.pattern, users, items)
        everywhere = ((users.T @ users) * (items.T @ items)).sum()
        size = users.square().sum() + items.square().sum()
        loss = self.w0 * everywhere + (self.w1 * (1 - score) ** 2 - self.w0 * score**2).sum() + self.reg * size
        return torch.autograd.grad(loss, (users, items), create_graph=again)

    def gradient(self, theta: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `Loss`."""
        users, items = (part.detach().requires_grad_() for part in theta)
        return self._gradient(users, items, again=False)

    def hvp(self, theta: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `Loss`."""
        users, items = (part.detach().requires_grad_() for part in theta)
        return torch.autograd.grad(self._gradient(users, items, again=True), (users, items), along)


@dataclass(frozen=True, kw_only=True)
class UnfusedSurrogate(WRMFSurrogate):
    """`WRMFSurrogate` without its fused kernels."""

    def _loss_at(self, t: int, plain: Loss, theta: tuple[Tensor, ...], num_genuine: int) -> Loss:
        pattern: Pattern = plain.pattern  # pyright: ignore[reportAttributeAccessIssue]
        return AutogradLoss(pattern, self.weights["positive_weight"], self.negative_weight, self.reg)


# The default of when the strength tables were made.
PAPER = {"positive_weight": 20.0, "reg": 20.0}
SHIPPED = build("attack", "sharpap-paper")
VARIANTS = {
    "as it ships": SHIPPED,
    "unfused kernels": replace(SHIPPED, surrogate=UnfusedSurrogate(**PAPER)),
    "float64": replace(SHIPPED, surrogate=WRMFSurrogate(**PAPER, precision="float64")),
    "all 60 steps unrolled": replace(SHIPPED, surrogate=WRMFSurrogate(**PAPER, unrolled_epochs=60)),
    "400 rivals scanned, not 50": replace(SHIPPED, rivals=400),
    "slow reference": replace(SHIPPED, surrogate=UnfusedSurrogate(**PAPER, precision="float64"), rivals=400),
    "only 300 users a step": replace(SHIPPED, users_per_epoch=300),
    "only 10,000 users a step": replace(SHIPPED, users_per_epoch=10_000),
    "all scores made": SHIPPED,
}  # fmt: skip
# Those that rank from all scores, not by `sharpap.kernels.topk`.
FULL = {"all scores made", "slow reference"}
# A victim and its seeds a draw.
VICTIMS = {"WRMF": (WRMF(positive_weight=20.0, reg=20.0), 2), "LightGCN": (LightGCN(epochs=300), 1)}


def every_score(U: Tensor, V: Tensor, k: int, *, exclude: csr_array, users: np.ndarray, without: np.ndarray) -> Any:
    """What `sharpap.kernels.topk` stands for: lists from blocks of all scores."""
    lists = []
    for part, scores in score_blocks(U, V, users):
        mask_rows(scores, part, exclude.indptr, exclude.indices)
        scores[:, without] = -np.inf
        lists.append(topk_scores(scores, k))
    return tuple(np.concatenate(each) for each in zip(*lists, strict=True))


def strength(attack: RevAdv, dataset: Any, draw: int, victims: list[str]) -> dict[str, float]:
    """H@10 on the surrogate and on each victim, for one draw of targets."""
    train = dataset.train.matrix
    goal = Goal(targets=TargetPool().draw(dataset.train, draw, seed=0))
    made = attack.poison(train, goal, Budget(), seed=derive_seed(0, "attack", draw))
    found = {"surrogate": made.notes["surrogate_hit_ratio"]}
    poisoned = made.inject(train)
    for name in victims:
        victim, seeds = VICTIMS[name]
        models = (victim.fit(poisoned, seed=derive_seed(0, "victim", draw, trial)) for trial in range(seeds))
        ranks = [evaluate(model, train, targets=goal.targets).ranks for model in models]
        found[name] = float(np.mean([hit_ratio(each, 10).mean() for each in ranks]))
    return found | {"seconds": made.seconds}


def line(name: str, found: list[dict[str, float]], shipped: list[dict[str, float]], columns: list[str]) -> str:
    """A row of the table: percents with standard errors, and paired differences to what ships."""
    cells = []
    for what in columns:
        values = 100 * np.array([each[what] for each in found])
        cells.append(f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}")
        gap = interval(values - 100 * np.array([each[what] for each in shipped[: len(values)]]))
        cells.append("" if found is shipped else f"{gap.mean:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}]")
    return f"| {name} | {' | '.join(cells)} | {np.mean([each['seconds'] for each in found]):.1f} |"


def main() -> None:
    """Run the variants, print the table, write every draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--victims", nargs="+", default=list(VICTIMS), choices=VICTIMS)
    parser.add_argument("--only", default="", help="names, separated by semicolons; default: all that this size needs")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    chosen = [name.strip() for name in args.only.split(";") if name.strip()] or list(VARIANTS)
    dataset = load(args.data)
    if not args.only:  # a sample as large as the data is none
        chosen = [each for each in chosen if (VARIANTS[each].users_per_epoch or 0) < dataset.train.num_users]
    columns = ["surrogate", *args.victims]
    heads = [cell for name in columns for cell in (name, "difference")]
    print(f"| path | {' | '.join(heads)} | attack s |\n|---|{'---:|' * (len(heads) + 1)}", flush=True)
    about = {"draws": args.draws, "epochs": args.epochs, "data": args.data, "victims": args.victims}
    kept = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    results: dict[str, list[dict[str, float]]] = kept["results"] if kept.get("about") == about else {}
    for name in dict.fromkeys(["as it ships", *chosen]):
        attack = replace(VARIANTS[name], epochs=args.epochs)
        if name not in results:
            ranking = patch("sharpap.attacks.scan.topk", every_score) if name in FULL else nullcontext()
            with ranking:
                results[name] = [strength(attack, dataset, draw, args.victims) for draw in range(args.draws)]
        print(line(name, results[name], results["as it ships"], columns), flush=True)
        if args.out:
            args.out.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
