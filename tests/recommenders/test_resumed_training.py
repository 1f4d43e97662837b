"""A training that is stopped after any epoch and goes on ends with the very model of one that was left alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sharpap import checkpoints, progress
from sharpap.assess import run
from sharpap.assess.experiment import Experiment
from sharpap.assess.work import cells as cells_module
from sharpap.attacks import RandomAttack
from sharpap.data import TargetPool, split, synthetic
from sharpap.recommenders import (
    BPRMF,
    NGCF,
    SGL,
    VGCL,
    WRMF,
    BiasedMF,
    GRU4Rec,
    LightGCN,
    MultVAE,
    NeuMF,
    SASRec,
    SimGCL,
    XSimGCL,
)
from sharpap.recommenders.training import Training
from sharpap.threat import Budget

SMALL: dict[str, Any] = {"embedding_size": 4, "epochs": 9, "check_every": 2, "patience": 2, "min_epochs": 4}
GRAPH: dict[str, Any] = SMALL | {"layers": 2}
MODELS = {
    "bpr-mf": BPRMF(**SMALL),
    "bpr-mf decaying": BPRMF(**SMALL, decay=True),
    "lightgcn": LightGCN(**GRAPH),
    "ngcf": NGCF(**GRAPH),
    "sgl": SGL(**GRAPH, contrast_size=32),
    "simgcl": SimGCL(**GRAPH, contrast_size=32),
    "xsimgcl": XSimGCL(**GRAPH, contrast_size=32),
    "vgcl": VGCL(**GRAPH, contrast_size=32, clusters=3, cluster_every=4),
    "wrmf": WRMF(embedding_size=4, epochs=9, patience=9),
    "wrmf by adam": WRMF(embedding_size=4, epochs=9, solver="adam"),
    "biased-mf": BiasedMF(**SMALL, batch_size=200),
    "neumf": NeuMF(**SMALL, hidden=(8, 4), dropout=0.2, batch_size=200),
    "neumf decaying": NeuMF(**SMALL, hidden=(8, 4), batch_size=200, decay=True),
    "sasrec": SASRec(**SMALL, max_len=6, batch_size=200),
    "gru4rec": GRU4Rec(**SMALL, hidden=6, max_len=6, batch_size=200, negatives=9),
    "mult-vae": MultVAE(hidden=8, latent=2, batch_size=7, epochs=9, check_every=2, min_epochs=4, anneal_steps=30),
}


class StoppedError(Exception):
    """In the place of a kill."""


@pytest.fixture
def stops_after(monkeypatch):
    """Have trainings stop after so many epochs of one call."""

    def stop_after(most: int | None) -> None:
        def run(self, *args):
            for done, epoch in enumerate(whole(self, *args)):
                if done == most:
                    raise StoppedError
                yield epoch

        monkeypatch.setattr(Training, "run", run)

    whole = Training.run
    return stop_after


def arrays(model: Any) -> list[bytes]:
    parts = [part for value in vars(model).values() for part in (value if isinstance(value, list) else [value])]
    return [np.asarray(part).tobytes() for part in parts if isinstance(part, (np.ndarray, torch.Tensor))]


@pytest.mark.parametrize("validated", [True, False], ids=["early stopping", "all epochs"])
@pytest.mark.parametrize("name", MODELS)
def test_stopped_after_any_epoch_it_ends_as_if_left_alone(name, validated, blocks, keeper, stops_after):
    draw = np.random.default_rng(1)
    held = csr_array((draw.random(blocks.shape) < 0.1) & (blocks.toarray() == 0), dtype=np.float32)
    valid = held if validated else None
    whole = MODELS[name].fit(blocks, seed=5, valid=valid)
    assert len(arrays(whole)) >= 2
    for steps in (1, 4):
        keeper.kept.clear()
        stops_after(steps)
        found, stops = keeper.until_done(lambda: MODELS[name].fit(blocks, seed=5, valid=valid), StoppedError)
        assert stops >= 1
        assert arrays(found) == arrays(whole)
        logs = [{key: value for key, value in model.log.items() if key != "seconds"} for model in (found, whole)]
        assert logs[0] == logs[1]
    assert len(keeper.kept) == 1


def test_trainings_are_told_apart(blocks, keeper, stops_after):
    """By settings, seed and data: none goes on from the state of another in the same piece of work."""
    model, other = BPRMF(**SMALL), BPRMF(**SMALL | {"learning_rate": 0.02})
    fewer = blocks.toarray()
    fewer[:2] = 0
    plan = [(model, blocks, 5), (model, blocks, 6), (other, blocks, 5), (model, csr_array(fewer), 5)]
    alone = [each.fit(train, seed=seed) for each, train, seed in plan]
    stops_after(3)
    with checkpoints.keeping(keeper):
        for each, train, seed in plan:
            with pytest.raises(StoppedError):
                each.fit(train, seed=seed)
        assert len(keeper.kept) == len(plan)
        stops_after(None)
        found = [each.fit(train, seed=seed) for each, train, seed in plan]
    assert [arrays(model) for model in found] == [arrays(model) for model in alone]


def test_trainings_on_other_orders_are_told_apart(blocks, keeper, stops_after):
    model, times = MODELS["sasrec"], np.random.default_rng(0).random(blocks.nnz)
    alone = [model.fit(blocks, seed=5, times=each) for each in (times, -times)]
    stops_after(3)
    with checkpoints.keeping(keeper):
        for each in (times, -times):
            with pytest.raises(StoppedError):
                model.fit(blocks, seed=5, times=each)
        assert len(keeper.kept) == 2
        stops_after(None)
        found = [model.fit(blocks, seed=5, times=each) for each in (times, -times)]
    assert [arrays(model) for model in found] == [arrays(model) for model in alone]


@pytest.fixture
def experiment():
    return Experiment(
        dataset=split(synthetic(60, 80, 900, seed=2), seed=0, name="made"), attacks={"random": RandomAttack()},
        victims={"bpr": BPRMF(**SMALL)}, targets=TargetPool(draws=1, size=2), budget=Budget(fake_users=3), ks=(5,),
    )  # fmt: skip


def test_a_run_goes_on_within_a_training_and_leaves_no_state(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(cells_module.Checkpoints, "due", lambda self: True)
    whole = run(experiment)
    epochs: list[int] = []
    original = Training.run

    def counted(self, *args):
        for epoch in original(self, *args):
            epochs.append(epoch)
            if len(epochs) == 4:
                raise KeyboardInterrupt
            yield epoch

    monkeypatch.setattr(Training, "run", counted)
    assert run(experiment, cells=tmp_path).provenance["interrupted"]
    assert len(list(tmp_path.glob("state-*.record"))) == 1
    epochs.append(0)
    found = run(experiment, cells=tmp_path)
    assert epochs[:6] == [1, 2, 3, 4, 0, 4]
    assert found.frame.equals(whole.frame)
    assert not list(tmp_path.glob("state-*"))


@pytest.mark.parametrize("shape", [(), (1,), (3, 3)])
def test_a_state_that_cannot_be_gone_on_from_is_forgotten(shape, experiment, tmp_path, monkeypatch):
    """With the right checksum, of another shape: the training fails once, and begins at its beginning."""
    monkeypatch.setattr(cells_module.Checkpoints, "due", lambda self: True)
    whole = run(experiment)
    original = Training.run

    def stopped(self, *args):
        for epoch in original(self, *args):
            if epoch == 4:
                raise KeyboardInterrupt
            yield epoch

    with monkeypatch.context() as patched:
        patched.setattr(Training, "run", stopped)
        assert run(experiment, cells=tmp_path).provenance["interrupted"]
    (path,) = tmp_path.glob("state-*.record")
    _, key, content = path.read_bytes().split(b"\n", 2)
    arrays, facts = cells_module._unpacked(content)
    odd = {name: value if value.ndim == 0 else np.ones(shape, value.dtype) for name, value in arrays.items()}
    kind = path.name.removesuffix(".record").rpartition("-")[0]
    cells_module.CellStore(tmp_path).put(kind, json.loads(key), cells_module._packed(facts, **odd))
    assert path.read_bytes().split(b"\n", 2)[2] != content
    found = run(experiment, cells=tmp_path)
    assert found.frame.equals(whole.frame)
    assert not any(cell.error for cell in found.cells)
    assert not list(tmp_path.glob("state-*"))


def test_a_checkpoint_that_finds_no_room_costs_no_training(experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(cells_module.Checkpoints, "due", lambda self: True)
    put = cells_module.CellStore.put

    def full(self, kind, key, content):
        if kind.startswith("state-"):
            raise cells_module.StorageError("The disk is full.")
        put(self, kind, key, content)

    monkeypatch.setattr(cells_module.CellStore, "put", full)
    said: list[str] = []
    monkeypatch.setattr(progress, "event", lambda kind, **fields: said.append(str(fields.get("message"))))
    found = run(experiment, cells=tmp_path)
    assert found.frame.equals(run(experiment).frame)
    assert not any(cell.error for cell in found.cells)
    assert any("A checkpoint could not be kept: The disk is full." in line for line in said)
