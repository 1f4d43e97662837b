"""Own code on the command line: `--victim module:attribute` and `sharpap check-recommender`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

DATA = ["--data", "synthetic", "--set", "data.users=80", "--set", "data.items=90", "--set", "data.interactions=1200"]
CODE = """
import numpy as np

class Counts:
    def __init__(self, power: float = 1.0):
        self.power = power
    def fit(self, train, *, seed):
        self.counts = np.bincount(train.indices, minlength=train.shape[1]) ** self.power
        return self
    def score(self, users):
        return np.tile(self.counts, (len(users), 1))

class Swapped(Counts):
    def score(self, users):
        return super().score(users).T
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the user's module in it."""
    (tmp_path / "my_models.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_models", None)


def test_an_own_victim_runs_and_its_config_runs_again_only_with_leave(sharpap, here):
    victims = ["--victim", "my_models:Counts", "--victim", "root=my_models:Counts", "--victim", "popularity"]
    options = ["--attack", "random", "--draws", 1, "--set", "victims.root.power=0.5", "-q", "--json"]
    code, out, err = sharpap("run", *DATA, *victims, *options, "-o", "out")
    assert code == 0, err
    rows = {(row["attack"], row["victim"], row["k"]): row["mean"] for row in json.loads(out)["transfer"]}
    assert {victim for _, victim, _ in rows} == {"Counts", "root", "popularity"}
    assert rows["random", "Counts", 50] == rows["random", "popularity", 50]
    text = (here / "out" / "config.toml").read_text()
    assert '[victims.root]\nname = "my_models:Counts"\npower = 0.5' in text

    code, _, err = sharpap("run", "out/config.toml", "-o", "again", "-q")
    assert code == 2
    assert "a recipe may not" in err
    assert "--allow-code" in err
    code, out, err = sharpap("run", "out/config.toml", "-o", "again", "-q", "--json", "--allow-code")
    assert code == 0, err
    assert {(row["attack"], row["victim"], row["k"]): row["mean"] for row in json.loads(out)["transfer"]} == rows


def test_evaluate_takes_an_own_victim(sharpap, here):
    assert sharpap("attack", "random", *DATA, "-o", "fakes.npz", "-q")[0] == 0
    code, out, err = sharpap("evaluate", "fakes.npz", *DATA, "--victim", "my_models:Counts", "-q", "--json")
    assert code == 0, err
    assert {row["victim"] for row in json.loads(out)["transfer"]} == {"Counts"}


def test_two_victims_of_one_label_are_refused(sharpap, here):
    code, _, err = sharpap("run", *DATA, "--victim", "my_models:Counts", "--victim", "my_models:Counts", "-o", "out")
    assert code == 2
    assert "--victim other=my_models:Counts" in err


def test_check_recommender_of_names_and_own_classes(sharpap, here):
    code, out, err = sharpap("check-recommender", "my_models:Counts", "--set", "power=0.5")
    assert code == 0, err
    assert "It can be a victim" in out
    code, out, _ = sharpap("check-recommender", "popularity", "--json", *DATA)
    assert code == 0
    found = json.loads(out)
    assert found["ok"] is True
    assert "80 users and 90 items" in next(each["message"] for each in found["checks"] if each["check"] == "training")


def test_check_recommender_fails_in_plain_words(sharpap, here):
    code, out, _ = sharpap("check-recommender", "my_models:Swapped")
    assert code == 1
    assert "axes are swapped" in " ".join(out.split())
    assert "cannot be a victim yet: 1 failed" in out
    code, out, _ = sharpap("check-recommender", "my_models:Swapped", "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


BAD = {
    "no such module": (["my_model:Counts"], 2, "There is no module 'my_model'"),
    "no such attribute": (["my_models:Count"], 2, "Did you mean 'Counts'"),
    "no such name": (["popularty"], 2, "Did you mean 'popularity'"),
    "no such option": (["my_models:Counts", "--set", "powr=1"], 2, "Did you mean 'power'"),
    "nothing to train": (["my_models:np"], 1, "neither fit nor score"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_checked_is_one_message(case, sharpap, here):
    arguments, expected, words = BAD[case]
    code, _, err = sharpap("check-recommender", *arguments)
    assert code == expected
    assert words in err
    assert "Traceback" not in err


def test_the_current_folder_is_found_by_the_installed_command(here):
    """The console script does not have it on its path, unlike `python -m`."""
    code = (
        "import sys; sys.path[:] = [place for place in sys.path if place]\n"
        "sys.argv = ['sharpap', 'check-recommender', 'my_models:Counts']\n"
        "from sharpap.cli import main; main()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
