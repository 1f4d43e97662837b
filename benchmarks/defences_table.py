"""The matrix a defender reads, from results folders of the recipe `defences`: every defence and removal, by recommender.

    sharpap run defences --out results/defences-5
    sharpap run defences --fakes 0.01 --out results/defences-1
    python benchmarks/defences_table.py results/defences-5 [--recommender wrmf] [--attack sharpap]     # Markdown

Each row is one recommender under one defence: NDCG@10 without attack and what the defence costs of it, H@10 and H@50 in percent
under every attack (mean over draws), then under one attack, the strongest unless `--attack` names another, the difference of
H@10 and of H@50 from the same recommender without the defence, paired by draw, with its 95 % t-interval, whether the defence
helps in lists of ten and of fifty (`sharpap.assess.tables.worth`: it takes half of the exposure in every draw), and the seconds
of a training.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl

from sharpap.assess import Results
from sharpap.assess.experiment import CLEAN
from sharpap.assess.tables.worth import undefended, worth
from sharpap.report.worth import difference, price

KS = (10, 50)


def main() -> None:
    """Print one table a recommender."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--recommender", default="", help="only this one")
    parser.add_argument("--attack", default="", help="the attack of the differences")
    args = parser.parse_args()
    results = Results.load(args.folder)
    groups: dict[str, list[str]] = {}
    for victim in results.victims:
        table = results.config["victims"][victim]
        inner = table.get("recommender", table)
        groups.setdefault(inner["name"] if isinstance(inner, dict) else inner, []).append(victim)
    for recommender, victims in groups.items():
        if args.recommender in ("", recommender):
            print(f"\n{recommender}\n\n{matrix(results, recommender, victims, args.attack)}")


def matrix(results: Results, recommender: str, victims: list[str], attack: str = "") -> str:
    """The Markdown table of one recommender; the victim without a defence comes first."""
    frame = results.frame.filter(pl.col("metric").is_in(["H", "NDCG"]) & (pl.col("target") == -1))
    tables = results.config["victims"]
    plain = next(victim for victim in victims if tables[victim]["name"] != "defended")
    attacks = [name for name in results.attacks if name != CLEAN]

    def values(attack: str, victim: str, metric: str, k: int) -> np.ndarray:
        part = frame.filter(
            (pl.col("attack") == attack)
            & (pl.col("victim") == victim)
            & (pl.col("metric") == metric)
            & (pl.col("k") == k)
        )
        return part.group_by("draw").agg(pl.col("value").mean()).sort("draw")["value"].to_numpy()

    against = attack or max(attacks, key=lambda name: values(name, plain, "H", 50).mean())
    seconds = results.cell_frame.filter(pl.col("error") == "").group_by("victim").agg(pl.col("train_seconds").median())
    took = dict(seconds.iter_rows())
    head = ["", "NDCG@10", "price", *(f"{name}: H@10, H@50" for name in attacks)]
    head += [f"change of H@{k} ({against})" for k in KS] + ["helps in 10, in 50", "seconds"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for victim in victims:
        base = undefended(tables, victim) or plain
        accuracy = [values(CLEAN, name, "NDCG", 10) for name in (base, victim)]
        hits = [", ".join(f"{100 * values(name, victim, 'H', k).mean():.2f}" for k in KS) for name in attacks]
        judged = [
            worth(*(values(*place, "H", k) for place in ((CLEAN, base), (against, base), (against, victim))),
                  accurate=accuracy[0], after=accuracy[1])
            for k in KS
        ]  # fmt: skip
        same = victim == plain
        changes = ["" if same else difference(each.change) for each in judged]
        verdict = "" if same else ", ".join(VERDICTS[each.verdict] for each in judged)
        name = "no defence" if same else victim.removeprefix(f"{recommender}-")
        row = [name, f"{accuracy[1].mean():.4f}", price(judged[0]), *hits, *changes, verdict]
        lines.append(f"| {' | '.join([*row, f'{took.get(victim, 0):.1f}'])} |")
    return "\n".join(lines)


VERDICTS = {"helps": "yes", "may help": "perhaps", "does not help": "no", "nothing to take": "nothing to take"}


if __name__ == "__main__":
    main()
