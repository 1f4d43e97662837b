"""Mean and worst-case transfer of the attacks in a results folder, each compared with one of them.

    python benchmarks/transfer.py results/beyond-ensemble --base sharpap [--victims wrmf,bpr-mf,...] [--k 10]

For each target draw: the mean of H@k over victims, and the least over victims, in percent; means over draws with standard
errors, the paired difference from the base with its 95 % t-interval, and the exact two-sided p of a sign-flip test over
draws (the smallest it can be is 2 / 2^draws).
"""

from __future__ import annotations

import argparse
from itertools import product

import numpy as np
import polars as pl

from sharpap.assess import Results
from sharpap.metrics import interval


def by_draw(frame: pl.DataFrame, attack: str, victims: list[str], k: int) -> np.ndarray:
    """(draws, victims) H@k in percent, mean over seeds."""
    cells = frame.filter(
        (pl.col("attack") == attack) & (pl.col("metric") == "H") & (pl.col("k") == k) & (pl.col("target") == -1)
    )
    table = cells.group_by("draw", "victim").agg(pl.col("value").mean()).pivot("victim", index="draw", values="value")
    return 100 * table.sort("draw").select(victims).to_numpy()


def sign_flip(differences: np.ndarray) -> float:
    """Exact two-sided p-value of mean 0 under independent signs, all 2^n of them."""
    signs = np.array(list(product((-1, 1), repeat=len(differences))))
    return float(np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--base", default="sharpap")
    parser.add_argument("--victims", default="", help="separated by commas; default: all")
    parser.add_argument("--k", type=int, default=10)
    args = parser.parse_args()
    results = Results.load(args.folder)
    victims = [name for name in args.victims.split(",") if name] or results.victims
    base = by_draw(results.frame, args.base, victims, args.k)
    print(f"| attack | {' | '.join(victims)} | mean | least | mean minus {args.base}'s | p | least minus its | p |")
    print(f"|---|{'---:|' * (len(victims) + 6)}")
    for attack in results.attacks:
        hits = by_draw(results.frame, attack, victims, args.k)
        cells = [f"{value:.3f}" for value in hits.mean(0)]
        tests = []
        for ours, theirs in ((hits.mean(1), base.mean(1)), (hits.min(1), base.min(1))):
            cells.append(f"{ours.mean():.3f} ({ours.std(ddof=1) / len(ours) ** 0.5:.3f})")
            gap = interval(ours - theirs)
            p = sign_flip(ours - theirs)
            tests += (
                ["", ""]
                if attack == args.base
                else [f"{gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})", f"{p:.3f}"]
            )
        print(f"| {attack} | {' | '.join([*cells, *tests])} |")


if __name__ == "__main__":
    main()
