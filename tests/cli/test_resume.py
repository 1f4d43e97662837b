"""A run that is stopped, by whatever: nothing finished is lost or done twice, and the user is told how to go on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from sharpap import files, progress
from sharpap.cli import console

ROOT = Path(__file__).parent.parent.parent
DATA = ["--data", "synthetic", "--set", "data.users=80", "--set", "data.items=90", "--set", "data.interactions=1200"]
GRID = ["run", *DATA, "--attack", "random", "--victim", "popularity", "--draws", 2, "-q"]


def killed(*args: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "kill_and_resume.py"), *args], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kill_nine_costs_nothing_that_was_finished():
    """The script asserts: records are never written again, tables are equal byte for byte, nothing is left over."""
    found = killed("--kills", "4", "--draws", "2", "--seeds", "2")
    assert found["kills"] == 4
    assert found["records taken from the store"] > 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_kills():
    assert killed("--kills", "100", "--longest", "0.5")["kills"] == 100


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_kills_within_long_attacks_and_trainings(ml100k):
    """MovieLens-100K; two attacks and a training that take longer than between two checkpoints."""
    more = ["--data", "ml-100k", "--long", "--draws", "1", "--seeds", "1", "--longest", "12"]
    found = killed("--kills", "25", *more)
    assert found["kills"] == 25
    assert found["kills that left a checkpoint"] > 0


def started(*args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sharpap", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip


def wait_for(folder: Path, records: int, process: subprocess.Popen[str]) -> None:
    while len(list((folder / "cells").glob("*.record"))) < records:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


SLOW_VICTIM = """
import time
import numpy as np
class Slow:
    def fit(self, train, *, seed):
        time.sleep(0.2)
        self.scores = np.asarray(train.sum(0), float)
    def score(self, users):
        return np.tile(self.scores, (len(users), 1))
"""


@pytest.mark.parametrize(
    ("jobs", "number"),
    [
        (1, signal.SIGINT),
        (1, signal.SIGTERM),
        pytest.param(2, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(2, signal.SIGTERM, marks=pytest.mark.slow),
    ],
    ids=["1-int", "1-term", "2-int", "2-term"],
)
def test_a_stop_says_what_is_done_and_how_to_go_on(jobs, number, tmp_path, sharpap, monkeypatch):
    """Ctrl-C; SIGTERM, which batch systems send before they kill, and `kill` from another shell."""
    (tmp_path / "slow_victim.py").write_text(SLOW_VICTIM)
    monkeypatch.chdir(tmp_path)
    grid = [*GRID, "--victim", "slow_victim:Slow", "--draws", 9, "--jobs", jobs]
    process = started(*grid, "-o", "out", "--json")
    wait_for(tmp_path / "out", 5, process)
    process.send_signal(number)
    text, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert json.loads(text)["interrupted"] is True
    done = pl.read_parquet(tmp_path / "out" / "cells.parquet").height
    assert 1 <= done < 20
    assert f"interrupted: {done} of 20 trainings are done. They are kept in out/cells: the same command goes on" in err
    code, _, err = sharpap(*grid[:-2], "-o", "out", "--json")
    assert code == 0, err
    events = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    cells = [event for event in events if event["kind"] == "cell"]
    trained = [(event["attack"], event["draw"], event["victim"]) for event in cells if not event.get("stored")]
    assert len(trained) == len(set(trained))
    # the stop may fall between a record and its event, once a process: that cell is stored, and in no event of its own
    assert 20 - jobs <= len(trained) <= 20
    assert pl.read_parquet(tmp_path / "out" / "cells.parquet").height == 20


@pytest.mark.parametrize(
    ("verb", "place", "said"),
    [
        (["run", "demo", "-o", "out"], "sharpap.cli.run.experiment_from", "kept in out/cells: the same command goes on"),
        (["audit", "wrmf", "-o", "out"], "sharpap.cli.audit.dataset_from", "kept in out/cells: the same command goes on"),
        (["tune", "demo", "--attack", "sharpap", "--space", "attack.epochs=1,2", "-o", "out"], "sharpap.cli.tune.tune",
         "kept in out: the same command goes on"),
        (["attack", "random", "-o", "out.npz"], "sharpap.cli.craft.experiment_from", "give the same command again"),
    ],
    ids=["run", "audit", "tune", "attack"],
)  # fmt: skip
def test_a_stop_before_the_first_training_says_how_to_go_on(verb, place, said, sharpap, tmp_path, monkeypatch):
    """By SIGTERM, which `main` makes Ctrl-C of, while data are read."""

    def stop(*_args, **_options):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, stop)
    code, _, err = sharpap(*verb, "-q")
    assert code == 130
    assert said in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = started(*GRID, "--victim", "wrmf", "--draws", 40, "--jobs", 2, "-o", tmp_path / "out")
    wait_for(tmp_path / "out", 6, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.kill()
    process.communicate()
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in children):
        time.sleep(0.05)
    assert list(tmp_path.glob("sharpap-*")) == []
    done = subprocess.run(
        [sys.executable, "-m", "sharpap", *map(str, GRID), "--victim", "wrmf", "--draws", "40", "-o", tmp_path / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_same_command_again_computes_nothing_and_a_wider_one_what_is_new(sharpap, tmp_path):
    out = tmp_path / "out"
    assert sharpap(*GRID, "-o", out)[0] == 0
    first = pl.read_parquet(out / "results.parquet")

    def again(*more: object) -> tuple[int, str, list[bool]]:
        (out / "log.jsonl").write_text("")
        code, _, err = sharpap(*GRID, "-o", out, *more)
        events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        return code, err, [bool(event.get("stored")) for event in events if event["kind"] in ("cell", "poison")]

    assert again() == (0, "", [True] * 5)
    assert pl.read_parquet(out / "results.parquet").equals(first)
    code, _, stored = again("--attack", "bandwagon", "--seeds", 2)
    assert (code, stored.count(True), stored.count(False)) == (0, 5, 1 + 2 + 2 + 4)
    wide = pl.read_parquet(out / "results.parquet")
    assert wide.filter((pl.col("seed") == 0) & (pl.col("attack") != "bandwagon")).equals(first)
    for narrower, reason in [((), "attacks has no 'bandwagon'"), (("--attack", "bandwagon"), "fewer seeds"),
                             (("--attack", "bandwagon", "--seeds", 2, "--seed", 1), "seed differs")]:  # fmt: skip
        code, err, stored = again(*narrower)
        assert code == 2
        assert reason in err
        assert stored == []
    assert pl.read_parquet(out / "results.parquet").equals(wide)
    code, _, stored = again("--overwrite")
    assert (code, stored) == (0, [False] * 5)
    assert pl.read_parquet(out / "results.parquet").equals(first)


def test_runs_share_a_store_that_overwrite_leaves_alone(sharpap, tmp_path):
    shared = tmp_path / "shared"
    assert sharpap(*GRID, "-o", tmp_path / "a", "--store", shared)[0] == 0
    kept = {path.name: path.stat().st_ino for path in shared.iterdir()}
    assert len(kept) == 5 + 1  # the mark
    assert not (tmp_path / "a" / "cells").exists()
    for more in ([], ["--overwrite"]):
        assert sharpap(*GRID, "-o", tmp_path / "b", "--store", shared, *more)[0] == 0
        assert {path.name: path.stat().st_ino for path in shared.iterdir()} == kept
    assert (tmp_path / "a" / "results.parquet").read_bytes() == (tmp_path / "b" / "results.parquet").read_bytes()
    code, _, err = sharpap(*GRID, "-o", tmp_path / "b", "--store", tmp_path / "b")
    assert code == 2
    assert "--store" in err


def test_one_run_at_a_time_in_a_results_folder(sharpap, tmp_path):
    (tmp_path / "out").mkdir()
    with files.locked(tmp_path / "out") as free:
        assert free
        code, _, err = sharpap(*GRID, "-o", tmp_path / "out")
    assert code == 2
    assert "Another run is at work" in err
    assert sharpap(*GRID, "-o", tmp_path / "out")[0] == 0  # a lock is gone with who held it


def test_what_a_killed_save_left_goes(sharpap, tmp_path):
    """Killed between two files of the results folder, before its first provenance: not taken for someone else's folder."""
    out = tmp_path / "out"
    assert sharpap(*GRID, "-o", out)[0] == 0
    whole = (out / "results.parquet").read_bytes()
    for name in ("provenance.json", "config.toml", "report.html", "log.jsonl"):
        (out / name).unlink()
    (out / ".sharpap-tmp-x1y2_abc.parquet").write_bytes(b"half")
    (out / "poison" / ".sharpap-tmp-x1y2_abc.npz").write_bytes(b"half")
    assert sharpap(*GRID, "-o", out)[0] == 0
    assert (out / "results.parquet").read_bytes() == whole
    assert not list(out.rglob(".*"))


@pytest.mark.parametrize(("number", "word"), [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written to")])
def test_a_disk_that_fails_at_the_end_is_one_message(number, word, sharpap, tmp_path, monkeypatch):
    import sharpap.assess.folder.save as store

    def failing(path, text):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(store, "write_text", failing)
    code, _, err = sharpap(*GRID, "-o", tmp_path / "out")
    assert code == 1
    assert word in err
    assert "Traceback" not in err
    monkeypatch.undo()
    monkeypatch.setattr(progress, "event", lambda kind, **fields: fields.get("stored") or kind != "cell" or 1 / 0)
    assert sharpap(*GRID, "-o", tmp_path / "out")[0] == 0


def test_a_log_on_a_full_disk_does_not_end_a_run(sharpap, tmp_path, monkeypatch):
    out, opened = tmp_path / "out", console.appending

    def full(path, *, anew):
        opened(path, anew=anew).close()
        return Path("/dev/full").open("w")

    monkeypatch.setattr(console, "appending", full)
    code, _, err = sharpap(*[word for word in GRID if word != "-q"], "-o", out)
    assert code == 0, err
    assert "The log ends here: No space left on device" in err
    assert (out / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "closed"])
def test_on_a_real_small_disk(kind, sharpap, tmp_path):
    """A tmpfs of 300 KB, or one that is read-only; skips itself where mounting is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed")
    grid = [*GRID, "--draws", 60, "-o", disk / "out"]
    try:
        if kind == "closed":
            (disk / "out").mkdir()
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        code, _, err = sharpap(*grid)
        assert code == 1
        assert ("is full" if kind == "full" else "cannot be written to") in err
        assert "Traceback" not in err
        kept = len(list((disk / "out").glob("cells/*.record")))
        subprocess.run(["mount", "-o", "remount,rw,size=30m", str(disk)], check=True)
        code, text, err = sharpap(*grid, "--json")
        assert code == 0, err
        assert json.loads(text)["interrupted"] is False
        log = [json.loads(line) for line in (disk / "out" / "log.jsonl").read_text().splitlines() if line.strip()]
        assert len([event for event in log if event.get("stored")]) >= kept > (0 if kind == "full" else -1)
        assert sharpap(*GRID, "--draws", 60, "-o", tmp_path / "whole")[0] == 0
        assert (disk / "out" / "results.parquet").read_bytes() == (tmp_path / "whole" / "results.parquet").read_bytes()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_large_grid_does_not_grow_the_parent(tmp_path):
    """500 cells: the peak memory of the process after 50 and after 500 cells, less than 100 MB apart."""
    code = (
        "import resource, sys\n"
        "from sharpap.assess import Experiment, run\n"
        "from sharpap.attacks import RandomAttack\n"
        "from sharpap.data import TargetPool, split, synthetic\n"
        "from sharpap.recommenders import Popularity\n"
        "def peak(draws):\n"
        "    data = split(synthetic(1000, 800, 20000, seed=2), seed=0, name='made')\n"
        "    grid = Experiment(dataset=data, attacks={'random': RandomAttack()}, victims={'p': Popularity()},\n"
        "                      targets=TargetPool(draws=draws))\n"
        "    found = run(grid, cells=sys.argv[1])\n"
        "    assert len(found.cells) == draws + 1\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "print(peak(50), peak(500))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    print(f"peak memory after 50 cells {before:.0f} MiB, after 500 {after:.0f} MiB")  # pytest -s shows it
    assert after - before < 100, done.stdout
