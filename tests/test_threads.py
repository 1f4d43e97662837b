"""The same bytes whatever the number of threads, and whatever the variables say that BLAS and OpenMP read."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from sharpap.config.registry import REGISTRY
from sharpap.recommenders import WRMF
from sharpap.threads import for_work_of, one_for_sums

DIGESTS = """
import hashlib, json, sys
import numpy as np
from dataclasses import fields, replace
from sharpap.assess.work.pieces import Craft, Work
from sharpap.assess import Experiment
from sharpap.config import build
from sharpap.data import split, synthetic
from sharpap.metrics import evaluate
from sharpap.recommenders import Popularity
from sharpap.recommenders.calls import fit
from sharpap.surrogates import WRMFSurrogate

FEW = {"epochs": 2, "finalists": 2, "final_seeds": 1, "clusters": 20, "tune_epochs": 1.0}
data = split(synthetic(1500, 1200, 60_000, seed=1), seed=0, name="made")
train = data.train.matrix

def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

def few(made):
    return replace(made, **{field.name: FEW[field.name] for field in fields(made) if field.name in FEW})

found = {}
for kind, name in (word.split(":") for word in sys.argv[1:]):
    made = few(build(kind, name))
    if kind == "victim":
        model = fit(made, train, data.valid.matrix, seed=3)
        seen = evaluate(model, train, targets=(3, 5, 7), held_out=data.test.matrix)
        found[name] = [digest(model.score(np.arange(300))), digest(seen.ranks), repr(seen.ndcg)]
    else:
        direction = "demote" if name in ("reverse-bandwagon", "love-hate") else "promote"
        grid = Experiment(
            dataset=data, attacks={name: made}, victims={"popularity": Popularity()}, direction=direction
        )
        done = Work(grid, None).do(Craft(attack=name, draw=0, goal=grid.goals()[0]))
        assert not done.error, done.error
        history = [{key: value for key, value in each.items() if "seconds" not in key} for each in done.value.history]
        found[name] = [digest(done.value.profiles.indices), json.dumps(history, default=str)]
print(json.dumps(found))
"""
OURS = [f"victim:{name}" for name, (cls, _) in REGISTRY["victim"].items() if "recommenders" in cls.__module__]
# those whose scores differed between one thread and two, and those with the longest sums
QUICK = [f"victim:{name}" for name in ("ease", "vgcl", "biased-mf", "wrmf", "mult-vae")] + ["attack:sharpap"]


def digests(threads: int, names: list[str]) -> dict[str, list[str]]:
    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, *names], capture_output=True, text=True,
        env=os.environ | dict.fromkeys(variables, str(threads)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "names",
    [QUICK, pytest.param(OURS + [f"attack:{name}" for name in REGISTRY["attack"]], marks=pytest.mark.slow)],
    ids=["quick", "every victim and attack"],
)
def test_one_thread_and_two_give_the_same_bytes(names):
    one, two = (digests(threads, names) for threads in (1, 2))
    assert list(one) == [name.partition(":")[2] for name in names]
    assert [name for name in one if one[name] != two[name]] == []


def test_other_peoples_recommenders_keep_their_threads(monkeypatch):
    said = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", said.append)
    with one_for_sums():
        assert said == [1]
    assert said == [1, 4]
    with for_work_of(object()):
        assert said == [1, 4]
    with for_work_of(WRMF()):
        assert said == [1, 4, 1]
