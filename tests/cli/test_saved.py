"""A results folder in which something was changed: by a disk, by a killed save, or by someone who wrote other files."""

from __future__ import annotations

import json
import random
import shutil
import subprocess

import polars as pl
import pytest
import tomli_w

from sharpap.assess import Cell, Results
from sharpap.assess.folder.load import check
from sharpap.checksums import SUMS, note
from sharpap.cli.detect import detect_folder
from sharpap.cli.plans import of_detect
from sharpap.cli.run import run_recipe
from sharpap.config import read_toml
from sharpap.errors import ConfigError, DataError
from sharpap.folders import MARKER
from sharpap.report import html
from sharpap.report.markdown import markdown

RECIPE = {
    "seeds": 2, "ks": [5], "data": {"source": "synthetic", "users": 30, "items": 40, "interactions": 300},
    "attacks": ["random"], "victims": ["popularity"], "budget": {"fake_users": 2}, "targets": {"draws": 2, "size": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with lists of 5 alone, and the beginning of its command."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "r.toml").write_text(tomli_w.dumps(RECIPE))
    run_recipe(RECIPE, frozenset(), folder / "out", False, None, True, True)
    return folder / "out", ("run", folder / "r.toml", "-q", "-o")


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "out")


@pytest.fixture
def command(sharpap):
    def call(*args):
        status, out, err = sharpap(*args)
        return status, out + err

    return call


def whole(folder):
    """Read it as `sharpap report` does, in every form."""
    found = Results.load(folder)
    return found, html(found), markdown(found)


def test_the_checksums_are_those_of_all_files_and_sha256sum_reads_them(folder):
    listed = {line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert listed == {name for name in there if not name.startswith("cells/")} - {SUMS, MARKER, "log.jsonl"}
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["results.parquet", "cells.parquet", "config.toml", "provenance.json"])
def test_a_bit_that_flips_is_refused_with_the_name_of_the_file(name, folder):
    raw, rng = (folder / name).read_bytes(), random.Random(0)
    for _ in range(40):
        place, bit = rng.randrange(len(raw)), rng.randrange(8)
        (folder / name).write_bytes(raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :])
        with pytest.raises(DataError, match=f"{folder / name}: The file is not what was written"):
            Results.load(folder)
    (folder / name).write_bytes(raw)
    whole(folder)


def test_a_bit_that_flips_in_the_checksums_changes_nothing_that_is_read(folder):
    raw, rng, refused = (folder / SUMS).read_bytes(), random.Random(0), 0
    before = Results.load(folder)
    for _ in range(40):
        place, bit = rng.randrange(len(raw)), rng.randrange(8)
        (folder / SUMS).write_bytes(raw[:place] + bytes([raw[place] ^ 1 << bit]) + raw[place + 1 :])
        try:
            assert Results.load(folder).frame.equals(before.frame)  # the line is of profiles or of the page
        except DataError:
            refused += 1
    assert refused > 10


def test_profiles_and_what_is_missing_or_was_added_are_noticed(folder):
    path = sorted((folder / "poison").iterdir())[0]
    raw = path.read_bytes()
    path.write_bytes(raw[:50] + bytes([raw[50] ^ 4]) + raw[51:])
    found, wanted = Results.load(folder), ["pca-varselect"]
    recipe = of_detect(found.config, wanted, [], None)
    with pytest.raises(DataError, match=rf"{path}: The file is not what was written"):
        detect_folder(folder, found, recipe, wanted, None, quiet=True, as_json=False)
    path.write_bytes(raw)
    (folder / "sharpness.json").write_text("[]")
    with pytest.raises(DataError, match=r"sharpness\.json: The file is not what was written"):
        Results.load(folder)
    (folder / "sharpness.json").unlink()
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        check(folder, [path.relative_to(folder).as_posix()])


def test_a_run_goes_over_damaged_tables_and_makes_them_again_from_its_records(folder, made, command):
    before = Results.load(folder)
    (folder / "results.parquet").write_bytes(b"PAR1")
    status, text = command(*made[1], folder)
    assert status == 0, text
    assert Results.load(folder).frame.equals(before.frame)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert sum(bool(entry.get("stored")) for entry in log) == len(before.cells) + 2  # nothing was trained or crafted
    for name in ("config.toml", "provenance.json"):  # of which nobody can tell what it was
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw.replace(b"30", b"31", 1))
        with pytest.raises(DataError, match=name):
            Results.load(folder)
        status, text = command(*made[1], folder)
        assert status == 2
        assert "--store" in text
        (folder / name).write_bytes(raw)


def test_an_older_folder_is_read_with_a_warning(folder, command):
    (folder / SUMS).unlink()
    status, text = command("report", folder)
    assert status == 0
    assert f"{folder} has no SHA256SUMS" in " ".join(text.split())
    assert not (folder / SUMS).exists()  # nobody can vouch for what was written long ago
    older = pl.read_parquet(folder / "cells.parquet").drop("traceback", "attempts")
    older.write_parquet(folder / "cells.parquet")
    assert Results.load(folder).cells[0].attempts == 1


def test_files_that_we_write_later_have_their_checksums(folder, command):
    for call in (
        ("report", folder),
        ("report", folder, "--markdown"),
        ("detect", folder, "--detector", "pca-varselect", "-q"),
    ):
        status, text = command(*call)
        assert status == 0, text
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=folder, check=True)
    assert "detection.json" in (folder / SUMS).read_text()


def test_lists_of_any_length_are_shown(folder, command):
    """10 is the usual length, not the only one."""
    found = Results.load(folder)
    assert found.ks == [5]
    assert found.transfer_matrix().equals(found.transfer_matrix("H", 5))
    assert found.transfer_matrix()["n"].to_list() == [2, 2]
    for more in ((), ("--markdown",), ("--json",), ("--k", 5)):
        status, text = command("report", folder, *more)
        assert status == 0, text
        assert more == ("--json",) or "H@5" in text
    status, text = command("report", folder, "--k", 10)
    assert status == 2
    assert "They have 5" in text


ODD_PROVENANCE = [
    {"dataset": "x"}, {"dataset": {"name": "x"}}, {"dataset": None}, {"started": 3}, {"machine": []},
    {"machine": None}, {"machine": {"versions": 3}}, {"capabilities": {"popularity": 3}}, {"capabilities": []},
    {"figures": "x"}, {"figures": {"genuine": {}, "attacks": {}, "targets": {}}}, {"wall_seconds": "1"},
    {"wall_seconds": float("nan")}, {"wall_seconds": 10**400}, {"interrupted": {}}, {"peak_memory_mib": -1},
    {"figures": {"genuine": None, "attacks": {"random": {"popularity": [], "sizes": [], "history": []}}, "targets": {}}},
    {"figures": {"genuine": None, "attacks": {}, "targets": {"1": "x"}}},
    {"reach": 3}, {"reach": None}, {"reach": {"users": 9, "budget": 1, "fakes": [1, 2], "shares": {"ease": {"5": [0.1]}}}},
    {"reach": {"users": 9, "budget": 1, "fakes": [2, 1], "shares": {}}},
    {"reach": {"users": 9, "budget": 1, "fakes": [1], "shares": {"ease": {"5": [1.5]}}}},
    {"reach": {"users": 9, "budget": 1, "fakes": [1], "shares": {"ease": {"x": [0.5]}}}},
    {"dataset": {"name": "x", "users": 10**30, "items": 1, "train": 1, "fingerprint": "", "source": {}}},
]  # fmt: skip


@pytest.mark.parametrize("change", ODD_PROVENANCE, ids=str)
def test_provenance_of_another_form(change, folder):
    path = folder / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (folder / SUMS).unlink()
    with pytest.raises(DataError) as refused:
        whole(folder)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("text", ["[" * 5000, "[1]", "null", '{"seed": ' + "9" * 5000 + "}", "\ud800", '{"a": NaN'])
def test_provenance_that_is_no_table(text, folder):
    (folder / "provenance.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    (folder / SUMS).unlink()
    with pytest.raises(DataError, match=r"provenance\.json"):
        whole(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"attacks": ["random"]}, {"attacks": {"random": "x"}}, {"victims": 3}, {"victims": {"popularity": {"recommender": 1}}},
        {"targets": "x"}, {"targets": {"draws": []}}, {"reported": {"a": 1}}, {"reported": [{"claim": 3}]}, {"ks": "5"},
        {"direction": 3}, {"seeds": -1}, {"seeds": 10**30}, {"data": "x"}, {"ks": [[5]]},
    ],
    ids=str,
)  # fmt: skip
def test_settings_of_another_form(change, folder, made, command):
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(read_toml(path) | change))
    (folder / SUMS).unlink()
    with pytest.raises((DataError, ConfigError)) as refused:
        whole(folder)
    assert len(str(refused.value)) < 400
    status, text = command(*made[1], folder)
    assert status == 2 or change == {"reported": [{"claim": 3}]}  # which a run that goes on does not ask for
    assert "Traceback" not in text


ODD_CELLS = {
    "a list": pl.lit([1, 2]).alias("error"), "no name": pl.lit(None, pl.String).alias("victim"),
    "a number": pl.lit(3).alias("attack"), "bytes": pl.lit(b"x").alias("traceback"), "one more": pl.lit(1).alias("more"),
    "no time": pl.lit(float("nan")).alias("train_seconds"), "a draw below": pl.lit(-7, pl.Int32).alias("draw"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD_CELLS)
def test_cells_of_another_form(case, folder):
    pl.read_parquet(folder / "cells.parquet").with_columns(ODD_CELLS[case]).write_parquet(folder / "cells.parquet")
    (folder / SUMS).unlink()
    with pytest.raises(DataError, match=r"cells\.parquet"):
        whole(folder)


ODD_ROWS = {
    "infinite": pl.lit(float("inf")).alias("value"), "no name": pl.lit(None, pl.String).alias("attack"),
    "others": pl.lit("nobody").alias("victim"), "k below 0": pl.lit(-1, pl.Int32).alias("k"),
    "a list": pl.lit([1.0]).alias("value"), "a seed below": pl.lit(-5, pl.Int32).alias("seed"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD_ROWS)
def test_rows_of_another_form(case, folder):
    pl.read_parquet(folder / "results.parquet").with_columns(ODD_ROWS[case]).write_parquet(folder / "results.parquet")
    (folder / SUMS).unlink()
    with pytest.raises(DataError, match=r"results\.parquet"):
        whole(folder)


def test_a_grid_of_names_alone_takes_no_memory(tmp_path):
    """A thousand cells, each of its own attack and victim, would be a table of a million rows, for every metric."""
    found = Results(
        dataset=None, config={}, cells=[Cell(attack=f"a{n}", victim=f"v{n}", draw=0, seed=0) for n in range(1100)]
    )
    (tmp_path / "out").mkdir()
    found.frame.write_parquet(tmp_path / "out" / "results.parquet")
    found.cell_frame.write_parquet(tmp_path / "out" / "cells.parquet")
    (tmp_path / "out" / "config.toml").touch()
    (tmp_path / "out" / "provenance.json").write_text("{}")
    note(tmp_path / "out", ["results.parquet", "cells.parquet", "config.toml", "provenance.json"])
    with pytest.raises(DataError, match="1100 attacks by 1100 victims are more"):
        Results.load(tmp_path / "out")


@pytest.mark.parametrize(
    "change", [{"shares": []}, {"atk_line": [0.0]}, {"plane": [[1.0]]}, {"k": 10**20}, {"hit_ratio": None}]
)
def test_landscapes_of_another_form(change, folder):
    line = [0.0, 0.5, 1.0]
    good = {"attack": "random", "draw": 0, "k": 5, "hit_ratio": 0.5, "atk_sharpness": 1.0, "rec_sharpness": 1.0, "shares": line,
            "atk_line": line, "rec_line": line}  # fmt: skip
    (folder / SUMS).unlink()
    (folder / "sharpness.json").write_text(json.dumps([good]))
    assert "Sharpness" in whole(folder)[2]
    (folder / "sharpness.json").write_text(json.dumps([good | change]))
    with pytest.raises(DataError, match=r"sharpness\.json"):
        whole(folder)
