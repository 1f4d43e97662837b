"""The same profiles on SharpAP's recommenders and on RecBole's and RecTools' of the same name.

    sharpap env create recbole && sharpap env create rectools
    python benchmarks/outside_victims.py            # MovieLens-100K, one target draw, two victim seeds; about 25 minutes

Profiles are crafted once each; every victim is trained on them from the same seeds. SharpAP's LightGCN stops early on
validation data, RecBole's trains for 150 epochs: neither sees the test data. Prints H@10, accuracy, and times as Markdown.
"""

from __future__ import annotations

import argparse

import polars as pl

import sharpap as sp
from sharpap.report.markdown import markdown

SHAPE = {"embedding_size": 64, "n_layers": 3, "train_batch_size": 4096, "learning_rate": 0.005, "epochs": 150}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", help="results folder; default: none")
    given = parser.parse_args()
    results = sp.stress_test(
        given.data,
        attacks={
            "bandwagon": sp.Bandwagon(),
            "revadv": sp.RevAdv(),
            "sharpap": sp.RevAdv(worst_case=sp.SharpnessAware()),
        },
        victims={
            "lightgcn": sp.LightGCN(),
            "lightgcn, RecBole": sp.RecBoleRecommender(model="LightGCN", options=SHAPE),
            "bpr-mf": sp.BPRMF(),
            "bpr-mf, RecBole": sp.RecBoleRecommender(
                model="BPR", options={key: value for key, value in SHAPE.items() if key != "n_layers"}
            ),
            "ease": sp.EASE(),
            "ease, RecBole": sp.RecBoleRecommender(model="EASE", options={"reg_weight": 500.0}),
            "ease, RecTools, lists of 10": sp.RecToolsRecommender(model="EASEModel", top_k=10),
        },
        targets=sp.TargetPool(draws=given.draws),
        seeds=given.seeds,
        out=given.out,
    )  # fmt: skip
    print(markdown(results, 10))
    print("\nSeconds of a training:")
    means = results.cell_frame.group_by("victim", maintain_order=True).agg(pl.col("train_seconds").mean())
    for row in means.iter_rows(named=True):
        print(f"  {row['victim']:<30} {row['train_seconds']:7.1f}")
    for cell in results.cells:
        if cell.error:
            print(f"failed: {cell.victim} under {cell.attack}: {cell.error}")


if __name__ == "__main__":
    main()
