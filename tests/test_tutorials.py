"""The tutorials show the code of their scripts, and the scripts run, here on tiny data."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import sharpap as sp
from sharpap.assess.audit import Audit
from sharpap.data import split, synthetic
from sharpap.detectors import ProfileSize
from sharpap.testing import DefenseTests

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "examples" / "tutorials"
PAGES = {"audit-implicit": "audit_implicit", "add-defence": "add_defence"}  # page to script
TINY = {"targets": sp.TargetPool(draws=2, size=2), "budget": sp.Budget(fake_users=5), "ks": (10, 50)}


@pytest.fixture(scope="module")
def tiny():
    return split(synthetic(80, 60, 1200, seed=1), seed=0, name="tiny")


def script(name):
    return runpy.run_path(str(SCRIPTS / f"{name}.py"))


@pytest.mark.parametrize("page", PAGES)
def test_a_tutorial_shows_its_script(page):
    text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text()
    source = (SCRIPTS / f"{PAGES[page]}.py").read_text()
    blocks = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "DefenseTests" not in block]
    assert blocks
    for part in "\n\n\n".join(blocks).split("\n\n\n"):  # imports and definitions need not be neighbours there
        assert part.strip("\n") in source


@pytest.mark.filterwarnings("ignore:OpenBLAS is configured")  # implicit's advice about threads
def test_the_audit(tiny):
    quick = Audit(
        attacks={"random": sp.RandomAttack()},
        detectors={"profile-size": ProfileSize()},
        budgets=(0.05,),
        pools=("unpopular",),
        draws=2,
        size=2,
        defenses={},
        best=0,
    )
    page = script("audit_implicit")["main"](tiny, quick)
    assert page.startswith("# How exposed is my ALS?")


def test_the_comparison(tiny):
    results = script("compare_attack")["main"](tiny, sp.Bandwagon(), **TINY)
    assert not results.torn
    assert r"companions & " in results.to_latex(k=50)
    assert results.paired("companions", "sharpap", k=50).height == 2
    for poison in results.poisons.values():
        assert poison.profiles.shape[0] == 5


def test_the_defence(tiny):
    results = script("add_defence")["main"](tiny, sp.Bandwagon(), **TINY)
    assert not results.torn
    assert results.victims == ["wrmf", "short", "cleaned", "voted"]
    assert "voted" in results.to_markdown(k=50)


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
