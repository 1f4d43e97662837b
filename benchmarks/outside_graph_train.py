"""Train SGL, SimGCL, XSimGCL or VGCL by public code and write the scores; called by outside_graph.py.

    python outside_graph_train.py FOLDER CHECKOUT

FOLDER holds request.json, train.npy and valid.npy (row and column numbers of interactions). Writes FOLDER/scores.npy, a
float32 (users, items), -inf for a user or item that their code does not know, and FOLDER/log.json. Their models, samplers and
losses run as they are; ours are the loop of VGCL, whose authors have it in a script, and the validation: every epoch, ending
after ten (but sixty in all) without a new best NDCG@20 of validation interactions, after `epochs`, or after `seconds` of
processor time.
"""
# pyright: reportMissingImports=false

import argparse
import contextlib
import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch

PATIENCE = 10
MIN_EPOCHS = 60  # pairwise models dwell near popularity at first, and would be stopped there
K = 20


class Done(Exception):  # noqa: N818
    """Training should end."""


class Watch:
    """Validation, the best scores, and when to stop."""

    def __init__(self, request: dict, train: np.ndarray, valid: np.ndarray) -> None:
        self.request, self.train = request, train
        self.held = np.zeros(request["shape"], bool)
        self.held[tuple(valid)] = True
        self.best, self.best_epoch, self.epoch, self.cut = -1.0, 0, 0, False
        self.scores, self.checks = np.zeros(0), []
        self.start = time.process_time()

    def check(self, scores: np.ndarray) -> None:
        """After an epoch, with all scores in our numbers; raises `Done`."""
        self.epoch += 1
        masked = scores.copy()
        masked[tuple(self.train)] = -np.inf
        top = np.argsort(-masked, axis=1, kind="stable")[:, :K]
        gain = 1 / np.log2(np.arange(2, K + 2))
        found = (np.take_along_axis(self.held, top, 1) * gain).sum(1)
        sizes = self.held.sum(1)
        ideal = np.concatenate([[0], np.cumsum(gain)])[np.minimum(sizes, K)]
        ndcg = float((found[sizes > 0] / ideal[sizes > 0]).mean())
        if ndcg > self.best:
            self.best, self.best_epoch, self.scores = ndcg, self.epoch, scores.copy()
        self.checks.append(round(ndcg, 4))
        self.cut = time.process_time() - self.start > self.request["seconds"]
        if (
            self.cut
            or self.epoch >= self.request["epochs"]
            or self.epoch >= max(MIN_EPOCHS, self.best_epoch + PATIENCE)
        ):
            raise Done


def selfrec(watch: Watch) -> None:
    """SGL (validated from its sixth epoch on, as SELFRec does it), SimGCL and XSimGCL, by SELFRec."""
    from importlib import import_module

    from util.conf import ModelConf

    # Their models ask for a GPU by name.
    torch.Tensor.cuda = lambda self, *_: self  # pyright: ignore
    torch.nn.Module.cuda = lambda self, *_: self  # pyright: ignore
    name, settings = watch.request["model"], dict(watch.request["settings"])
    conf = ModelConf(str(Path(sys.argv[2]) / "conf" / f"{name}.yaml"))
    conf.config["max.epoch"] = watch.request["epochs"]
    conf.config["learning.rate"] = settings.pop("rate", conf["learning.rate"])
    conf.config[name] |= settings
    pairs = [[str(user), str(item), 1.0] for user, item in watch.train.T]
    model = getattr(import_module(f"model.graph.{name}"), name)(conf, pairs, [])
    users, items = (
        np.array([int(ids[number]) for number in range(len(ids))]) for ids in (model.data.id2user, model.data.id2item)
    )

    def check(_: int) -> None:
        scores = np.full(watch.request["shape"], -np.inf, np.float32)
        scores[np.ix_(users, items)] = (model.user_emb @ model.item_emb.T).numpy()
        watch.check(scores)

    model.fast_evaluation = check
    model.save = lambda: None
    model.train()


def vgcl(watch: Watch) -> None:
    """VGCL, by its authors' PyTorch version."""
    import numba
    from rec_dataset import CF_Dataset
    from VGCL import VGCL

    num_users, num_items = watch.request["shape"]
    args = argparse.Namespace(
        num_user=num_users, num_item=num_items, device_id="0", batch_size=2048, latent_dim=64, init_type="norm",
        l2_reg=1e-4, gcn_layer=3, alpha=0.2, beta=1.0, gamma=0.4, temp_node=0.2, temp_cluster=0.13,
        num_user_cluster=900, num_item_cluster=300, rate=1e-3,
    )  # fmt: skip
    vars(args).update(watch.request["settings"])
    data = CF_Dataset.__new__(CF_Dataset)  # its constructor reads pickled dictionaries
    data.device, data.batch_size, data.num_user, data.num_item = torch.device("cpu"), 2048, num_users, num_items
    data.training_user, data.training_item = watch.train.tolist()
    data.traindict = numba.typed.Dict.empty(key_type=numba.types.int64, value_type=numba.types.int64[:])
    for user in np.unique(watch.train[0]):
        data.traindict[user] = np.ascontiguousarray(watch.train[1][watch.train[0] == user])
    model = VGCL(args, data)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.rate)
    while True:
        groups = model.cluster_step()
        for batch in data._batch_sampling(num_negative=1):
            loss = model.calculate_all_loss(*(torch.tensor(part).long() for part in batch), *groups)[-1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            users, items = model.forward()[2].split([num_users, num_items])  # a sample, as they evaluate
            watch.check((users @ items.T).numpy())


def main() -> None:
    """Train, then write."""
    folder, code = Path(sys.argv[1]), Path(sys.argv[2])
    request = json.loads((folder / "request.json").read_text())
    request["shape"] = tuple(request["shape"])
    torch.set_num_threads(1)
    random.seed(request["seed"])
    np.random.seed(request["seed"])  # noqa: NPY002
    torch.manual_seed(request["seed"])
    train, valid = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("train", "valid"))
    sys.path.insert(0, str(code / "torch_version" if request["model"] == "VGCL" else code))
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    watch = Watch(request, train, valid)
    with contextlib.suppress(Done):
        (vgcl if request["model"] == "VGCL" else selfrec)(watch)
    np.save(folder / "scores.npy", watch.scores.astype(np.float32))
    log = {
        "valid": watch.best,
        "epoch": watch.best_epoch,
        "cut": watch.cut,
        "checks": watch.checks,
        "seconds": time.process_time() - watch.start,
    }
    (folder / "log.json").write_text(json.dumps(log))


if __name__ == "__main__":
    main()
