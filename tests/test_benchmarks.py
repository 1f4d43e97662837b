"""The scripts whose tables stand in the docs still run, on data that is made in a moment."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpap.assess import Experiment, stress_test
from sharpap.attacks import Bandwagon, RandomAttack, RevAdv, SharpnessAware
from sharpap.data import Interactions, TargetPool, load, split, synthetic
from sharpap.recommenders import EASE, SASRec
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (["recommenders.py", "--data", "synthetic", "--models", "popularity,ease"], ["popularity", "ease"]),
        pytest.param(
            ["training_length.py", "--data", "synthetic", "--draws", "1", "--models", "bpr-mf"], ["bpr-mf"] * 9,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["co_visits.py", "--data", "synthetic", "--draws", "1"],
            [f"{size}, {share} %" for size in (5, 2, 1) for share in (5, 1)], marks=pytest.mark.slow,
        ),
    ],
    ids=["recommenders", "training_length", "co_visits"],
)  # fmt: skip
def test_it_prints_its_table(command, rows):
    done = subprocess.run([sys.executable, BENCHMARKS / command[0], *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()]
    assert [line[0] for line in lines[2:]] == rows
    assert {len(line) for line in lines} == {len(lines[0])}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers") / "inputs"
    done = beside_peers("--export", folder)
    assert done.returncode == 0, done.stderr
    return folder


def beside_peers(*arguments):
    settings = ["--data", "synthetic", "--draws", "2", "--fakes", "3", "--ours", "bandwagon", "--victims", "ease"]
    command = [sys.executable, BENCHMARKS / "beside_peers.py", *arguments, *settings]
    return subprocess.run(command, capture_output=True, text=True)


def write_profiles(folder, inputs, size):
    """Files of a peer for both draws: three fakes who hold the targets and the first items after them."""
    facts = json.loads((inputs / "inputs.json").read_text())
    for draw, targets in enumerate(facts["targets"]):
        items = [*targets, *(item for item in range(len(facts["item_ids"])) if item not in targets)][:size]
        lines = [f"{fake},{facts['item_ids'][item]}" for fake in range(3) for item in items]
        path = folder / f"{draw}.csv"
        path.write_text("\n".join(["user_id,item_id", *lines]))
        about = {"attack": "theirs", "seconds": 7, "target_ids": [facts["item_ids"][item] for item in targets]}
        path.with_name(f"{draw}.csv.json").write_text(json.dumps(about))
    return facts["profile_size"]


def test_peers_get_the_training_data_and_the_targets(inputs):
    dataset = load("synthetic")
    for name, part in (("train", dataset.train), ("val", dataset.valid)):
        lines = [line.split() for line in (inputs / f"{name}.txt").read_text().splitlines()]
        assert [int(user) for user, *_ in lines] == list(range(part.num_users))
        assert [int(item) for _, *items in lines for item in items] == part.matrix.indices.tolist()
    facts = json.loads((inputs / "inputs.json").read_text())
    drawn = [TargetPool().draw(dataset.train, draw, seed=0) for draw in range(2)]
    assert [tuple(targets) for targets in facts["targets"]] == drawn


def test_profiles_of_peers_are_measured_beside_ours(inputs, tmp_path):
    write_profiles(tmp_path, inputs, 20)
    done = beside_peers(tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if line]
    measured = ["no attack", "bandwagon", "theirs"]
    assert [row[0] for row in rows if row[0] in measured] == [*measured, *measured, *measured[1:]]
    assert rows[-1][:5] == ["theirs", "7.0", "3", "20", "5.0"]


def test_profiles_of_peers_keep_the_budget(inputs, tmp_path):
    size = write_profiles(tmp_path, inputs, 60)
    done = beside_peers(tmp_path)
    assert done.returncode == 1
    assert f"60 items into fake profile 0; the budget is {size}." in done.stderr
    assert "Traceback" not in done.stderr


def test_stored_profiles_of_ours_are_those_of_the_same_settings(tmp_path, monkeypatch):
    """A default that changed since is crafted anew, not taken for the one of before."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    crafted = importlib.import_module("beside_peers").crafted
    experiment = Experiment(
        dataset=load("synthetic"), attacks={"ours": Bandwagon(popular_share=0.2)}, victims={"ease": EASE()},
        targets=TargetPool(draws=1), budget=Budget(fake_users=3),
    )  # fmt: skip
    first = crafted(experiment, tmp_path)
    other = crafted(replace(experiment, attacks={"ours": Bandwagon(popular_share=0.8)}), tmp_path)
    assert [*crafted(experiment, tmp_path)] == [("ours", 0)]
    assert len([*tmp_path.glob("*.npz")]) == 2
    assert (first["ours", 0].profiles != other["ours", 0].profiles).nnz


def test_orders_of_fakes_stand_side_by_side_and_differences_are_paired_by_draw(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    made = synthetic(60, 80, 900, seed=2)
    timed = Interactions.from_csr(made.matrix, timestamps=np.random.default_rng(0).random(made.nnz))
    folders, hits = [], []
    for order in ("shuffled", "genuine"):
        results = stress_test(
            split(timed, seed=0, name="made"), attacks={"random": RandomAttack()},
            victims={"sasrec": SASRec(embedding_size=4, epochs=2, max_len=8)} | ({"ease": EASE()} if not folders else {}),
            out=tmp_path / order, targets=TargetPool(size=3, draws=2), budget=Budget(fake_users=9), ks=(10, 50), seeds=1,
            fake_order=order,
        )  # fmt: skip
        rows = results.frame.filter(victim="sasrec", attack="random", metric="H", k=50, target=-1).sort("draw")
        hits.append(100 * rows["value"].to_numpy())
        folders.append(str(tmp_path / order))
    monkeypatch.setattr(sys, "argv", ["fake_order.py", *folders])
    importlib.import_module("fake_order").main()
    tables = capsys.readouterr().out.split("\n\n")
    rows = {
        line.split(",")[0].strip(): table.splitlines() for line, table in zip(tables[::2], tables[1::2], strict=True)
    }
    head, _, row = ([cell.strip() for cell in line.strip("|").split("|")] for line in rows["sasrec"])
    assert row[head.index("genuine: H@50")].startswith(f"{hits[1].mean():.2f} (")
    assert row[head.index("genuine minus shuffled: H@50")].startswith(f"{(hits[1] - hits[0]).mean():+.2f} (")
    assert "any order: H@10" in rows["ease"][0]


def test_the_ball_has_no_hits_more_than_its_centre(tmp_path, monkeypatch, capsys):
    """And a ball of no size is the surrogate itself."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    attack = RevAdv(surrogate=WRMFSurrogate(embedding_size=4, epochs=20, unrolled_epochs=5), epochs=1, k=3)
    aware = replace(attack, worst_case=SharpnessAware(rho=0.05))
    results = stress_test(
        load("synthetic"), attacks={"revadv": attack, "sharpap": aware}, victims={"ease": EASE()}, ks=(10,),
        targets=TargetPool(kind="head", size=2, draws=2), budget=Budget(fake_users=5),
    )  # fmt: skip
    folder = results.save(tmp_path / "results")
    monkeypatch.setattr("sys.argv", ["ball.py", str(folder), "--pictures", str(tmp_path)])
    importlib.import_module("ball").main()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()[2:16]
    ]
    for name in ("revadv", "sharpap"):
        worst, chance = ([float(row[place].split()[0]) for row in rows if row[0] == name] for place in (2, 3))
        assert worst[0] == chance[0] > worst[-1]
        assert worst == sorted(worst, reverse=True)
    for name in ("hits", "seen", "plane"):
        assert (tmp_path / f"ball-{name}.svg").read_text().startswith("<svg")
