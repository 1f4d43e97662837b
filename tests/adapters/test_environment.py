"""Environments: made whole or not at all, by the real pip from a wheel made here; the pins that ship."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sharpap.adapters.environment import NAMES, Environment
from sharpap.adapters.isolated import RecBoleRecommender, RecToolsRecommender
from sharpap.cli import main
from sharpap.data import synthetic
from sharpap.errors import ConfigError, DownloadError


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A place for environments, empty."""
    monkeypatch.setenv("SHARPAP_ENV_HOME", str(tmp_path / "environments"))
    return tmp_path / "environments"


def pretend(folder: Path, monkeypatch, code: str) -> None:
    """Let the pins of recbole be a wheel with one module."""
    wheel = folder / "recbole-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("recbole.py", code)
        file.writestr("recbole-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.0\n")
        file.writestr(
            "recbole-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr("recbole-1.0.dist-info/RECORD", "")
    monkeypatch.setattr(Environment, "requirements", f"recbole @ {wheel.as_uri()}\n")


def test_from_nothing_to_removed(home, tmp_path, monkeypatch):
    pretend(tmp_path, monkeypatch, "answer = 42")
    environment = Environment("recbole")
    assert environment.state == "not made"
    environment.create()
    assert environment.state == "ready"
    code = "import recbole, sys; print(recbole.answer, sys.prefix)"
    done = subprocess.run([environment.ready_python(), "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["42", str(home / "recbole")]
    assert [path.name for path in home.iterdir()] == ["recbole"]
    with pytest.raises(ConfigError, match=r"is there already \(ready\).*--overwrite"):
        environment.create()
    monkeypatch.setattr(Environment, "requirements", "recbole==2.0\n")
    assert environment.state == "outdated"
    environment.remove()
    assert not list(home.iterdir())
    with pytest.raises(ConfigError, match="is not made"):
        environment.remove()


def test_a_library_that_does_not_import_leaves_nothing(home, tmp_path, monkeypatch):
    pretend(tmp_path, monkeypatch, "raise ImportError('libfoo is missing')")
    with pytest.raises(DownloadError, match=r"importing it failed(.|\n)*libfoo is missing(.|\n)*Nothing was kept"):
        Environment("recbole").create()
    assert not list(home.iterdir())


def test_pip_that_finds_nothing_leaves_nothing(home, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Environment, "requirements", f"recbole @ {(tmp_path / 'absent-1.0-py3-none-any.whl').as_uri()}\n"
    )
    with pytest.raises(DownloadError, match="installing failed with exit status 1: ERROR: Could not install"):
        Environment("recbole").create()
    with pytest.raises(DownloadError, match="/nowhere/python: No such file"):
        Environment("recbole").create(python="/nowhere/python")
    assert not list(home.iterdir())


def test_a_half_made_one_does_not_count(home):
    (home / "recbole" / "bin").mkdir(parents=True)
    assert Environment("recbole").state == "not made"
    with pytest.raises(ConfigError, match="sharpap env create recbole"):
        Environment("recbole").ready_python()


def test_without_an_environment_the_advice_is_how_to_make_it(home):
    train = synthetic(30, 20, 100, seed=0).matrix
    for recommender, name in ((RecBoleRecommender(), "recbole"), (RecToolsRecommender(), "rectools")):
        with pytest.raises(ConfigError, match=f"'{name}' is not made. Run: sharpap env create {name}"):
            recommender.fit(train, seed=0)


@pytest.mark.parametrize("name", NAMES)
def test_what_ships_is_pinned_and_outside_our_own_versions(name):
    lines = [line for line in Environment(name).requirements.splitlines() if not line.startswith("#")]
    pins = dict(line.lower().split("==") for line in lines)
    assert name in pins
    assert all(re.fullmatch(r"[\w.]+", version) for version in pins.values())
    assert int(pins["numpy"].partition(".")[0]) < 2


def test_the_command_line(home, monkeypatch, capsys):
    def call(*words: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["sharpap", "env", *words])
        try:
            main()
        except SystemExit as stop:
            out = capsys.readouterr()
            return stop.code, out.out + out.err
        return 0, capsys.readouterr().out

    code, text = call("list")
    assert "recbole" in text
    assert "not made" in text
    assert code in (0, None)
    code, text = call("create", "lenskit")
    assert code == 2
    assert "There is no environment 'lenskit'. Choose one of: recbole, rectools." in text
    assert call("remove", "recbole")[0] == 2
