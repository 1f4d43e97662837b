"""Accuracy of SGL, SimGCL, XSimGCL and VGCL beside public code: the same split, and our metrics for both.

    git clone https://github.com/Coder-Yu/SELFRec && git clone https://github.com/yimutianyang/SIGIR23-VGCL
    python -m venv other && other/bin/pip install torch scipy pyyaml faiss-cpu numba 'numpy<2'
    python benchmarks/outside_graph.py --python other/bin/python --selfrec SELFRec --vgcl SIGIR23-VGCL

What `outside.py` is for RecBole, for three models that RecBole lacks, by their authors' code, and for SGL, which it trains too
slowly, by SELFRec's. Each is trained with the settings that come with the code and with others that suit a small, dense set;
the one with the best validation NDCG@20 is reported, all validation figures are shown.
VGCL is the authors' PyTorch version; the paper's figures are from their TensorFlow 1 version.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from outside import Stored, heading, measured, ours, pairs
from sharpap.data import Dataset, load

# Their model: ours, and the settings to try; {} is the authors' own.
SMALLER = {"num_user_cluster": 100, "num_item_cluster": 100}
MODELS: dict[str, tuple[str, tuple[dict[str, float], ...]]] = {
    "SGL": ("sgl", ({}, {"rate": 0.005}, {"lambda": 0.02, "rate": 0.005})),
    "SimGCL": ("simgcl", ({}, {"lambda": 0.05, "rate": 0.005})),
    "XSimGCL": ("xsimgcl", ({}, {"lambda": 0.05, "rate": 0.005})),
    "VGCL": ("vgcl", ({}, SMALLER | {"alpha": 0.05, "rate": 0.003}, SMALLER | {"alpha": 0.05, "rate": 0.01})),
}


def export(dataset: Dataset, folder: Path) -> None:
    """Training and validation pairs as (2, nnz) int64 arrays."""
    for name, part in (("train", dataset.train), ("valid", dataset.valid)):
        np.save(folder / f"{name}.npy", pairs(part))


def theirs(args: argparse.Namespace, name: str, settings: dict[str, float], dataset: Dataset) -> tuple[Any, ...]:
    """The log of one of their trainings, its cells and its NDCG@20."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        export(dataset, folder)
        script = str(Path(__file__).resolve().with_name("outside_graph_train.py"))
        code = str((args.vgcl if name == "VGCL" else args.selfrec).resolve())
        request = {
            "model": name,
            "shape": dataset.train.matrix.shape,
            "seed": args.seed,
            "epochs": args.epochs,
            "seconds": args.seconds,
            "settings": settings,
        }
        (folder / "request.json").write_text(json.dumps(request))
        done = subprocess.run(
            [args.python, "-W", "ignore", script, scratch, code],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
        log = json.loads((folder / "log.json").read_text())
        model = Stored(scores=np.load(folder / "scores.npy", mmap_mode="r", allow_pickle=False))
        return log, *measured(model, dataset.train.matrix, dataset.test.matrix)


def main() -> None:
    """Train both and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="the interpreter of an environment that runs their code")
    parser.add_argument("--selfrec", type=Path, required=True, help="a checkout of SELFRec")
    parser.add_argument("--vgcl", type=Path, required=True, help="a checkout of SIGIR23-VGCL")
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=150, help="most epochs of theirs")
    parser.add_argument("--seconds", type=float, default=240.0, help="most CPU seconds of theirs, for each setting")
    args = parser.parse_args()
    dataset = load(args.data)
    heading(args.data, "theirs", "their settings: epoch, valid N@20")
    for name in args.models.split(","):
        own, grid = MODELS[name]
        cells, n20, seconds = ours(own, dataset, seed=args.seed)
        tried = [(settings, *theirs(args, name, settings, dataset)) for settings in grid]
        tried.sort(key=lambda each: -each[1]["valid"])
        _, log, their_cells, their_n20 = tried[0]
        how = [
            f"{', '.join(f'{key} {value:g}' for key, value in settings.items()) or 'authors'}: {each['epoch']}"
            f"{' (time)' if each['cut'] else ''}, {each['valid']:.4f}"
            for settings, each, *_ in tried
        ]
        print(
            f"| {name} | {cells} | {their_cells} | {n20 / their_n20:.3f} | {seconds:.1f}, {log['seconds']:.1f} "
            f"| {'; '.join(how)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
