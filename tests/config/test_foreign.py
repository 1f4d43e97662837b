"""Objects that are not SharpAP's are told apart by all they carry, and stay the same from process to process."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import sharpap
from sharpap.config import describe
from sharpap.config.foreign import digest
from sharpap.data import TargetPool, split, synthetic


class Model:
    """A recommender that ranks items by fixed weights."""

    def __init__(self, weights: Any, **more: Any) -> None:
        self.weights, self._more = weights, more

    def fit(self, train, *, seed):
        """Nothing to learn."""
        self.shape = train.shape
        return self

    def score(self, users):
        """The same for everyone."""
        return np.tile(
            np.resize(np.asarray(self.weights, float), self.shape[1]) * np.arange(self.shape[1]), (len(users), 1)
        )


@dataclass(frozen=True, eq=False)
class Settings:
    """A dataclass whose text leaves most of the array out."""

    table: np.ndarray = field(default_factory=lambda: np.zeros(5000))


def closing_over(value):
    return lambda train, seed: value


def with_default(value):
    def f(train, seed, own=value):
        return own

    return f


long, changed = np.zeros(5000), np.zeros(5000)
changed[2500] = 1
PAIRS = {
    "a list": (Model([1.0]), Model([-1.0])),
    "a dict": (Model({"a": 1}), Model({"a": 2})),
    "an array": (Model(long), Model(changed)),
    "a tensor": (Model(torch.zeros(3)), Model(torch.ones(3))),
    "a sparse matrix": (Model(csr_array(np.eye(3))), Model(csr_array(2 * np.eye(3)))),
    "a private attribute": (Model(1, lift=1), Model(1, lift=2)),
    "a nested object": (Model(Model([1])), Model(Model([2]))),
    "a closure": (closing_over(1), closing_over(2)),
    "a default": (with_default(1), with_default(2)),
    "a bound method": (Model([1]).score, Model([2]).score),
    "an argument by place": (functools.partial(with_default, 1), functools.partial(with_default, 2)),
    "an argument by name": (functools.partial(with_default, value=[1]), functools.partial(with_default, value=[2])),
    "an array of a dataclass": (Settings(long), Settings(changed)),
}


@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS)
def test_what_differs_in_content_differs_in_its_description(one, other):
    assert describe(one, "victim") != describe(other, "victim")
    assert describe(one, "victim") == describe(one, "victim")


def test_equal_contents_have_one_description_in_every_process():
    made = "Model({'b': [1, 2], 'a': {'x', 'y', 'z'}}, table=np.arange(3), matrix=csr_array(np.eye(2)))"
    code = f"from test_foreign import *; print(describe({made}, 'victim')['state'])"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={"PYTHONPATH": ":".join([*sys.path, __file__.rpartition("/")[0]]), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1
    assert found.pop().strip() == describe(eval(made), "victim")["state"]


def test_rings_end_and_what_cannot_be_written_down_is_never_the_same():
    one, other = Model([]), Model([])
    one.weights, other.weights = [one], [other]
    assert describe(one, "victim") == describe(other, "victim")
    lock = threading.Lock()
    assert digest(lock) != digest(lock)
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert digest(deep) != digest(deep)


def test_a_store_does_not_take_a_model_for_another_with_other_contents(tmp_path):
    data = split(synthetic(60, 80, 900, seed=0))

    def measured(weights):
        found = sharpap.stress_test(
            data, attacks={"random": sharpap.RandomAttack()}, victims={"mine": Model(weights)}, targets=TargetPool(draws=1),
            store=tmp_path,
        )  # fmt: skip
        return found.transfer_matrix()["mean"].to_list(), found.frame.filter(metric="NDCG")["value"].to_list()

    first = measured([1.0])
    assert measured([-1.0]) != first
    assert measured([1.0]) == first
