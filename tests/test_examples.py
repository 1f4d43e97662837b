"""The examples on tiny settings, and the plugin package installed, listed, run and tested by its own suite."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sharpap as sp
from sharpap.data import Dataset, Interactions, synthetic
from sharpap.testing import check_recommender

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def tiny() -> Dataset:
    train = synthetic(120, 90, 1500, seed=1)
    none = Interactions.from_csr(train.matrix * 0)
    return Dataset(name="tiny", train=train, valid=none, test=none)


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")  # implicit's advice about threads
@pytest.mark.parametrize(("name", "victim"), [("attack_implicit", "implicit-als"), ("torch_model", "two-towers")])
def test_examples_attack_their_victim(name, victim, tiny, capsys):
    main = runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]
    results = main(tiny, attack=sp.Bandwagon(popular_share=0.2), budget=sp.Budget(fake_users=20))
    assert not [cell.error for cell in results.cells if cell.error]
    assert {cell.victim for cell in results.cells} >= {victim}
    table = results.transfer_matrix("H", k=10).filter(victim=victim)
    rows = dict(zip(table["attack"], table["mean"], strict=True))
    assert rows["sharpap"] > rows["none"]  # a sixth of the users are fake and push the targets
    assert victim in capsys.readouterr().out


def test_the_notebook_runs_from_top_to_bottom(tiny, tmp_path, monkeypatch):
    """Its cells, on tiny data and attacks; the last expression of each is evaluated as a notebook would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sp, "load", lambda name: tiny)
    monkeypatch.setattr(sp, "RevAdv", lambda **options: sp.Bandwagon(popular_share=0.2))
    cells = json.loads((EXAMPLES / "ten_lines.ipynb").read_text())["cells"]
    scope: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec("".join(cell["source"]), scope)
    results = scope["results"]
    assert isinstance(results, sp.Results)
    assert results.transfer_matrix("H", k=10).height == 3 * 2
    assert (tmp_path / "results" / "ten-lines" / "report.html").is_file()


def test_the_torch_example_is_a_proper_victim():
    report = check_recommender(runpy.run_path(str(EXAMPLES / "torch_model.py"))["victim"])
    assert report.ok, report
    assert {finding.check for finding in report.findings if finding.status != "ok"} <= {
        "other processes"
    }  # run by path


@pytest.fixture(scope="module")
def plugin(tmp_path_factory) -> dict[str, str]:
    """An environment in which the example plugin is installed."""
    pytest.importorskip("setuptools", reason="needed to build the plugin without a network")
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(EXAMPLES / "plugin", folder / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", folder / "site", source], check=True)
    path = [str(folder / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def sharpap(plugin, *arguments, cwd=None) -> str:
    command = [sys.executable, "-m", "sharpap", *map(str, arguments)]
    done = subprocess.run(command, env=plugin, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_plugin_is_listed(plugin):
    text = sharpap(plugin, "list")
    for name in ("co-counts", "companions", "rare-items"):
        (line,) = [line for line in text.splitlines() if line.strip().startswith(name)]
        assert line.split()[0] == name
    assert " ".join(text.split()).count("(package sharpap-example 0.1.0)") == 3


def test_a_plugin_is_named_in_recipes_with_options(plugin, tmp_path):
    (tmp_path / "r.toml").write_text(
        'data = {source = "synthetic", users = 80, items = 60, interactions = 900}\n'
        "targets = {draws = 1}\n[attacks.companions]\nshare = 0.25\n[victims]\nco-counts = {damping = 1}\n"
    )
    sharpap(plugin, "run", "r.toml", "-o", "out", "-q", cwd=tmp_path)
    text = (tmp_path / "out" / "config.toml").read_text()
    assert 'name = "co-counts"\ndamping = 1.0' in text
    assert 'name = "companions"\nshare = 0.25' in text


def test_the_plugins_own_suite_passes(plugin, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLES / "plugin" / "tests"]
    command += ["--rootdir", tmp_path, "-c", os.devnull]
    done = subprocess.run(command, env=plugin, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "22 passed" in done.stdout
