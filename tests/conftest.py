"""Shared fixtures: a tiny dataset, and the real ones where they are at hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # two pytest workers with one thread each, not two with two
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sharpap import checkpoints
from sharpap.assess.work import cells as cells_module
from sharpap.cli import main
from sharpap.data import Dataset, load
from sharpap.errors import DownloadError

torch.set_num_threads(1)
T = TypeVar("T")


@pytest.fixture
def sharpap(monkeypatch, capsys):
    """Run the command line in this process; gives exit status, stdout and stderr."""

    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 99.0, 99.0))  # an audit starts no second process by itself

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sharpap", *map(str, args)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of real datasets; skips the test where it is not at hand."""
    home = os.environ.get("SHARPAP_DATA_HOME")
    if not home or not Path(home).is_dir():
        pytest.skip("SHARPAP_DATA_HOME names no folder with the real datasets")
    return Path(home)


@pytest.fixture(scope="session")
def ml100k() -> Dataset:
    """MovieLens-100K from wherever it can be had: at hand, cached, or fetched; skips the test where it cannot."""
    try:
        return load("ml-100k")
    except DownloadError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def blocks() -> csr_array:
    """60 users x 40 items in two taste groups of unequal popularity; learnable and small."""
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 2, 60)
    appeal = 1 / np.arange(1, 21)
    chance = np.zeros((60, 40))
    for group in (0, 1):
        chance[groups == group, 20 * group : 20 * group + 20] = np.clip(3 * appeal, 0.1, 0.9)
    dense = (generator.random((60, 40)) < chance + 0.02).astype(np.float32)
    dense[np.arange(60), 20 * groups] = 1
    return csr_array(dense)


class Keeper:
    """Keeps each state as bytes, so that nothing is shared with the attack that goes on."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def due(self) -> bool:
        return True

    def load(self, name):
        if name not in self.kept:
            return None
        arrays, facts = cells_module._unpacked(self.kept[name])
        return facts | arrays

    def save(self, name, state):
        arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        facts = {key: value for key, value in state.items() if key not in arrays}
        self.kept[name] = cells_module._packed(facts, **arrays)

    def until_done(self, work: Callable[[], T], stop: type[BaseException]) -> tuple[T, int]:
        """Have work that raises `stop` go on until it is done: what it gives, and how often it was stopped."""
        stops = 0
        while True:
            try:
                with checkpoints.keeping(self):
                    return work(), stops
            except stop:
                stops += 1
            assert stops < 20, "it does not get on"


@pytest.fixture
def keeper() -> Keeper:
    """Checkpoints in memory, after every step."""
    return Keeper()
