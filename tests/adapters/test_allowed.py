"""Options for RecBole and RecTools: plain values under listed names, and nothing of a recipe is evaluated or imported."""

from __future__ import annotations

import ast
import json
import subprocess
from importlib import resources

import pytest

from sharpap.adapters.allowed import RECBOLE, RECTOOLS
from sharpap.adapters.environment import Environment
from sharpap.adapters.isolated import RecBoleRecommender, RecToolsRecommender
from sharpap.assess.recipe import experiment_from
from sharpap.errors import ConfigError

RUN = "__import__('os').system('id > {}')"
REFUSED = {
    "evaluated": ("recbole", "BPR", {"note": RUN}, "no option 'note'"),
    "evaluated in a known option": ("recbole", "BPR", {"learner": RUN}, "'learner' does not have this value"),
    "a number as text": ("recbole", "BPR", {"epochs": RUN}, "'epochs' is no plain number"),
    "a text in a list": ("recbole", "NeuMF", {"mlp_hidden_size": [64, RUN]}, "'mlp_hidden_size' is no plain number"),
    "a table for a number": ("recbole", "BPR", {"epochs": {"x": 1}}, r"no option 'epochs\.x'|'epochs' is no plain"),
    "a path to unpickle": ("recbole", "NeuMF", {"mf_pretrain_path": "x"}, "no option 'mf_pretrain_path'"),
    "a folder to unpickle": ("recbole", "LDiffRec", {"data_path": "x"}, "no option 'data_path'"),
    "another machine": ("recbole", "BPR", {"local_rank": 0, "ip": "x"}, "no option 'local_rank'"),
    "nested": ("recbole", "BPR", {"train_neg_sample_args": {"distribution": RUN}}, r"'train_neg_sample_args\.distribution'"),
    "a name with a dot": ("recbole", "BPR", {"train_neg_sample_args.alpha": 1}, r"no option 'train_neg_sample_args\.alpha'"),
    "no table": ("recbole", "BPR", {"train_neg_sample_args": RUN}, "'train_neg_sample_args' is a table"),
    "no end": ("recbole", "BPR", {"learning_rate": float("inf")}, "'learning_rate' is no plain number"),
    "a long number": ("recbole", "BPR", {"epochs": 10**5000}, "'epochs' is no plain number"),
    "another's option": ("recbole", "EASE", {"reg_wieght": 1}, "Did you mean 'reg_weight'"),
    "another model": ("recbole", "LightGNC", {}, "Did you mean 'LightGCN'"),
    "no model": ("recbole", "__class__", {}, "no model '__class__'"),
    "a class": ("rectools", "ImplicitALSWrapperModel", {"model": {"cls": "subprocess.Popen"}}, r"'model\.cls' does not"),
    "a class of a model": ("rectools", "EASEModel", {"cls": "subprocess.Popen"}, "no option 'cls'"),
    "a class of neighbours": ("rectools", "ImplicitItemKNNWrapperModel", {"model": {"cls": "a.B"}}, r"'model\.cls' does not"),
    "a part of a transformer": ("rectools", "SASRecModel", {"lightning_module_type": "a.B"}, "no model 'SASRecModel'"),
    "a loader": ("rectools", "load_model", {}, "no model 'load_model'"),
    "a type": ("rectools", "ImplicitALSWrapperModel", {"model": {"dtype": "O"}}, r"'model\.dtype' does not have"),
}  # fmt: skip


@pytest.mark.parametrize(("library", "model", "options", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_recipe_reaches_no_code_of_a_library(library, model, options, message):
    table = {"name": library, "model": model, "options": options}
    with pytest.raises(ConfigError, match=message) as caught:
        experiment_from({"data": {"source": "synthetic"}, "victims": {"a": table}})
    assert str(caught.value).startswith("victims.a: ")
    assert len(str(caught.value)) < 2000


def test_what_is_listed_is_let_through():
    options = {
        "epochs": 3, "learning_rate": 1e-3, "shuffle": False, "learner": "sgd", "mlp_hidden_size": [64, 32],
        "train_neg_sample_args": {"distribution": "popularity", "sample_num": 2}, "clip_grad_norm": {"max_norm": 1.0},
    }  # fmt: skip
    assert RecBoleRecommender(model="NeuMF", options=options).options == options
    options = {"model": {"cls": "BM25Recommender", "K": 20, "B": 0.3}}
    assert RecToolsRecommender(model="ImplicitItemKNNWrapperModel", options=options).options == options


def test_every_listed_word_is_itself_when_it_is_evaluated():
    """The driver hands over texts in quotes; without them, too, no word of the lists would run anything."""
    for models in (RECBOLE, RECTOOLS):
        words = {word for options in models.values() for words in options.values() for word in words}
        assert all(word.replace("-", "_").isidentifier() for word in words)
        assert all(ast.literal_eval(repr(word)) == word for word in words)


@pytest.mark.slow
def test_the_lists_are_those_of_recbole():
    """Every listed option is in the settings that RecBole ships for that model, or for all."""
    python = Environment("recbole").python
    if Environment("recbole").state == "not made":
        pytest.skip("sharpap env create recbole")
    script = (
        "import json, recbole, yaml; from pathlib import Path\n"
        "home = Path(recbole.__file__).parent / 'properties'\n"
        "read = lambda path: yaml.safe_load(path.read_text()) or {}\n"
        "print(json.dumps([read(home / 'overall.yaml'), {each.stem: read(each) for each in home.glob('model/*.yaml')}]))"
    )
    done = subprocess.run([str(python), "-I", "-c", script], capture_output=True, text=True, check=True)
    every, models = json.loads(done.stdout)
    for name, options in RECBOLE.items():
        own = every | models.get(name, {})
        for option, words in options.items():
            key, _, inner = option.partition(".")
            assert key in own or key == "norm", (name, option)
            if inner and own[key] is not None:
                assert inner in own[key], (name, option)
            if words and not inner:
                assert own[key] in words, (name, option)


@pytest.mark.slow
def test_no_text_of_ours_is_evaluated_in_the_driver(tmp_path):
    """Whatever came through: RecBole's own reading of the driver's settings gives every text back as it was."""
    if Environment("recbole").state == "not made":
        pytest.skip("sharpap env create recbole")
    trace = tmp_path / "ran"
    text = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    script = (
        "import importlib.util, sys, numpy as np; from pathlib import Path; from scipy.sparse import csr_matrix\n"
        "spec = importlib.util.spec_from_file_location('driver', sys.argv[1])\n"
        "driver = importlib.util.module_from_spec(spec); spec.loader.exec_module(driver)\n"
        "text = sys.argv[3]\n"
        "options = {'epochs': 1, 'note': text, 'other': 'exit'}\n"
        "_, _, config = driver.fit(csr_matrix(np.indices((30, 20)).sum(0) % 3 == 0), Path(sys.argv[2]), 1, 'BPR', options)\n"
        "assert config['note'] == text and config['other'] == 'exit', config['note']"
    )
    driver = resources.files("sharpap.adapters") / "drivers" / "recbole.py"
    words = [Environment("recbole").python, "-I", "-c", script, driver, tmp_path, text]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not trace.exists()
