"""Does sharpness explain transfer? Keskar's measure around fresh surrogates, beside the transfer drop of each poison.

    sharpap run paper/ml-1m
    python benchmarks/sharpness.py results/paper/ml-1m

For every attack and draw of a results folder: a WRMF surrogate is trained on the poisoned data from a seed the attack has not
seen; around it (`assess/work/explore.py`), the sharpness of the attack loss (smooth hits) and of the recommendation loss.
The transfer drop is 1 - (mean H@10 over the other victims) / (H@10 on that surrogate). Printed: means for each attack, and
rank correlations over all poisons. New runs measure the same themselves with `--set sharpness=true`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from sharpap.assess import Results
from sharpap.assess.folder.save import poison_files
from sharpap.assess.recipe import dataset_from
from sharpap.assess.tables.landscape import correlation
from sharpap.assess.work.explore import measure
from sharpap.attacks.poison_io import load_poison

SEED = 99


def main() -> None:
    """Print a Markdown table, three rank correlations and two lines an attack."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    results = Results.load(args.folder)
    train = dataset_from(results.config["data"])[0].train
    results.sharpness = []
    for name in results.attacks:
        for draw, path in poison_files(args.folder, name).items():
            found = measure(train.matrix, load_poison(path, train), seed=SEED)
            results.sharpness.append(replace(found, attack=name, draw=draw))
    table = results.sharpness_table
    print("| attack | H@10 surrogate, % | others, % | drop | sharpness of L_atk | of L_rec |")
    print("|---|---:|---:|---:|---:|---:|")
    for row in table.group_by("attack", maintain_order=True).mean().iter_rows(named=True):
        print(
            f"| {row['attack']} | {100 * row['surrogate']:.3f} | {100 * row['others']:.3f} | {row['drop']:.2f} | "
            f"{row['sharp_atk']:.3f} | {row['sharp_rec']:.3f} |"
        )
    # The last one is the control: is it sharpness, or only how many hits there are to lose?
    for name in ("sharp_atk", "sharp_rec", "surrogate"):
        found = correlation(table, name)
        print(f"\nSpearman {name} with drop: {found.rho:+.2f} (p {found.p:.3f}, n {found.n})")
    for found in (each for each in results.sharpness if each.draw == 0):
        at = slice(None, None, 5)
        print(
            f"\n{found.attack}, along one random direction, shares " + ", ".join(f"{s:+.2f}" for s in found.shares[at])
        )
        print("L_atk " + " ".join(f"{v:.4f}" for v in found.atk_line[at]))
        print("L_rec / min " + " ".join(f"{v / min(found.rec_line):.3f}" for v in found.rec_line[at]))


if __name__ == "__main__":
    main()
