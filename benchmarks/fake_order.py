"""What the order of fakes' items decides, from results folders that differ in `fake_order` alone.

    sharpap run sequential --draws 3 --store results/in-order --out results/in-order-shuffled
    sharpap run sequential --draws 3 --store results/in-order --out results/in-order-genuine \\
        --set fake_order=genuine --victim sasrec --victim gru4rec
    sharpap run sequential --draws 3 --store results/in-order --out results/in-order-last \\
        --set fake_order=targets-last --victim sasrec --victim gru4rec
    python benchmarks/fake_order.py results/in-order-shuffled results/in-order-genuine results/in-order-last

Markdown: H@10 and H@50 in percent of every attack in every order, means over target draws with 95 % t-intervals; and what
each order adds to the first folder's, paired by draw. Victims that are not in all folders get one column.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl

from sharpap.assess import Results
from sharpap.assess.experiment import CLEAN
from sharpap.significance import interval

KS = (10, 50)


def main() -> None:
    """Print a table for each victim, and one of accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+")
    found = [Results.load(folder) for folder in parser.parse_args().folders]
    first = found[0]
    for victim in first.victims:
        have = [results for results in found if victim in results.victims]
        orders = [results.config.get("fake_order", "") for results in have] if len(have) > 1 else ["any order"]
        heads = [f"{order}: H@{k}" for order in orders for k in KS]
        heads += [f"{order} minus {orders[0]}: H@{k}" for order in orders[1:] for k in KS]
        print(f"\n{victim}, NDCG@10 without attack {ndcg(first, CLEAN, victim):.4f}\n")
        print(f"| attack | {' | '.join(heads)} | NDCG@10 |\n|---|{'---:|' * (len(heads) + 1)}")
        for attack in [name for name in first.attacks if name != CLEAN]:
            values = [[percent(results, attack, victim, k) for k in KS] for results in have]
            cells = [shown(part) for each in values for part in each]
            cells += [
                shown(part - base, sign="+") for each in values[1:] for part, base in zip(each, values[0], strict=True)
            ]
            accuracy = ", ".join(f"{ndcg(results, attack, victim):.4f}" for results in have)
            print(f"| {attack} | {' | '.join(cells)} | {accuracy} |")


def percent(results: Results, attack: str, victim: str, k: int) -> np.ndarray:
    """H@k of each draw, in percent."""
    return 100 * _rows(results, attack, victim, "H", k)


def ndcg(results: Results, attack: str, victim: str) -> float:
    """Mean NDCG@10 of genuine users."""
    return float(_rows(results, attack, victim, "NDCG", 10).mean())


def shown(values: np.ndarray, sign: str = "") -> str:
    """The mean with its interval."""
    found = interval(values)
    return " ".join(
        [f"{found.mean:{sign}.2f}", *([f"({found.low:.2f} to {found.high:.2f})"] if len(values) > 1 else [])]
    )


def _rows(results: Results, attack: str, victim: str, metric: str, k: int) -> np.ndarray:
    rows = results.frame.filter(
        (pl.col("attack") == attack)
        & (pl.col("victim") == victim)
        & (pl.col("metric") == metric)
        & (pl.col("k") == k)
        & (pl.col("target") == -1)
    )
    return rows.group_by("draw").agg(pl.col("value").mean()).sort("draw")["value"].to_numpy()


if __name__ == "__main__":
    main()
