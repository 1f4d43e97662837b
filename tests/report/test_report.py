"""The page: whole, self-contained, escaped."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree

import polars as pl
import pytest
from grids import grid
from markdown_it import MarkdownIt
from rich.console import Console

import sharpap
from sharpap.assess import Results
from sharpap.assess.rows import Cell
from sharpap.assess.tables import summary
from sharpap.attacks import Portfolio, RandomAttack, RevAdv, SharpnessAware
from sharpap.data import TargetPool, split, synthetic
from sharpap.recommenders import Popularity
from sharpap.report import html, show
from sharpap.report.charts import Bar, Series, _ticks, intervals, lines
from sharpap.report.markdown import markdown, table
from sharpap.report.matrix import facts
from sharpap.report.page import finding, notes
from sharpap.report.sections import times
from sharpap.report.template import island
from sharpap.surrogates import WRMFSurrogate

NASTY = '<script>alert("x")</script> & [bold]'
SMALL = RevAdv(
    surrogate=WRMFSurrogate(embedding_size=4, epochs=4, unrolled_epochs=2), epochs=2, finalists=1, final_seeds=1
)


@pytest.fixture(scope="module")
def results():
    made = synthetic(60, 80, 900, seed=0)
    made = replace(made, item_titles=tuple(f"{NASTY} {item}" for item in range(80)))
    return sharpap.stress_test(
        split(made, name=f"data {NASTY}"), attacks={"random": RandomAttack(), f"mine {NASTY}": SMALL},
        victims={"floor": Popularity(), NASTY: Popularity()}, targets=TargetPool(draws=2),
    )  # fmt: skip


class Page(HTMLParser):
    """Tags and addresses of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.links, self.stack = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "input"):
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_the_page_is_well_formed_loads_nothing_and_escapes_names(results, tmp_path):
    folder = results.save(tmp_path / "out")
    text = (folder / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.stack == []
    assert "\\xa0" not in text  # our own space that does not break is no escape
    assert all(link.startswith("#") for link in page.links)
    assert page.tags.count("script") == 3  # colours, the data, the matrix
    namespace = "http://www.w3.org/2000/svg"
    assert not re.search(r"url\(|@import|https?://|<link|<img|\bfetch\(", text.replace(namespace, ""))
    assert "&lt;script&gt;" in text
    for word in (
        "Transfer matrix",
        "converged",
        "Accuracy for genuine users",
        "Fake profiles beside",
        "Targets",
        "provenance",
    ):
        assert word in text
    assert text.count("<svg") == 4


def test_the_policy_allows_the_page_its_own_style_and_scripts_only(results):
    text = html(results)
    policy = unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [b64encode(sha256(part.encode()).digest()).decode() for part in (style, *scripts)]
    assert re.findall(r"sha256-([^']+)'", policy) == hashes
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_the_data_island_holds_hostile_strings_without_ending_it(results):
    hostile = {"name": "</script><!-- \u2028 \u2029 & <script>"}
    text = island(hostile)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == {"name": "</script><!-- \\u2028 \\u2029 & <script>"}
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', html(results), re.DOTALL)[1]
    assert json.loads(data)["victims"] == ["floor", NASTY]


def test_the_data_island_holds_the_measured_values(results):
    data = facts(results, 10)
    size = len(data["draws"]) * len(data["seeds"])
    frame = results.frame.filter((pl.col("metric") == "N") & (pl.col("k") == 20) & (pl.col("target") == -1))
    for row in frame.iter_rows(named=True):
        cell = data["attacks"].index(row["attack"]) * len(data["victims"]) + data["victims"].index(row["victim"])
        value = data["figures"]["N@20"]["runs"][cell * size + row["draw"] * len(data["seeds"]) + row["seed"]]
        assert value / 1e6 == pytest.approx(row["value"], abs=6e-7)
    for row in results.transfer_matrix("H", 10).iter_rows(named=True):
        cell = data["attacks"].index(row["attack"]) * len(data["victims"]) + data["victims"].index(row["victim"])
        low = data["figures"]["H@10"]["mean"][cell] - data["figures"]["H@10"]["half"][cell]
        assert low / 1e6 == pytest.approx(row["low"], abs=2e-6)


def test_single_values_are_left_out_where_they_would_fill_the_page():
    data = facts(grid(20, 10, draws=25, seeds=8), 10)
    assert "runs" in data["figures"]["H@10"]
    assert "runs" not in data["figures"]["NDCG@50"]
    assert len(json.dumps(data)) < 4_000_000


def test_numbers_on_the_page_are_those_of_the_table(results):
    text = html(results)
    for row in results.transfer_matrix("H", 10).to_dicts():
        assert f"{100 * row['mean']:.2f}" in text


def test_terminal_tables_show_names_as_they_are(results):
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    show(results, console)
    text = console.export_text()
    assert "[bold]" in text
    assert "Transfer matrix" in text
    console.file.close()


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize(("attacks", "victims"), [(14, 3), (3, 14), (14, 14)])
def test_tables_of_many_columns_show_every_figure_whole(width, attacks, victims):
    """Turned over, or in parts: rich would cut a figure to "0.1…"."""
    made = grid(attacks, victims, draws=3)
    console = Console(record=True, width=width, file=StringIO())
    show(made, console)
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    found = summary.utility(made.frame, made.attacks, made.victims, metric="NDCG", k=10)
    figures = [f"{value:.4f}" for value in found["mean"]]
    figures += [f"{100 * value:.2f} ±" for value in made.transfer_matrix("H", 10)["mean"]]
    assert [figure for figure in figures if figure not in text] == []
    assert all(name in text for name in [*made.attacks, *made.victims])


MARKED = {
    "an image": "![x](https://example.org/x.png)",
    "a link": "[x](javascript:alert(1))",
    "html": "<img src=x onerror=alert(1)> &lt;b&gt;",
    "emphasis": "**bold** _slanted_ ~~gone~~ `code`",
    "a cell's end": "a|b\\|c",
    "nothing special": "sharpap-rho_0.05 (ours), 10 %",
}


@pytest.mark.parametrize("case", MARKED)
def test_markdown_shows_names_as_they_are(case):
    """Judged by another library's reading of the table."""
    name = MARKED[case]
    page = MarkdownIt("gfm-like", {"linkify": False}).render(table([name, "x"], [[name, "1"], ["y\n| z |x", "2"]]))
    assert page.count("<tr>") == 3
    assert [unescape(cell) for cell in re.findall(r"<th>(.*?)</th>", page)] == [name]
    assert [unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", page)] == [name, r"y\n| z |x"]
    assert "sharpap-rho_0.05" not in name or name in table([name], [])


def test_costs_are_of_trainings_that_did_not_fail_and_of_all_crafting(results, tmp_path):
    timed = [replace(cell, train_seconds=2.0, evaluate_seconds=0.5) for cell in results.cells]
    timed[0] = replace(timed[0], error="It broke.", train_seconds=900.0)
    worse = replace(results, cells=timed)
    victim = timed[0].victim
    trained = sum(cell.victim == victim for cell in timed) - 1
    (row,) = worse.costs.filter(step="training", name=victim).to_dicts()
    assert (row["n"], row["mean_seconds"], row["total_seconds"]) == (trained, 2.5, 2.5 * trained)
    crafted = {attack: [] for attack, _ in results.poisons}
    for (attack, _), poison in results.poisons.items():
        crafted[attack].append(poison.seconds)
    rows = worse.costs.filter(step="crafting").to_dicts()
    assert {row["name"]: row["total_seconds"] for row in rows} == pytest.approx({a: sum(s) for a, s in crafted.items()})
    whole = 2.5 * (len(timed) - 1) + sum(map(sum, crafted.values()))
    assert f"| all |  |  | {whole:.0f} |" in markdown(worse)
    assert dict(times(worse))[f"training {victim}"] == "2.5 s"
    machine = worse.provenance["machine"] | {"gpu": "Some Card"}
    assert ", Some Card" in markdown(replace(worse, provenance=worse.provenance | {"machine": machine}))
    assert Results.load(worse.save(tmp_path / "out")).costs.equals(worse.costs)


def test_tables_of_another_metric_hold_its_figures():
    made = grid(2, 2, draws=3)
    for metric in ("H", "N"):
        console = Console(record=True, width=200, file=StringIO())
        show(made, console, 20, metric)
        shown, text = console.export_text(), markdown(made, 20, metric)
        assert f"Transfer matrix: {metric}@20 in %" in shown
        assert text.startswith(f"{metric}@20 in percent")
        figures = [f"{100 * mean:.2f}" for mean in made.transfer_matrix(metric, 20)["mean"]]
        figures += [f"{100 * gap:+.2f}" for gap in made.comparisons(metric, 20)["mean"]]
        assert all(figure in shown and figure in text for figure in figures)


def test_charts_are_valid_svg_with_escaped_labels():
    chart = lines(
        [Series(label=NASTY, style="s0", points=[(0, 0.1), (1, float("nan")), (2, 0.3)])], x_label="x", y_label=NASTY
    )
    bars = intervals(
        [(NASTY, [Bar(label=NASTY, style="s1", mean=0.2, low=-0.1, high=0.4),
                  Bar(label="one", style="s2", mean=0.1, low=float("nan"), high=float("nan"))])], x_label="H@10",
    )  # fmt: skip
    for text in (chart, bars):
        svg = re.search(r"<svg.*</svg>", text, re.DOTALL)
        assert svg
        ElementTree.fromstring(svg.group())
        assert "<script>" not in text
    assert lines([], x_label="x", y_label="y") == ""


@pytest.mark.parametrize("top", [0.0, 1e-5, 0.0031, 0.1, 0.99, 1.0, 7, 100, 12345])
def test_ticks_are_round_and_cover_the_data(top):
    ticks = _ticks(top)
    assert ticks[0] == 0
    assert ticks[-1] >= top
    assert 2 <= len(ticks) <= 7


def test_what_a_worst_case_does_not_apply_to_is_named_everywhere_with_its_reason():
    attacks = {
        "random": RandomAttack(), "revadv": SMALL, "sharpap": replace(SMALL, worst_case=SharpnessAware()),
        "several": Portfolio(attacks=(SMALL,), judges=(Popularity(),), restarts=1),
    }  # fmt: skip
    found = sharpap.stress_test(
        split(synthetic(40, 50, 600, seed=0)),
        attacks=attacks,
        victims={"floor": Popularity()},
        targets=TargetPool(draws=1),
    )
    words = "Not applicable to random: without an attack loss there is no worst case."
    console = Console(file=StringIO(), width=160)
    show(found, console)
    for text in (console.file.getvalue(), html(found), markdown(found)):  # pyright: ignore[reportAttributeAccessIssue]
        assert words in text.replace("\\", "")
    alone = replace(found, config={**found.config, "attacks": {"random": {"file": "x"}}})
    assert "Not applicable" not in markdown(alone)


def made(cells, demote=False, **more):
    """Results of one draw and seed: (attack, victim, H@10 or an error)."""
    rows = [(a, v, 0, 0, "H", 10, -1, value) for a, v, value in cells if isinstance(value, float)]
    found = [Cell(attack=a, victim=v, draw=0, seed=0, error=e if isinstance(e, str) else "") for a, v, e in cells]
    return Results(dataset=None, config={"direction": "demote"} if demote else {}, rows=rows, cells=found, **more)


def test_the_finding_is_what_an_attack_did_and_not_where_a_victim_stood():
    up = made([("none", "a", 0.2), ("none", "b", 0.05), ("x", "a", 0.21), ("x", "b", 0.15)])
    assert finding(up, 10).startswith("Most exposed: b under x. A target item stands in the top 10 of 15.00 %")
    down = made([("none", "a", 0.9), ("none", "b", 0.8), ("x", "a", 0.9), ("x", "b", 0.3)], demote=True)
    assert "b under x. A target item stands in the top 10 of 30.00 %" in finding(down, 10)
    assert "at the lowest" in html(down)
    assert "No target" not in finding(made([("none", "a", 0.9), ("x", "a", 0.0)], demote=True), 10)
    lost = made([("none", "a", 0.04), ("x", "a", 0.02)])
    assert finding(lost, 10).startswith("Nothing was gained; nearest came: a under x")
    stopped = made([("none", "a", 0.04)], provenance={"interrupted": True})
    assert finding(stopped, 10).startswith("Stopped before")


def test_failed_trainings_are_counted_and_marked_in_every_form():
    cells = [("none", "a", 0.0), ("none", "b", 0.0), ("x", "a", 0.1)]
    broken = made([*cells, *[("x", "b", "RuntimeError: no")] * 7])
    console = Console(file=StringIO(), width=120)
    show(broken, console)
    text = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    for form in (text, markdown(broken)):
        assert "7 of 10 trainings failed" in form
        assert "†" in form
    assert "and 2 more" in text


def test_target_draws_that_overlap_are_pointed_out():
    rows = [
        ("x", "a", draw, 0, "H", 10, target, 0.1)
        for draw, targets in enumerate(([-1, 1, 2], [-1, 2, 3]))
        for target in targets
    ]
    found = Results(dataset=None, config={}, rows=rows, cells=[Cell(attack="x", victim="a", draw=0, seed=0)])
    assert "share items" in notes(found)[0]
    assert not notes(Results(dataset=None, config={}, rows=rows[:3], cells=found.cells))


def test_control_characters_of_names_and_titles_reach_no_page(tmp_path):
    """In tables, charts, the settings and the data of the script; line breaks of settings stay."""
    raw = "\x1b]0;owned\x07\u202egnp.exe"
    found = grid(2, 2)
    found.cells = [replace(cell, victim=raw if cell.victim == "victim-00" else cell.victim) for cell in found.cells]
    found.rows = [(row[0], raw if row[1] == "victim-00" else row[1], *row[2:]) for row in found.rows]
    found.config["title"] = raw
    found.provenance["dataset"] |= {"name": raw, "source": {"path": raw}}
    found.provenance["figures"] = {"genuine": None, "attacks": {}, "targets": {"0": {"label": raw, "interactions": 1}}}
    for text in (found.save(tmp_path / "out").joinpath("report.html").read_text("utf-8"), markdown(found)):
        assert not [mark for mark in text if not mark.isprintable() and mark not in "\n\xa0"]
        assert "\\x1b" in text
