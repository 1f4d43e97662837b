"""Commands in recipes need permission; commands on the command line are one."""

from __future__ import annotations

import json
import sys

import polars as pl
import pytest

from sharpap.adapters.command import CommandRecommender
from sharpap.adapters.isolated import RecBoleRecommender
from sharpap.assess.recipe import experiment_from
from sharpap.cli import main
from sharpap.config import allowing, build, describe
from sharpap.errors import ConfigError

DATA = {"source": "synthetic", "users": 80, "items": 90, "interactions": 1200}
TOUCH = "import sys, pathlib, numpy as np; pathlib.Path({!r}).touch()\n"
SCORES = TOUCH + (
    "from scipy.sparse import load_npz\ntrain = load_npz(sys.argv[1])\n"
    "np.save(sys.argv[2], np.tile(train.sum(0), (train.shape[0], 1)))\n"
)


@pytest.fixture
def trace(tmp_path):
    """A file that a script leaves when it is run, and the script."""
    (tmp_path / "train.py").write_text(SCORES.format(str(tmp_path / "ran")))
    return tmp_path / "ran", tmp_path / "train.py"


@pytest.fixture
def sharpap_cli(monkeypatch, capsys):
    def call(*args: object) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["sharpap", *map(str, args)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call


def recipe(script) -> dict:
    return {
        "data": DATA, "attacks": ["random"], "targets": {"draws": 1},
        "victims": {"mine": {"name": "command", "command": [sys.executable, str(script), "{train}", "{scores}"]}},
    }  # fmt: skip


@pytest.mark.parametrize(
    "victim",
    [{"name": "command", "command": ["x", "{train}", "{scores}"]}, {"name": "remote", "url": "http://127.0.0.1:1"}],
    ids=["command", "remote"],
)
def test_a_recipe_may_not_name_them(victim):
    with pytest.raises(ConfigError, match=r"victims.mine: .* the recipe names.*--allow-commands"):
        experiment_from({"data": DATA, "victims": {"mine": victim}})
    with allowing(commands=True):
        made = build("victim", victim)
    assert describe(made, "victim")["name"] == victim["name"]
    with pytest.raises(ConfigError, match="--allow-commands"):  # the permission ends with its block
        build("victim", describe(made, "victim"))
    experiment, _ = experiment_from({"data": DATA, "victims": {"mine": victim}}, allow_commands=True)
    assert type(experiment.victims["mine"]) is type(made)


def test_the_flag_lets_a_recipe_run_it(sharpap_cli, trace, tmp_path):
    ran, script = trace
    import tomli_w

    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe(script)))
    code, _, err = sharpap_cli("run", path, "-o", tmp_path / "out", "-q")
    assert code == 2
    assert "--allow-commands" in err
    assert not ran.exists()
    code, text, err = sharpap_cli("run", path, "-o", tmp_path / "out2", "-q", "--json", "--allow-commands")
    assert code == 0, err
    assert ran.exists()
    assert not json.loads(text)["failed"]


def test_a_command_from_the_command_line_is_one_more_victim(sharpap_cli, trace, tmp_path):
    ran, script = trace
    recipe_path = tmp_path / "plain.toml"
    recipe_path.write_text('attacks = ["random"]\nvictims = ["popularity"]\n[targets]\ndraws = 1\n')
    data = [word for key in ("users", "items", "interactions") for word in ("--set", f"data.{key}={DATA[key]}")]
    command = f"'{sys.executable}' {script} {{train}} {{scores}}"
    code, text, err = sharpap_cli(
        "run",
        recipe_path,
        "--data",
        "synthetic",
        *data,
        "--victim-command",
        command,
        "-o",
        tmp_path / "out",
        "-q",
        "--json",
    )
    assert code == 0, err
    assert ran.exists()
    assert not json.loads(text)["failed"]
    frame = pl.read_parquet(tmp_path / "out" / "results.parquet")
    ours, theirs = (frame.filter(pl.col("victim") == name).drop("victim") for name in ("popularity", "command"))
    assert ours.equals(theirs)
    config = (tmp_path / "out" / "config.toml").read_text()
    assert "{train}" in config

    profiles = next((tmp_path / "out" / "poison").glob("*.npz"))
    code, text, err = sharpap_cli(
        "evaluate", profiles, "--data", "synthetic", *data, "--victim-command", command, "-q", "--json"
    )
    assert code == 0, err
    assert {row["victim"] for row in json.loads(text)["transfer"]} == {"command"}


def test_a_command_line_that_makes_no_sense(sharpap_cli, tmp_path):
    for command, message in (
        ("'python", "no closing quotation"),
        ("python train.py {train}", "does not hold {scores}"),
    ):
        code, _, err = sharpap_cli("run", "--victim-command", command, "-o", tmp_path / "out")
        assert code == 2
        assert message in err


def test_recbole_in_a_recipe_is_a_name_and_settings():
    made = build("victim", {"name": "recbole", "model": "EASE", "options": {"reg_weight": 100.0}})
    assert made == RecBoleRecommender(model="EASE", options={"reg_weight": 100.0})
    assert build("victim", describe(made, "victim")) == made
    command = CommandRecommender(command=("x", "{train}", "{topk}.csv"), output="topk", top_k=20, deterministic=False)
    with allowing(commands=True):
        assert build("victim", describe(command, "victim")) == command
