"""Train one RecBole model on a train matrix and write its scores; run by the interpreter of RecBole's environment.

    python recbole.py TRAIN.npz SCORES.npy SEED MODEL OPTIONS

OPTIONS is a JSON object of RecBole settings, checked by `allowed.py`. RecBole gets every interaction for training, none for
validation or test, and trains for all its epochs. It numbers users and items by first appearance and keeps 0 for padding:
scores are written back in the numbers of the matrix; a user or item without an interaction is unknown to RecBole and gets -inf.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.interaction import Interaction
from recbole.data.utils import get_dataloader
from recbole.sampler import Sampler
from recbole.utils import get_model, get_trainer, init_seed
from scipy.sparse import csr_matrix, load_npz

USERS_PER_BLOCK = 128
# Models whose batches are users; RecBole refuses to draw negatives for them.
OF_USERS = ("CDAE", "ENMF", "MacridVAE", "MultiDAE", "MultiVAE", "RaCT", "RecVAE", "DiffRec", "LDiffRec")


def main(train: str, target: str, seed: int, name: str, options: dict[str, Any]) -> None:
    """Train and write (num_users, num_items) float32 scores."""
    matrix = csr_matrix(load_npz(train))
    data, model, _ = fit(matrix, Path(target).parent, seed, name, options)
    users, items = (
        np.array([int(token) for token in data.field2id_token[field][1:]]) for field in ("user_id", "item_id")
    )
    scores = np.lib.format.open_memmap(target, "w+", np.float32, matrix.shape)
    scores[:] = -np.inf
    with torch.no_grad():
        for first in range(0, len(users), USERS_PER_BLOCK):
            rows = np.arange(first, min(first + USERS_PER_BLOCK, len(users)))
            block = np.full((len(rows), matrix.shape[1]), -np.inf, np.float32)
            block[:, items] = score(model, torch.from_numpy(rows + 1), len(items) + 1)[:, 1:]
            scores[users[rows]] = block
    scores.flush()


def fit(matrix: Any, folder: Path, seed: int, name: str, options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """RecBole's dataset, its trained model and its settings; files go to `folder`."""
    (folder / "data").mkdir()
    with (folder / "data" / "data.train.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\n")
        pairs = matrix.tocoo()
        file.writelines(f"{user}\t{item}\n" for user, item in zip(pairs.row, pairs.col))  # noqa: B905
    own = {"train_neg_sample_args": None} if name in OF_USERS else {}
    fixed = {
        "data_path": str(folder), "checkpoint_dir": str(folder / "checkpoints"), "benchmark_filename": ["train"],
        "load_col": {"inter": ["user_id", "item_id"]}, "eval_args": {"mode": "full", "order": "RO", "group_by": "user"},
        "dataset_save_path": None, "dataloaders_save_path": None, "save_dataset": False, "save_dataloaders": False,
        "log_wandb": False, "user_inter_num_interval": None, "item_inter_num_interval": None,
        "seed": seed, "reproducibility": True, "use_gpu": False, "show_progress": False, "state": "ERROR",
    }  # fmt: skip
    sys.argv = sys.argv[:1]  # RecBole reads settings from the command line, too
    os.chdir(folder)  # and writes its logs into the current folder
    settings = {**own, **options, **fixed}
    texts = {key: repr(value) for key, value in settings.items() if isinstance(value, str)}  # RecBole evaluates texts
    config = Config(model=name, dataset="data", config_dict=settings | texts)
    init_seed(seed, True)
    data = create_dataset(config)
    (train,) = data.build()
    drawn = config["train_neg_sample_args"]["distribution"]
    sampler = None
    if drawn != "none":
        sampler = Sampler(["train"], [train], drawn, config["train_neg_sample_args"]["alpha"]).set_phase("train")
    loader = get_dataloader(config, "train")(config, train, sampler, shuffle=config["shuffle"])
    init_seed(seed, True)
    model = get_model(name)(config, train).to(config["device"])
    get_trainer(config["MODEL_TYPE"], name)(config, model).fit(loader, None, verbose=False, saved=False)
    model.eval()
    return data, model, config


def score(model: Any, users: torch.Tensor, num_items: int) -> np.ndarray:
    """(len(users), num_items) in RecBole's numbers, padding item first; by pairs where a model ranks no other way."""
    try:
        found = model.full_sort_predict(Interaction({"user_id": users}))
    except NotImplementedError:
        pairs = {"user_id": users.repeat_interleave(num_items), "item_id": torch.arange(num_items).repeat(len(users))}
        found = model.predict(Interaction(pairs))
    return np.asarray(found).reshape(len(users), num_items)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], json.loads(sys.argv[5]))
