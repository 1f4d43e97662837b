"""SASRec and GRU4Rec as the literature measures them: the last item of each user, ranked among all items.

    python benchmarks/sequential.py --data beauty [--victims sasrec,gru4rec] [--seeds 1] [--set sasrec.layers=1] ...
    python benchmarks/sequential.py --data ml-100k --rectools rectools/bin/python [--rectools-set n_blocks=1] ...

Each user's last interaction is for test and the one before for early stopping. The trained model then reads everything before
the test item, the validation item included, as published tables have it. HR@10 and NDCG@10 stand twice: with the items a user
has had left out of the ranking, and with them in it.

With --rectools, RecTools' SASRec stands beside them on the same parts. It runs in an environment of its own:
`python -m venv rectools && rectools/bin/pip install 'rectools[torch]'`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from outside import Stored
from sharpap.config import build, override
from sharpap.data import Dataset, Interactions, LeaveOneOut, load
from sharpap.kernels import block_rows, item_ranks, mask_rows
from sharpap.recommenders import Scorer
from sharpap.recommenders.calls import fit, reads_order
from sharpap.recommenders.sequential import Histories
from sharpap.threads import one_for_sums

K = 10


def main() -> None:
    """Train each victim on each seed and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="beauty")
    parser.add_argument("--victims", default="popularity,item-knn,sasrec,gru4rec")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="VICTIM.KEY=VALUE")
    parser.add_argument("--rectools", metavar="PYTHON", help="the interpreter of an environment with RecTools")
    parser.add_argument("--rectools-set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    dataset = load(args.data, split=LeaveOneOut())
    known = before_test(dataset)
    tables: dict[str, Any] = {name: {"name": name} for name in args.victims.split(",") if name}
    for given in args.set:
        override(tables, given)
    print(f"{args.data}: {dataset.num_users} users, {dataset.num_items} items", flush=True)
    for name, table in tables.items():
        victim = build("victim", table)
        for seed in range(args.seeds):
            start, began = time.perf_counter(), time.process_time()
            if reads_order(victim):
                model: Any = fit(
                    victim, dataset.train.matrix, dataset.valid.matrix, seed=seed, times=dataset.train.timestamps
                )
                model = model.reading(Histories.of(known.matrix, known.timestamps, seed))
            else:
                model = fit(victim, known.matrix, seed=seed)
            log = getattr(model, "log", {})
            seconds = f"{time.process_time() - began:.0f} processor s, {time.perf_counter() - start:.0f} s"
            print(
                f"{name} seed {seed}: {said(model, dataset, known)}; {seconds}, {log.get('epochs')} epochs", flush=True
            )
    if args.rectools:
        with tempfile.TemporaryDirectory() as folder:
            model, log = rectools(args.rectools, args.rectools_set, dataset, known, Path(folder))
            print(f"RecTools SASRec: {said(model, dataset, known)}; {log}", flush=True)


def said(model: Scorer, dataset: Dataset, known: Interactions) -> str:
    """The figures of a model in words."""
    with one_for_sums():
        without, within = (f"HR@{K} {hr:.4f} NDCG@{K} {ndcg:.4f}" for hr, ndcg in figures(model, dataset, known))
    return f"{without}; own items in it: {within}"


def rectools(
    python: str, settings: list[str], dataset: Dataset, known: Interactions, folder: Path
) -> tuple[Stored, dict[str, Any]]:
    """RecTools' SASRec, trained on what ours is: its scores after all that is known, and its log."""
    histories = Histories.of(known.matrix, known.timestamps, 0)
    users = np.repeat(np.arange(known.num_users), np.diff(histories.indptr))
    held = (dataset.valid.matrix[users, histories.items] != 0).astype(bool)
    parts = {"users": users, "items": histories.items, "places": np.arange(known.nnz), "validation": held}
    np.savez(folder / "data.npz", **parts, shape=np.array(known.matrix.shape))
    script = str(Path(__file__).resolve().with_name("outside_sequential.py"))
    command = [python, "-W", "ignore", script, str(folder), *settings]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"RecTools failed:\n{done.stderr[-2000:]}")
    scores = np.load(folder / "scores.npy", allow_pickle=False)
    return Stored(scores=scores), json.loads((folder / "log.json").read_text())


def before_test(dataset: Dataset) -> Interactions:
    """Training and validation interactions, with their times."""
    parts = (dataset.train, dataset.valid)
    users, items = (np.concatenate(each) for each in zip(*(part.entries() for part in parts), strict=True))
    times = np.concatenate([part.timestamps for part in parts])  # pyright: ignore[reportCallIssue, reportArgumentType]
    ids = {"user_ids": dataset.train.user_ids, "item_ids": dataset.train.item_ids}
    return Interactions.from_pairs(users, items, timestamps=times, **ids)[0]


def figures(model: Scorer, dataset: Dataset, known: Interactions) -> list[tuple[float, float]]:
    """HR@K and NDCG@K of the one test item: without, and with, what a user has had."""
    test, ranks = dataset.test.matrix, ([], [])
    users = np.flatnonzero(np.diff(test.indptr))
    step = block_rows(dataset.num_items)
    for first in range(0, len(users), step):
        part = users[first : first + step]
        scores = np.ascontiguousarray(model.score(part))
        wanted = test.indices[test.indptr[part]][:, None]
        ranks[1].append(item_ranks(scores, wanted))
        mask_rows(scores, part, known.matrix.indptr, known.matrix.indices)
        ranks[0].append(item_ranks(scores, wanted))
    found = [np.concatenate(each)[:, 0] for each in ranks]
    return [(float((rank < K).mean()), float(np.where(rank < K, 1 / np.log2(rank + 2.0), 0).mean())) for rank in found]


if __name__ == "__main__":
    main()
