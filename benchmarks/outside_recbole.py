"""Train one RecBole model and write its scores; runs in RecBole's environment, called by outside.py.

    python outside_recbole.py FOLDER MODEL RATE EPOCHS SECONDS USERS ITEMS

FOLDER holds data/data.{train,valid,test}.inter, whose tokens are row and column numbers. Writes FOLDER/scores.npy, a float32
(USERS, ITEMS) in these numbers, -inf for a user or item that the files do not have, and FOLDER/log.json: the best validation
NDCG@20 and its epoch, seconds (of processor time), versions. Training ends after EPOCHS or
SECONDS; the best state is kept in memory.
"""
# pyright: reportMissingImports=false

import copy
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from recbole import __version__
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed

EVAL_STEP = 5
USERS_PER_BLOCK = 128
# A batch of an autoencoder is of users, not of interactions.
OWN = {"MultiVAE": {"train_neg_sample_args": None, "train_batch_size": 128}}


class TimeUp(Exception):  # noqa: N818
    """The training has had its seconds."""


def main() -> None:
    """Train, then score in blocks of users."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    rate, epochs, seconds = float(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    shape = int(sys.argv[6]), int(sys.argv[7])
    torch.set_num_threads(1)
    own = OWN.get(name, {})
    config = Config(
        model=name,
        dataset="data",
        config_dict={
            "data_path": str(folder),
            "benchmark_filename": ["train", "valid", "test"],
            "load_col": {"inter": ["user_id", "item_id"]},
            "eval_args": {"mode": "full", "order": "RO", "group_by": "user"},
            "metrics": ["NDCG"],
            "topk": 20,
            "valid_metric": "NDCG@20",
            "metric_decimal_place": 6,
            "embedding_size": 64,
            "train_batch_size": 4096,
            "eval_batch_size": 1 << 20,
            "eval_step": EVAL_STEP,
            "stopping_step": 5,
            "epochs": epochs,
            "seed": 0,
            "use_gpu": False,
            "show_progress": False,
            "state": "ERROR",
            "checkpoint_dir": str(folder / "checkpoints"),
            **own,
            **({"learning_rate": rate} if rate else {}),
        },
    )
    init_seed(0, True)
    data = create_dataset(config)
    train, valid, _ = data_preparation(config, data)
    model = get_model(name)(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    best, best_epoch, best_state, checks = -1.0, 0, None, 0
    start = time.process_time()

    def keep(epoch: int, score: float) -> None:
        nonlocal best, best_epoch, best_state, checks
        checks += 1
        if score > best:
            best, best_epoch, best_state = score, epoch + 1, copy.deepcopy(model.state_dict())
        if time.process_time() - start > seconds:
            raise TimeUp

    cut = False
    try:
        trainer.fit(train, valid, verbose=False, saved=False, show_progress=False, callback_fn=keep)
    except TimeUp:
        cut = True
    spent = time.process_time() - start
    # A model of counts or in closed form has its answer outside the state, and only one epoch.
    if best_state is not None and checks > 1:
        model.load_state_dict(best_state)
    model.eval()
    users, items = (
        np.array([int(token) for token in data.field2id_token[field][1:]]) for field in ("user_id", "item_id")
    )
    scores = np.lib.format.open_memmap(folder / "scores.npy", "w+", np.float32, shape)
    scores[:] = -np.inf
    with torch.no_grad():
        for first in range(0, len(users), USERS_PER_BLOCK):
            rows = np.arange(first, min(first + USERS_PER_BLOCK, len(users)))
            scores[np.ix_(users[rows], items)] = score(model, torch.from_numpy(rows + 1), len(items) + 1)[:, 1:]
    scores.flush()
    log = {
        "valid": best,
        "epoch": best_epoch,
        "cut": cut,
        "seconds": spent,
        "recbole": __version__,
        "torch": torch.__version__,
    }
    (folder / "log.json").write_text(json.dumps(log))


def score(model: torch.nn.Module, users: torch.Tensor, num_items: int) -> np.ndarray:
    """(len(users), num_items) in RecBole's numbers, padding item first; by pairs where a model ranks no other way."""
    try:
        found = model.full_sort_predict(Interaction({"user_id": users}))
    except NotImplementedError:
        pairs = {"user_id": users.repeat_interleave(num_items), "item_id": torch.arange(num_items).repeat(len(users))}
        found = model.predict(Interaction(pairs))
    return np.asarray(found).reshape(len(users), num_items)


if __name__ == "__main__":
    main()
