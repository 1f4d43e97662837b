"""Kill a run with SIGKILL at random moments, give the same command again, and compare with a run that was left alone.

    python benchmarks/kill_and_resume.py --kills 100
    python benchmarks/kill_and_resume.py --kills 100 --data ml-100k --long --draws 1 --seeds 1 --longest 12

A grid is run once whole, then in another folder in a process that is killed after a random delay, again and again until it
comes to its end; grids follow each other until there were enough kills. Checked after each: every record that was in the store
before is the same file with the same content, so that nothing was computed again. Checked at each end: the tables, byte for
byte; the profiles; nothing left over in the folders. Runs are forked from a process that has only imported everything, so that
a kill takes a second, not ten. With `--long`, attacks and one victim take longer than the five seconds between two checkpoints:
kills fall between checkpoints, and the next run goes on within the attack or the training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")

import torch

import sharpap.cli.run
import sharpap.report.page
from sharpap.cli import main as sharpap

SMALL = ["epochs=4", "finalists=2", "final_seeds=1", "surrogate.epochs=6", "surrogate.unrolled_epochs=3"]
LONG = {"attacks.revadv": ["epochs=40", "finalists=2", "final_seeds=1"], "attacks.sharpap": ["epochs=40", "final_seeds=1"],
        "victims.bpr-mf": ["epochs=1500", "patience=1500"]}  # fmt: skip
SYNTHETIC = ["data.users=80", "data.items=90", "data.interactions=1200"]


def options(data: str, draws: int, seeds: int, seed: int, long: bool) -> list[str]:
    """A grid of three attacks and two victims, or three."""
    tables = LONG if long else {"attacks.revadv": SMALL, "attacks.sharpap": SMALL}
    settings = [f"{table}.{setting}" for table, own in tables.items() for setting in own]
    settings += ["victims.wrmf.epochs=4", *(SYNTHETIC if data == "synthetic" else [])]
    chosen = [
        "--attack",
        "random",
        "--attack",
        "revadv",
        "--attack",
        "sharpap",
        "--victim",
        "popularity",
        "--victim",
        "wrmf",
        *(["--victim", "bpr-mf"] if long else []),
    ]
    numbers = ["--data", data, "--draws", str(draws), "--seeds", str(seeds), "--seed", str(seed)]
    return ["run", *chosen, *numbers, *(word for setting in settings for word in ("--set", setting))]


def call(words: list[str]) -> int:
    """The command line, in this process; its exit status."""
    sys.argv = ["sharpap", *words]
    try:
        sharpap()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def killed_after(words: list[str], folder: Path, new: int, delay: float) -> bool:
    """Run in a child that is killed `delay` seconds after it has made `new` records; whether it was still at work then."""
    before = len(records(folder))
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os._exit(call([*words, "-o", str(folder)]))
    end = None
    while end is None or time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise SystemExit(f"The run ended with status {os.waitstatus_to_exitcode(status)}.")
            return False
        if end is None and (not new or len(list((folder / "cells").glob("[!.]*.record"))) - before >= new):
            end = time.monotonic() + delay
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def records(folder: Path) -> dict[str, tuple[int, str]]:
    """Each finished record: which file it is, and what it holds."""
    return {
        path.name: (path.stat().st_ino, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in (folder / "cells").glob("*.record")
        if not path.name.startswith((".", "state-"))  # half files, which the next run removes, and checkpoints
    }


def log_end(folder: Path) -> list[str]:
    """The warnings of the log."""
    return [line for line in (folder / "log.jsonl").read_text().splitlines() if '"warning"' in line]


def check(whole: Path, folder: Path) -> None:
    """Two results folders hold the same numbers and profiles, and nothing is left over."""
    for name in ("results.parquet", "config.toml"):
        assert (whole / name).read_bytes() == (folder / name).read_bytes(), name
    names = sorted(path.name for path in (whole / "poison").iterdir())
    assert names == sorted(path.name for path in (folder / "poison").iterdir())
    assert sorted(records(whole)) == sorted(records(folder))
    left = [
        path
        for path in folder.rglob("*")
        if path.name.startswith(".") or path.name.startswith(("state-", "quarantine"))
    ]
    assert not left, left


def measure(
    kills: int, data: str, draws: int, seeds: int, longest: float, seed: int, long: bool
) -> dict[str, object]:  # fmt: skip
    """Grids until there were enough kills."""
    torch.set_num_threads(1)
    chance = random.Random(seed)
    done = grids = resumed = states = 0
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        while done < kills:
            whole, folder = Path(home) / f"whole-{grids}", Path(home) / f"killed-{grids}"
            words = [*options(data, draws, seeds, seed + grids, long), "-q", "--json"]
            assert not killed_after(words, whole, 0, 600)
            before: dict[str, tuple[int, str]] = {}
            running = True
            while running:
                delay = chance.uniform(0, longest) if done < kills else 600
                running = killed_after(words, folder, chance.randrange(2 if long else 4), delay)
                done += running
                states += any((folder / "cells").glob("state-*.record"))
                after = records(folder)
                again = {name: (old, after.get(name)) for name, old in before.items() if after.get(name) != old}
                assert not again, f"finished records were written again: {again}, {log_end(folder)}"
                resumed += len(before)
                before = after
            check(whole, folder)
            grids += 1
    return {
        "kills": done, "grids": grids, "records in a grid": len(before), "records taken from the store": resumed,
        "kills that left a checkpoint": states,
        "computed twice": 0, "tables": "byte for byte equal", "seconds": round(time.monotonic() - start),
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--data", default="synthetic")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--longest", type=float, default=1.0, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--long", action="store_true", help="attacks and trainings longer than between two checkpoints")
    print(json.dumps(measure(**vars(parser.parse_args()))))
