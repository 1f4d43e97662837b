"""`sharpap audit`: other values of a setting, and whose settings are audited."""

from __future__ import annotations

import json

import pytest

from sharpap.cli.audit import _jobs
from sharpap.recommenders import EASE
from sharpap.tuned import TunedVictim

DATA = ["--data", "synthetic", "--set", "data.users=80", "--set", "data.items=60", "--set", "data.interactions=1500"]
SHORT = [
    "--set", 'attacks=["bandwagon"]', "--set", "budgets=[0.05]", "--set", "draws=2", "--set", "size=2",
    "--set", 'pools=["unpopular"]', "--set", "removals=[]", "--set", "defenses=[]", "--set", 'detectors=["rdma"]', "--quiet",
]  # fmt: skip
CODE = """
import numpy as np
class Counts:
    def __init__(self, power=1.0, label="x"):
        self.power = power
    def fit(self, train, seed):
        self.counts = np.asarray(train.sum(0), float) ** self.power
    def score(self, users):
        return np.tile(self.counts, (len(users), 1))
def trained(train, seed, shift=0.0):
    counts = np.asarray(train.sum(0), float) + shift
    return lambda users: np.tile(counts, (len(users), 1))
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_to_vary.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return "mine_to_vary"


def record(folder):
    return json.loads((folder / "audit.json").read_text())


def test_a_parameter_of_the_users_own_class_is_varied(sharpap, tmp_path, mine):
    code, text, err = sharpap("audit", f"{mine}:Counts", *DATA, *SHORT, "--vary", "power=0.5,-1", "-o", "out")
    assert code == 0, err
    path = record(tmp_path / "out")["paths"][0]
    assert path["setting"] == "power"
    assert [(each["value"], each["current"]) for each in path["steps"]] == [(-1, False), (0.5, False), (1.0, True)]
    assert path["steps"][1]["ndcg"] == path["steps"][2]["ndcg"]  # another monotone function of popularity
    assert path["steps"][0]["ndcg"] < path["steps"][2]["ndcg"]  # the least popular first
    assert [each["reach"] for each in path["steps"]] == [None] * 3
    assert "not known" in text
    assert "1 (audited)" in text
    for name in ("audit.html", "audit.md"):
        assert "1 (audited)" in (tmp_path / "out" / name).read_text()


def test_an_argument_of_a_training_function_is_varied_in_several_paths(sharpap, tmp_path, mine):
    vary = ["--vary", "shift=1,2", "--set", "victim.shift=3.0"]
    code, _, err = sharpap("audit", f"{mine}:trained", *DATA, *SHORT, *vary, "-o", "out")
    assert code == 0, err
    found = record(tmp_path / "out")
    assert [each["value"] for each in found["paths"][0]["steps"]] == [1, 2, 3.0]
    assert found["paths"][0]["steps"][2]["current"]
    assert found["origin"] == "Settings given: shift=3.0."


REFUSED = {
    "unknown parameter": ("Counts", "powr=1,2", "--vary powr=1: ", "Did you mean 'power'?", "power, label"),
    "unknown parameter, no values": ("Counts", "powr", "--vary powr", "Did you mean 'power'?", "power, label"),
    "text for a number": ("Counts", "power=high", "--vary power=high", "no number", "1.0"),
    "unknown argument of a training function": (
        "trained",
        "shfit=1",
        "--vary shfit=1",
        "Did you mean 'shift'?",
        "shift",
    ),
    "no values around text": ("Counts", "label", "--vary label", "around its own", "it is 'x'"),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_a_factory_does_not_take_is_refused_before_anything_is_trained(sharpap, tmp_path, mine, case):
    name, vary, *said = REFUSED[case]
    code, _, err = sharpap("audit", f"{mine}:{name}", *DATA, *SHORT, "--vary", vary, "-o", "out")
    assert code == 2
    assert all(words in err for words in said), err
    assert not (tmp_path / "out" / "audit.json").exists()
    assert not list((tmp_path / "out").rglob("*.record"))


def test_a_registered_name_takes_the_values_of_its_class(sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for bad, words in (("rge=1", "Did you mean 'reg'?"), ("reg=-1", "0 or more"), ("reg=a", "valid number")):
        code, _, err = sharpap("audit", "ease", *DATA, *SHORT, "--vary", bad)
        assert code == 2
        assert words in err
    code, text, err = sharpap("audit", "ease", *DATA, *SHORT, "--vary", "reg=10", "--vary", "most_items", "-o", "out")
    assert code == 0, err
    first, second = record(tmp_path / "out")["paths"]
    assert [each["value"] for each in first["steps"]] == [10, 500.0]
    assert all(each["reach"] is not None for each in first["steps"])
    assert [each["value"] for each in second["steps"]] == [7_500, 15_000, 30_000, 60_000, 120_000]
    assert "within 5 % of the most accurate value" in text.replace("\n", " ")


def test_quick_families_have_a_path_where_none_is_asked_for(sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sharpap("audit", "ease", *DATA, *SHORT, "-o", "default")[0] == 0
    assert [each["value"] for each in record(tmp_path / "default")["paths"][0]["steps"]] == [125, 250, 500, 1000, 2000]
    assert sharpap("audit", "ease", *DATA, *SHORT, "--vary", "none", "-o", "without")[0] == 0
    assert record(tmp_path / "without")["paths"] == []


def test_more_attacks_and_defences_are_tried_beside_the_others(sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = ["--attack", "random", "--defense", "bagging", "--vary", "none", "--set", 'removals=["rdma"]']
    code, _, err = sharpap("audit", "ease", *DATA, *SHORT, *more, "-o", "out")
    assert code == 0, err
    found = record(tmp_path / "out")
    assert [each["attack"] for each in found["screening"]] == ["bandwagon", "random"]
    assert [each["name"] for each in found["remedies"]] == ["leave out the 4 users that rdma suspects most", "bagging"]


def test_a_bare_name_has_the_settings_that_were_tuned_on_its_data(sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    best = TunedVictim(settings={"reg": 7.0}, space={}, trials=1, seeds=1, valid=0.1, test={}, command="")
    monkeypatch.setattr("sharpap.cli.victims.catalogue_name", lambda recipe: "ml-x")
    monkeypatch.setattr("sharpap.cli.victims.tuned", lambda name: {"ease": best} if name == "ml-x" else {})
    said = {}
    for name, options in {
        "tuned": [], "class": ["--set", "tuned=false"], "own": ["--set", "victim.reg=9"],
    }.items():  # fmt: skip
        code, _, err = sharpap("audit", "ease", *DATA, *SHORT, *options, "-o", name)
        assert code == 0, err
        found = record(tmp_path / name)
        current = next(each["value"] for each in found["paths"][0]["steps"] if each["current"])
        said[name] = (current, found["origin"])
        assert found["origin"] in (tmp_path / name / "audit.html").read_text().replace("&#39;", "'")
    assert said["tuned"][0] == 7
    assert "tuned on ml-x's validation data: reg=7.0" in said["tuned"][1]
    assert said["class"] == (500, "Its settings are its defaults.")
    assert said["own"] == (9, "Settings given: reg=9.")
    code, _, err = sharpap("audit", "ease", *DATA, *SHORT, "--set", "tuned=7", "-o", "other")
    assert code == 2
    assert "neither true nor false" in err


def test_two_processes_where_two_processors_are_free_and_the_recommender_can_be_sent(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr("os.getloadavg", lambda: (0.4, 0.0, 0.0))
    assert _jobs(EASE()) == 2
    assert _jobs(lambda: None) == 1
    monkeypatch.setattr("os.getloadavg", lambda: (3.0, 0.0, 0.0))
    assert _jobs(EASE()) == 1
