"""Mistakes in the words of a command: told before any model is imported, and as the models themselves would tell them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sharpap.assess.audit.audit import Audit
from sharpap.assess.recipe import experiment_from
from sharpap.attacks.poison_io import SUFFIXES
from sharpap.cli import names, options, plans
from sharpap.config import build, objects, outline
from sharpap.config.registry import REGISTRY
from sharpap.config.sections import check
from sharpap.errors import ConfigError

HEAVY = {"torch", "numba", "sklearn", "polars", "scipy", "pandas", "sharpap.attacks", "sharpap.recommenders"}
# The words of a command, and what its error says.
MISTAKES = {
    "run demo --darws 3": "--draws",
    "run demo --draws x": "Invalid value for '--draws'",
    "run demo --fakes 1.5": "--fakes '1.5' is neither",
    "run demo --backend rai": "Did you mean 'ray'?",
    "run demo --data ml-100kk": "Did you mean 'ml-100k'?",
    "run demo --attack sharpep": "Did you mean 'sharpap'?",
    "run demo --victim wmrf": "Did you mean 'wrmf'?",
    "run demo --where x": "no COLUMN=VALUE",
    "run demo --track tensorbord": "Did you mean 'tensorboard'?",
    "run demo --set atacks.sharpap.epochs=3": "Did you mean 'attacks'?",
    "run demo --set attacks.sharpap.epohcs=3": "Did you mean 'epochs'?",
    "run demo --set attacks.sharpap.epochs=x": "attacks.sharpap.epochs: 'x' does not fit",
    "run demo --set attacks.sharpap.epochs=-3": "epochs=-3 of RevAdv must be 0 or more",
    "run demo --set attacks.sharpap.worst_case.roh=1": "Did you mean 'rho'?",
    "run demo --set targets.kind=tial": "'tial' does not fit",
    "run demo --set data.threshhold=3": "Did you mean 'threshold'?",
    "run demo --victim-command 'python": "no closing quotation",
    "tune demo --attack sharpap --space attack.worst_case.roh=0.1:0.2": "Did you mean 'rho'?",
    "tune demo --attack sharpap --space attack.epochs": "not of the form PATH=RANGE",
    "tune demo --attack sharpap --space attack.epochs=1:9 --pruner medan": "'medan' does not fit",
    "attack sharpap -o x.npz --set epohcs=3": "Did you mean 'epochs'?",
    "attack sharpap -o x.npy": "Choose one of .npz",
    "evaluate x.npz --victim wmrf": "Did you mean 'wrmf'?",
    "evaluate x.npz --set budget.fake_users=3": "finished profiles are assessed as they are",
    "audit wrmf --set drws=3": "Did you mean 'draws'?",
    "audit wrmf --set victim.regg=3": "Did you mean 'reg'?",
    "audit wrmf --vary regg=1": "Did you mean 'reg'?",
    "audit wrmf --set defenses=[\"baging\"]": "Did you mean 'bagging'?",
    "reach wrmf --set regg=1": "Did you mean 'reg'?",
    "certify wrmf --models 0": "models=0 of CertifiedBagging must be 1 or more",
    "certify wrmf --fakes 1,x": "not a list of whole numbers",
    "certify wrmf --attack sharpep": "Did you mean 'sharpap'?",
    "check-recommender wrmf --set regg=1": "Did you mean 'reg'?",
    "data show ml-100kk": "Did you mean 'ml-100k'?",
    "report x --metric G": "--metric G",
    "env create recbol": "Did you mean 'recbole'?",
    "lst": "list",
}  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Mistake to its exit status, what is said on stderr, and the heavy modules there are after it; one process for all."""
    code = (
        "import io, json, sys\nfrom contextlib import redirect_stderr\nfrom sharpap.cli import main\n"
        f"for words in {list(MISTAKES)}:\n    sys.argv, said, end = ['sharpap', *words.split()], io.StringIO(), 0\n"
        "    try:\n        with redirect_stderr(said):\n            main()\n"
        "    except SystemExit as done:\n        end = done.code\n"
        f"    print(json.dumps([words, end, said.getvalue(), sorted({HEAVY} & set(sys.modules))]))"
    )
    folder = tmp_path_factory.mktemp("words")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True)
    return {words: rest for words, *rest in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_told_before_anything_heavy_is_imported(words, told):
    end, said, heavy = told[words]
    assert end == 2, said
    assert MISTAKES[words] in " ".join(said.split())
    assert heavy == []


def test_the_outline_is_that_of_the_classes():
    for path, made in names.tables().items():
        assert json.loads(path.read_text("utf-8")) == made, "run `python -m sharpap.cli.names`"


def mistaken(**sections: object) -> str:
    """What is wrong with a recipe, by its outline; the classes themselves say the same."""
    recipe = {"victims": ["popularity"], **sections}
    with pytest.raises(ConfigError) as told_first:
        check(recipe)
    with pytest.raises(ConfigError) as told_by_classes:
        experiment_from(recipe)
    assert str(told_first.value) == str(told_by_classes.value)
    return str(told_first.value)


@pytest.mark.parametrize(
    "sections",
    [
        {"atacks": {}},
        {"seeds": "many"},
        {"ks": [0.5]},
        {"direction": "up"},
        {"targets": {"kind": "tial"}},
        {"targets": {"draws": 0}},
        {"budget": {"fakes": 3}},
        {"budget": {"profile_size": "x"}},
        {"data": {"threshhold": 3}},
        {"data": {"source": "synthetic", "usres": 3}},
        {"data": {"split": {"name": "random", "tset": 0.1}}},
        {"victims": {"wmrf": {}}},
        {"victims": {"wrmf": {"regg": 1}}},
        {"victims": {"wrmf": {"solver": "sgd"}}},
        {"victims": {"mine": "my.module:Model"}},
        {"victims": {"command": {"command": ["python", "x.py"]}}},
        {"victims": {"defended": {"defense": {"name": "baging"}}}},
        {"attacks": {"sharpep": {}}},
        {"attacks": {"sharpap": {"epohcs": 3}}},
        {"attacks": {"sharpap": {"epochs": True, "k": "x"}}},
        {"attacks": {"sharpap": {"epochs": -1}}},
        {"attacks": {"sharpap": {"worst_case": {"roh": 1}}}},
        {"attacks": {"sharpap": {"worst_case": {"name": "sharp"}}}},
        {"attacks": {"sharpap": {"surrogate": 3}}},
        {"attacks": {"sharpap": {"others": "lightgcn"}}},
        {"attacks": {"sharpap": {"others": [{"name": "lightgcn", "layrs": 2}]}}},
        {"attacks": {"coattack": {"passing": {"x": 1}}}},
    ],
)
def test_the_outline_says_what_the_classes_say(sections):
    mistaken(**sections)


def test_every_name_and_every_shipped_recipe_fits_its_outline():
    from sharpap.config.recipes import names as recipes
    from sharpap.config.recipes import read_recipe

    with objects.outlined(), objects.allowing(commands=True):
        for kind, members in REGISTRY.items():
            for name in members:
                needed = {"command": {"command": ["x"]}, "remote": {"url": "http://127.0.0.1:1"}}.get(name, {})
                options = needed | ({"model": "LightGCN"} if name in ("recbole", "rectools") else {})
                made = build(kind, {"name": name, **options})
                assert type(made).__name__ == members[name][0].__name__
        plans.audit_settings({"attacks": ["random"], "draws": 2}, outline.stand_in("Audit"))
    assert plans.audit_settings({"attacks": ["random"], "draws": 2}, Audit).draws == 2
    for recipe in recipes():
        check(read_recipe(recipe))


def test_words_that_are_said_twice_are_the_same():
    assert options.PROFILES == SUFFIXES
    assert plans.BASELINE in REGISTRY["detector"]


def test_names_of_packages_are_not_judged(monkeypatch):
    monkeypatch.setattr("sharpap.config.plugins.offered", lambda kind: {"theirs": ()} if kind == "victim" else {})
    check({"victims": {"theirs": {"anything": 1}}})
    with pytest.raises(ConfigError, match=r"no victim 'thiers'\. Did you mean 'theirs'\?"):
        check({"victims": {"thiers": {}}})
