"""`module:attribute` and plugins: what is found, what is refused, and in which words."""

from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest

from sharpap.assess.recipe import experiment_from
from sharpap.config import REGISTRY, build, describe, locate, plugins
from sharpap.errors import ConfigError, ContractError
from sharpap.recommenders import WRMF, Popularity

CODE = """
import numpy as np
from dataclasses import dataclass
from sharpap.recommenders import FactorModel, Popularity

class Mine:
    def __init__(self, power: float = 1.0, label="x"):
        self.power, self.label = power, label
    def fit(self, train, *, seed):
        self.counts = np.bincount(train.indices, minlength=train.shape[1]) ** self.power
        return self
    def score(self, users):
        return np.tile(self.counts, (len(users), 1))

@dataclass(frozen=True, kw_only=True)
class Settings:
    factor: int = 2
    def fit(self, train, *, seed):
        return FactorModel(user_factors=np.ones((train.shape[0], 1)), item_factors=np.ones((train.shape[1], 1)), log={})

class Needs:
    def __init__(self, path): pass

class Empty: pass

instance = Mine(power=3.0)
def factory(power: float = 2.0): return Mine(power)
def trained(train, seed, scale: float = 1.0): return np.full(train.shape, scale)
def broken(): raise RuntimeError("no licence")
number = 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module `mine_<test>` in the current folder, and a package with an error in it."""
    name = "mine_own_code"
    (tmp_path / f"{name}.py").write_text(CODE)
    (tmp_path / "fails.py").write_text("1 / 0\n")
    (tmp_path / "needs.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield name
    for module in (name, "fails", "needs"):
        sys.modules.pop(module, None)


def test_classes_instances_factories_and_functions(mine, blocks):
    def get(attribute, **options):
        return locate.recommender(f"{mine}:{attribute}", options, where="victims.x")

    assert get("Mine", power="0.5", label="y").power == 0.5  # checked against its annotation
    assert get("instance").power == 3
    assert get("factory").power == 2
    assert get("factory", power=4).power == 4
    assert get("Settings", factor=5).factor == 5
    assert get("trained", scale=7).fit(blocks, seed=0).score([1])[0, 0] == 7
    with pytest.raises(ConfigError, match=r"trained has no option 'scael'\. Did you mean 'scale'\?"):
        get("trained", scael=7)
    with pytest.raises(ConfigError, match="'much' does not fit"):
        get("trained", scale="much")
    assert get("Popularity") == Popularity()


def test_a_model_of_implicit_is_made_without_its_advice_about_threads(recwarn):
    pytest.importorskip("implicit")
    made = locate.recommender("implicit.als:AlternatingLeastSquares", {"factors": 4}, where="victims.x")
    assert made.model.factors == 4
    assert not recwarn.list


FOUND = {
    "mine_own_code": "not of the form",
    "mine_own_code:": "not of the form",
    "mine_own_code.py:Mine": "Write mine_own_code:Mine",
    "lib/mine.py:Mine": "Write lib.mine:Mine",
    "mine_own_codes:Mine": "no module 'mine_own_codes'",
    "nowhere.at.all:Mine": "no module 'nowhere'",
    "mine_own_code:Mina": "Did you mean 'Mine'",
    "mine_own_code:Mine.fits": "Did you mean 'fit'",
    "mine_own_code:Needs": "cannot be made without path",
    "mine_own_code:Empty": "neither fit nor score",
    "mine_own_code:number": "neither fit nor score",
    "mine_own_code:broken": "fails when it is made: RuntimeError: no licence",
    "fails:Mine": "fails when it is imported: ZeroDivisionError",
    "needs:Mine": "needs not_installed_anywhere, which is not installed",
}


@pytest.mark.parametrize("target", FOUND)
def test_what_cannot_be_found_or_made_is_said(target, mine):
    with pytest.raises((ConfigError, ContractError), match=FOUND[target]):
        locate.recommender(target, {}, where="victims.x")


def test_options_of_own_classes_are_checked(mine):
    with pytest.raises(ConfigError, match=r"no option 'powr'\. Did you mean 'power'"):
        locate.recommender(f"{mine}:Mine", {"powr": 1}, where="victims.x")
    with pytest.raises(ConfigError, match=r"victims\.x\.power: 'much' does not fit"):
        locate.recommender(f"{mine}:Mine", {"power": "much"}, where="victims.x")
    with pytest.raises(ConfigError, match="takes no options"):
        locate.recommender(f"{mine}:instance", {"power": 1}, where="victims.x")


def test_a_recipe_alone_cannot_import_code(mine):
    target = f"{mine}:Mine"
    recipe = {"victims": {"a": {"name": target, "power": 0.5}}, "data": {"source": "synthetic"}}
    for table in (
        recipe,
        {"victims": {target: {}}},
        {"victims": [target]},
        {"attacks": {target: {}}, "victims": ["wrmf"]},
    ):
        with pytest.raises(ConfigError, match="a recipe may not"):
            experiment_from(table)
        assert mine not in sys.modules
    with pytest.raises(ConfigError, match="a recipe may not"):
        experiment_from(recipe, {"other:Thing"})
    experiment, config = experiment_from(recipe, {target})
    assert experiment.victims["a"].power == 0.5
    assert config["victims"]["a"] == {"name": target, "power": 0.5}


def test_foreign_objects_are_described_by_what_tells_them_apart(mine):
    module = locate.locate(f"{mine}:Mine.fit").__globals__
    one, other = (describe(module["Mine"](power), "victim") for power in (1.0, 2.0))
    assert one["class"] == f"{mine}:Mine"
    assert (one["power"], other["power"]) == (1.0, 2.0)
    assert len(one["source"]) == 16
    assert describe(module["trained"])["class"] == f"{mine}:trained"


@pytest.fixture
def offers(monkeypatch):
    """Pretend that packages are installed: (group, name, value, package) each."""

    def install(*points):
        def entry_points(*, group):
            made = []
            for where, name, value, package in points:
                point = importlib.metadata.EntryPoint(name, value, where)
                vars(point)["dist"] = SimpleNamespace(name=package, version="1.0")
                made += [point] * (where == group)
            return made

        monkeypatch.setattr(plugins, "entry_points", entry_points)
        plugins.offered.cache_clear()

    yield install
    plugins.offered.cache_clear()


def test_a_plugin_is_built_and_described_by_name(offers, mine):
    offers(("sharpap.recommenders", "mine", f"{mine}:Settings", "acme"), ("sharpap.attacks", "bad", "fails:X", "ruin"))
    locate.locate(f"{mine}:Settings")  # puts the folder on the path
    made = build("victim", {"name": "mine", "factor": 9})
    assert describe(made, "victim") == {"name": "mine", "factor": 9}
    assert "fails" not in sys.modules  # only the named plugin is imported
    assert build("attack", "random") is not None
    with pytest.raises(ConfigError, match="Did you mean 'mine'"):
        build("victim", "mien")


def test_a_broken_plugin_is_named_when_it_is_asked_for(offers, mine):
    locate.locate(f"{mine}:Mine")
    offers(("sharpap.recommenders", "bad", "fails:X", "ruin"), ("sharpap.recommenders", "gone", f"{mine}:Gone", "ruin"))
    with pytest.raises(ConfigError, match=r"'bad' of package ruin 1\.0 cannot be loaded \(ZeroDivisionError"):
        build("victim", "bad")
    with pytest.raises(ConfigError, match=r"'gone' of package ruin 1\.0 cannot be loaded \(AttributeError"):
        build("victim", "gone")
    assert build("victim", "wrmf") == WRMF()


def test_clashing_names_are_an_error_that_names_both(offers):
    offers(
        ("sharpap.recommenders", "wrmf", "acme:X", "acme"),
        ("sharpap.recommenders", "two", "acme:X", "acme"), ("sharpap.recommenders", "two", "ruin:X", "ruin"),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"'wrmf' is offered by SharpAP and by package acme 1\.0"):
        build("victim", "wrmf")
    with pytest.raises(ConfigError, match=r"'two' is offered by package acme 1\.0 and by package ruin 1\.0"):
        build("victim", "two")
    assert build("victim", "popularity") == Popularity()


def test_list_warns_of_a_broken_plugin_and_shows_the_rest(offers, mine, capsys):
    from sharpap.cli.names import show_names

    offers(("sharpap.recommenders", "bad", "fails:X", "ruin"))
    show_names("victims", False)
    out, err = capsys.readouterr()
    assert "wrmf" in out
    assert "package ruin 1.0" in err
    assert set(REGISTRY["victim"]) <= set(out.split())
