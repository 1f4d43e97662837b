"""Does sharpness explain transfer? Keskar's measure around fresh surrogates, beside the transfer drop of each poison.

    sharpap run paper/ml-1m --out results/paper-ml-1m
    python benchmarks/sharpness.py results/paper-ml-1m

For every attack and draw of a results folder: a WRMF surrogate is trained on the poisoned data from a seed the attack has not
seen; around it, the sharpness of the attack loss (smooth hits) and of the recommendation loss. The transfer drop is 1 -
(mean H@10 over the other victims) / (H@10 on that surrogate). Printed: means for each attack, and rank correlations over
all poisons.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.stats import spearmanr

from sharpap.assess.recipe import dataset_from
from sharpap.attacks import SmoothHits
from sharpap.attacks.poison_io import load_poison
from sharpap.attacks.scan import scan
from sharpap.config import read_toml
from sharpap.kernels.wrmf import wrmf_gradient
from sharpap.metrics.sharpness import keskar_sharpness, random_direction, surface
from sharpap.surrogates import Embeddings, WRMFSurrogate

ATTACKS = ("random", "bandwagon", "revadv", "sharpap", "rapu-g", "rapu-g-sharpap")


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    config = read_toml(args.folder / "config.toml")
    dataset, _ = dataset_from(config["data"])
    train = dataset.train
    frame = pl.read_parquet(args.folder / "results.parquet")
    hits = frame.filter((pl.col("metric") == "H") & (pl.col("k") == 10) & (pl.col("target") == -1))
    settings = WRMFSurrogate()
    rows, lines = [], {}
    for name in ATTACKS:
        for path in sorted((args.folder / "poison").glob(f"{name}-draw[0-9]*.npz")):
            draw = int(path.stem.rsplit("draw", 1)[1])
            poison = load_poison(path, train)
            trained = settings.train(train.matrix, poison.profiles, seed=99)
            found = scan(trained.embeddings, train.matrix, poison.goal, k=10, rivals=100)
            attack_loss = partial(SmoothHits().value_and_grad, scan=found)

            def fit_loss(at: Embeddings, trained=trained) -> tuple[float, Embeddings]:
                users = torch.cat([at.users, trained.fake_users])
                weights = {"positive_weight": 20.0, "negative_weight": 1.0, "reg": 20.0}
                grads = wrmf_gradient(trained.pattern, users, at.items, **weights)
                return trained.training_loss(at), Embeddings(grads[0][: len(at.users)], grads[1])

            cell = hits.filter((pl.col("attack") == name) & (pl.col("draw") == draw))
            others = float(cell.filter(pl.col("victim") != "wrmf")["value"].mean() or 0.0)  # pyright: ignore
            drop = 1 - others / found.hit_ratio if found.hit_ratio else float("nan")
            rows.append(
                (name, draw, found.hit_ratio, others, drop, keskar_sharpness(trained.embeddings, attack_loss),
                 keskar_sharpness(trained.embeddings, fit_loss))
            )  # fmt: skip
            if draw == 0:
                way = random_direction(trained.embeddings, seed=0)
                lines[name] = [
                    surface(trained.embeddings, value, way, reach=0.2, points=9)[1]
                    for value in (lambda at, loss=attack_loss: loss(at)[0], trained.training_loss)
                ]
    head = ("attack", "draw", "surrogate", "others", "drop", "sharp_atk", "sharp_rec")
    table = pl.DataFrame(rows, schema=head, orient="row")
    print(
        "| attack | H@10 surrogate, % | others, % | drop | sharpness of L_atk | of L_rec |\n|---|---:|---:|---:|---:|---:|"
    )
    for row in table.group_by("attack", maintain_order=True).mean().iter_rows(named=True):
        print(
            f"| {row['attack']} | {100 * row['surrogate']:.3f} | {100 * row['others']:.3f} | {row['drop']:.2f} | "
            f"{row['sharp_atk']:.3f} | {row['sharp_rec']:.3f} |"
        )
    known = table.filter(pl.col("drop").is_not_nan())
    for name in ("sharp_atk", "sharp_rec"):
        found = spearmanr(known[name], known["drop"])
        print(f"\nSpearman {name} with drop: {found.statistic:+.2f} (p {found.pvalue:.3f}, n {known.height})")
    print("\nAlong one random direction, shares " + ", ".join(f"{s:+.2f}" for s in np.linspace(-0.2, 0.2, 9)))
    for name, (atk, rec) in lines.items():
        print(
            f"{name}: L_atk "
            + " ".join(f"{v:.4f}" for v in atk)
            + "; L_rec / min "
            + " ".join(f"{v / min(rec):.3f}" for v in rec)
        )


if __name__ == "__main__":
    main()
