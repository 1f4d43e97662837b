"""Work in several processes: the same table, workers that die, experiments that cannot be sent, interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numba
import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.sparse import csr_array
from threadpoolctl import threadpool_info, threadpool_limits

from sharpap import progress
from sharpap.assess import Experiment, run
from sharpap.attacks import RandomAttack, RevAdv, SharpnessAware
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import AttackError, ConfigError
from sharpap.recommenders import EASE, WRMF, FactorModel, Popularity
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget

SMALL = RevAdv(
    surrogate=WRMFSurrogate(embedding_size=8, epochs=8, unrolled_epochs=4), epochs=3, finalists=2, final_seeds=1
)


@dataclass(frozen=True)
class Deadly:
    """Kills its process on poisoned data: the first `times` times it is trained, as counted in a file, or always."""

    counter: str
    times: int

    def fit(self, train: csr_array, *, seed: int) -> FactorModel:
        if train.shape[0] > 150:
            path = Path(self.counter)
            done = len(path.read_text()) if path.exists() else 0
            if done < self.times:
                with path.open("a") as file:
                    file.write("x")
                os.kill(os.getpid(), signal.SIGKILL)
        return Popularity().fit(train, seed=seed)


class Greedy:
    """Ignores its budget."""

    def poison(self, train, goal, budget, *, seed):
        made = RandomAttack().poison(train, goal, budget, seed=seed)
        return replace(made, profiles=csr_array(np.ones((9, train.shape[1]))))


@pytest.fixture(scope="module")
def experiment():
    return Experiment(
        dataset=split(synthetic(150, 200, 4000, seed=2), seed=0, name="made"),
        attacks={"random": RandomAttack(), "sharpap": replace(SMALL, worst_case=SharpnessAware())},
        victims={"popularity": Popularity(), "wrmf": WRMF(embedding_size=8, epochs=4)},
        targets=TargetPool(draws=2), budget=Budget(fake_users=0.05), seeds=2, ks=(5, 10), sharpness=True,
    )  # fmt: skip


def test_two_processes_give_the_table_of_one(experiment, tmp_path):
    one, two = run(experiment), run(experiment, cells=tmp_path, jobs=2)
    assert one.frame.equals(two.frame)
    assert [replace(cell, train_seconds=0, evaluate_seconds=0) for cell in one.cells] == [
        replace(cell, train_seconds=0, evaluate_seconds=0) for cell in two.cells
    ]
    assert one.sharpness == two.sharpness
    assert list(one.poisons) == list(two.poisons)
    kept = sorted(tmp_path.iterdir())
    again = run(experiment, cells=tmp_path, jobs=2)
    assert again.frame.equals(one.frame)
    assert sorted(tmp_path.iterdir()) == kept


def test_two_processes_give_the_table_of_one_where_blas_would_not(monkeypatch):
    """Alone, BLAS takes all processors; a worker has its share of them. Ranks of this EASE once differed by that."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    grid = Experiment(
        dataset=split(synthetic(1500, 1200, 60_000, seed=1), seed=0, name="made"),
        attacks={"random": RandomAttack()}, victims={"ease": EASE()}, targets=TargetPool(draws=2),
    )  # fmt: skip
    with threadpool_limits(2, user_api="blas"):  # as without the variables; pytest may have been started with them
        one = run(grid)
    assert run(grid, jobs=2).frame.equals(one.frame)


@dataclass(frozen=True)
class Looks:
    """Notes how many threads each library of its process would use."""

    path: str

    def fit(self, train, *, seed):
        scipy.linalg.solve(np.eye(3), np.ones(3))  # SciPy's own BLAS is loaded
        pools = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
        found = {"torch": torch.get_num_threads(), "numba": numba.get_num_threads(), **pools}
        Path(self.path).write_text(json.dumps(found))
        return Popularity().fit(train, seed=seed)


def test_threads_are_divided_and_not_multiplied(experiment, tmp_path, monkeypatch):
    """Two workers of one processor each: no library of theirs takes it for more."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    run(replace(experiment, victims={"looks": Looks(str(tmp_path / "found"))}), jobs=2)
    found = json.loads((tmp_path / "found").read_text())
    assert len(found) > 3
    assert set(found.values()) == {1}
    assert not {"OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} & os.environ.keys()


@pytest.mark.parametrize("times", [1, 99])
def test_a_dead_worker_costs_its_own_cell_at_most(experiment, tmp_path, times):
    """A worker killed once is replaced and nothing is lost; a victim that always kills is a failed cell each time."""
    deadly = Deadly(str(tmp_path / "count"), times)
    grid = replace(experiment, victims=experiment.victims | {"deadly": deadly}, seeds=1, sharpness=False)
    found = run(grid, jobs=2)
    failed = [cell for cell in found.cells if cell.error]
    assert len(found.cells) == grid.num_cells
    assert {cell.victim for cell in failed} == (set() if times == 1 else {"deadly"})
    assert len(failed) == (0 if times == 1 else 4)
    assert all("died twice" in cell.error for cell in failed)
    others = found.frame.filter(found.frame["victim"] != "deadly")
    whole = run(replace(experiment, seeds=1, sharpness=False)).frame
    assert others.equals(whole)


def test_an_attack_that_breaks_its_budget_says_so_from_a_worker(experiment):
    with pytest.raises(AttackError, match=r"Every attack failed.*shape"):
        run(replace(experiment, attacks={"greedy": Greedy()}), jobs=2)


def test_what_cannot_be_sent_is_refused_with_advice(experiment):
    class Local:
        def fit(self, train: csr_array, *, seed: int) -> FactorModel:
            raise AssertionError

    with pytest.raises(ConfigError, match="top level of a module"):
        run(replace(experiment, victims={"local": Local()}), jobs=2)
    with pytest.raises(ConfigError, match="jobs=0"):
        run(experiment, jobs=0)


def test_an_interrupt_ends_the_workers_and_keeps_what_is_finished(experiment):
    class Interrupting(progress._Silent):
        cells = 0

        def event(self, kind: str, **fields: object) -> None:
            self.cells += kind == "cell"
            if self.cells == 6:
                raise KeyboardInterrupt

    with progress.reporting(Interrupting()):
        found = run(experiment, jobs=2)
    assert found.provenance["interrupted"]
    assert 4 <= len(found.cells) < experiment.num_cells


def test_a_script_without_a_guard_is_told_of_it(tmp_path):
    """Its workers run the script again, and end there; the run must neither hang nor start workers without end."""
    script = tmp_path / "unguarded.py"
    script.write_text("""
from sharpap.assess import Experiment, run
from sharpap.attacks import RandomAttack
from sharpap.data import split, synthetic
from sharpap.recommenders import Popularity
dataset = split(synthetic(4000, 900, 60_000))
run(Experiment(dataset=dataset, attacks={"random": RandomAttack()}, victims={"popularity": Popularity()}), jobs=2)
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Worker processes end before they are ready" in done.stderr
    assert 'if __name__ == "__main__"' in done.stderr


def test_the_file_that_workers_read_is_removed(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run(experiment, jobs=2)
    assert list(tmp_path.glob("sharpap-*")) == []
