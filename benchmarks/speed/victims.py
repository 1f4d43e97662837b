"""Recommenders beside other libraries, evaluation, and whole commands."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.speed.attacks import WEIGHTS, data
from scipy.sparse import csr_array, csr_matrix

from sharpap.data import load, synthetic
from sharpap.kernels import Pattern
from sharpap.kernels.als import solve_rows
from sharpap.kernels.wrmf import wrmf_loss
from sharpap.metrics import evaluate
from sharpap.recommenders import FactorModel, LightGCN
from sharpap.recommenders import training as training_module
from sharpap.recommenders.training import initial_factors

Work = Callable[[], dict[str, Any]]
Factors = tuple[np.ndarray, np.ndarray]
After = Callable[[Factors], None]


def _loss(pattern: Pattern, users: np.ndarray, items: np.ndarray) -> float:
    return wrmf_loss(pattern, torch.from_numpy(users), torch.from_numpy(items), **WEIGHTS)


def als(shape: str, how: str, most: int = 60, cg_steps: int = 3, within: float = 2e-3) -> Work:
    """Sweeps of alternating least squares until the exact loss is within a share of what 30 sweeps of ours reach.

    How many sweeps each side needs is found out untimed; then they are run in one go.
    """
    matrix = data(shape).matrix
    pattern = Pattern.from_csr(matrix)
    pattern.transpose.chunks  # noqa: B018
    theirs = csr_matrix(matrix).copy()

    def ours(sweeps: int, after: After | None = None, steps: int = cg_steps) -> Factors:
        users, items = initial_factors(*pattern.shape, 64, 0.1, 0)
        for _ in range(sweeps):
            solve_rows(pattern, users, items, steps=steps, **WEIGHTS)
            solve_rows(pattern.transpose, items, users, steps=steps, **WEIGHTS)
            if after is not None:
                after((users, items))
        return users, items

    def implicit(sweeps: int, after: After | None = None) -> Factors:
        from implicit.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        # implicit runs threads of its own, and is slower where BLAS does so too
        with threadpool_limits(1, "blas"):
            model: Any = AlternatingLeastSquares(
                factors=64,
                regularization=WEIGHTS["reg"],
                alpha=WEIGHTS["positive_weight"],
                iterations=sweeps,
                random_state=0,
            )
            told = None if after is None else lambda *_: after((model.user_factors, model.item_factors))
            model.fit(theirs, show_progress=False, callback=told)
        return model.user_factors, model.item_factors

    run = ours if how == "ours" else implicit
    goal = _loss(pattern, *ours(30, steps=6)) * (1 + within)
    losses: list[float] = []

    def check(made: Factors) -> None:
        losses.append(_loss(pattern, *made))
        if losses[-1] <= goal:
            raise StopIteration

    with suppress(StopIteration):
        run(most, check)
    sweeps = len(losses)

    def work() -> dict[str, Any]:
        start, cpu = time.perf_counter(), time.process_time()
        made = run(sweeps)
        facts = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu, "sweeps": sweeps}
        return facts | {"loss": _loss(pattern, *made), "loss_wanted": goal}

    return work


def lightgcn(epochs: int = 1600, rate: float = 0.05, decay: bool = True) -> Work:
    """LightGCN on all of Gowalla's training part, and its Recall@20 on the test part."""
    dataset = load("gowalla")
    train = csr_array(dataset.train.matrix + dataset.valid.matrix)
    model = LightGCN(epochs=epochs, learning_rate=rate, decay=decay)
    LightGCN(epochs=2).fit(synthetic(300, 400, 6000).matrix, seed=0)  # compile

    def work() -> dict[str, Any]:
        start, cpu = time.perf_counter(), time.process_time()
        made = model.fit(train, seed=0)
        facts = {
            "wall": time.perf_counter() - start,
            "cpu": time.process_time() - cpu,
            "epochs": epochs,
            "rate": rate,
            "decay": decay,
        }
        found = evaluate(made, train, targets=(), held_out=dataset.test.matrix, ks=(20,))
        return facts | {"recall_20": found.recall[20], "ndcg_20": found.ndcg[20]}

    return work


def evaluation() -> Work:
    """Full ranking of every user of Gowalla: ranks of five targets, Recall and NDCG at 10, 20 and 50."""
    dataset = load("gowalla")
    train = dataset.train.matrix
    users, items = initial_factors(*train.shape, 64, 0.1, 0)
    model = FactorModel(user_factors=users, item_factors=items, log={})

    def work() -> dict[str, Any]:
        found = evaluate(model, train, targets=(1, 2, 3, 4, 5), held_out=dataset.test.matrix)
        return {"users": found.num_users, "items": train.shape[1]}

    return work


def early_stopping(data: str = "ml-1m", epochs: int = 200) -> Work:
    """LightGCN with its checks: which share of the time they take."""
    dataset = load(data)
    model = LightGCN(epochs=epochs)
    LightGCN(epochs=2).fit(synthetic(300, 400, 6000).matrix, seed=0)
    spent = [0.0]
    plain = training_module.validation_ndcg

    def timed(*parts: Any) -> float:
        start = time.perf_counter()
        score = plain(*parts)
        spent[0] += time.perf_counter() - start
        return score

    training_module.validation_ndcg = timed

    def work() -> dict[str, Any]:
        spent[0] = 0.0
        start = time.perf_counter()
        model.fit(dataset.train.matrix, seed=0, valid=dataset.valid.matrix)
        return {"share_of_checks": round(spent[0] / (time.perf_counter() - start), 4)}

    return work


def command(arguments: list[str], status: int = 0) -> Work:
    """The command line in a process of its own.

    {out} is a fresh folder, {results} a small results folder, and {csv} a file of 100,000 interactions.
    """
    made = tempfile.TemporaryDirectory()

    def place(word: str) -> Path:
        return Path(made.name) / word.strip("{}")

    if "{results}" in arguments:
        words = (
            "run demo --data synthetic --victim popularity --attack random --attack bandwagon --draws 2 --quiet --out"
        )
        _sharpap([*words.split(), str(place("{results}"))], 0)
    if "{csv}" in arguments:
        random = np.random.default_rng(0)
        pairs = np.stack([random.integers(0, 1000, 100_000), random.integers(0, 2000, 100_000)], 1)
        np.savetxt(place("{csv}"), pairs, fmt="%d", delimiter=",", header="user,item", comments="")

    def work() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            known = {"{out}": Path(folder) / "out"} | {word: place(word) for word in ("{results}", "{csv}")}
            words = [str(known.get(part, part)) for part in arguments]
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            _sharpap(words, status)
            wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {"wall": wall, "cpu": cpu, "peak_mib": after.ru_maxrss / 1024}

    return work


def _sharpap(words: list[str], status: int) -> None:
    command = [sys.executable, "-m", "sharpap", *words]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode != status:
        raise RuntimeError(f"sharpap {' '.join(words)} ended with status {done.returncode}")
