"""The page: whole, self-contained, escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from rich.console import Console

import sharpap
from sharpap.attacks import RandomAttack, RevAdv
from sharpap.data import TargetPool, split, synthetic
from sharpap.recommenders import Popularity
from sharpap.report import html, show
from sharpap.report.charts import Bar, Series, _ticks, intervals, lines
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
        if tag != "meta":
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
    assert page.links == []
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://", text)
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
