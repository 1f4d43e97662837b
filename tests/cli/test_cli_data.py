"""`sharpap data show`, `inspect` and `convert` as a user meets them."""

from __future__ import annotations

import json
import re
import shlex

import polars as pl
import pytest

from sharpap.data import read_interactions


def ratings(separator: str = ",") -> str:
    rows = [f"u{u}{separator}i{(3 * u + i * i) % 40}{separator}{1 + (u + i) % 5}" for u in range(60) for i in range(12)]
    return "\n".join(rows) + "\n"


FILES = {
    "plain.csv": "user,item,stars\n" + ratings(),
    "two words.csv": "who;what;how often?\n" + ratings(";"),
    "no-header.txt": "\n".join(line.replace("u", "").replace("i", "") for line in ratings().split()),
    "named like numbers.csv": "1,true,rating\n" + ratings(),
    "odd name's.csv": "\ufeffUser Nr|Thing|'\"|Other\n" + "\n".join(f"{line}|x" for line in ratings("|").split()),
    "bad.csv": "user,item,stars\n" + ratings() + ",i1,5\nu1,i1\nu1,i2,many\n",
    "tabs.csv": "user\titem\tstars\n" + ratings("\t"),
    "few.csv": "user,item,timestamp\n" + "".join(f"u{u},i{(u + i) % 9},{u + i}\n" for u in range(9) for i in range(3)),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_printed_command_loads_what_was_inspected(name, sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(FILES[name])
    how = ["--no-header"] if name.startswith("no-header") else []
    how += ["--user", "0", "--item", "1", "--rating", "2"] if name.startswith("odd") else []
    code, out, err = sharpap("data", "inspect", name, *how)
    assert code == 0, err
    command = next(line.strip() for line in out.splitlines() if line.startswith("  sharpap data "))
    found = json.loads(sharpap("data", "inspect", name, *how, "--json")[1])
    assert found["advice"]["command"] == command
    code, text, err = sharpap(*shlex.split(command)[1:], "--json", "-q")
    assert code == 0, (command, err)
    loaded = json.loads(text)
    keeps = (found["ratings"] or {}).get("keeps") or {"users": found["users"]}
    assert loaded["users"] == found["users"]
    assert loaded["train"] + loaded["validation"] + loaded["test"] <= found["pairs"]
    assert keeps["users"] <= found["users"]
    if "timestamp" in (column["role"] for column in found["columns"]):
        assert loaded["source"]["split"] == "LeaveOneOut"


def test_columns_that_are_not_read_are_named_with_the_options_that_read_them(sharpap, tmp_path):
    (tmp_path / "x.csv").write_text("customer;article;note\n" + ratings(";"))
    options = ["--user", "customer", "--item", "article"]
    assert (
        "  not read: note; --rating or --timestamp COLUMN reads one\n"
        in sharpap("data", "inspect", tmp_path / "x.csv", *options)[1]
    )
    assert "not read" not in sharpap("data", "inspect", tmp_path / "x.csv", *options, "--rating", "note")[1]


def test_numbers_first(sharpap, tmp_path):
    (tmp_path / "x.csv").write_text(FILES["plain.csv"])
    code, out, _ = sharpap("data", "inspect", tmp_path / "x.csv")
    assert code == 0
    assert re.search(r"^ +720  usable rows of 720$", out, re.MULTILINE)
    assert re.search(r"^ +60  users", out, re.MULTILINE)
    assert "csv, separator comma, header, utf-8" in out
    assert "a threshold of 4 keeps 288 rows (40.0 %)" in out
    assert "top 10 %" in out


def test_hostile_text_is_escaped(sharpap, tmp_path):
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    long = "y" * 5000
    rows = f"{evil},i1,5\n{long},i2,4\n" + "".join(f"f{u},{evil},5\nf{u},{long},5\n" for u in range(3))
    (tmp_path / "x.csv").write_text(f"user,item,rating{evil}\n" + rows)
    code, out, err = sharpap("data", "inspect", tmp_path / "x.csv", "--user", "user", "--item", "item")
    assert code == 0, err
    assert "\\x1b]0;owned\\x07\\x1b[2J\\u202e" in out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", out)
    assert max(map(len, out.splitlines())) < 400
    code, out, err = sharpap("data", "inspect", tmp_path / "x.csv", "--user", "none")
    assert code == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", err)
    assert json.loads(sharpap("data", "inspect", tmp_path / "x.csv", "--json")[1])["users"] == 5


@pytest.mark.parametrize("verb", ["inspect", "convert"])
@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("none.csv", None, "no such file"), ("x.csv", b"", "empty"), ("x.csv", b"user,item\n1,\xe9\n", "not UTF-8"),
        ("x.parquet", b"PAR1 nothing", "damaged"), ("x.npz", b"nothing", "not a CSR"),
        ("train.txt", b"0 1 2\n1 x 2\n", "train.txt:2"), ("x.csv", b"a,price\n1.5,2.5\n", "looks like the user"),
    ],
)  # fmt: skip
def test_bad_files_give_one_message(verb, name, content, word, sharpap, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = [tmp_path / "out.csv"] if verb == "convert" else []
    code, _, err = sharpap("data", verb, tmp_path / name, *out)
    assert code == 1
    assert word in err
    assert "Traceback" not in err
    assert not (tmp_path / "out.csv").exists()


def test_convert_accounts_for_every_row(sharpap, tmp_path):
    (tmp_path / "x.csv").write_text(FILES["bad.csv"] + "u1,i3,5\nu1,i3,5\n")
    code, _, err = sharpap("data", "convert", tmp_path / "x.csv", tmp_path / "o.parquet")
    assert code == 1
    assert "x.csv:723: This line has 2 fields" in err
    args = ("data", "convert", tmp_path / "x.csv", tmp_path / "o.parquet", "--threshold", 4, "--bad-rows", "drop")
    code, out, err = sharpap(*args, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert (
        facts["rows"] - facts["dropped"]["rating below 4.0"] - facts["dropped"]["repeats of a pair"]
        == (facts["interactions"])
    )
    assert facts["dropped"]["wrong number of fields, or an open quote"] == 1
    assert facts["dropped"]["missing user id"] == 1
    assert facts["dropped"]["rating that is not a finite number"] == 1
    table = pl.read_parquet(tmp_path / "o.parquet")
    assert table.columns == ["user_id", "item_id"]
    assert table.height == facts["interactions"] == read_interactions(tmp_path / "o.parquet").nnz
    code, _, err = sharpap(*args)
    assert code == 2
    assert "exists" in err
    code, out, _ = sharpap(*args, "--overwrite")
    assert code == 0
    assert "rows dropped: missing user id" in out


def test_convert_takes_columns_separators_and_cores(sharpap, tmp_path):
    (tmp_path / "x.txt").write_text(ratings("~"))
    code, _, err = sharpap(
        "data", "convert", tmp_path / "x.txt", tmp_path / "o.csv", "--separator", "~", "--no-header", "--user", 1, "--item", 0,
        "--rating", "", "--k-core", 3, "--out-separator", "\\t",
    )  # fmt: skip
    assert code == 0, err
    read = read_interactions(tmp_path / "o.csv")
    assert all(str(item).startswith("u") for item in read.item_ids)
    assert read.user_counts.min() >= 3
    assert "\t" in (tmp_path / "o.csv").read_text()


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["x.csv", "o.xlsx"], "no suffix"), (["x.csv", "o.csv", "--duplicates", "drop"], "--duplicates 'drop'"),
        (["x.csv", "o.csv", "--bad-rows", "dorp"], "Did you mean 'drop'"),
        (["x.csv", "o.csv", "--format", "cvs"], "Did you mean 'csv'"),
        (["x.csv", "o.tsv", "--out-separator", ";"], "separator"),
    ],
)  # fmt: skip
def test_wrong_options(args, word, sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text(FILES["plain.csv"])
    code, _, err = sharpap("data", "convert", *args)
    assert code == 2
    assert word in err


def test_data_without_a_verb_still_describes(sharpap, tmp_path):
    (tmp_path / "x.csv").write_text(FILES["plain.csv"])
    shown = sharpap("data", tmp_path / "x.csv", "-q", "--json")
    assert shown[0] == 0
    assert shown == sharpap("data", "show", tmp_path / "x.csv", "-q", "--json")
    assert shown == sharpap("data", "-q", "--json", tmp_path / "x.csv")
    code, out, _ = sharpap("data", "--help")
    assert code == 0
    assert "inspect" in out
    assert "convert" in out


def test_a_dataset_of_the_catalogue_is_no_file(sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = sharpap("data", "inspect", "ml-100k")
    assert code == 1
    assert "sharpap data ml-100k" in err
