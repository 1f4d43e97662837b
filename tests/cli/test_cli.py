"""The command line as a user meets it: results, exit codes, no tracebacks."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from sharpap import __version__
from sharpap.checksums import note_again
from sharpap.cli import names
from sharpap.cli.app import app
from sharpap.cli.help import Verbs
from sharpap.folders import MARKER

DATA = ["--data", "synthetic", "--set", "data.users=80", "--set", "data.items=90", "--set", "data.interactions=1200"]
QUICK = ["--set", "attacks.sharpap.epochs=2", "--set", "attacks.sharpap.finalists=1",
         "--set", "attacks.sharpap.surrogate.epochs=4", "--set", "attacks.sharpap.surrogate.unrolled_epochs=2"]  # fmt: skip


def test_run_writes_everything(sharpap, tmp_path):
    out = tmp_path / "out"
    code, text, err = sharpap(
        "run",
        *DATA,
        *QUICK,
        "--attack",
        "random",
        "--attack",
        "sharpap",
        "--victim",
        "popularity",
        "--draws",
        2,
        "-o",
        out,
    )
    assert code == 0, err
    assert "Transfer matrix" in text
    assert {entry.name for entry in out.iterdir()} == {
        "config.toml", "results.parquet", "cells.parquet", "provenance.json", "report.html", "log.jsonl", "poison", "cells",
        "SHA256SUMS", MARKER,
    }  # fmt: skip
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in events].count("cell") == 1 + 2 * 2
    first = pl.read_parquet(out / "results.parquet")
    again = tmp_path / "again"
    code, text, _ = sharpap("run", out / "config.toml", "-o", again, "-q", "--json")
    assert code == 0
    assert pl.read_parquet(again / "results.parquet").equals(first)
    parsed = json.loads(text)
    assert {row["attack"] for row in parsed["transfer"]} == {"none", "random", "sharpap"}

    code, text, err = sharpap("run", out / "config.toml", "-o", out, "--set", "attacks.sharpap.epochs=3")
    assert code == 2
    assert "already holds results" in err
    assert "attacks.sharpap differs" in err
    assert pl.read_parquet(out / "results.parquet").equals(first)
    code, text, _ = sharpap("report", out, "--k", 50)
    assert code == 0
    assert "H@50" in text
    assert sharpap("report", out, "--k", 7)[0] == 2
    text = sharpap("report", out, "--markdown")[1]
    assert "| attack | popularity |" in text
    assert "no attack" in text
    gain = sharpap("report", out, "--markdown", "--metric", "N")[1]
    assert gain.startswith("N@10 in percent")
    assert "N@10 in %" in sharpap("report", out, "--metric", "N")[1]
    code, _, err = sharpap("report", out, "--metric", "NDCG")
    assert code == 2
    assert "H, N, anyH" in err
    assert json.loads(sharpap("report", out, "--json")[1])["dataset"] == "synthetic"


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv", ".inter"])
def test_attack_then_evaluate(suffix, sharpap, tmp_path):
    path = tmp_path / f"fakes{suffix}"
    code, text, err = sharpap("attack", "bandwagon", *DATA, "--fakes", 3, "-o", path, "-q")
    assert code == 0, err
    assert "3 profiles" in text
    code, text, err = sharpap("evaluate", path, *DATA, "--victim", "popularity", "-q", "--json", "-o", tmp_path / "out")
    assert code == 0, err
    assert {row["attack"] for row in json.loads(text)["transfer"]} == {"none", "fakes"}
    assert (tmp_path / "out" / "report.html").exists()
    code, _, err = sharpap("attack", "bandwagon", *DATA, "-o", path)
    assert code == 2
    assert "exists" in err


def test_own_file_with_own_targets(sharpap, tmp_path):
    rows = "".join(f"{u},{(3 * u + i * i) % 40},{1 + (u + i) % 5}\n" for u in range(60) for i in range(9))
    (tmp_path / "mine.csv").write_text("user,item,stars\n" + rows)
    code, text, err = sharpap(
        "attack", "random", "--data", tmp_path / "mine.csv", "--threshold", 3, "--targets", "7,9", "-o", tmp_path / "f.csv",
        "-q", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(text)["target_ids"] == ["7", "9"]


BAD = {
    "unknown recipe": (["run", "dmo"], 2, "Did you mean 'demo'"),
    "unknown dataset": (["run", "--data", "ml-100m"], 2, "Did you mean 'ml-100k'"),
    "unknown attack": (["run", *DATA, "--attack", "sharpep"], 2, "Did you mean 'sharpap'"),
    "unknown option": (["run", *DATA, "--set", "attacks.sharpap.epoch=3"], 2, "Did you mean 'epochs'"),
    "malformed set": (["run", *DATA, "--set", "nonsense"], 2, "not of the form"),
    "set through a value": (["run", *DATA, "--set", "seed.x=1"], 2, "is a value"),
    "bad fakes": (["run", *DATA, "--fakes", "many"], 2, "neither a share"),
    "share or number": (["run", *DATA, "--fakes", "1.0"], 2, "1.0 could mean either"),
    "fakes without end": (["run", *DATA, "--fakes", "inf"], 2, "neither a share"),
    "no fakes": (["run", *DATA, "--fakes", "0"], 2, "neither a share"),
    "half a fake": (["run", *DATA, "--fakes", "2.5"], 2, "neither a share"),
    "negative seed": (["run", *DATA, "--seed", "-1"], 2, "greater than or equal to 0"),
    "negative seed by set": (["run", *DATA, "--set", "seed=-1"], 2, "seed=-1 must be 0 or positive"),
    "draws of named items": (["run", *DATA, "--targets", "7,9", "--draws", "3"], 2, "there is only one"),
    "a place that is none": (["attack", "random", *DATA, "-o", "/dev/null/x.csv"], 2, "cannot be written"),
    "two forms": (["report", "nowhere", "--json", "--markdown"], 2, "two forms"),
    "a word for a list": (["audit", "popularity", *DATA, "--set", 'attacks="random"'], 2, 'attacks=["NAME"]'),
    "negative core": (["data", "synthetic", "--set", "k_core=-3"], 2, "k_core=-3"),
    "unknown shape": (["data", "synthetic", "--set", "usrs=3"], 2, "Did you mean 'users'"),
    "missing file": (["data", "nowhere/none.csv"], 1, "no such file"),
    "unknown target": (["attack", "random", *DATA, "--targets", "zzz", "-o", "x.csv"], 1, "not in the data: zzz"),
    "bad suffix": (["attack", "random", *DATA, "-o", "x.txt"], 2, "no known suffix"),
    "no such list": (["list", "atacks"], 2, "Did you mean 'attacks'"),
    "no results": (["report", "nowhere"], 1, "not a results folder"),
    "budget": (["attack", "random", *DATA, "--set", "budget.profile_size=2", "-o", "x.csv"], 1, "cannot hold"),
    "no such verb": (["frobnicate"], 2, "No such command"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_are_one_message_with_a_way_out(case, sharpap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args, expected, word = BAD[case]
    code, _, err = sharpap(*args)
    assert code == expected, err
    assert word in err.replace("\n", " ")
    assert "Traceback" not in err
    assert {entry.name for entry in tmp_path.iterdir()} <= {"results"}
    assert not list(tmp_path.glob("results/*.parquet"))


def test_bad_toml_and_bad_data_name_their_line(sharpap, tmp_path):
    (tmp_path / "r.toml").write_text("seed = 1\nks = = 3\n")
    code, _, err = sharpap("run", tmp_path / "r.toml", "-o", tmp_path / "out")
    assert code == 2
    assert "line 2" in err
    (tmp_path / "x.csv").write_text("user,item,rating\n1,2,5\n1,3,bad\n")
    code, _, err = sharpap("data", tmp_path / "x.csv")
    assert code == 1
    assert "x.csv:3" in err


def test_list_data_doctor_version(sharpap):
    assert "lightgcn" in sharpap("list", "victims")[1]
    assert "ml-1m" in json.loads(sharpap("list", "--json")[1])["datasets"]
    assert "revadv with worst_case = sharpness-aware" in sharpap("list", "attacks")[1]
    assert "transfers" in sharpap("list", "recipes")[1]
    assert "from 95% to 100% of the items" in sharpap("list", "pools")[1]
    code, text, _ = sharpap(
        "data", "synthetic", "--set", "users=50", "--set", "items=60", "--set", "interactions=400", "-q"
    )
    assert code == 0
    assert "target pools" in text
    code, text, _ = sharpap("doctor", "--json")
    assert code == 0
    assert json.loads(text)["ok"] is True
    assert __version__ in sharpap("--version")[1]


def loaded_by(argv, names, folder):
    """Which of the named modules a successful call of the command line has loaded, as printed by its own process."""
    code = (
        f"import sys; sys.argv = {['sharpap', *argv]}\n"
        "from sharpap.cli import main\ntry:\n    main()\nexcept SystemExit as done:\n    assert not done.code\n"
        f"print(sorted({names} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout.splitlines()[-1]


def test_help_is_quick_and_imports_nothing_heavy(tmp_path):
    assert loaded_by(["--help"], {"torch", "numba", "polars", "scipy", "pandas"}, tmp_path) == "[]"


def test_help_names_every_verb_once_in_a_group_with_its_whole_sentence():
    shown = CliRunner().invoke(app, ["--help"], terminal_width=60).output
    group = typer.main.get_command(app)
    assert isinstance(group, Verbs)
    verbs = group.commands
    assert {name for names in Verbs.groups.values() for name in names} == set(verbs)
    assert "..." not in shown.split("Start:")[1]
    for name, command in verbs.items():
        assert len(re.findall(rf"^  {name} ", shown, re.MULTILINE)) == 1
        assert " ".join((command.help or "none").split("\n\n")[0].split()) in " ".join(shown.split())
    assert "Commands:" in CliRunner().invoke(app, ["data", "--help"]).output


HEAVY = {"torch", "numba", "polars", "scipy", "pandas", "sharpap.attacks", "sharpap.recommenders"}


@pytest.mark.parametrize("what", ["attacks", "all"])
def test_listing_names_imports_nothing_heavy(what, tmp_path):
    assert loaded_by(["list", what], HEAVY, tmp_path) == "[]"


def test_the_table_of_names_is_that_of_the_classes():
    assert names.known() == names.table(), "run `python -m sharpap.cli.names`"


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["run", "dmo"], "demo"), (["tune", "dmo"], "demo"), (["attack", "sharpep", "-o", "x.npz"], "sharpap"),
        (["audit", "wmrf"], "wrmf"), (["reach", "wmrf"], "wrmf"), (["check-recommender", "wmrf"], "wrmf"),
        (["detect", "nowhere", "--detector", "rdna"], "rdma"), (["certify", "wrmf", "--attack", "randm"], "random"),
        (["audit", "wrmf", "--attack", "randm"], "random"), (["audit", "wrmf", "--defense", "baging"], "bagging"),
        (["list", "atacks"], "attacks"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_name_is_told_before_anything_heavy_is_imported(argv, meant, tmp_path):
    code = (
        f"import sys; sys.argv = {['sharpap', *argv]}\nfrom sharpap.cli import main\ntry:\n    main()\n"
        f"except SystemExit as done:\n    print(done.code, sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "2 []"
    assert f"Did you mean '{meant}'?" in done.stderr


@pytest.mark.parametrize("verb", ["inspect", "convert"])
def test_looking_at_a_file_does_not_load_torch(verb, tmp_path):
    (tmp_path / "few.csv").write_text("user,item\n1,2\n2,3\n1,3\n")
    argv = ["data", verb, "few.csv", *(["few.parquet"] if verb == "convert" else [])]
    assert loaded_by(argv, {"torch", "numba", "sharpap.attacks"}, tmp_path) == "[]"


def test_interrupt_gives_130(sharpap, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(names, "show_names", stop)
    code, _, err = sharpap("list")
    assert code == 130
    assert "Traceback" not in err


def test_audit_answers_on_one_page(sharpap, tmp_path):
    out = tmp_path / "audit"
    options = ["--set", 'attacks=["random"]', "--set", "budgets=[0.05]", "--set", "draws=2", "--set", "size=2"]
    code, text, err = sharpap("audit", "popularity", *DATA, *options, "-o", out)
    assert code == 0, err
    assert "How many fake users does it take?" in text
    record = json.loads((out / "audit.json").read_text())
    assert record["curve"][0]["fakes"] == 4
    assert record["needed"]["0.1"] == [4, None]
    assert "How exposed is popularity?</h1>" in (out / "audit.html").read_text()
    assert (out / "audit.md").read_text().startswith("# How exposed is popularity?")
    code, _, err = sharpap("audit", "popularity", *DATA, *options, "-o", out)
    assert code == 2
    assert "--overwrite" in err
    code, _, err = sharpap("audit", "popularty", *DATA, "-o", tmp_path / "other")
    assert code == 2
    assert "Did you mean 'popularity'?" in err


def test_audit_of_the_users_own_class(sharpap, tmp_path, monkeypatch):
    (tmp_path / "mine_to_audit.py").write_text(
        "import numpy as np\n"
        "class Counts:\n"
        "    def __init__(self, power=1.0):\n"
        "        self.power = power\n"
        "    def fit(self, train, seed):\n"
        "        self.counts = np.asarray(train.sum(0), float) ** self.power\n"
        "    def score(self, users):\n"
        "        return np.tile(self.counts, (len(users), 1))\n"
    )
    monkeypatch.chdir(tmp_path)
    options = ["--set", 'attacks=["random"]', "--set", "budgets=[0.05]", "--set", "draws=2", "--set", "size=2"]
    code, _, err = sharpap("audit", "mine_to_audit:Counts", *DATA, *options, "--set", "victim.power=0.5")
    assert code == 0, err
    mine = json.loads((tmp_path / "results" / "audit-mine_to_audit-Counts" / "audit.json").read_text())
    code, _, err = sharpap("audit", "popularity", *DATA, *options, "-o", "theirs")
    assert code == 0, err
    theirs = json.loads((tmp_path / "theirs" / "audit.json").read_text())
    assert mine["curve"] == theirs["curve"]  # a monotone function of popularity ranks as popularity does


def test_detectors_on_a_finished_run(sharpap, tmp_path):
    out = tmp_path / "run"
    code, _, err = sharpap("run", *DATA, "--attack", "random", "--victim", "popularity", "--draws", "2", "-o", out)
    assert code == 0, err
    code, text, err = sharpap("detect", out, "--detector", "rdma", "--detector", "profile-size", "--json")
    assert code == 0, err
    found = json.loads(text)["detections"]
    assert [each["detector"] for each in found] == ["random", "rdma", "profile-size"]  # guessing stands beside them
    assert found[1]["auc"]["n"] == 2
    assert 0.5 < found[1]["auc"]["mean"] <= 1
    assert json.loads((out / "detection.json").read_text())["detections"] == found
    code, text, err = sharpap("detect", out, "--detector", "rdma", "--victim", "popularity", "--json")
    assert code == 0, err
    facts = json.loads(text)
    assert facts["victim"] == "popularity"
    assert facts["detections"][0]["ndcg"]["n"] == 2
    assert set(facts["references"]["random"]) == {"nobody", "the fakes"}
    code, text, err = sharpap("detect", out, "--detector", "rdma", "--victim", "popularity")
    assert code == 0, err
    assert "trained without the suspects" in text
    (out / "poison" / "random-draw1.npz").rename(tmp_path / "away.npz")
    code, _, err = sharpap("detect", out, "--detector", "rdma")
    assert code == 1
    assert "random-draw1.npz" in err
    cells = pl.read_parquet(out / "cells.parquet")
    lost = (pl.col("attack") == "random") & (pl.col("draw") == 1)
    cells.with_columns(error=pl.when(lost).then(pl.lit("crafting failed")).otherwise("error")).write_parquet(
        out / "cells.parquet"
    )
    note_again(out, "cells.parquet")
    code, text, err = sharpap("detect", out, "--detector", "rdma", "--json")
    assert code == 0, err
    assert json.loads(text)["detections"][0]["auc"]["n"] == 1
    code, _, err = sharpap("detect", out, "--detector", "rdm")
    assert code == 2
    assert "Did you mean 'rdma'" in err
    code, _, err = sharpap("detect", out, "--set", "data.interactions=900")
    assert code == 1
    assert "is not the data of this run" in err
    code, text, err = sharpap("detect", out, "--set", "deg-sim.neighbours=2")
    assert code == 0, err
    assert "deg-sim" in text


def test_the_random_attack_stands_beside_a_run_without_it(sharpap, tmp_path):
    out = tmp_path / "run"
    code, _, err = sharpap("run", *DATA, "--attack", "copy", "--victim", "popularity", "--draws", "1", "-o", out)
    assert code == 0, err
    code, text, err = sharpap("detect", out, "--detector", "rdma", "--json")
    assert code == 0, err
    found = {(each["attack"], each["detector"]): each for each in json.loads(text)["detections"]}
    assert set(found) == {(attack, detector) for attack in ("copy", "random") for detector in ("random", "rdma")}
    assert found["random", "rdma"]["guessing"] == found["copy", "rdma"]["guessing"]


def test_detectors_and_defences_are_listed(sharpap):
    assert "pca-varselect" in sharpap("list", "detectors")[1]
    assert "bagging" in sharpap("list", "defenses")[1]
