"""What the code never does, read off its own source, and what a terminal never sees."""

from __future__ import annotations

import ast
import io
import os
import zipfile
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

import sharpap
from sharpap.attacks import RandomAttack
from sharpap.attacks.poison_io import load_poison, save_poison
from sharpap.cli.console import Reporter, safe
from sharpap.data import read_interactions
from sharpap.data.catalogue.download import extract
from sharpap.errors import DataError, DownloadError
from sharpap.threat import Budget, Goal

SOURCE = Path(sharpap.__file__).parent
FORBIDDEN = {
    "eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "torch.load", "joblib.load", "yaml.load", "marshal.load",
    "marshal.loads", "shelve.open", "pd.read_pickle", "dill.load", "dill.loads", "pickle.Unpickler", "tarfile.open",
    "shutil.unpack_archive", "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip
UNPICKLES = {"assess/execution/processes.py"}  # what the parent process pickled a moment ago, through a pipe
RUNS = {
    "adapters/process.py", "adapters/drivers/guard.py", "adapters/environment.py", "assess/folder/provenance.py",
    "data/catalogue/download.py",
}  # fmt: skip


def calls() -> list[tuple[str, str, ast.Call]]:
    """(file, dotted name, call) of every call in the package."""
    return [
        (path.relative_to(SOURCE).as_posix(), ast.unparse(node.func), node)
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]


def test_nothing_is_unpickled_or_evaluated():
    every = calls()
    assert len(every) > 1000
    assert [(file, name) for file, name, _ in every if name in FORBIDDEN] == []
    assert {file for file, name, _ in every if name == "pickle.loads"} <= UNPICKLES
    for file, name, call in every:
        if name in ("np.load", "numpy.load") or name.endswith("format.read_array"):
            given = {word.arg: word.value for word in call.keywords}
            assert "allow_pickle" in given, file
            assert ast.literal_eval(given["allow_pickle"]) is False, file


def test_commands_are_run_without_a_shell_and_from_few_places():
    runs = [
        (file, call)
        for file, name, call in calls()
        if name.startswith("subprocess.") and name[11:] in ("run", "Popen", "call")
    ]
    assert {file for file, _ in runs} <= RUNS
    assert runs
    for file, call in runs:
        assert all(word.arg != "shell" for word in call.keywords), file
        assert not isinstance(call.args[0], (ast.Constant, ast.JoinedStr)), f"{file}: a command as one text"


def test_modules_that_are_run_are_installed_ones():
    """``python -m pip`` takes a ``pip.py`` of the current folder before the installed one; -I and -P do not."""
    lists = [
        [ast.unparse(each) for each in node.elts]
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.List) and any(ast.unparse(each) == "'-m'" for each in node.elts)
    ]
    assert len(lists) >= 3
    for words in lists:
        before = words[: words.index("'-m'")]
        assert {"'-I'", "'-P'", "*inside"} & set(before), words


def test_every_waived_security_rule_has_a_reason():
    for path in [*SOURCE.rglob("*.py")]:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            if "noqa: S" in line and "SIM" not in line:
                assert " - " in line.partition("noqa:")[2], f"{path.name}:{number}"


# --- archives ---


def zipped(path: Path, members: dict[str, bytes], *, link: str = "") -> Path:
    """A zip archive; `link` is stored as a symbolic link."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, raw in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if name == link:
                info.create_system, info.external_attr = 3, 0o120777 << 16
            made.writestr(info, raw)
    return path


def test_only_what_was_asked_for_comes_out_of_an_archive(tmp_path):
    hostile = {"../../outside": b"x", "/tmp/absolute": b"x", "in/u.data": b"good", "in/other": b"x"}
    archive = zipped(tmp_path / "a.zip", hostile)
    before = set(tmp_path.rglob("*"))
    extract(archive, {"in/u.data": ("u.data", "")}, tmp_path / "out" / "ml")
    assert (tmp_path / "out" / "ml" / "u.data").read_bytes() == b"good"
    after = set(tmp_path.rglob("*")) - before
    assert after == {tmp_path / "out", tmp_path / "out" / "ml", tmp_path / "out" / "ml" / "u.data"}
    with pytest.raises(DownloadError):
        extract(archive, {"in/u.data": ("../u.data", "")}, tmp_path / "out" / "other")


def test_a_link_in_an_archive_becomes_a_file(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"u.data": b"/etc/passwd"}, link="u.data")
    extract(archive, {"u.data": ("u.data", "")}, tmp_path / "out")
    assert not (tmp_path / "out" / "u.data").is_symlink()
    assert (tmp_path / "out" / "u.data").read_bytes() == b"/etc/passwd"


def test_bombs_and_damage_in_an_archive_leave_nothing(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"u.data": b"\0" * (100 << 20)})
    assert archive.stat().st_size < 1 << 20
    with pytest.raises(DownloadError, match="would unpack"):
        extract(archive, {"u.data": ("u.data", "")}, tmp_path / "out")
    zipped(archive, {"u.data": os.urandom(3000)})
    raw = bytearray(archive.read_bytes())
    raw[500] ^= 255
    archive.write_bytes(raw)
    with pytest.raises(DownloadError, match="not the archive"):
        extract(archive, {"u.data": ("u.data", "")}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- terminals ---

EVIL = "\x1b[2J\x1b]0;owned\x07[bold red]title[/]\u202e\x9b31m"


def test_what_a_console_prints_cannot_drive_the_terminal():
    out = io.StringIO()
    console = safe(Console(file=out, force_terminal=True, width=200, color_system="truecolor"))
    table = Table("name", title="t")
    rich_text = Text(EVIL, style="bold")
    table.add_row(rich_text)
    console.print(table)
    console.print(rich_text, EVIL, markup=False, highlight=False)
    shown = out.getvalue()
    for mark in ("\x1b[2J", "\x1b]0", "\x07", "\u202e", "\x9b"):
        assert mark not in shown
    assert shown.count("\\x1b[2J") == 3
    assert shown.count("[bold red]title[/]") == 3
    assert "\x1b[1m" in shown  # our own style is still there


def test_events_are_escaped(capsys):
    Reporter(quiet=False, log=None).event("warning", path=EVIL, dropped={EVIL: 3})
    shown = capsys.readouterr().err
    assert "\\x1b[2J" in shown
    assert all(mark.isprintable() or mark == "\n" for mark in shown)


def test_hostile_names_through_the_command_line(sharpap, tmp_path):
    folder = tmp_path / "a\x1b[31mb"
    folder.mkdir()
    rows = "".join(f"u{u},{EVIL if i == 0 else i},{1 + (u + i) % 5}\n" for u in range(9) for i in range(8))
    (folder / "x.csv").write_text(f"user,item,\x1b[5mstars\n{rows}", "utf-8")
    for call in (
        ["data", folder / "x.csv"], ["data", "inspect", folder / "x.csv"], ["data", folder / "none.csv"],
        ["data", "convert", folder / "x.csv", folder / "y.parquet"], ["evaluate", folder / "x.csv", "--data", folder / "x.csv"],
        ["attack", "random", "--data", folder / "x.csv", "--targets", EVIL, "--fakes", 2, "-o", folder / "p.npz"],
        ["run", folder / "none.toml", "-o", folder / "out"], ["report", folder],
    ):  # fmt: skip
        _, out, err = sharpap(*call)
        assert all(mark.isprintable() or mark in "\n\t" for mark in out + err), call
        assert "Traceback" not in err


# --- files that are read back ---


def test_ids_that_look_like_formulas_stay_what_they_are(sharpap, tmp_path):
    """Data files are for programs: a changed id would be another id (see SECURITY.md)."""
    (tmp_path / "x.csv").write_text("user,item\n=1+1,@a\n+2,-b\n")
    assert sharpap("data", "convert", tmp_path / "x.csv", tmp_path / "y.csv")[0] == 0
    assert set((tmp_path / "y.csv").read_text().splitlines()[1:]) == {"=1+1,@a", "+2,-b"}
    train = read_interactions(tmp_path / "y.csv")
    made = RandomAttack().poison(train.matrix, Goal(targets=(0,)), Budget(fake_users=1, profile_size=2), seed=0)
    for suffix in (".csv", ".inter"):
        back = load_poison(save_poison(made, tmp_path / f"p{suffix}", train), train)
        assert (back.profiles != made.profiles).nnz == 0


def test_profiles_are_not_written_where_their_ids_would_change(tmp_path):
    (tmp_path / "x.csv").write_text('user,item\na,"x\ty"\nb,z\n')
    train = read_interactions(tmp_path / "x.csv")
    made = RandomAttack().poison(train.matrix, Goal(targets=(0,)), Budget(fake_users=1, profile_size=2), seed=0)
    with pytest.raises(DataError, match="cannot keep"):
        save_poison(made, tmp_path / "p.inter", train)
    assert not (tmp_path / "p.inter").exists()
    back = load_poison(save_poison(made, tmp_path / "p.csv", train), train)
    assert (back.profiles != made.profiles).nnz == 0
