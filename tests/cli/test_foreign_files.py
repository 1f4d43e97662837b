"""Nothing that is not ours is touched: folders of foreign files, foreign files in folders of ours, links, temporary folders."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sharpap import folders, scratch
from sharpap.adapters.environment import Environment
from sharpap.assess import Results
from sharpap.assess.folder.save import OWN
from sharpap.assess.tuning.tune import claim_folder, tune
from sharpap.assess.work.records import RecordStore
from sharpap.data.catalogue import datasets, loading
from sharpap.data.catalogue.download import download, extract
from sharpap.errors import ConfigError, SharpAPError
from sharpap.files import replacing, write_text
from sharpap.scratch import Scratch
from sharpap.tracking.mlflow import _refuse_foreign

GRID = ["run", "--data", "synthetic", "--set", "data.users=60", "--set", "data.items=80", "--set", "data.interactions=900",
        "--attack", "random", "--victim", "popularity", "--draws", 1, "-q"]  # fmt: skip
KEY = {"seed": 3}

# The files of a project, names that look like ours but are not, and every name that we use ourselves.
NAMES = [
    ".pre-commit-config.yaml", ".gitlab-ci.yml", ".travis.yml", ".readthedocs.yaml", ".eslintrc.json", ".env.local",
    ".netrc.bak", "patient-01.json", "scan-1.npz", "x-1.record", "cell-x.record", "state-1-2.record", "random-draw0.npz",
    ".results.parquet.x1y2.parquet", ".sharpap-tmp-x", ".sharpap-tmp-ABCDEFGH.npz", ".sharpap-scratch", "results.csv.json",
    "config.toml", "results.parquet", "cells.parquet", "provenance.json", "report.html", "log.jsonl", "sharpness.json",
    "study.journal", "study.log", "trials.parquet", "best.toml", "audit.html", "audit.md", "audit.json", "detection.json",
    "u.data", "u.item", "SHA256SUMS", "u.data.damaged", "ml-100k.zip.part", "mlflow.db", "sharpap-work-abcdefgh",
]  # fmt: skip
FOLDERS = ["", "cells", "poison", "quarantine", "cells/quarantine", "sharpap-abcdefgh", ".recbole-x1", "artifacts"]


def fill(folder: Path, names: list[str] = NAMES, inside: list[str] = FOLDERS) -> None:
    """A folder of somebody else: files, folders, and links to what lies beside it."""
    outside = folder.parent / "outside"
    outside.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (outside / name).write_text(f"outside {name}")
    for place in inside:
        (folder / place).mkdir(parents=True, exist_ok=True)
        for name in names:
            if not (folder / place / name).exists():
                (folder / place / name).write_text(f"{place}: {name}\n")
        for name, target in [("to-a-file", outside / "patient-01.json"), ("to-a-folder", outside),
                             (".sharpap-tmp-linked00", outside / "scan-1.npz"), ("sharpap-linked00", outside),
                             ("dangling", outside / "none")]:  # fmt: skip
            if not os.path.lexists(folder / place / name):
                (folder / place / name).symlink_to(target)


def look(*places: Path) -> dict[str, object]:
    """All that is in folders, byte for byte, without following links."""
    found: dict[str, object] = {}
    for place in places:
        for path in [place, *sorted(place.rglob("*"))]:
            mode = path.lstat().st_mode
            held = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path)] = mode, held
    return found


def foreign_archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("in/scan", "from the archive")
    return tmp_path / "a.zip"


def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text("user,item\n" + "".join(f"{user},{item}\n" for user in range(9) for item in range(user % 3, 9)))
    return path


SPACE = ["--attack", "bandwagon", "--space", "attack.popular_share=0.1,0.2"]
COMMANDS = {
    "run": [*GRID, "-o", "{there}"],
    "run --overwrite": [*GRID, "-o", "{there}", "--overwrite"],
    "run --store": [*GRID, "-o", "{new}", "--store", "{there}"],
    "run --store --overwrite": [*GRID, "-o", "{new}", "--store", "{there}", "--overwrite"],
    "run --jobs 2": [*GRID, "-o", "{there}", "--jobs", 2],
    "a run in a project with a folder cells": [*GRID, "-o", "{project}"],
    "a run in a project with a folder cells, --overwrite": [*GRID, "-o", "{project}", "--overwrite"],
    "evaluate": ["evaluate", "{table}", "-o", "{there}", "--overwrite"],
    "tune": ["tune", "demo", *SPACE, "-o", "{there}"],
    "tune --overwrite": ["tune", "demo", *SPACE, "-o", "{there}", "--overwrite"],
    "audit": ["audit", "popularity", "-o", "{there}"],
    "audit --overwrite": ["audit", "popularity", "-o", "{there}", "--overwrite"],
    "report": ["report", "{there}"],
    "detect": ["detect", "{there}"],
    "results --out": ["results", "{there}", "--out", "{there}/results.csv"],
    "attack over a table's provenance": ["attack", "random", "--data", "{table}", "--out", "{there}/results.csv"],
    "data convert": ["data", "convert", "{table}", "{there}/scan-1.npz"],
    "data convert through a link": ["data", "convert", "{table}", "{there}/link.csv", "--overwrite"],
    "env create --overwrite": ["env", "create", "recbole", "--overwrite"],
    "env remove": ["env", "remove", "recbole"],
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_folder_of_foreign_files_is_refused_and_comes_out_unchanged(case, sharpap, tmp_path, monkeypatch):
    there, project = tmp_path / "home" / "recbole", tmp_path / "project"
    fill(there)
    fill(project / "cells", ["patient-01.json", "scan-1.npz", ".env.local"], [""])
    (there / "link.csv").symlink_to(tmp_path / "home" / "outside" / "patient-01.json")
    monkeypatch.setenv("SHARPAP_ENV_HOME", str(tmp_path / "home"))
    before = look(tmp_path / "home", project)
    places = {"there": there, "new": tmp_path / "new", "project": project, "table": table(tmp_path)}
    code, _, err = sharpap(*(str(word).format(**places) for word in COMMANDS[case]))
    assert code in (1, 2), err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert look(tmp_path / "home", project) == before
    assert not (tmp_path / "new").exists()


def damaged_record(there: Path) -> None:
    store = RecordStore(there)
    path = store._path("cell", KEY)
    path.write_text("somebody else's")
    try:
        assert store.get("cell", KEY, bytes) is None
        assert path.read_text() == "somebody else's"
    finally:
        path.unlink(missing_ok=True)


CALLS = {
    "clear": lambda there, _: RecordStore(there).clear(),
    "session": lambda there, _: RecordStore(there).session().__enter__(),
    "put": lambda there, _: RecordStore(there).put("cell", KEY, b""),
    "drop": lambda there, _: [RecordStore(there).drop(kind) for kind in ("cell", "x", "state-1")],
    "quarantine": lambda there, _: damaged_record(there),
    "sweep": lambda there, _: [folders.sweep(there, kind, "poison") for kind in ("results", "work")],
    "sweep of temporary folders": lambda there, _: scratch.sweep(there),
    "a temporary folder": lambda there, _: Scratch(there).close(),
    "tune": lambda there, _: tune("demo", {"attack.fillers": "1:3"}, out=there, judges=("popularity",)),
    "tune --overwrite": lambda there, _: claim_folder(there, overwrite=True),
    "save": lambda there, tmp_path: Results(
        dataset=None, config={}, rows=[], cells=[], sharpness=[], provenance={}
    ).save(there, overwrite=True),
    "cache": lambda there, _: loading.locate(datasets.ENTRIES["ml-100k"]),
    "download": lambda there, tmp_path: download(table(tmp_path).as_uri(), there / "u.data", "sha256:0"),
    "download through a link": lambda there, tmp_path: download(
        table(tmp_path).as_uri(), there / "dangling", "sha256:" + hashlib.sha256(table(tmp_path).read_bytes()).hexdigest()
    ),
    "extract": lambda there, tmp_path: extract(foreign_archive(tmp_path), {"in/scan": ("scan-1.npz", "")}, there),
    "extract through a link": lambda there, tmp_path: extract(
        foreign_archive(tmp_path), {"in/scan": ("to-a-file", "")}, there
    ),
    "write through a link": lambda there, _: write_text(there / "to-a-file", "ours"),
    "write over a device": lambda there, _: write_text(Path("/dev/null"), "ours"),
    "environment": lambda there, _: Environment("recbole").create(overwrite=True),
}  # fmt: skip
ALLOWED = {"drop", "quarantine", "sweep", "sweep of temporary folders", "a temporary folder", "cache"}


@pytest.mark.parametrize("call", CALLS)
def test_no_function_that_deletes_or_replaces_touches_foreign_files(call, tmp_path, monkeypatch):
    there = tmp_path / "home" / "ml-100k"
    fill(there)
    (there / "SHA256SUMS").write_text("")
    shutil.copytree(there, tmp_path / "home" / "recbole", symlinks=True)
    monkeypatch.setenv("SHARPAP_ENV_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SHARPAP_DATA_HOME", raising=False)
    monkeypatch.setattr(loading, "cache_home", lambda: tmp_path / "home")
    before = look(tmp_path / "home")
    if call in ALLOWED:
        CALLS[call](there, tmp_path)
    else:
        with pytest.raises(SharpAPError):
            CALLS[call](there, tmp_path)
    assert look(tmp_path / "home") == before


def test_a_cache_folder_that_is_not_ours_is_not_repaired(tmp_path, monkeypatch):
    there = tmp_path / "ml-100k"
    fill(there)
    (there / "SHA256SUMS").write_text(f"{'0' * 64}  u.data\n")
    monkeypatch.delenv("SHARPAP_DATA_HOME", raising=False)
    monkeypatch.setattr(loading, "cache_home", lambda: tmp_path)
    before = look(tmp_path)
    with pytest.raises(SharpAPError, match=r"u.data in .* is no longer what was downloaded(.|\n)*Move .* away"):
        loading.locate(datasets.ENTRIES["ml-100k"])
    assert look(tmp_path) == before


def test_a_tracker_leaves_a_foreign_database_alone(tmp_path):
    there = tmp_path / "there"
    fill(there)
    database = there / "mlflow.db"
    with pytest.raises(ConfigError, match="no database of MLflow's"):
        _refuse_foreign(there)
    database.unlink()
    for name, right in (("photos", False), ("experiments", True)):
        with closing(sqlite3.connect(database)) as opened:
            opened.execute(f"create table {name} (id)")
        before = look(tmp_path)
        with nullcontext() if right else pytest.raises(ConfigError, match="no database of MLflow's"):
            _refuse_foreign(there)
        assert look(tmp_path) == before
    database.unlink()
    database.symlink_to(tmp_path / "none")
    with pytest.raises(SharpAPError, match=r"mlflow\.db is a link"):
        _refuse_foreign(there)
    assert not (tmp_path / "none").exists()


# --- foreign files in a folder of ours ---

LATER = [name for name in NAMES if name not in (*OWN, "random-draw0.npz")]


def test_foreign_files_that_come_later_stay_and_ours_go(sharpap, tmp_path):
    """The same run again, wider, narrower with --overwrite; what killed runs left goes, and profiles that no attack has now."""
    out = tmp_path / "out"
    assert sharpap(*GRID, "--attack", "bandwagon", "-o", out)[0] == 0
    inside = ["", "cells", "cells/quarantine", "poison", "notes"]
    fill(out, LATER, inside)
    np.savez(out / "poison" / "mine-draw0.npz", scan=np.arange(3))
    before = {name: held for name, held in look(tmp_path).items() if Path(name).name in (*LATER, "mine-draw0.npz")
              or "link" in name or "outside" in name or name.endswith(("dangling", "to-a-file", "to-a-folder"))}  # fmt: skip
    assert len(before) > 5 * len(LATER)
    half = [out / ".sharpap-tmp-abcdefgh.parquet", out / "poison" / ".sharpap-tmp-abc_efg2.npz",
            out / "cells" / ".sharpap-tmp-abcdefgh.record"]  # fmt: skip
    for more in ([], ["--attack", "bandwagon", "--seeds", 2], ["--overwrite"]):
        for path in half:
            path.write_text("half")
        assert sharpap(*GRID, "--attack", "bandwagon", "-o", out, *more)[0] == 0
        assert not [path for path in half if path.exists()]
    assert (out / "poison" / "bandwagon-draw0.npz").is_file()
    assert sharpap(*GRID, "-o", out, "--overwrite")[0] == 0
    assert not (out / "poison" / "bandwagon-draw0.npz").exists()
    after = look(tmp_path)
    assert {name: after.get(name) for name in before} == before


def test_a_folder_is_ours_by_the_mark_of_its_kind_alone(tmp_path):
    for kind in ("results", "work", "tuning", "audit", "dataset"):
        folders.claim(tmp_path / kind, kind)
        assert folders.is_ours(tmp_path / kind, kind)
        folders.check(tmp_path / kind, kind)
    with pytest.raises(ConfigError, match="of SharpAP for something else"):
        folders.check(tmp_path / "work", "results")
    mark = tmp_path / "work" / folders.MARKER
    for forge in (lambda: mark.write_text("{}"), lambda: mark.write_text(""), mark.mkdir,
                  lambda: mark.symlink_to(tmp_path / "results" / folders.MARKER), lambda: os.mkfifo(mark)):  # fmt: skip
        mark.unlink() if not mark.is_dir() else mark.rmdir()
        forge()
        assert not folders.is_ours(tmp_path / "work", "work")
        with pytest.raises(SharpAPError):
            folders.claim(tmp_path / "work", "work")
        with suppress(IsADirectoryError):
            assert mark.lstat()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".sharpap-tmp-abcdefgh.json").write_text("killed before it was made ours")
    folders.claim(tmp_path / "empty", "results")
    folders.claim(tmp_path / "empty", "results")


def test_results_of_before_the_mark_can_be_read_and_are_not_written_to(sharpap, tmp_path):
    out = tmp_path / "out"
    assert sharpap(*GRID, "-o", out)[0] == 0
    (out / folders.MARKER).unlink()
    before = look(out)
    code, text, _ = sharpap("report", out)
    assert code == 0
    assert "nothing is written there" in text.replace("\n", "")
    code, text, err = sharpap("detect", out, "--detector", "pca-varselect", "-q")
    assert code == 0, err
    assert "nothing is written there" in text.replace("\n", "")
    assert sharpap("results", out)[0] == 0
    for more in ([], ["--overwrite"]):
        code, _, err = sharpap(*GRID, "-o", out, *more)
        assert code == 2
        assert "holds other files" in err
        assert "Name a new or an empty folder. Results of earlier versions can be read, not written to." in err
    assert look(out) == before


# --- links ---


@pytest.mark.parametrize("more", [[], ["--overwrite"]], ids=["plain", "overwrite"])
@pytest.mark.parametrize("name", OWN)
def test_a_link_in_a_results_folder_is_refused_by_name(name, more, sharpap, tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    fill(tmp_path / "there")
    folders.claim(out, "results")
    for target in (outside, outside / "log.jsonl", outside / "none"):
        (out / name).symlink_to(target)
        before = look(tmp_path)
        code, _, err = sharpap(*GRID, "-o", out, *more)
        assert code == 1
        assert f"{out / name} is a link" in err
        assert look(tmp_path) == before
        (out / name).unlink()


@pytest.mark.parametrize("name", ["poison/random-draw0.npz", "cells/quarantine", "cells/sharpap-folder.json"])
def test_a_link_further_in_is_refused_by_name(name, sharpap, tmp_path):
    out = tmp_path / "out"
    fill(tmp_path / "there")
    assert sharpap(*GRID, "-o", out)[0] == 0
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(tmp_path / "outside" / ("" if name == "cells/quarantine" else "scan-1.npz"))
    before = look(tmp_path / "outside", out / "cells", out / "poison")
    tables = {path.name: path.read_bytes() for path in out.glob("*.parquet")}
    code, _, err = sharpap(*GRID, "-o", out)
    assert code in (1, 2), err
    assert Path(name).name in err
    after = look(tmp_path / "outside", out / "cells", out / "poison")
    assert after == before
    assert {path.name: path.read_bytes() for path in out.glob("*.parquet")} == tables


OTHERS = [
    (["tune", "demo", *SPACE, "--victim", "popularity"], "tuning",
     ("study.journal", "trials.parquet", "best.toml", "cells", "log.jsonl")),
    (["audit", "popularity"], "audit", ("audit.html", "audit.md", "audit.json", "cells", "log.jsonl")),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "kind", "names"), OTHERS, ids=["tune", "audit"])
def test_links_in_the_folders_of_other_verbs_are_refused_by_name(verb, kind, names, sharpap, tmp_path):
    fill(tmp_path / "there")
    folders.claim(tmp_path / "out", kind)
    for name in names:
        link = tmp_path / "out" / name
        link.symlink_to(tmp_path / "outside" / "" if name == "cells" else tmp_path / "outside" / "log.jsonl")
        for more in ([], ["--overwrite"]):
            before = look(tmp_path)
            code, _, err = sharpap(*verb, "-o", tmp_path / "out", *more)
            assert code == 1
            assert f"{link} is a link" in err
            assert look(tmp_path) == before
        link.unlink()


def test_a_log_with_a_second_name_is_written_anew_and_the_other_stays(sharpap, tmp_path):
    """A backup by hard links."""
    out, backup = tmp_path / "out", tmp_path / "backup.jsonl"
    assert sharpap(*GRID, "-o", out)[0] == 0
    for more in ([], ["--overwrite"]):
        backup.unlink(missing_ok=True)
        os.link(out / "log.jsonl", backup)
        before = backup.read_bytes()
        assert sharpap(*GRID, "-o", out, *more)[0] == 0
        assert backup.read_bytes() == before
        log = (out / "log.jsonl").read_bytes()
        assert log.startswith(before) is not bool(more)
        assert len(log) > 0


def test_the_folder_that_is_named_may_be_a_link(sharpap, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    assert sharpap(*GRID, "-o", tmp_path / "out")[0] == 0
    assert pl.read_parquet(tmp_path / "disk" / "results.parquet").height


# --- temporary folders ---


def test_a_killed_process_leaves_a_folder_that_the_next_one_removes(tmp_path):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        made = Scratch(tmp_path)
        (made.folder / "scores.npy").write_bytes(b"0" * 10_000)
        (made.folder / "inside").mkdir()
        (made.folder / "inside" / "link").symlink_to("/etc")
        os.write(writer, b"x")
        while True:
            time.sleep(1)
    os.read(reader, 1)
    fill(tmp_path / "there")
    (tmp_path / "sharpap-linked99").symlink_to(tmp_path / "there")
    shutil.copytree(tmp_path / "there" / "cells", tmp_path / "sharpap-foreign1", symlinks=True)
    before = look(tmp_path)
    scratch.sweep(tmp_path)
    assert look(tmp_path) == before  # its process lives
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = [path for path in tmp_path.iterdir() if (path / "scores.npy").exists()]
    scratch._swept.clear()
    with Scratch(tmp_path) as mine:
        scratch.sweep(tmp_path)
        assert mine.is_dir()
        assert not left.exists()
    assert not mine.exists()
    gone = {name: held for name, held in before.items() if not name.startswith(str(left))}
    assert look(tmp_path) == gone


def test_a_folder_of_another_user_or_without_a_lock_stays(tmp_path, monkeypatch):
    made = Scratch(tmp_path)
    made.close.detach()  # as if killed, but for the lock
    assert not scratch.reclaim(made.folder)

    def without(handle, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as patch:
        patch.setattr(scratch.fcntl, "flock", without)
        assert not scratch.reclaim(made.folder)
        Scratch(tmp_path).close()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert not scratch.reclaim(made.folder)
    assert (made.folder / scratch.MARKER).is_file()


def test_a_forked_copy_does_not_remove_what_its_parent_uses(tmp_path):
    with Scratch(tmp_path) as folder:
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                scratch.weakref.finalize._exitfunc()
            os._exit(0)
        os.waitpid(child, 0)
        assert folder.is_dir()


TRAIN = """
import sys, time, numpy as np
from scipy.sparse import load_npz
train = load_npz(sys.argv[1])
np.save(sys.argv[2], np.zeros(train.shape, np.float32))
open(sys.argv[3], "w").close()
time.sleep(float(sys.argv[4]))
"""


def test_what_a_killed_run_of_a_command_left_goes_at_the_next_start(sharpap, tmp_path, monkeypatch):
    """Users x items x 4 bytes a folder; no matter whether the next command runs a command itself."""
    (tmp_path / "train.py").write_text(TRAIN)
    home = tmp_path / "tmp"
    home.mkdir()
    fill(home / "there")
    fill(home, NAMES, ["sharpap-foreign0"])
    before = look(home)
    command = f"{sys.executable} {tmp_path / 'train.py'} {{train}} {{scores}} {tmp_path / 'started'} 60"
    words = [*map(str, GRID[:9]), "--attack", "random", "--victim-command", command, "-q", "-o", str(tmp_path / "out")]
    process = subprocess.Popen([sys.executable, "-m", "sharpap", *words], env=os.environ | {"TMPDIR": str(home)})
    while not (tmp_path / "started").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    left = [
        path for path in home.glob("sharpap-*") if (path / "scores.npy").exists() and path.name != "sharpap-foreign0"
    ]
    assert len(left) == 1
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(home))
    scratch._swept.clear()
    assert sharpap("data", "inspect", table(tmp_path))[0] == 0
    assert not left[0].exists()
    after = {name: held for name, held in look(home).items() if "torchinductor" not in name}  # torch's own
    assert after.keys() == before.keys()
    assert after == before


def test_a_killed_write_leaves_a_name_that_only_we_make(tmp_path):
    from sharpap.files import is_temporary

    names = []
    for path in ("x.npz", "SHA256SUMS", "x.csv.json", "a name.parquet"):
        with replacing(tmp_path / path) as half:
            names.append(half.name)
            half.write_bytes(b"x")
    assert all(map(is_temporary, names))
    assert not [name for name in [*NAMES, "x", ".x", folders.MARKER, scratch.MARKER] if is_temporary(name)]
