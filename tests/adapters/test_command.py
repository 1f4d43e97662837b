"""A command as a victim: the same table as in process, and a plain message for every way to fail."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array, load_npz

import sharpap
from sharpap.adapters import process
from sharpap.adapters.command import CommandRecommender
from sharpap.attacks import Bandwagon
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import ConfigError, ContractError, TrainingError
from sharpap.metrics import evaluate
from sharpap.threat import Budget

HEAD = """
import sys, numpy as np
from scipy.sparse import load_npz
train = load_npz(sys.argv[1]).tocsr()
n, m = train.shape
target = sys.argv[2]
"""


@pytest.fixture(scope="module")
def dataset():
    return split(synthetic(60, 50, 900, seed=2), seed=0, name="made")


@pytest.fixture
def script(tmp_path):
    """A `CommandRecommender` around the text of a script, which is called with train matrix, output and seed."""

    def make(text: str, *, output: str = "scores", head: str = HEAD, suffix: str = "", **options) -> CommandRecommender:
        path = tmp_path / "train.py"
        path.write_text(head + text)
        words = (sys.executable, str(path), "{train}", f"{{{output}}}{suffix}", "{seed}")
        return CommandRecommender(command=words, output=output, **options)  # pyright: ignore

    return make


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """Where temporary folders are made in this test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class Noisy:
    """What the scripts below do, in process; the seed matters, so that a wrong one would show."""

    def fit(self, train, *, seed):
        noise = np.random.default_rng(seed % 2**32).random(train.shape)
        self.scores = (train @ (train.T @ train)).toarray().astype(np.float64) + noise
        return self

    def score(self, users):
        return self.scores[users]


NOISY = """
noise = np.random.default_rng(int(sys.argv[3])).random(train.shape)
scores = (train @ (train.T @ train)).toarray().astype(np.float64) + noise
"""
LISTS = (
    NOISY
    + """
scores[train.nonzero()] = -np.inf
lists = np.argsort(-scores, axis=1, kind="stable")[:, :10]
"""
)
TABLE = (
    LISTS
    + """
users = np.repeat(np.arange(n), 10)
keep = np.repeat(train.sum(1).A1 > 0, 10)
"""
)


def stress(dataset, **victims):
    return sharpap.stress_test(
        dataset, attacks={"bandwagon": Bandwagon()}, victims=victims, targets=TargetPool(draws=1),
        budget=Budget(fake_users=0.1), seeds=2,
    )  # fmt: skip


def test_the_table_is_that_of_the_same_model_in_process(dataset, script, temporary):
    results = stress(dataset, inside=Noisy(), outside=script(NOISY + "np.save(target, scores)"))
    inside, outside = (results.frame.filter(pl.col("victim") == name).drop("victim") for name in ("inside", "outside"))
    assert inside.equals(outside)
    assert set(inside["metric"]) >= {"rank", "rank_shift", "H", "NDCG"}
    assert inside.filter(pl.col("metric") == "H")["value"].max() > 0
    gc.collect()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".npy", "np.save(target, lists)"),
        ("", "np.save(target, lists)"),
        (".csv", "import csv\nrows = zip(users[keep], lists.ravel()[keep], np.tile(np.arange(1, 11), n)[keep])\n"
         "with open(target, 'w', newline='') as file:\n"
         "    csv.writer(file).writerows([('user', 'item', 'rank'), *((int(u), int(i), int(r)) for u, i, r in rows)])"),
        (".parquet", "import polars as pl\n"
         "pl.DataFrame({'user': users[keep], 'item': lists.ravel()[keep], 'rank': np.tile(np.arange(10), n)[keep], "
         "'score': 1.5}).write_parquet(target)"),
    ],
    ids=["npy", "no suffix", "csv from 1", "parquet from 0"],
)  # fmt: skip
def test_lists_give_exact_hits_as_far_as_they_reach(dataset, script, suffix, write):
    victim = script(TABLE + write, output="topk", suffix=suffix)
    train = dataset.train.matrix
    options = {"targets": tuple(range(50)), "held_out": dataset.test.matrix, "ks": (5, 10)}
    full = evaluate(Noisy().fit(train, seed=3), train, **options)
    lists = evaluate(victim.fit(train, seed=3), train, **options)
    assert lists.capabilities.top_k == 10
    assert np.array_equal(np.where(full.ranks < 10, full.ranks, 50), lists.ranks)
    assert lists.recall == full.recall
    assert lists.ndcg == full.ndcg
    assert full.recall[10] > 0


def test_a_victim_of_lists_shows_hits_at_10_and_no_ranks(dataset, script):
    results = stress(dataset, inside=Noisy(), lists=script(LISTS + "np.save(target + '.npy', lists)", output="topk"))
    frame = results.frame
    mine = frame.filter(pl.col("victim") == "lists")
    known = mine.filter(pl.col("k") == 10)
    assert known["value"].null_count() == 0
    other = frame.filter((pl.col("victim") == "inside") & (pl.col("k") == 10))
    assert known["value"].to_list() == other["value"].to_list()
    unknown = mine.filter(pl.col("k") != 10)
    assert set(unknown["metric"]) == {"H", "N", "anyH", "rank", "rank_shift", "Recall", "NDCG"}
    assert unknown["value"].null_count() == unknown.height
    at10, at20, ranks = (results.transfer_matrix(*which) for which in (("H", 10), ("H", 20), ("rank", 0)))
    assert at10["mean"].null_count() == 0
    for table in (at20, ranks):
        assert table.filter(pl.col("victim") == "lists")["mean"].is_null().all()
        assert table.filter(pl.col("victim") == "inside")["mean"].is_not_null().all()
    assert results.provenance["capabilities"] == {"lists": {"top_k": 10, "deterministic": True}}


SAVE = "np.save(target, {})"
AWAY = "import os, shutil; shutil.rmtree(os.path.dirname(target))"
HEADER = """
import io
made = io.BytesIO()
np.lib.format.write_array_header_1_0(made, dict(descr="<f8", fortran_order=False, shape={}))
head = made.getvalue() + bytes(800)
"""
WRITE = "open(target, 'wb').write(head)"
BAD = {
    "fails": ("print('no such column'); sys.exit(3)", TrainingError, r"ended with exit status 3\. Its last words:\nno such"),
    "crashes": ("import os; os.kill(os.getpid(), 9)", TrainingError, "was ended by SIGKILL. It printed nothing"),
    "traceback": ("1 / 0", TrainingError, "ZeroDivisionError"),
    "nothing": ("print('all done')", ContractError, "wrote no scores. Its last words:\nall done"),
    "shape": (SAVE.format("np.zeros((n - 1, m))"), ContractError, r"shape \(\d+, 50\), not \(\d+, 50\).*fake users included"),
    "turned": (SAVE.format("np.zeros((m, n))"), ContractError, "wrong way round"),
    "flat": (SAVE.format("np.zeros(n * m)"), ContractError, "has shape"),
    "text": (SAVE.format("np.full((n, m), 'a')"), ContractError, "holds <U1, not numbers"),
    "pickle": (SAVE.format("np.full((n, m), None)"), ContractError, "cannot be read .*Python objects"),
    "torn": ("np.save(target, np.zeros((n, m)))\nopen(target, 'r+b').truncate(500)", ContractError, "cannot be read"),
    "garbage": ("open(target, 'w').write('hello')", ContractError, "cannot be read"),
    "archive": ("np.savez(open(target, 'wb'), a=np.zeros((n, m)))", ContractError, "archive of arrays"),
    "folder removed": (AWAY, ContractError, "wrote no scores. It printed nothing"),
    "folder removed, failed": (AWAY + "; print('gone', flush=True); sys.exit(3)", TrainingError, r"status 3\. .*words:\ngone"),
    "log replaced": (
        "import os; log = os.path.dirname(target) + '/log.txt'; os.unlink(log); os.mkfifo(log)",
        ContractError, "wrote no scores",
    ),
    "a pipe": ("import os; os.mkfifo(target)", ContractError, "wrote no scores"),
    "a device": ("import os; os.symlink('/dev/zero', target)", ContractError, "wrote no scores"),
    "claims": (HEADER.format("(n, 10**10)") + WRITE, ContractError, "not as long as it says"),
    "pairs": (HEADER.replace('"<f8"', "('<f8', (2,))").format("(n, m)") + WRITE, ContractError, "or records"),
    "no bytes": (HEADER.replace("<f8", "|V0").format("(n, m)") + WRITE, ContractError, "type that none can have"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "message"), BAD.values(), ids=BAD.keys())
def test_scores_that_cannot_be_used_are_explained(dataset, script, temporary, text, kind, message):
    with pytest.raises(kind, match=f"(?s){message}"):
        script(text).fit(dataset.train.matrix, seed=0)
    gc.collect()
    assert not list(temporary.iterdir())


def test_nan_is_named_by_its_place(dataset, script):
    model = script("scores = np.zeros((n, m), np.float32); scores[7, 3] = np.nan; np.save(target, scores)").fit(
        dataset.train.matrix, seed=0
    )
    assert isinstance(model.scores, np.memmap)  # pyright: ignore
    with pytest.raises(ContractError, match=r"score of user 7 for item 3 is NaN\..*-inf"):
        evaluate(model, dataset.train.matrix, targets=(0,))


LONG = "open(target, 'w').write('user,item,rank\\n' + ''.join(f'{{u}},{{i}},{{r}}\\n' for u, i, r in {}))"
ROWS = "[(u, i, i + 1) for u in range(n) for i in range(3)]"
BAD_LISTS = {
    "nothing": ("pass", "wrote no topk"),
    "several": ("open(target + '.csv', 'w'); open(target + '.npy', 'w')", "several lists: topk.csv, topk.npy"),
    "users out of range": (LONG.format(f"{ROWS} + [(n, 0, 1)]"), r"user \d+ is out of range: there are \d+ users"),
    "negative user": (LONG.format(f"{ROWS} + [(-1, 0, 1)]"), "user -1 is out of range"),
    "users missing": (LONG.format(f"{ROWS}[6:]"), r"2 of \d+ users have no list; the first is user 0"),
    "user twice": (LONG.format(f"{ROWS} + [(4, 9, 1)]"), "user 4 has two items at rank 1"),
    "items out of range": (LONG.format(f"{ROWS} + [(5, m, 4)]"), "item 50 of user 5 is out of range: there are 50 items"),
    "negative item": (LONG.format(f"{ROWS} + [(5, -1, 4)]"), "item -1 of user 5 is out of range"),
    "item twice": (LONG.format(f"{ROWS} + [(5, 2, 4)]"), "item 2 stands twice in the list of user 5"),
    "gap": (LONG.format(f"{ROWS} + [(5, 9, 5)]"), "the list of user 5 has a gap"),
    "ranks": (LONG.format(f"{ROWS} + [(5, 9, 500)]"), "rank 500 is out of range: there are 50 items"),
    "too high ranks": (LONG.format("[(0, 1, 1), (0, 2, 50)]"), "ranks run from 1 to 50"),
    "fractions": (LONG.format(f"{ROWS} + [(5, 9.5, 4)]"), "'item' of topk must hold whole numbers"),
    "columns": ("open(target, 'w').write('uid,iid\\n1,2\\n')", "no column 'user'; it has uid, iid"),
    "no rows": ("open(target, 'w').write('user,item,rank\\n')", "users have no list"),
    "empty": ("open(target, 'w')", "topk has no column 'user'; it has none"),
    "parquet": ("open(target, 'wb').write(b'PAR1 and nothing else')", "topk cannot be read"),
    "npy rows": ("np.save(target + '.npy', np.zeros((3, 2), int))", r"shape \(3, 2\), not \(\d+, k\)"),
    "npy numbers": ("np.save(target + '.npy', np.zeros((n, 2)))", "hold float64, not item numbers"),
    "npy item": ("np.save(target + '.npy', np.full((n, 1), 50))", "item 50 of user 0 is out of range"),
    "npy claims": (HEADER.format("(n, 10**10)") + "open(target + '.npy', 'wb').write(head)", "not as long as it says"),
    "npy longer": ("np.save(target + '.npy', np.zeros((n, 60), int))", r"shape \(\d+, 60\), not .* at most 50 items"),
    "user of 64 bits": (LONG.format(f"{ROWS} + [(2**64 - 1, 0, 1)]"), r"user 18446744073709551615 is out of range"),
    "item of 100 bits": (LONG.format(f"{ROWS} + [(5, 2**100, 4)]"), r"item 1267650600228229401496703205376 of user 5 is out"),
    "parquet of 64 bits": (
        "import polars as pl; pl.DataFrame({'user': [2**64 - 1], 'item': [0], 'rank': [1]}).write_parquet(target)",
        "user 18446744073709551615 is out of range",
    ),
    "columns without end": ("open(target, 'w').write('user,item,rank' + ',x' * 10000)", "topk has 10,003 columns"),
    "a header without end": ("open(target, 'w').write('user,item,rank' + 'x' * 10**6)", "no column 'rank'"),
    "packed": ("import gzip; gzip.open(target, 'w').write(b'user,item,rank\\n' * 10**6)", "topk cannot be read"),
    "too long": ("np.save(target + '.npy', np.tile(np.arange(12), (n, 1)))", "12 items, more than top_k=11"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_lists_that_cannot_be_used_are_explained(dataset, script, text, message):
    with pytest.raises(ContractError, match=message):
        script(text, output="topk", top_k=11).fit(dataset.train.matrix, seed=0)


def test_a_list_with_an_item_the_user_has_is_refused(dataset, script):
    model = script("np.save(target, np.tile(np.arange(5), (n, 1)))", output="topk", suffix=".npy").fit(
        dataset.train.matrix, seed=0
    )
    with pytest.raises(ContractError, match=r"lists item \d for user \d+, who has it in training"):
        evaluate(model, dataset.train.matrix, targets=(0,))


def test_a_command_that_is_not_there(dataset):
    victim = CommandRecommender(command=("no-such-program-at-all", "{train}", "{scores}"))
    with pytest.raises(TrainingError, match=r"'no-such-program-at-all' was not found\..*without a shell"):
        victim.fit(dataset.train.matrix, seed=0)


def test_a_file_that_is_no_program(dataset, tmp_path):
    (tmp_path / "train.sh").write_text("echo hello")
    victim = CommandRecommender(command=(str(tmp_path / "train.sh"), "{train}", "{scores}"))
    with pytest.raises(TrainingError, match="cannot be run: it is not executable"):
        victim.fit(dataset.train.matrix, seed=0)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are of POSIX")
def test_a_timeout_ends_the_command_and_its_children(script, tmp_path, monkeypatch):
    """Both ignore the polite signal."""
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.2)
    text = f"""
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
open({str(tmp_path / "pids")!r} + str(child == 0), "w").write(str(os.getpid()))
print("working", flush=True)
time.sleep(10**5)
"""
    victim = script(text, head="", timeout=2.0)
    with pytest.raises(TrainingError, match=r"took longer than 2 seconds and was ended\. Its last words:\nworking"):
        victim.fit(csr_array(np.eye(3)), seed=0)
    for name in ("pidsTrue", "pidsFalse"):
        _wait_until_gone(int((tmp_path / name).read_text()))


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are of POSIX")
@pytest.mark.parametrize("stubborn", [False, True], ids=["", "a child of it that ignores the request to end"])
def test_a_command_does_not_outlive_us(stubborn, tmp_path):
    """The process that runs it is killed without a chance to clean up."""
    sleeper, child, pid = tmp_path / "sleeper.py", tmp_path / "child.py", tmp_path / "pid"
    sleeper.write_text(
        "import os, signal, time\n"
        + ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if stubborn else "")
        + f"open({str(pid) + '.part'!r}, 'w').write(str(os.getpid()))\n"
        + f"os.rename({str(pid) + '.part'!r}, {str(pid)!r})\n"
        + "time.sleep(10**5)\n"
    )
    child.write_text(f"import subprocess, sys; subprocess.run([sys.executable, {str(sleeper)!r}])")
    parent = (
        "import sys; from pathlib import Path; from sharpap.adapters.process import run_command; "
        f"run_command([sys.executable, {str(child if stubborn else sleeper)!r}], "
        f"log=Path({str(tmp_path / 'log')!r}), timeout=10**5)"
    )
    running = subprocess.Popen([sys.executable, "-c", parent])
    while not pid.exists():
        time.sleep(0.05)
    running.kill()
    running.wait()
    _wait_until_gone(int(pid.read_text()))


def _wait_until_gone(pid: int) -> None:
    """A busy machine may need long; what stays is what the test's own limit ends."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # the latter where it ends between opening and reading
            return
        if state == "Z":
            return
        time.sleep(0.1)


def test_what_the_command_is_given(script, tmp_path, dataset):
    """Every placeholder, a seed that numpy takes, words that a shell would have changed, and a folder to look at afterwards."""
    words = (
        sys.executable, "-c",
        "import sys, json, numpy as np; json.dump(sys.argv[1:], open('" + str(tmp_path / "argv") + "', 'w')); "
        "np.save(sys.argv[5], np.zeros((4, 3)))",
        "{train}", "--valid={valid}", "{users}", "{seed}", "{scores}", "$HOME; echo *",
    )  # fmt: skip
    keep = tmp_path / "kept"
    train, valid = csr_array(np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1], [1, 1, 1]])), csr_array(np.eye(3))
    CommandRecommender(command=words, keep=str(keep)).fit(train, seed=2**40 + 5, valid=valid)
    given = json.loads((tmp_path / "argv").read_text())
    assert (load_npz(given[0]).toarray() == train.toarray()).all()
    assert (load_npz(given[1].removeprefix("--valid=")).toarray() == np.eye(3)).all()
    assert np.load(given[2]).tolist() == [0, 2, 3]
    assert given[3] == "5"
    assert given[5] == "$HOME; echo *"
    (folder,) = keep.iterdir()
    assert {"train.npz", "valid.npz", "users.npy", "scores.npy", "log.txt"} == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"command": ()}, "empty"),
        ({"command": "python train.py {train} {scores}"}, "Give its words"),
        ({"command": ("x", "{train}")}, "does not hold {scores}"),
        ({"command": ("x", "{scores}")}, "does not hold {train}"),
        ({"command": ("x", "{train}", "{scores}"), "output": "topk"}, "does not hold {topk}"),
        ({"command": ("x", "{train}", "{scores}", "{score}")}, "{score}, which stands for nothing"),
        ({"command": ("x", "{train}", "{scores}"), "output": "lists"}, "neither scores nor topk"),
        ({"command": ("x", "{train}", "{scores}"), "timeout": 0}, "above 0"),
        ({"command": ("x", "{train}", "{scores}"), "top_k": 10}, "belongs to output='topk'"),
    ],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        CommandRecommender(**options)
