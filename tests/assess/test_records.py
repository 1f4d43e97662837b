"""Finished work on disk: found again only where everything is the same, checked when it is read, safe from others."""

from __future__ import annotations

import errno
import fcntl
import importlib
import io
import itertools
import os
import shutil
import sys
import time
import zipfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from sharpap import files, progress
from sharpap.assess import Experiment, run
from sharpap.assess.folder import provenance
from sharpap.assess.folder.save import poison_path
from sharpap.assess.work import code_version as sources
from sharpap.assess.work.cells import CellStore, _packed, _unpacked
from sharpap.assess.work.code_version import code_version
from sharpap.assess.work.records import RecordStore
from sharpap.attacks import Bandwagon, RandomAttack, RevAdv
from sharpap.data import TargetPool, split, synthetic
from sharpap.errors import ConfigError, StorageError
from sharpap.folders import MARKER
from sharpap.recommenders import BPRMF, WRMF, LightGCN, Popularity
from sharpap.threat import Budget, Goal

KEY = {"data": "x", "seed": 3}


class Counted:
    """Popularity that counts its trainings."""

    fits = 0

    def fit(self, train, *, seed):
        Counted.fits += 1
        return Popularity().fit(train, seed=seed)


class Heard(progress._Silent):
    def __init__(self):
        self.events = []

    def event(self, kind, **fields):
        self.events.append((kind, fields))


@pytest.fixture
def experiment():
    Counted.fits = 0
    return Experiment(
        dataset=split(synthetic(60, 80, 900, seed=2), seed=0, name="made"), attacks={"random": RandomAttack()},
        victims={"mine": Counted()}, targets=TargetPool(draws=2, size=2), budget=Budget(fake_users=3), ks=(5,),
    )  # fmt: skip


def test_a_record_is_found_by_its_whole_key(tmp_path):
    store = RecordStore(tmp_path)
    store.put("cell", KEY, b"one\ntwo\n")
    assert store.get("cell", KEY, bytes) == b"one\ntwo\n"
    assert store.get("cell", {"seed": 3, "data": "x"}, bytes) == b"one\ntwo\n"  # the order of a key means nothing
    assert store.get("cell", KEY | {"seed": 4}, bytes) is None
    assert store.get("poison", KEY, bytes) is None
    assert not store.problems
    store.drop("cell")
    assert store.get("cell", KEY, bytes) is None


def flipped(raw: bytes) -> bytes:
    return raw[:-3] + bytes([raw[-3] ^ 1]) + raw[-2:]


DAMAGE = {
    "one bit": (flipped, "checksum"),
    "cut short": (lambda raw: raw[:-1], "checksum"),
    "empty": (lambda raw: b"", "begin like a record"),
    "a file of someone else": (lambda raw: b"PK\x03\x04 an archive", "begin like a record"),
    "zeros, as after a crash": (lambda raw: b"\0" * len(raw), "begin like a record"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_record_is_put_aside_and_made_again(case, tmp_path):
    damage, reason = DAMAGE[case]
    store = RecordStore(tmp_path)
    for count in (1, 2):
        store.put("cell", KEY, b"content")
        (path,) = tmp_path.glob("*.record")
        path.write_bytes(damage(path.read_bytes()))
        assert store.get("cell", KEY, bytes) is None
        assert not path.exists()
        assert len(list((tmp_path / "quarantine").iterdir())) == count  # an earlier one is not replaced
        (message,) = store.taken_problems()
        assert reason in message
        assert path.name in message
        assert "quarantine" in message
    store.put("cell", KEY, b"content")
    assert store.get("cell", KEY, bytes) == b"content"


def test_a_record_under_another_name_and_one_that_does_not_decode_are_put_aside(tmp_path):
    store = RecordStore(tmp_path)
    store.put("cell", KEY, b"content")
    store.put("cell", KEY | {"seed": 4}, b"content")
    first, second = sorted(tmp_path.glob("*.record"))
    first.write_bytes(second.read_bytes())
    for seed in (3, 4):
        store.get("cell", KEY | {"seed": seed}, bytes)
    assert "another piece of work" in " ".join(store.taken_problems())
    store.put("state", KEY, b"no archive")
    cells = CellStore(tmp_path)
    assert cells.get("state", KEY, _unpacked) is None
    assert len(cells.problems) == 1


def test_a_damaged_cell_costs_its_own_training_and_is_told(experiment, tmp_path):
    whole = run(experiment, cells=tmp_path).frame
    trained = Counted.fits
    victim = next(iter(sorted(tmp_path.glob("cell-*.record"))))
    victim.write_bytes(flipped(victim.read_bytes()))
    heard = Heard()
    with progress.reporting(heard):
        again = run(experiment, cells=tmp_path)
    assert again.frame.equals(whole)
    assert Counted.fits == trained + 1
    assert [kind for kind, fields in heard.events if "checksum" in str(fields.get("message"))] == ["warning"]
    assert [fields.get("stored") for kind, fields in heard.events if kind == "cell"].count(None) == 1


def test_times_of_files_mean_nothing(experiment, tmp_path, monkeypatch):
    """A clock that jumps: records of 1970 and of the far future are as good as any."""
    run(experiment, cells=tmp_path)
    trained = Counted.fits
    for place, path in enumerate(sorted(tmp_path.glob("*.record"))):
        os.utime(path, (0, 0) if place % 2 else (2**33, 2**33))
    run(experiment, cells=tmp_path)
    assert Counted.fits == trained


def test_a_clock_that_jumps_within_a_run_costs_nothing(experiment, tmp_path, monkeypatch):
    """The clock on the wall goes to 1970 and far ahead at every look, in a run that is stopped and in the one that goes on."""
    whole = run(experiment).frame
    Counted.fits = 0
    hours = itertools.cycle([0.0, 8e9])

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(next(hours), tz)

    monkeypatch.setattr(time, "time", lambda: next(hours))
    monkeypatch.setattr(provenance, "datetime", Jumping)
    monkeypatch.setattr(CellStore, "save_poison", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run(experiment, cells=tmp_path).provenance["interrupted"]
    monkeypatch.undo()
    monkeypatch.setattr(time, "time", lambda: next(hours))
    monkeypatch.setattr(provenance, "datetime", Jumping)
    found = run(experiment, cells=tmp_path)
    assert found.frame.equals(whole)
    assert found.provenance["wall_seconds"] < 3600
    assert Counted.fits == experiment.num_cells


def test_a_wider_grid_computes_what_is_new(experiment, tmp_path):
    run(experiment, cells=tmp_path)
    assert Counted.fits == 1 + 2
    wider = replace(experiment, attacks={"random": RandomAttack(), "bandwagon": Bandwagon()}, seeds=2)
    found = run(wider, cells=tmp_path)
    assert Counted.fits == wider.num_cells == 2 * (1 + 4)
    Counted.fits = 0
    assert found.frame.equals(run(wider).frame)
    run(replace(wider, victims={"renamed": Counted()}), cells=tmp_path)  # names in tables are no part of it
    assert Counted.fits == wider.num_cells


def test_two_runs_share_a_store(experiment, tmp_path):
    store = CellStore(tmp_path)
    with store.session(), store.session():
        run(experiment, cells=tmp_path)
        with pytest.raises(ConfigError, match="Another run is using"):
            store.clear()
    assert len(list(tmp_path.glob("*.record"))) == 2 + 3
    store.clear()
    assert not tmp_path.exists()


def test_a_lock_ends_with_its_process_and_leftovers_go(experiment, tmp_path):
    """kill -9 while a record is written: the next run needs no help, and the half file goes when nobody else is there."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with CellStore(tmp_path).session(), files.replacing(tmp_path / "cell-x.record") as half:
            half.write_bytes(b"half")
            os.write(writer, b"x")
            while True:
                time.sleep(1)
    os.read(reader, 1)
    half = list(tmp_path.glob(".sharpap-tmp-*.record"))
    assert len(half) == 1
    with CellStore(tmp_path).session():
        assert half[0].exists()  # someone else is at work: their half file is theirs
    os.kill(child, 9)
    os.waitpid(child, 0)
    with CellStore(tmp_path).session():
        assert not half[0].exists()


def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def without(handle, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    with files.locked(tmp_path) as free, files.locked(tmp_path, shared=True) as also:
        assert free
        assert also


@pytest.mark.parametrize("call", ["replace", "fsync"])
@pytest.mark.parametrize(("number", "message"), [(errno.ENOSPC, "is full"), (errno.EROFS, "cannot be written to")])
def test_a_full_or_closed_disk_says_so_and_loses_nothing(call, number, message, experiment, tmp_path, monkeypatch):
    whole = run(experiment).frame
    Counted.fits = 0
    real, calls = getattr(os, call), []

    def failing(*args, **options):
        calls.append(args)
        if len(calls) > 3:
            raise OSError(number, os.strerror(number))
        return real(*args, **options)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(StorageError, match=message):
        run(experiment, cells=tmp_path)
    monkeypatch.undo()
    kept = sorted(path for path in tmp_path.iterdir() if path.name != MARKER)
    assert kept
    assert all(path.suffix == ".record" and not path.name.startswith(".") for path in kept)
    trained = Counted.fits
    assert run(experiment, cells=tmp_path).frame.equals(whole)
    done = len([path for path in kept if path.name.startswith("cell")])
    assert Counted.fits == trained + experiment.num_cells - done


def test_code_counts_and_comments_do_not(tmp_path, monkeypatch):
    """A user's class, and a module beside it that it imports."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def version(model: str, helper: str) -> str:
        (tmp_path / "their_model.py").write_text(model)
        (tmp_path / "their_helper.py").write_text(helper)
        for cached in (sources._content, sources._imports, sources._digest):
            cached.cache_clear()
        sys.modules.pop("their_model", None)
        importlib.invalidate_caches()
        return code_version(importlib.import_module("their_model").Model())

    model, helper = "import their_helper\nclass Model:\n    def fit(self): return their_helper.X\n", "X = 1\n"
    first = version(model, helper)
    assert version(model, helper) == first
    assert (
        version("# a comment\n" + model.replace("    def", '    "A docstring."\n\n    def'), helper + "\n# more\n")
        == first
    )
    assert version(model, "X = 2\n") != first
    assert version(model.replace("their_helper.X", "1"), helper) != first


def test_a_digest_follows_what_a_component_imports_and_nothing_else(tmp_path, monkeypatch):
    """A copy of the package in which one module is edited: whose version changes?"""

    def versions() -> dict[str, str]:
        for cached in (sources._content, sources._imports, sources._digest):
            cached.cache_clear()
        made = {"wrmf": WRMF(), "bpr": BPRMF(), "lightgcn": LightGCN(), "random": RandomAttack(), "revadv": RevAdv()}
        names = {"wrmf": "recommenders.wrmf", "bpr": "recommenders.bpr", "lightgcn": "recommenders.graph",
                 "random": "attacks.heuristics", "revadv": "attacks.revadv"}  # fmt: skip
        assert all(type(made[name]).__module__ == f"sharpap.{names[name]}" for name in made)
        return {name: code_version(modules=(f"sharpap.{module}",)) for name, module in names.items()}

    copy = tmp_path / "sharpap"
    shutil.copytree(sources.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "PACKAGE", copy)
    before = versions()

    def changed_by(module: str) -> set[str]:
        path = copy / module
        text = path.read_text()
        path.write_text(text + "\nADDED = 1\n")
        after = versions()
        path.write_text(text)
        return {name for name in before if before[name] != after[name]}

    assert changed_by("recommenders/graph.py") == {"lightgcn"}
    assert changed_by("kernels/spmm.py") >= {"lightgcn"}
    assert changed_by("attacks/step.py") == {"revadv"}
    assert changed_by("kernels/wrmf.py") == {"wrmf", "revadv"}
    assert changed_by("attacks/poison.py") >= {"random", "revadv"}
    assert changed_by("report/page.py") == set()
    assert versions() == before


def test_a_public_name_leads_to_the_file_that_defines_it():
    """So that the version of a user's model follows what it takes from sharpap, which imports it on first use."""
    for name, place in {"BPRMF": "recommenders/bpr.py", "audit": "assess/audit/audit.py"}.items():
        assert list(sources._resolve("sharpap", name, Path())) == [sources.PACKAGE / place]


def test_classes_typed_in_are_told_apart():
    def model(text: str):
        scope: dict = {"__name__": "typed_in_nowhere"}
        exec(text, scope)
        return scope["Model"]()

    first = code_version(model("class Model:\n    def fit(self): return 1\n"))
    assert code_version(model("class Model:\n    def fit(self): return 1\n")) == first
    assert code_version(model("class Model:\n    def fit(self): return 2\n")) != first


def test_scripts_that_a_command_names_count(tmp_path):
    from sharpap import CommandRecommender

    script = tmp_path / "train.py"
    script.write_text("print(1)\n")
    victim = CommandRecommender(command=("python", str(script), "{train}", "{scores}"))
    first = code_version(victim)
    sources._content.cache_clear()
    sources._digest.cache_clear()
    script.write_text("print(2)\n")
    assert code_version(victim) != first
    assert Path(script).is_file()


def test_a_poison_comes_back_as_it_was(experiment, tmp_path):
    made = run(experiment, cells=tmp_path).poisons["random", 1]
    back = run(experiment, cells=tmp_path).poisons["random", 1]
    assert (made.profiles != back.profiles).nnz == 0
    assert made.profiles.dtype == back.profiles.dtype
    facts = ("goal", "attack", "settings", "seed", "seconds", "history", "notes", "data_fingerprint")
    assert [getattr(made, name) for name in facts] == [getattr(back, name) for name in facts]
    assert np.array_equal(made.profile_sizes, back.profile_sizes)


def test_names_that_a_file_cannot_have_get_files_of_their_own(tmp_path):
    names = ["x (1)", "x [1]", "x_1", "x/1", "...", "attack"]
    paths = {poison_path(tmp_path, name, 0) for name in names}
    assert len(paths) == len(names)
    assert len({path.parent for path in paths}) == 1
    assert poison_path(tmp_path, "rapu-g_2.0", 1).name == "rapu-g_2.0-draw1.npz"


def claims(shape: str) -> bytes:
    """An ``.npz`` whose one array says that it has this shape."""
    header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}".ljust(118).encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 8
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("ranks.npy", member)
    return out.getvalue()


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ranks.npy", b"\0" * (80 << 20))
    return out.getvalue()


def broken(content: bytes) -> bytes:
    """The deflated bytes of the first member, spoiled; the archive's directory is whole."""
    place = content.index(b"facts.npy") + len(b"facts.npy") + 20
    return content[:place] + b"\xff" * 8 + content[place + 8 :]


def with_text(text: str) -> bytes:
    """A record whose facts are this text."""
    out = io.BytesIO()
    np.savez(out, facts=np.frombuffer(text.encode(), np.uint8))
    return out.getvalue()


FACTS = {"cell": {"attack": "none", "victim": "v", "draw": -1, "seed": 0}, "recall": {}, "ndcg": {}, "num_users": 2,
         "num_test_users": 0, "capabilities": {}}  # fmt: skip
RANKS = np.zeros((2, 1), np.int32)
HOSTILE = {
    "a bomb": (bomb(), "would unpack from"),
    "a header of 10^15 entries": (claims(f"({10**15},)"), "not as long as it says"),
    "a header that nests": (claims("-" * 60 + "1"), "malformed node"),
    "broken zlib": (broken(_packed(FACTS, targets=np.array([3]), ranks=RANKS)), "decompressing"),
    "other users": (_packed(FACTS | {"num_users": 3}, targets=np.array([3]), ranks=RANKS), "other users"),
    "other targets": (_packed(FACTS, targets=np.array([4]), ranks=RANKS), "other targets"),
    "ranks beyond the items": (_packed(FACTS, targets=np.array([3]), ranks=RANKS + 999), "ranks that do not exist"),
    "ranks of texts": (_packed(FACTS, targets=np.array([3]), ranks=RANKS.astype(str)), "other targets"),
    "a text for a number": (
        _packed(FACTS | {"num_users": "x"}, targets=np.array([3]), ranks=RANKS),
        "validation error",
    ),
    "a list length nobody asked": (
        _packed(FACTS | {"recall": {"7": 0.5}}, targets=np.array([3]), ranks=RANKS),
        "list lengths",
    ),
    "a number of 5,000 digits": (with_text('{"a": ' + "9" * 5000 + "}"), "4,300 digits"),
    "nests without end": (with_text("[" * 100_000), "far too deeply"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_record_with_the_right_checksum_may_hold_anything(case, tmp_path):
    """Put aside with the reason, and the work done again: no traceback, and no memory that is not there."""
    content, reason = HOSTILE[case]
    key = {"targets": (3,), "ks": (5,)}
    store, data = CellStore(tmp_path), split(synthetic(20, 9, 60), seed=0, name="made")
    store.put("cell", key, _packed(FACTS, targets=np.array([3]), ranks=RANKS))
    assert store.load_cell(key, data) is not None
    store.put("cell", key, content)
    assert store.load_cell(key, data) is None
    (message,) = store.taken_problems()
    assert reason in message


def test_a_stored_poison_keeps_data_goal_and_budget(tmp_path):
    """Columns that the data does not have would make native code read where nothing is."""
    train, goal, budget = synthetic(20, 9, 60), Goal(targets=(3,)), Budget(fake_users=2, profile_size=3)
    made = RandomAttack().poison(train.matrix, goal, budget, seed=0)
    store = CellStore(tmp_path)
    store.save_poison(KEY, made)
    assert store.load_poison(KEY, train, goal, budget).profiles.nnz == made.profiles.nnz
    facts = {"attack": "x", "settings": {}, "seed": 0, "seconds": 0.0, "history": [], "notes": {}, "targets": [3],
             "direction": "promote"}  # fmt: skip
    three = np.array([0, 3, 6])
    for indices, indptr, more in (
        ([0, 3, 999, 0, 3, 4], three, {}), ([0, 3, -1, 0, 3, 4], three, {}), ([0, 3, 4], [0, 3, 10**9], {}),
        ([0, 1, 3, 0, 3, 4], [0, 9, 6], {}), ([0, 1, 3, 0, 3, 4], three, {"targets": [4]}), ([0, 1, 3, 4], [0, 4, 4], {}),
        ([0.0, 1.0, 3.0, 0.0, 3.0, 4.0], three, {}), ([0, 1, 3, 0, 3, 4], three, {"history": [3]}),
    ):  # fmt: skip
        content = _packed(facts | more, indices=np.array(indices), indptr=np.array(indptr))
        store.put("poison", KEY, content)
        assert store.load_poison(KEY, train, goal, budget) is None
        assert len(store.taken_problems()) == 1


def test_a_pipe_in_the_place_of_a_record_is_put_aside(tmp_path):
    """It would be waited for without end."""
    store = RecordStore(tmp_path)
    store.put("cell", KEY, b"content")
    (path,) = tmp_path.glob("*.record")
    path.unlink()
    os.mkfifo(path)
    assert store.get("cell", KEY, bytes) is None
    assert "named pipe" in " ".join(store.taken_problems())
