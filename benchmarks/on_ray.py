"""One grid by a serial run, two processes, and Ray with one and two jobs: seconds, and whether the tables are the same.

    python benchmarks/on_ray.py --epochs 400        # about a minute of work

Every piece has one thread everywhere, so that the jobs alone differ. Compiled kernels are warmed up first.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace

import numba
import torch

from sharpap import load
from sharpap.assess import Experiment, run
from sharpap.assess.execution.resources import OnRay
from sharpap.attacks import Bandwagon, RandomAttack
from sharpap.data import TargetPool
from sharpap.recommenders import WRMF


def main() -> None:
    """Print one line a way of doing it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    experiment = Experiment(
        dataset=load(given.data), attacks={"random": RandomAttack(), "bandwagon": Bandwagon()},
        victims={"wrmf": WRMF(epochs=given.epochs, patience=given.epochs)}, targets=TargetPool(draws=2), seeds=2,
    )  # fmt: skip
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    run(replace(experiment, victims={"wrmf": WRMF(epochs=2)}, seeds=1))
    print(f"{given.data}, {experiment.num_cells} trainings, {os.cpu_count()} CPUs")
    reference, first = None, 0.0
    for name, jobs, backend in [
        ("serial", 1, "serial"),
        ("processes", 2, "processes"),
        ("ray", 1, OnRay(cpus=1)),
        ("ray", 2, OnRay(cpus=1)),
    ]:
        start = time.perf_counter()
        found = run(experiment, jobs=jobs, backend=backend)
        seconds = time.perf_counter() - start
        reference, first = (found.frame, seconds) if reference is None else (reference, first)
        training = sum(cell.train_seconds + cell.evaluate_seconds for cell in found.cells)
        same = "same table" if found.frame.equals(reference) else "ANOTHER TABLE"
        print(f"{name:9s} jobs={jobs} {seconds:6.1f} s ({training:6.1f} s in pieces) x{first / seconds:4.2f} {same}")


if __name__ == "__main__":
    main()
