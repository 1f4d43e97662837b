"""Text, files and paths that no reader may choke on, wherever a path comes from a user or a recipe."""

from __future__ import annotations

import json
import os

import pytest

from sharpap.assess.recipe import experiment_from
from sharpap.attacks.poison_io import load_poison
from sharpap.config import override, read_toml
from sharpap.config.recipes import read_recipe
from sharpap.data import read_interactions, synthetic
from sharpap.data.inspection.profile import profile
from sharpap.errors import ConfigError, DataError
from sharpap.untrusted import MOST_TOML, json_value, read_bytes, toml_table

DIGITS = "9" * 5000


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_devices_pipes_and_folders_are_no_files(pipe, tmp_path):
    (tmp_path / "link").symlink_to("/dev/zero")
    train = synthetic(20, 9, 60)
    for path, what in (
        (pipe, "named pipe"),
        ("/dev/zero", "device"),
        (tmp_path / "link", "device"),
        (tmp_path, "folder"),
    ):
        for read in (read_toml, read_interactions, profile, read_recipe, lambda path: load_poison(path, train)):
            with pytest.raises((ConfigError, DataError), match=f"This is a {what}"):
                read(type(tmp_path)(path))
    with pytest.raises(DataError, match="This is a named pipe"):
        experiment_from({"data": {"source": str(pipe)}, "attacks": ["random"], "victims": ["popularity"]})
    (tmp_path / "p.csv").write_text("user_id,item_id\nfake-0,1\n")
    os.mkfifo(tmp_path / "p.csv.json")
    with pytest.raises(DataError, match="This is a named pipe"):
        load_poison(tmp_path / "p.csv", train)


def test_a_recipe_longer_than_any_is_not_read_to_its_end(tmp_path):
    (tmp_path / "r.toml").write_bytes(b"#" * (MOST_TOML + 1))
    with pytest.raises(ConfigError, match="longer than the 4,194,304 bytes"):
        read_toml(tmp_path / "r.toml")
    (tmp_path / "r.toml").write_bytes(b"#" * 10)
    assert read_bytes(tmp_path / "r.toml", 10) == b"#" * 10


DEEP = {"lists": "[" * 3000, "tables": "a." * 3000 + "b = 1", "named": "[" + "a." * 3000 + "b]\n"}


@pytest.mark.parametrize("case", DEEP)
def test_what_nests_without_end_is_refused(case, tmp_path):
    """Dotted keys nest without recursion of the parser: whoever walks the table later would run into it."""
    text = DEEP[case] if case != "lists" else f"a = {DEEP[case]}"
    with pytest.raises(ValueError, match="far too deeply"):
        toml_table(text)
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"r\.toml is not valid TOML: it nests"):
        read_recipe(tmp_path / "r.toml")


def test_numbers_of_thousands_of_digits(tmp_path):
    for text in (
        f"seed = {DIGITS}",
        f"seeds = {'9' * 4000}",
        f"ks = [{'9' * 400}]",
        f"[data]\nthreshold = {'9' * 400}",
    ):
        (tmp_path / "r.toml").write_text(text)
        with pytest.raises((ConfigError, DataError)) as found:
            experiment_from(read_recipe(tmp_path / "r.toml"))
        assert len(str(found.value)) < 500
    with pytest.raises(ValueError, match="more than 4,300 digits"):
        json_value(json.dumps({"a": 1}).replace("1", DIGITS))
    table = {}
    override(table, f"a={DIGITS}")
    assert table == {"a": DIGITS}  # no TOML value, so a text


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.data", "x.dat", "x.inter", "train.txt"])
def test_numbers_of_thousands_of_digits_in_data(name, tmp_path):
    mark = {"x.csv": ",", "x.dat": "::", "train.txt": " "}.get(name, "\t")
    head = {"x.csv": "user,item,rating\n", "x.inter": "user_id:token\titem_id:token\trating:float\n"}.get(name, "")
    for column in range(3):
        fields = ["1", "2", "3"]
        fields[column] = DIGITS
        rows = "".join(mark.join(row) + "\n" for row in (["4", "5", "6"], fields))
        (tmp_path / name).write_text(head + rows)
        read = said_or(read_interactions, tmp_path / name)
        if not isinstance(read, str) and column < 2:  # as an id, it is a text like any other
            assert DIGITS in {*map(str, read.user_ids), *map(str, read.item_ids)}
        said_or(profile, tmp_path / name)


def said_or(read, path):
    """What is read, or what is said against it, in a few words."""
    try:
        return read(path)
    except DataError as refused:
        text = str(refused)
    assert len(text) < 500
    return text
