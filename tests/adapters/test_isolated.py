"""RecBole and RecTools in their environments: our scores are their ranking. Skipped where the environments are not made."""

from __future__ import annotations

import json
import subprocess
from importlib import resources

import numpy as np
import pytest
from scipy.sparse import csr_array

from sharpap.adapters.command import save_matrix
from sharpap.adapters.environment import Environment
from sharpap.adapters.isolated import RecBoleRecommender, RecToolsRecommender
from sharpap.data import synthetic
from sharpap.kernels import mask_rows, topk_scores

pytestmark = pytest.mark.slow
# Trains as the driver does, then asks RecBole's own case study for the ranking of every user without the items they have.
WITNESS = """
import importlib.util, json, sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np, torch
from scipy.sparse import load_npz
spec = importlib.util.spec_from_file_location("driver", sys.argv[1])
driver = importlib.util.module_from_spec(spec)
spec.loader.exec_module(driver)
from recbole.utils.case_study import full_sort_topk
out, name, options = Path(sys.argv[3]), sys.argv[4], json.loads(sys.argv[5])
data, model, _ = driver.fit(load_npz(sys.argv[2]).tocsr(), out, 11, name, options)
history = np.empty(data.user_num, object)
users, items = (data.inter_feat[field].numpy() for field in ("user_id", "item_id"))
for user in range(1, data.user_num):
    history[user] = torch.from_numpy(items[users == user])
loader = SimpleNamespace(dataset=data, is_sequential=False, uid2history_item=history)
chosen = np.arange(1, data.user_num)
_, found = full_sort_topk(chosen, model, loader, 10)
tokens = [[int(item) for item in row] for row in data.id2token("item_id", found.numpy())]
(out / "lists.json").write_text(json.dumps(dict(zip(data.id2token("user_id", chosen).tolist(), tokens))))
"""


@pytest.fixture(scope="module")
def train() -> csr_array:
    """80 x 60, with a user and an item that nobody has touched, and items in an order of their own."""
    dense = synthetic(80, 60, 1200, seed=4).matrix.toarray()
    dense[5] = 0
    dense[:, 7] = 0
    return csr_array(dense[:, np.random.default_rng(0).permutation(60)])


def needs(name: str) -> Environment:
    environment = Environment(name)
    if environment.state == "not made":
        pytest.skip(f"sharpap env create {name}")
    return environment


@pytest.mark.parametrize(
    ("model", "options"),
    [("EASE", {}), ("BPR", {"epochs": 3, "learning_rate": 0.01}), ("LightGCN", {"epochs": 3, "learning_rate": 0.01})],
)
def test_recboles_scores_give_recboles_ranking(train, tmp_path, model, options):
    python = needs("recbole").ready_python()
    fitted = RecBoleRecommender(model=model, options=options).fit(train, seed=11)
    users = np.flatnonzero(np.diff(train.indptr))
    scores = np.array(fitted.score(users))
    cold = np.diff(train.tocsc().indptr) == 0
    assert cold.sum() == 1
    assert np.isneginf(scores[:, cold]).all()
    assert np.isfinite(scores[:, ~cold]).all()
    mask_rows(scores, users, train.indptr, train.indices)
    items, _ = topk_scores(scores, 10)

    save_matrix(tmp_path / "train.npz", train)
    driver = resources.files("sharpap.adapters") / "drivers" / "recbole.py"
    words = [python, "-I", "-c", WITNESS, driver, tmp_path / "train.npz", tmp_path, model, json.dumps(options)]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    witness = json.loads((tmp_path / "lists.json").read_text())
    theirs = np.array([witness[str(user)] for user in users])
    assert (items == theirs).mean() > 0.999  # scores of float32 can tie


def test_recbole_is_reproducible_by_its_seed(train):
    needs("recbole")
    users = np.arange(5)
    options = {"epochs": 1}
    runs = [RecBoleRecommender(model="BPR", options=options).fit(train, seed=seed).score(users) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.allclose(runs[0], runs[2])


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("EASEModel", {}),
        ("ImplicitALSWrapperModel", {"model": {"factors": 8, "num_threads": 1}}),
        ("PureSVDModel", {"factors": 8}),
    ],
)
def test_rectools_lists_are_the_top_of_its_scores(train, model, options):
    needs("rectools")
    users = np.flatnonzero(np.diff(train.indptr))
    scores = np.array(RecToolsRecommender(model=model, options=options).fit(train, seed=1).score(users))
    mask_rows(scores, users, train.indptr, train.indices)
    lists = RecToolsRecommender(model=model, options=options, top_k=10).fit(train, seed=1)
    assert lists.capabilities.top_k == 10
    ours, theirs = (topk_scores(found, 10)[0] for found in (scores, lists.score(users)))
    assert (ours == theirs).mean() > 0.999
