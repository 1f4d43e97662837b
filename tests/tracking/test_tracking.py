"""What trackers logged, read back by their own libraries."""

from __future__ import annotations

import sys

import pytest

import sharpap
from sharpap.attacks import RandomAttack, RevAdv
from sharpap.data import Dataset, Interactions, TargetPool, synthetic
from sharpap.errors import ConfigError, TrainingError
from sharpap.recommenders import Popularity
from sharpap.surrogates import WRMFSurrogate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
ATTACK = RevAdv(
    epochs=3, finalists=1, final_seeds=1, surrogate=WRMFSurrogate(epochs=4, unrolled_epochs=2, embedding_size=4)
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    train = synthetic(80, 60, 900, seed=1)
    none = Interactions.from_csr(train.matrix * 0)
    return Dataset(name="tiny", train=train, valid=none, test=none)


def assess(data, **more):
    return sharpap.stress_test(
        data, attacks={"random": RandomAttack(), "revadv": ATTACK}, victims={"popularity": Popularity()},
        targets=TargetPool(size=2, draws=2), seeds=2, ks=(10,), **more,
    )  # fmt: skip


def cells(results, attack):
    """H@10 by draw and seed."""
    part = results.frame.filter(attack=attack, metric="H", k=10, target=-1).sort("draw", "seed")
    return part["value"].to_list()


def test_tensorboard_has_every_cell_and_every_outer_epoch(data, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with sharpap.track("tensorboard", tmp_path):
        results = assess(data)
        assess(data)
    folders = sorted(entry for entry in tmp_path.iterdir())
    assert len(folders) == 2  # one a run
    found = accumulator.EventAccumulator(str(folders[0]))
    found.Reload()
    for attack in ("none", "random", "revadv"):
        scalars = found.Scalars(f"H@10/{attack}/popularity")
        assert [event.step for event in scalars] == [0, 1, 2, 3] or attack == "none"
        assert [event.value for event in sorted(scalars, key=lambda event: event.step)] == pytest.approx(
            cells(results, attack)
        )
    for draw in (0, 1):
        losses = found.Scalars(f"attack/revadv/draw {draw}/attack_loss")
        history = results.poisons["revadv", draw].history
        assert [event.value for event in losses] == pytest.approx([record["attack_loss"] for record in history])
    mean = results.transfer_matrix("H", 10).filter(attack="random")["mean"][0]
    assert found.Scalars("mean H@10/random/popularity")[0].value == pytest.approx(mean)
    assert "results/text_summary" in found.Tags()["tensors"]
    config = found.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| attacks.revadv.epochs | 3 |" in config


def test_mlflow_has_parameters_metrics_and_the_report(data, tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("sqlalchemy")
    with sharpap.track("mlflow", tmp_path / "ml"):
        results = assess(data, out=tmp_path / "results")
    with pytest.raises(TrainingError), sharpap.track("mlflow", tmp_path / "ml"):
        sharpap.stress_test(data, attacks={}, victims={"broken": Broken()})
    client = tracking.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'ml' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("sharpap")
    failed, done = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
    assert (done.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert done.data.params["attacks.revadv.surrogate.embedding_size"] == "4"
    assert done.data.params["data.source"] == "tiny"
    history = sorted(
        client.get_metric_history(done.info.run_id, "H_at_10/revadv/popularity"), key=lambda each: each.step
    )
    assert [each.step for each in history] == [0, 1, 2, 3]
    assert [each.value for each in history] == pytest.approx(cells(results, "revadv"))
    epochs = client.get_metric_history(done.info.run_id, "attack/revadv/draw 1/surrogate_hit_ratio")
    assert len(epochs) == 3
    files = {each.path for each in client.list_artifacts(done.info.run_id)}
    assert {"report.html", "config.toml", "results.parquet", "results.md"} <= files
    saved = (tmp_path / "results" / "report.html").read_text()
    (copied,) = (tmp_path / "ml" / "artifacts").rglob("report.html")
    assert copied.read_text() == saved
    assert not (tmp_path / "mlruns").exists()


class Broken:
    """A victim that never trains."""

    def fit(self, train, *, seed):
        raise ValueError("no")

    def score(self, users):
        raise AssertionError


def test_a_tracker_changes_no_number(data, tmp_path):
    pytest.importorskip("tensorboard")
    with sharpap.track("tensorboard", tmp_path):
        tracked = assess(data)
    assert tracked.frame.equals(assess(data).frame)


@pytest.mark.parametrize(
    ("kind", "module"), [("tensorboard", "torch.utils.tensorboard.writer"), ("mlflow", "mlflow.tracking")]
)
def test_without_the_library_the_way_to_it_is_named(kind, module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'sharpap\[{kind}\]'"):
        sharpap.track(kind, tmp_path)


def test_unknown_trackers_suggest_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'mlflow'"):
        sharpap.track("mlflw", tmp_path)
