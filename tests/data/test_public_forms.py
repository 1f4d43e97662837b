"""Files in the form of public datasets: `inspect` and the reader find the same, and what `inspect` prints loads it."""

from __future__ import annotations

import json
import shlex

import pytest
from public_forms import FORMS, Form

from sharpap.data import Columns, Interactions, load, profile, read_interactions
from sharpap.data.reading import stream
from sharpap.errors import ConfigError, DataError


def pairs_of(read: Interactions) -> set[tuple[str, str]]:
    users, items = read.entries()
    return {(str(u), str(i)) for u, i in zip(read.user_ids[users].tolist(), read.item_ids[items].tolist(), strict=True)}


@pytest.mark.parametrize("name", FORMS)
def test_the_reader_and_inspect_find_the_same(name, monkeypatch, tmp_path):
    form: Form = FORMS[name]
    path, wanted = form.write(tmp_path)
    read = read_interactions(path, **form.how)
    assert pairs_of(read) == wanted
    found = profile(path, **form.how)
    assert {c.role: c.name for c in found.columns if c.role in ("user", "item", "rating", "timestamp")} == form.roles
    assert (found.pairs, found.users, found.items) == (read.nnz, read.num_users, read.num_items)
    assert found.left_out == read.notes.get("left_out", {})
    assert (read.timestamps is None) == ("timestamp" not in form.roles)
    monkeypatch.setattr(stream, "STREAM_FROM", 0)
    streamed = read_interactions(path, **form.how)
    assert streamed.fingerprint == read.fingerprint
    assert streamed.notes == read.notes


@pytest.mark.parametrize("name", FORMS)
def test_what_inspect_prints_loads_the_file(name, sharpap, tmp_path, monkeypatch):
    form: Form = FORMS[name]
    path, wanted = form.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    said = [f"--where={column}={v}" for column, values in form.how.get("where", {}).items()
            for v in ([values] if isinstance(values, str) else values)]  # fmt: skip
    said += [f"--missing={form.how['missing']}"] if "missing" in form.how else []
    said += [f"--format={form.how['format']}"] if "format" in form.how else []
    code, plain, err = sharpap("data", "inspect", path.name)
    if "format" not in form.how:
        assert code == 0, err
        for word in form.seen:
            assert word in plain, plain
    else:
        assert code == 1
        assert "wide" in err
    code, out, err = sharpap("data", "inspect", path.name, *said)
    assert code == 0, err
    command = shlex.split(next(line for line in out.splitlines() if line.startswith("  sharpap data ")))
    found = profile(path, **form.how)
    code, text, err = sharpap(*command[1:], "--json", "-q")
    assert code == 0, (command, err)
    loaded = json.loads(text)
    total = loaded["train"] + loaded["validation"] + loaded["test"]
    threshold = found.advice.options.get("threshold")
    assert total == read_interactions(path, threshold=threshold, **form.how).nnz
    assert threshold is not None or total == len(wanted)
    again = load(path.name, **{key: value for key, value in found.advice.options.items() if key != "split"})
    assert sum(part.nnz for part in (again.train, again.valid, again.test)) == total


@pytest.mark.parametrize("name", [name for name, form in FORMS.items() if form.how.get("format") == "wide"])
def test_a_wide_matrix_is_refused_by_that_word_and_the_hint_reads_it(name, tmp_path):
    path, _ = FORMS[name].write(tmp_path)
    for read in (read_interactions, profile):
        with pytest.raises(DataError, match=r"wide matrix, one row a user and one column an item") as caught:
            read(path)
        assert "data.format=wide" in str(caught.value)


def test_a_value_far_outside_the_scale_is_pointed_out(sharpap, tmp_path):
    path, wanted = FORMS["Jester, long"].write(tmp_path)
    code, out, err = sharpap("data", "inspect", path)
    assert code == 0, err
    assert "say --missing 99" in out
    assert "threshold of" not in out  # 99 would reach any
    found = profile(path)
    assert found.ratings is not None
    assert found.ratings.odd == (99.0, 600 - len(wanted))
    code, out, err = sharpap("data", "inspect", path, "--missing", 99)
    assert code == 0, err
    assert "scale -10 to 10" in out
    assert f"{600 - len(wanted)}  rows left out: rating of 99, which means none" in out


def test_jester_as_it_is_published(sharpap, tmp_path):
    """A wide matrix of which the first column counts jokes: users are numbered by row, the count is no item."""
    path, wanted = FORMS["Jester, wide"].write(tmp_path)
    code, out, err = sharpap("data", "inspect", path, "--format", "wide")
    assert code == 0, err
    assert "say --missing 99" in out
    read = read_interactions(path, format="wide", missing=99, threshold=8)
    assert read.notes["left_out"] == {"rating of 99, which means none": 40 * 55 - len(wanted)}
    cells = [row.split(",")[1:] for row in path.read_text().splitlines()]
    liked = {(str(u), str(i)) for u, row in enumerate(cells) for i, cell in enumerate(row) if 8 <= float(cell) <= 10}
    assert pairs_of(read) == liked


def test_run_takes_where_and_missing(sharpap, tmp_path):
    path, wanted = FORMS["Steam-200k"].write(tmp_path)
    options = (
        "--data",
        path,
        "--where",
        "column 2=play",
        "--missing",
        0,
        "--attack",
        "random",
        "--victim",
        "popularity",
    )
    code, _, err = sharpap("run", "demo", *options, "--seeds", 1, "--draws", 1, "-o", tmp_path / "out", "--json", "-q")
    assert code == 0, err
    data = json.loads((tmp_path / "out" / "provenance.json").read_text())["dataset"]
    left = data["source"]["read"]["left_out"]
    assert left["column 2 other than play"] == len(path.read_text().splitlines()) - len(wanted)
    assert data["train"] + data["valid"] + data["test"] == len(wanted) - left["rating of 0, which means none"]
    with pytest.raises(ConfigError, match="not of ml-100k"):
        load("ml-100k", where={"rating": 5})


def test_behaviour_is_chosen_by_where_and_the_rest_is_counted(sharpap, tmp_path):
    path, wanted = FORMS["Steam-200k"].write(tmp_path)
    rows = len(path.read_text().splitlines())
    code, out, err = sharpap("data", "convert", path, tmp_path / "o.csv", "--where", "column 2=play", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert facts["interactions"] == len(wanted)
    assert facts["dropped"] == {"column 2 other than play": rows - len(wanted)}
    both = read_interactions(path, where={2: ["play", "purchase"]}, threshold=1.0)
    assert both.notes["left_out"] == {"column 2 other than play, purchase": 0}
    for where, word in (
        ({"column 2": "plays"}, r"No row is left: column 2 other than plays\. column 2 has, for example, play, purchase"),
        ({"behaviour": "play"}, r"no column 'behaviour' for where\. The columns are: column 0"),
        ({"column 2": []}, "names no value"), ({"column 2": ""}, "names no value"), ("play", "names no columns"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=word):
            read_interactions(path, where=where)  # pyright: ignore[reportArgumentType]
    for missing in ("x", float("nan"), True, [1, None]):
        with pytest.raises(DataError, match="no finite number"):
            read_interactions(path, missing=missing)  # pyright: ignore[reportArgumentType]
    code, _, err = sharpap("data", "inspect", path, "--where", "play")
    assert code != 0
    assert "COLUMN=VALUE" in err


def test_bad_rows_keep_their_lines_where_others_are_left_out(monkeypatch, tmp_path):
    (tmp_path / "x.csv").write_text("user,item,rating,event\na,1,5,view\nb,2,x,buy\nc,,4,view\nd,4,4,view\ne,5,3,buy\n")
    for size in (1 << 60, 0):
        monkeypatch.setattr(stream, "STREAM_FROM", size)
        with pytest.raises(DataError, match=r"x\.csv:3: "):
            read_interactions(tmp_path / "x.csv", where={"event": "buy"})
        read = read_interactions(tmp_path / "x.csv", where={"event": "buy"}, bad_rows="drop")
        assert pairs_of(read) == {("e", "5")}
        assert read.notes["left_out"] == {"event other than buy": 3}
        assert read.notes["dropped"] == {"rating that is not a finite number": 1}


def test_json_lines_that_are_none_are_named(tmp_path):
    good = '{"user_id": "u%d", "item_id": %d, "rating": %d}'
    text = [good % (n % 5, n, 1 + n % 5) for n in range(30)]
    bad = {
        7: '{"user_id": "u1", "item_id": 3', 11: "[1, 2]", 12: '{"user_id": "\\ud800", "item_id": 3, "rating": 1}',
        13: '{"a":' * 100_000, 15: '{"item_id": %s}' % ("9" * 5000), 16: "nothing",
    }  # fmt: skip
    for number, line in bad.items():
        text[number] = line
    text[20] = ""
    text[21] = '{"item_id": 5, "rating": 3}'
    text[22] = '{"user_id": ["u1"], "item_id": 5, "rating": 3}'
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(text))
    with pytest.raises(DataError, match=r"x\.jsonl:8: This line is no JSON object \(6 such lines\)"):
        read_interactions(path)
    read = read_interactions(path, bad_rows="drop")
    assert read.notes["dropped"] == {"line that is no JSON object": 6, "missing user id": 2}
    assert read.nnz == 30 - 6 - 1 - 2
    found = profile(path)
    assert {e for s in found.suspicions if s.stops for e in s.examples} >= {
        "line 8: no JSON object",
        "line 22",
        "line 23",
    }
    assert found.blank_lines == 1
    for content, word in (
        ("[\n" + good % (1, 1, 1) + "\n]\n", "one JSON array"), ('[{"user_id": 1}]', "one JSON array"),
        ("[[1, 2, 5], [2, 3, 4]]\n", "one JSON array"),
        ("{'reviewerID': 'A', 'asin': 'B'}\n", "no JSON object"), ('{"a": 1\n{"b": 2\n', "no JSON object"),
    ):  # fmt: skip
        path.write_text(content)
        for reader in (read_interactions, profile):
            with pytest.raises(DataError, match=word) as caught:
                reader(path)
            assert caught.value.line == 1
    path.write_bytes((good % (1, 1, 1)).encode() + b'\n{"user_id": "\xe9"}\n')
    with pytest.raises(DataError, match=r"x\.jsonl:2: The text is not UTF-8"):
        read_interactions(path)


def test_objects_within_objects(tmp_path):
    (tmp_path / "x.json").write_text('{"user": {"id": 4, "tags": [1]}, "movie": {"id": "m"}, "rating": 4}\n' * 2)
    read = read_interactions(tmp_path / "x.json")
    assert pairs_of(read) == {("4", "m")}


def test_a_file_that_fits_no_form_is_refused_with_what_was_seen(tmp_path):
    (tmp_path / "x.csv").write_text("who,what,height\nann,tree,4.25\nbob,bush,3.5\n")
    with pytest.raises(DataError) as caught:
        read_interactions(tmp_path / "x.csv")
    assert "No column looks like the user: who (text), what (text), height (numbers)" in str(caught.value)
    assert "data.columns.user='who' --set data.columns.item='what'" in str(caught.value)
    (tmp_path / "x.csv").write_text("2024-01-05,1.5,2.25\n2024-01-06,2.5,3.25\n")
    for reader in (read_interactions, profile):
        with pytest.raises(
            DataError, match=r"No column looks like the user: 0 \(dates\), 1 \(numbers\), 2 \(numbers\)"
        ):
            reader(tmp_path / "x.csv")


def test_a_wide_matrix_names_the_line_of_a_bad_cell(tmp_path):
    head = "user," + ",".join(f"i{n}" for n in range(12))
    rows = [f"u{u}," + ",".join(str(1 + (u + n) % 5) if (u + n) % 3 else "" for n in range(12)) for u in range(8)]
    (tmp_path / "x.csv").write_text("\n".join([head, *rows[:4], "", rows[4].replace(",3,", ",many,"), *rows[5:]]))
    with pytest.raises(DataError, match=r"x\.csv:7: rating that is not a finite number"):
        read_interactions(tmp_path / "x.csv", format="wide")
    assert read_interactions(tmp_path / "x.csv", format="wide", bad_rows="drop").num_items == 12


def test_columns_can_be_named_against_the_word_wide(tmp_path):
    rows = "\n".join(",".join(str((u * 7 + n * n) % 6) for n in range(14)) for u in range(30))
    (tmp_path / "x.csv").write_text(rows + "\n")
    with pytest.raises(DataError, match="wide matrix"):
        read_interactions(tmp_path / "x.csv")
    read = read_interactions(tmp_path / "x.csv", columns=Columns(user=0, item=1))
    assert pairs_of(read) == {(str(u * 7 % 6), str((u * 7 + 1) % 6)) for u in range(30)}
