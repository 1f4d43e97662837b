"""The matrix a defender reads, from results folders of the recipe `defences`: every defence and removal, by recommender.

    sharpap run defences --out results/defences-5
    sharpap run defences --fakes 0.01 --out results/defences-1
    python benchmarks/defences_table.py results/defences-5 [--recommender wrmf]     # Markdown

Each row is one recommender under one defence: NDCG@10 without attack and what the defence costs of it, H@10 and H@50 in percent
under every attack (mean over draws), the seconds of a training, and the difference from the undefended recommender in H@50
under the strongest attack, paired by draw, with its 95 % t-interval.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl

from sharpap.assess import Results
from sharpap.assess.experiment import CLEAN
from sharpap.metrics.significance import interval


def main() -> None:
    """Print one table a recommender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--recommender", default="", help="only this one")
    args = parser.parse_args()
    results = Results.load(args.folder)
    groups: dict[str, list[str]] = {}
    for victim in results.victims:
        table = results.config["victims"][victim]
        inner = table.get("recommender", table)
        groups.setdefault(inner["name"] if isinstance(inner, dict) else inner, []).append(victim)
    for recommender, victims in groups.items():
        if args.recommender in ("", recommender):
            print(f"\n{recommender}\n\n{matrix(results, recommender, victims)}")


def matrix(results: Results, recommender: str, victims: list[str]) -> str:
    """The Markdown table of one recommender; the victim without a defence comes first."""
    frame = results.frame.filter(pl.col("metric").is_in(["H", "NDCG"]) & (pl.col("target") == -1))
    plain = next(victim for victim in victims if results.config["victims"][victim]["name"] != "defended")
    attacks = [name for name in results.attacks if name != CLEAN]

    def values(attack: str, victim: str, metric: str, k: int) -> np.ndarray:
        part = frame.filter(
            (pl.col("attack") == attack)
            & (pl.col("victim") == victim)
            & (pl.col("metric") == metric)
            & (pl.col("k") == k)
        )
        return part.group_by("draw").agg(pl.col("value").mean()).sort("draw")["value"].to_numpy()

    strongest = max(attacks, key=lambda name: values(name, plain, "H", 50).mean())
    seconds = results.cell_frame.filter(pl.col("error") == "").group_by("victim").agg(pl.col("train_seconds").median())
    took = dict(seconds.iter_rows())
    clean = values(CLEAN, plain, "NDCG", 10).mean()
    head = [
        "",
        "NDCG@10",
        "price",
        *(f"{name}: H@10, H@50" for name in attacks),
        f"change of H@50 ({strongest})",
        "seconds",
    ]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for victim in victims:
        accuracy = values(CLEAN, victim, "NDCG", 10).mean()
        hits = [", ".join(f"{100 * values(name, victim, 'H', k).mean():.2f}" for k in (10, 50)) for name in attacks]
        less = interval(100 * (values(strongest, victim, "H", 50) - values(strongest, plain, "H", 50)))
        span = "" if np.isnan(less.low) else f" ({less.low:+.2f} to {less.high:+.2f})"
        change = "" if victim == plain else f"{less.mean:+.2f}{span}"
        name = "no defence" if victim == plain else victim.removeprefix(f"{recommender}-")
        row = [
            name,
            f"{accuracy:.4f}",
            f"{100 * (accuracy / clean - 1):+.1f} %",
            *hits,
            change,
            f"{took.get(victim, 0):.1f}",
        ]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
