"""Profiles that other projects made, beside ours, on the same victims.

    python benchmarks/beside_peers.py --export inputs            # the training data and targets, for their code
    python benchmarks/beside_peers.py profiles --fakes 9         # six tuned victims, three draws

Every file of the folder is a table of fake users and items, and beside it `<file>.json` says who made it, for which targets,
and in how many seconds: the form that `sharpap attack` writes (docs/peers.md says how the peers' were made). Ours are crafted
in this run, with as many profiles of at most as many items. All are measured by one `Experiment` a draw: the same trainings,
seeds and metrics as in `sharpap run`. A file that spends more than the budget is an error.

Prints hits in percent, mean over draws with 95 % t-intervals; what the best peer wins beside the best of our two defaults,
where they are among ours; and what the profiles look like. Seconds are of the processor.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from sharpap.assess import Experiment, run
from sharpap.assess.experiment import CLEAN
from sharpap.assess.recipe import experiment_from
from sharpap.attacks import Poison, check_poison
from sharpap.attacks.poison_io import files_of, load_poison, save_poison
from sharpap.data import Interactions
from sharpap.errors import SharpAPError
from sharpap.files import write_text
from sharpap.metrics import interval

VICTIMS = "wrmf,ease,item-knn,bpr-mf,lightgcn,simgcl"
DEFAULTS = ("revadv", "sharpap")
OURS = ",".join([*DEFAULTS, "sharpap-paper", "rapu-r", "bandwagon", "random"])
Made = dict[tuple[str, int], Poison]


def main() -> None:
    """Export, or measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="profile files")
    parser.add_argument("--export", type=Path, help="write what their code needs into this folder, and stop")
    parser.add_argument("--data", default="ml-100k")
    parser.add_argument("--seed", type=int, default=0, help="of the draws; the product's recipes have 0")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--fakes", type=int, default=9)
    parser.add_argument("--ours", default=OURS, help="separated by commas")
    parser.add_argument("--victims", default=VICTIMS, help="separated by commas")
    parser.add_argument(
        "--store", type=Path, help="keeps our profiles and finished trainings, to go on from; default: none"
    )
    args = parser.parse_args()
    experiment, _ = experiment_from({
        "seed": args.seed, "seeds": 1, "ks": [10, 50], "tuned": True, "data": {"source": args.data},
        "targets": {"kind": "unpopular", "size": 5, "draws": args.draws}, "budget": {"fake_users": args.fakes},
        "attacks": args.ours.split(","), "victims": args.victims.split(","),
    })  # fmt: skip
    if args.export:
        export(experiment, args.export)
        return
    if not args.folder:
        parser.error("name a folder of profile files")
    torch.set_num_threads(1)
    try:
        poisons = brought(args.folder, experiment)
    except SharpAPError as error:
        raise SystemExit(str(error)) from None
    peers = list(dict.fromkeys(name for name, _ in poisons))
    with tempfile.TemporaryDirectory() as scratch:
        store = args.store or Path(scratch)
        poisons |= crafted(experiment, store / "ours")
        frame = measured(experiment, poisons, store / "trainings")
    names = [*experiment.attacks, *peers]
    for k in experiment.ks:
        print(hits_table(frame, names, list(experiment.victims), k), flush=True)
    ours = [name for name in DEFAULTS if name in experiment.attacks] or list(experiment.attacks)
    print(leads_table(frame, ours, peers, list(experiment.victims), experiment.ks))
    print(looks_table(poisons, names, experiment.dataset.train))


def export(experiment: Experiment, folder: Path) -> None:
    """The train and validation parts, a line a user: its number and the numbers of its items; targets and ids beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset, goals = experiment.dataset, experiment.goals()
    for name, part in (("train", dataset.train.matrix), ("val", dataset.valid.matrix)):
        rows = np.split(part.indices, part.indptr[1:-1])
        write_text(
            folder / f"{name}.txt", "".join(f"{' '.join(map(str, (user, *row)))}\n" for user, row in enumerate(rows))
        )
    facts = {
        "fingerprint": dataset.train.fingerprint, "item_ids": dataset.train.item_ids.tolist(),
        "targets": [goal.targets for goal in goals],
        "profile_size": experiment.budget.resolve(dataset.train.matrix, goals[0]).profile_size,
    }  # fmt: skip
    write_text(folder / "inputs.json", json.dumps(facts))


def brought(folder: Path, experiment: Experiment) -> Made:
    """The profiles of the files, each checked against the budget.

    Raises:
        DataError: a file that cannot be read. BudgetError: profiles that spend too much.
    """
    train, goals, found = experiment.dataset.train, experiment.goals(), {}
    for path in sorted(each for each in folder.iterdir() if each.is_file() and each.suffix != ".json"):
        poison = load_poison(path, train)
        if poison.goal not in goals:
            raise SystemExit(f"{path.name}: its targets are those of none of the draws. See {files_of(path)[-1].name}.")
        check_poison(poison, train.num_items, experiment.budget.resolve(train.matrix, poison.goal))
        found[poison.attack, goals.index(poison.goal)] = poison
    return found


def crafted(experiment: Experiment, folder: Path) -> Made:
    """Ours, with processor seconds; those that the folder has, of the same settings, data and targets, are taken from there."""
    folder.mkdir(parents=True, exist_ok=True)
    train, made = experiment.dataset.train, {}
    for name, attack in experiment.attacks.items():
        for draw, goal in enumerate(experiment.goals()):
            made_of = repr((attack, train.fingerprint, goal, experiment.budget, experiment.attack_seed(draw)))
            path = folder / f"{name}-{draw}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.npz"
            if not path.exists():
                start = time.process_time()
                assert not isinstance(attack, Poison)
                poison = attack.poison(train.matrix, goal, experiment.budget, seed=experiment.attack_seed(draw))
                poison = replace(poison, attack=name, seconds=time.process_time() - start)
                save_poison(replace(poison, data_fingerprint=train.fingerprint), path, train)
            made[name, draw] = load_poison(path, train)
    return made


def measured(experiment: Experiment, poisons: Made, store: Path) -> pl.DataFrame:
    """Measurements of all draws, as `Results.frame` has them."""
    frames = []
    for draw in range(len(experiment.goals())):
        of_draw = {name: poison for (name, where), poison in poisons.items() if where == draw}
        found = run(replace(experiment, attacks=of_draw), cells=store).frame
        frames.append(found.with_columns(draw=pl.lit(draw, pl.Int32)))
    return pl.concat(frames)


def by_draw(frame: pl.DataFrame, attack: str, victim: str, k: int, metric: str = "H") -> np.ndarray:
    """(draws,) values in percent."""
    wanted = {"attack": attack, "victim": victim, "k": k, "metric": metric, "target": -1}
    return 100 * frame.filter(**wanted).sort("draw")["value"].to_numpy()


def hits_table(frame: pl.DataFrame, names: list[str], victims: list[str], k: int) -> str:
    """H@k of all attacks; the best of a column in bold."""
    values = {name: [by_draw(frame, name, victim, k) for victim in victims] for name in [CLEAN, *names]}
    for cells in values.values():
        cells.append(np.mean(cells, axis=0))
    draws = len(values[CLEAN][0])
    best = [max(float(cells[column].mean()) for cells in values.values()) for column in range(len(victims) + 1)]
    lines = [f"| H@{k} | {' | '.join([*victims, 'mean'])} |", f"|---|{'---:|' * (len(victims) + 1)}"]
    for name, cells in values.items():
        texts = []
        for column, cell in enumerate(cells):
            found = interval(cell)
            mean = f"{found.mean:.2f}"
            bold = f"**{mean}**" if found.mean == best[column] > 0 else mean
            texts.append(bold if not found.high > found.low else f"{bold} ({found.low:.2f} to {found.high:.2f})")
        few = f" ({len(cells[0])} of {draws} draws)" if len(cells[0]) < draws else ""
        lines.append(f"| {'no attack' if name == CLEAN else name}{few} | {' | '.join(texts)} |")
    accuracy = [f"{by_draw(frame, CLEAN, victim, 10, 'NDCG')[0] / 100:.4f}" for victim in victims]
    return "\n".join([*lines, f"| NDCG@10, no attack | {' | '.join(accuracy)} | |", ""])


def leads_table(frame: pl.DataFrame, ours: list[str], peers: list[str], victims: list[str], ks: tuple[int, ...]) -> str:
    """By list length and victim: the best of ours, the best peer that was made for all draws, and ours minus the peer's."""
    draws = frame["draw"].n_unique()
    peers = [name for name in peers if frame.filter(attack=name)["draw"].n_unique() == draws]
    lines = ["| list, victim | ours | best peer | ours minus it |", "|---|---:|---:|---:|"]
    for k in ks:
        for victim in victims if ours and peers else ():
            own, other = (
                max(group, key=lambda name: by_draw(frame, name, victim, k).mean()) for group in (ours, peers)
            )
            mine, theirs = (by_draw(frame, name, victim, k) for name in (own, other))
            gap = interval(mine - theirs)
            lines.append(
                f"| {k}, {victim} | {own} {mine.mean():.2f} | {other} {theirs.mean():.2f} "
                f"| {gap.mean:+.2f} ({gap.low:+.2f} to {gap.high:+.2f}) |"
            )
    return "\n".join([*lines, ""])


def looks_table(poisons: Made, names: list[str], train: Interactions) -> str:
    """Seconds, sizes, targets held, the median number of owners of a filler, and how many different fillers; means of draws."""
    counts = train.item_counts
    lines = [
        "| attack | seconds | profiles | items a profile | targets a profile | owners of a filler | different fillers |",
        f"|---|{'---:|' * 6}",
    ]
    for name in names:
        rows = []
        mine = [poison for (attack, _), poison in poisons.items() if attack == name]
        for poison in mine:
            items = poison.profiles.indices
            fillers = items[~np.isin(items, poison.goal.targets)]
            held = (len(items) - len(fillers)) / poison.num_fake
            rows.append((poison.seconds, held, np.median(counts[fillers]), len(np.unique(fillers))))
        seconds, held, owners, different = np.mean(rows, axis=0)
        sizes = np.concatenate([poison.profile_sizes for poison in mine])
        span = f"{sizes.min()}" if sizes.min() == sizes.max() else f"{sizes.min()} to {sizes.max()}"
        lines.append(
            f"| {name} | {seconds:.1f} | {mine[0].num_fake} | {span} | {held:.1f} | {owners:.0f} | {different:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
