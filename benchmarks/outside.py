"""Accuracy of the recommenders beside RecBole's implementations: the same split, and our metrics for both.

    python -m venv recbole && recbole/bin/pip install torch recbole 'numpy<2' 'scipy<1.13' 'pandas<3'
    python benchmarks/outside.py --python recbole/bin/python

RecBole 1.2 needs older packages than we do, hence the other environment. It trains on our training part, stops early on our
validation part, and hands back all scores; Recall and NDCG of held-out test interactions are then ours, training items
masked, full ranking. Every rate of a model is tried and the one with the best validation NDCG@20 is reported. Seconds are of
processor time, one thread: give both `OMP_NUM_THREADS=1` and ours `NUMBA_NUM_THREADS=1`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sharpap.config import REGISTRY
from sharpap.data import Dataset, Interactions, load
from sharpap.metrics import evaluate
from sharpap.recommenders.base import FloatArray, IntArray
from sharpap.recommenders.calls import fit

# RecBole's name: ours, and the learning rates to try (0: it has none).
MODELS: dict[str, tuple[str, tuple[float, ...]]] = {
    "NeuMF": ("neumf", (0.001, 0.005)),
    "LightGCN": ("lightgcn", (0.005, 0.01)),
    "NGCF": ("ngcf", (0.001, 0.005)),
    "MultiVAE": ("mult-vae", (0.001, 0.005)),
    "SGL": ("sgl", (0.005, 0.01)),
    "BPR": ("bpr-mf", (0.001, 0.005)),
    "EASE": ("ease", (0,)),
    "ItemKNN": ("item-knn", (0,)),
}


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Scores in a file.

    Attributes:
        scores: (num_users, num_items), memory-mapped.
    """

    scores: FloatArray

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), num_items): these rows."""
        return np.array(self.scores[users])


def export(dataset: Dataset, folder: Path) -> None:
    """The three parts as RecBole's atomic files, tokens being row and column numbers."""
    (folder / "data").mkdir()
    for name, part in (("train", dataset.train), ("valid", dataset.valid), ("test", dataset.test)):
        np.savetxt(
            folder / "data" / f"data.{name}.inter",
            pairs(part).T,
            fmt="%d",
            delimiter="\t",
            header="user_id:token\titem_id:token",
            comments="",
        )


def main() -> None:
    """Train both and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="the interpreter of an environment with RecBole")
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--rates", default="", help="instead of those listed, e.g. 0.005")
    parser.add_argument("--epochs", type=int, default=100, help="most epochs of RecBole's")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="most processor seconds of RecBole's, for each rate"
    )
    args = parser.parse_args()
    dataset = load(args.data)
    train, test = dataset.train.matrix, dataset.test.matrix
    heading(args.data, "RecBole", "RecBole's rate, best epoch, valid N@20")
    versions = ""
    for name in args.models.split(","):
        own, rates = MODELS[name]
        rates = tuple(float(rate) for rate in args.rates.split(",")) if args.rates else rates
        cells, n20, seconds = ours(own, dataset, seed=0)
        tried: list[tuple[dict[str, Any], str, float]] = []
        for rate in rates:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                export(dataset, folder)
                script = str(Path(__file__).resolve().with_name("outside_recbole.py"))
                numbers = [str(number) for number in (rate, args.epochs, args.seconds, *train.shape)]
                done = subprocess.run(
                    [args.python, "-W", "ignore", script, scratch, name, *numbers],
                    cwd=folder, capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode:
                    raise SystemExit(f"{name} failed in RecBole:\n{done.stderr[-2000:]}")
                log = json.loads((folder / "log.json").read_text()) | {"rate": rate}
                model = Stored(scores=np.load(folder / "scores.npy", mmap_mode="r", allow_pickle=False))
                tried.append((log, *measured(model, train, test)))
        log, theirs, their_n20 = max(tried, key=lambda each: each[0]["valid"])
        versions = f"RecBole {log['recbole']}, torch {log['torch']}"
        how = [
            f"{each['rate']}, {each['epoch']}{' (cut)' if each['cut'] else ''}, {each['valid']:.4f}"
            if each["rate"]
            else ""
            for each, *_ in sorted(tried, key=lambda each: -each[0]["valid"])
        ]
        print(
            f"| {name} | {cells} | {theirs} | {n20 / their_n20:.3f} | {seconds:.1f}, {log['seconds']:.1f} "
            f"| {'; '.join(how)} |",
            flush=True,
        )
    print(f"\n{versions}")


def heading(data: str, other: str, how: str) -> None:
    """The head of the table."""
    print(
        f"| {data} | ours: R@20 | N@20 | N@10 | {other}: R@20 | N@20 | N@10 | ours / {other}, N@20 | seconds | {how} |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        flush=True,
    )


def pairs(part: Interactions) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(2, nnz) int64 row and column numbers of interactions."""
    users = np.repeat(np.arange(part.matrix.shape[0]), np.diff(part.matrix.indptr))
    return np.stack([users, part.matrix.indices]).astype(np.int64)


def ours(name: str, dataset: Dataset, *, seed: int) -> tuple[str, float, float]:
    """The three cells of our model of this name, its NDCG@20, and the processor seconds of its training."""
    cls, fixed = REGISTRY["victim"][name]
    start = time.process_time()
    model = fit(cls(**fixed), dataset.train.matrix, dataset.valid.matrix, seed=seed)
    seconds = time.process_time() - start
    return *measured(model, dataset.train.matrix, dataset.test.matrix), seconds


def measured(model: Any, train: Any, test: Any) -> tuple[str, float]:
    """The three cells of a model, and its NDCG@20."""
    found = evaluate(model, train, targets=(), held_out=test, ks=(10, 20))
    return f"{found.recall[20]:.4f} | {found.ndcg[20]:.4f} | {found.ndcg[10]:.4f}", found.ndcg[20]


if __name__ == "__main__":
    main()
