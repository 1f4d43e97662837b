"""The tutorials show the code of their scripts, and are notebooks too, whose cells run, here on tiny data."""

from __future__ import annotations

import inspect
import json
import re
import runpy
from functools import partial
from pathlib import Path

import pytest

import sharpap as sp
from sharpap.data import split, synthetic
from sharpap.detectors import ProfileSize
from sharpap.testing import DefenseTests

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "examples" / "tutorials"
PAGES = [page.stem for page in sorted((ROOT / "docs" / "tutorials").glob("*.md"))]
TINY = {"targets": sp.TargetPool(draws=2, size=2), "budget": sp.Budget(fake_users=5), "ks": (10, 50)}


@pytest.fixture(scope="module")
def tiny():
    return split(synthetic(80, 60, 1200, seed=1), seed=0, name="tiny")


def script(name):
    return runpy.run_path(str(SCRIPTS / f"{name}.py"))


@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_shows_its_whole_script(page):
    text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text()
    source = (SCRIPTS / f"{page.replace('-', '_')}.py").read_text()
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        for part in block.split("\n\n\n"):
            assert part.strip("\n") in source
            source = source.replace(part.strip("\n"), "")
    assert not source.split('"""')[2].strip()


@pytest.mark.parametrize("page", PAGES)
def test_a_notebook_is_its_page(page):
    made = runpy.run_path(str(ROOT / "website" / "notebooks.py"))["notebook"]
    text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text()
    assert (SCRIPTS / f"{page.replace('-', '_')}.ipynb").read_text() == made(text), "run `make notebooks`"


@pytest.fixture
def notebook(tiny, tmp_path, monkeypatch):
    """Runs the cells of a notebook in their order, with `main` on small data; gives what they leave."""
    monkeypatch.chdir(tmp_path)

    def run(name, *arguments, **settings):
        scope = {"__name__": "__main__"}
        for cell in json.loads((SCRIPTS / f"{name}.ipynb").read_text())["cells"]:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), scope)
                if inspect.isfunction(main := scope.get("main")):
                    scope["main"] = partial(main, tiny, *arguments, **settings)
        return scope

    return run


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")  # implicit's advice about threads
def test_the_audit(notebook, capsys):
    quick = sp.Audit(
        attacks={"random": sp.RandomAttack()},
        detectors={"profile-size": ProfileSize()},
        budgets=(0.05,),
        pools=("unpopular",),
        draws=2,
        size=2,
        defenses={},
        removals={},
    )
    notebook("audit_implicit", quick)
    assert capsys.readouterr().out.startswith("# How exposed is my ALS?")


def test_the_comparison(notebook, tmp_path, capsys):
    results = notebook("compare_attack", sp.Bandwagon(), **TINY)["results"]
    assert not results.torn
    assert r"companions & " in capsys.readouterr().out
    assert results.paired("companions", "sharpap", k=50).height == 2
    for poison in results.poisons.values():
        assert poison.profiles.shape[0] == 5
    assert (tmp_path / "companions.svg").is_file()
    assert sp.Results.load(tmp_path / "results" / "companions").attacks == ["random", "companions", "sharpap"]


def test_the_defence(notebook, capsys):
    results = notebook("add_defence", sp.Bandwagon(), **TINY)["results"]
    assert not results.torn
    assert results.victims == ["wrmf", "short", "cleaned", "voted"]
    assert "voted" in capsys.readouterr().out


class TestShortProfiles(DefenseTests):
    """Its own test of the tutorial."""

    defense = script("add_defence")["ShortProfiles"](most=10)

    def test_no_row_is_longer(self):
        seen = {}

        class Spy:
            def fit(self, train, *, seed):
                seen["longest"] = max(train.sum(axis=1))
                return sp.Popularity().fit(train, seed=seed)

        self.defense.fit(Spy(), synthetic(80, 60, 1200, seed=1).matrix, seed=0)
        assert seen["longest"] == 10
