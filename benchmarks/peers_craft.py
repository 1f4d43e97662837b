"""Fake profiles by two other projects' own code, written as files that `beside_peers.py` reads.

    python benchmarks/beside_peers.py --export inputs
    python benchmarks/peers_craft.py --code FEOAttack --inputs inputs --out profiles --attacks feo,pga --draws 3 --fakes 9

Runs in an environment of their libraries (docs/peers.md), without SharpAP. `--code` is a checkout of WuYunfan/FEOAttack or
graytowne/revisit_adv_rec; nothing in it is edited: all that had to change to run it on this data is below, in words where it is
done. Attacks have the settings that each project publishes for Gowalla, its set with the fewest users. Seconds are of the
processor, one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

NO_LIMIT = 10**6  # fits the 32 bits of its counter
# Our name: the project's name of it, and what differs from its published settings.
FEO: dict[str, tuple[str, dict[str, Any]]] = {
    "FEO": ("FEOAttacker", {}),
    "FEO, batch 2048": ("FEOAttacker", {"batch_size": 2048}),
    "FEO, no filler limit": ("FEOAttacker", {"filler_limit": NO_LIMIT}),
    "FEO, no filler limit, batch 2048": ("FEOAttacker", {"filler_limit": NO_LIMIT, "batch_size": 2048}),
    "RevAdv of FEOAttack": ("RevAdvAttacker", {}),
    "RAPU-R of FEOAttack": ("RAPURAttacker", {}),
    "DPA2DL of FEOAttack": ("DPA2DLAttacker", {}),
    "PGA of FEOAttack": ("PGAAttacker", {}),
}
REVISIT: dict[str, tuple[str, dict[str, Any]]] = {
    "RevAdv original": ("attack_gen_args_wmf_sgd", {}),
    "RevAdv original, targets in": ("attack_gen_args_wmf_sgd", {"click_targets": True}),
    "RevAdv original, ItemAE": ("attack_gen_args_item_ae", {}),
    "RevAdv original, ItemAE, partial": ("attack_gen_args_item_ae_pd", {}),
    "RevAdv original, ALS": ("attack_gen_args_wmf_als", {}),
}
Profiles = Sequence[Sequence[int]]


def feo(
    name: str, changes: dict[str, Any], data: dict[str, Any], targets: list[int], fakes: int, seed: int
) -> Profiles:
    """Profiles by a class of FEOAttack."""
    from attacker import get_attacker  # pyright: ignore[reportMissingImports]
    from dataset import get_dataset  # pyright: ignore[reportMissingImports]
    from utils import set_seed  # pyright: ignore[reportMissingImports]

    from config import get_gowalla_attacker_config  # pyright: ignore[reportMissingImports]

    device = torch.device("cpu")
    config = next(each for each in get_gowalla_attacker_config() if each["name"] == name and each["n_fakes"])
    config |= {"n_fakes": fakes, "n_inters": data["profile_size"], "target_items": np.array(targets)}
    config |= {key: value for key, value in changes.items() if key in config}
    training = config["surrogate_trainer_config"]
    training |= {key: value for key, value in changes.items() if key in training}
    if "dataloader_num_workers" in training:
        training["dataloader_num_workers"] = 0  # one process
    set_seed(seed)
    dataset = get_dataset({"name": "ProcessedDataset", "path": data["folder"], "device": device})
    dataset.n_items = len(data["item_ids"])  # it counts up to the last item that somebody has
    attacker = get_attacker(config, dataset)
    attacker.generate_fake_users(verbose=False)
    return attacker.fake_user_inters


def revisit(
    name: str, changes: dict[str, Any], data: dict[str, Any], targets: list[int], fakes: int, seed: int
) -> Profiles:
    """Profiles by revisit_adv_rec, each cut at the end to its largest entries: that code does not bound a profile."""
    import generate_attack_args  # pyright: ignore[reportMissingImports]
    import trainers.adv_trainer as module  # pyright: ignore[reportMissingImports]
    from bunch import Bunch  # pyright: ignore[reportMissingImports]
    from scipy.sparse import csr_matrix
    from utils.utils import set_seed  # pyright: ignore[reportMissingImports]

    size = data["profile_size"]
    args = Bunch(
        {
            **getattr(generate_attack_args, name),
            **changes,
            "n_fakes": fakes,
            "target_items": np.array(targets),
            "seed": seed,
        }
    )
    args.output_dir = os.getcwd()

    class Watched(args.trainer_class):
        """Starts from genuine users who fit the budget; remembers the entries as they were before they became 0 and 1."""

        def init_fake_data(self, train_data: Any) -> Any:
            rows = np.flatnonzero(np.asarray(train_data.sum(1)).ravel() <= size)[: self.n_fakes]
            self.seen = [np.asarray(train_data[rows].todense())]
            return csr_matrix(train_data[rows])

        def train_epoch(self, train_data: Any, epoch_num: int) -> Any:
            found = super().train_epoch(train_data, epoch_num)
            self.seen.append(self.fake_tensor.detach().numpy().copy())
            return found

    set_seed(seed)
    train, valid = (rows_of(data, part) for part in ("train", "val"))
    trainer = Watched(n_users=train.shape[0], n_items=train.shape[1], args=args)
    kept: list[Any] = []
    # It writes a file whenever its profiles, those of the epoch before, are the best so far, and the best once more at the end.
    module.save_fake_data = lambda fakes, path: kept.append((fakes, trainer.seen[-2]))
    trainer.fit(train, valid)
    if not kept[:-1]:  # its surrogate never had a target in a list of fifty: there is no best, and the last are taken
        print("no epoch won a list", file=sys.stderr)
        last = trainer.seen[-1]
        kept = [(csr_matrix(last > args.proj_threshold), last), None]
    rows, values = kept[-2]
    rows = rows.toarray() > 0
    print(f"items a profile before the cut: {rows.sum(1).tolist()}, targets: {rows[:, targets].sum(1).tolist()}")
    values = np.where(rows, values, -np.inf)
    if args.click_targets:
        values[:, targets] = np.inf
    best = np.argsort(-values, axis=1, kind="stable")[:, :size]
    return [[item for item in order.tolist() if values[row, item] > -np.inf] for row, order in enumerate(best)]


def rows_of(data: dict[str, Any], part: str) -> Any:
    """The interactions of a part as scipy CSR."""
    from scipy.sparse import csr_matrix

    lines = [
        [int(item) for item in line.split()[1:]]
        for line in (Path(data["folder"]) / f"{part}.txt").read_text().splitlines()
    ]
    rows = np.repeat(np.arange(len(lines)), [len(line) for line in lines])
    columns = np.array([item for line in lines for item in line], dtype=np.int64)
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(lines), len(data["item_ids"])))


def stand_in(name: str, **parts: Any) -> None:
    """A module that the code imports and that is not installed."""
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(parts)


class Bunch(dict[str, Any]):
    """A dictionary whose entries are attributes, as in the package of this name, which no longer installs."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def main() -> None:
    """Craft and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--code", type=Path, required=True, help="a checkout of FEOAttack or revisit_adv_rec")
    parser.add_argument("--inputs", type=Path, required=True, help="what beside_peers.py --export wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--attacks", default="", help="names, separated by semicolons; default: all of that code")
    parser.add_argument("--draws", default="0,1,2")
    parser.add_argument("--fakes", type=int, default=9)
    args = parser.parse_args()
    data = json.loads((args.inputs / "inputs.json").read_text()) | {"folder": str(args.inputs.resolve())}
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    code = args.code.resolve()
    sys.path.insert(0, str(code))
    known, craft = (FEO, feo) if (code / "attacker").is_dir() else (REVISIT, revisit)
    stand_in("dgl")  # its sparse product serves LightGCN, which no attack here trains
    stand_in("bunch", Bunch=Bunch)
    torch.set_num_threads(1)
    scratch = out / "scratch"  # both write checkpoints into the folder they run in
    scratch.mkdir(exist_ok=True)
    os.chdir(scratch)
    for name in [each.strip() for each in args.attacks.split(";") if each.strip()] or list(known):
        for draw in map(int, args.draws.split(",")):
            start = time.process_time()
            profiles = craft(*known[name], data, data["targets"][draw], args.fakes, draw)
            write(out, name, draw, profiles, data, time.process_time() - start)


def write(out: Path, name: str, draw: int, profiles: Profiles, data: dict[str, Any], seconds: float) -> None:
    """One file of profiles, a line a user and item by the data's own ids, and what is known of it in a second one."""
    ids = data["item_ids"]
    lines = [f"fake-{row},{ids[item]}" for row, items in enumerate(profiles) for item in sorted(set(map(int, items)))]
    path = out / f"{name}, draw {draw}.csv"
    path.write_text("user_id,item_id\n" + "\n".join(lines) + "\n")
    facts = {
        "attack": name, "seed": draw, "seconds": seconds, "data_fingerprint": data["fingerprint"],
        "target_ids": [ids[item] for item in data["targets"][draw]],
    }  # fmt: skip
    path.with_name(path.name + ".json").write_text(json.dumps(facts, indent=1) + "\n")
    print(f"{name}, draw {draw}: {len(profiles)} profiles, {len(lines)} entries, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
