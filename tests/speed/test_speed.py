"""What the speed benchmarks run and how they write it down; no time is asserted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.speed import __main__ as program
from benchmarks.speed import attacks, gpu, growth, kernels, machine, scaling, suite, victims
from benchmarks.speed.render import END, START, render, roofline, tables
from benchmarks.speed.runner import Benchmark, Contender, measure

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")  # torch's, for the rivals
SMALL = "120x90x2000"
ROOFS = {"read_gb_s": 20.0, "triad_gb_s": 10.0, "gflop_s": 100.0}
MACHINE = {
    "cpu": "none", "cpus": 2, "memory_gib": 1.0, "system": "Linux", "python": "3", "torch": "2", "numba": "0",
    "torch_threads": 1, "numba_threads": 1, "roofs": ROOFS,
}  # fmt: skip


def made(*rows: dict) -> dict:
    return {"rows": list(rows), "revision": "x", "when": "now"}


def row(name: str, wall: list[float], peak: float = 100.0, **facts) -> dict:
    return {"name": name, "wall": wall, "cpu": wall, "peak_mib": peak, "before_mib": 50.0, "facts": facts}


def results(**benchmarks) -> dict:
    return {"machine": MACHINE, "benchmarks": {name.replace("_", "-"): each for name, each in benchmarks.items()}}


def line(text: str, start: str) -> str:
    return next(each for each in text.splitlines() if each.startswith(start))


def test_both_sides_of_an_outer_epoch_come_to_the_same_attack_loss():
    sides = [outer(SMALL, steps=6, unrolled=2, d=8)() for outer in (attacks.outer_sparse, attacks.outer_dense)]
    assert sides[0]["attack_loss"] == pytest.approx(sides[1]["attack_loss"], rel=1e-4)
    assert {key: sides[0][key] for key in ("users", "steps", "d")} == {"users": 120, "steps": 6, "d": 8}


def test_the_three_ways_of_a_training_epoch_end_at_the_same_parameters():
    norms = [attacks.training_epoch(SMALL, how)()["norm"] for how in ("fused", "autograd", "dense")]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-3)
    assert norms[0] > 1


@pytest.mark.parametrize("name", ["sddmm", "spmm", "spmm_t", "gradient", "hvp", "bpr", "als", "topk"])
def test_every_kernel_says_what_it_computes_and_moves(name):
    facts = kernels.kernel(name, SMALL, d=8)()
    interactions = attacks.data(SMALL).nnz
    assert facts["interactions"] == interactions
    assert facts["flops"] >= kernels.REPEATS * 2 * 8 * (min(interactions, 120 * 90))
    assert facts["bytes"] > 0


@pytest.mark.parametrize("rival", ["torch sddmm", "gather sddmm", "torch spmm", "torch spmm_t", "torch topk"])
def test_every_rival_runs(rival):
    assert kernels.kernel(rival, SMALL, d=8)() == {"repeats": kernels.REPEATS, "interactions": attacks.data(SMALL).nnz}


@pytest.mark.parametrize("name", ["sddmm", "spmm", "spmm_t", "gradient", "hvp"])
def test_a_gpu_benchmark_runs_wherever_it_is_told_to(name):
    facts = gpu.kernel(name, SMALL, "cpu", d=8)()
    assert facts["norm"] > 0
    assert facts["device"].endswith("CPUs")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_both_devices_come_to_the_same_numbers():
    for name in ("sddmm", "spmm", "spmm_t", "gradient", "hvp"):
        here, there = (gpu.kernel(name, SMALL, device, d=8)()["norm"] for device in ("cpu", "cuda"))
        assert here == pytest.approx(there, rel=1e-3), name


def test_als_of_both_sides_reaches_the_loss_that_is_wanted():
    pytest.importorskip("implicit")
    for how in ("ours", "implicit"):
        facts = victims.als(SMALL, how, most=25, within=0.02)()
        assert facts["loss"] <= facts["loss_wanted"] * 1.0001, how
        assert 2 <= facts["sweeps"] < 25, how


def test_a_point_of_the_scaling_study_reads_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(growth.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(growth.stream, "STREAM_FROM", growth.stream.STREAM_FROM)
    facts = growth.point(200, 150, 3000)()
    assert facts["interactions"] == attacks.data("200x150x3000").nnz
    assert facts["csr_mib"] == pytest.approx(facts["interactions"] * 8 / 2**20, rel=0.1)
    assert {"wall", "cpu", "peak_mib", "read_s", "read_mib", "wrmf_s", "wrmf_mib", "lightgcn_s"} <= set(facts)


def test_sides_take_turns_in_processes_of_their_own_and_a_failure_is_a_row():
    settings = {"name": "spmm", "shape": SMALL, "d": 8}
    said: list[str] = []
    rows = measure(
        Benchmark(
            name="x", title="x", rounds=2,
            contenders=(
                Contender(name="ours", make="kernels:kernel", settings=settings),
                Contender(name="none", make="kernels:kernel", settings=settings | {"shape": "3x3x99"}),
            ),
        ),
        said.append,
    )  # fmt: skip
    assert len(rows[0]["wall"]) == len(rows[0]["cpu"]) == 2
    assert rows[0]["peak_mib"] >= rows[0]["before_mib"] * 0.5 > 0
    assert rows[0]["facts"]["interactions"] == attacks.data(SMALL).nnz
    assert "failed" in rows[1]
    assert [each.split(":")[0].strip() for each in said] == ["ours", "none", "ours"]


def test_without_a_gpu_its_benchmarks_say_that_they_are_left_out(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(program, "RESULTS", tmp_path / "speed.json")
    monkeypatch.setattr(program, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "speed.json").write_text(json.dumps({"machine": MACHINE, "benchmarks": {}}))
    monkeypatch.setattr(program.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["speed", "--only", "gpu-"])
    program.main()
    assert capsys.readouterr().out.count("skipped: torch sees no CUDA device here") == 6
    assert json.loads((tmp_path / "speed.json").read_text())["benchmarks"] == {}


def test_targets_are_met_missed_or_not_run():
    text = tables(results(
        outer_ml_1m_10=made(row("sharpap", [1.0, 2.0, 1.0], 100), row("dense", [30.0, 50.0, 20.0], 900)),
        help=made(row("ours", [0.3])),
    ))  # fmt: skip
    assert line(text, "| RevAdv outer epoch, ML-1M shape").endswith("| >= 20 x | 25 x | yes |")
    assert line(text, "| the same: times less memory").endswith("| >= 10 x | 9 x | **no** |")
    assert line(text, "| sharpap --help").endswith("| <= 0.3 s | 0.3 s | yes |")
    assert "not run" in line(text, "| full-ranking evaluation")


def test_a_side_that_failed_is_shown_and_counts_for_no_target():
    text = tables(
        results(outer_book_3=made(row("sharpap", [1.0]), {"name": "dense", "wall": [], "failed": "no memory"}))
    )
    assert "failed: no memory" in text
    assert "not run" in line(text, "| outer epoch at 13,149")


def test_growth_is_fitted_as_a_power_of_the_interactions():
    points = {}
    for shape in suite.GROWTH["all"]:
        users, items, n = shape
        facts = {"users": users, "items": items, "interactions": n, "csr_mib": n / 1e5, "parameters_mib": 1.0}
        facts |= {"imports_mib": 10.0, "read_s": 1.0, "read_mib": 10.0 + n / 1e5}
        facts |= {f"{name}_{what}": n**0.5 for name in ("wrmf", "lightgcn") for what in ("s", "mib")}
        points[suite.growth_name("all", shape)] = made(row("sharpap", [1e-6 * n**1.25], **facts))
    found = {"machine": MACHINE, "benchmarks": points}
    text = tables(found)
    assert line(text, "| growth of outer-step time").endswith("| <= 1.1  | 1.25  | **no** |")
    assert line(text, "| reading 25 M").endswith("| <= 1 x | 0.333 x | yes |")
    assert "outer step 1.25, WRMF, a sweep 0.50, LightGCN, an epoch 0.50" in text
    assert scaling.plot({name: each["rows"] for name, each in points.items()}).count("<circle") == 18


def test_the_page_keeps_what_stands_around_its_tables(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    render(results(kernel_spmm=made(row("spmm", [1.0], gflop_s=5.0, share_of_roof=0.5, flops=10, bytes=20))), page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "spmm: 50 %" in (tmp_path / "roofline.svg").read_text()


def test_the_share_of_the_roof_takes_whichever_binds():
    rows = [row("a", [1.0], flops=50e9, bytes=1e9), row("b", [1.0], flops=1e9, bytes=10e9)]
    program._against_roof(rows, ROOFS)
    assert [each["facts"]["share_of_roof"] for each in rows] == [0.5, 0.5]


def test_probes_sum_what_they_read_and_find_positive_peaks():
    numbers = np.arange(1024, dtype=np.float32)
    assert machine._sum(numbers) == machine._sum_part(numbers) == numbers.sum()
    assert all(value > 0 for value in machine.roofs(1 << 14, 32, 2).values())


def test_committed_results_have_the_form_that_the_tables_are_made_from():
    found = json.loads(program.RESULTS.read_text())
    known = {each.name: [side.name for side in each.contenders] for each in suite.BENCHMARKS}
    for name, each in found["benchmarks"].items():
        assert [side["name"] for side in each["rows"]] == known[name]
        assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?", each["revision"])
        for side in each["rows"]:
            assert "failed" in side or len(side["wall"]) == len(side["cpu"]) > 0
    page = (Path(program.ROOT) / "docs" / "performance.md").read_text()
    assert tables(found) in page, "python -m benchmarks.speed --render"
    assert roofline(found) == (Path(program.ROOT) / "docs" / "roofline.svg").read_text()
