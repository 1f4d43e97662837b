"""The report in a browser: sorted, filtered, opened, copied, by keyboard, in both colour schemes, at grid size."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from grids import grid

from sharpap.assess.results import Results
from sharpap.assess.rows import Cell
from sharpap.report import html
from sharpap.text import printable

HOSTILE = '</script><img src=x onerror="document.title=1">\u2028 & ${x} {% raw %}'
SHOWN = printable(HOSTILE)  # control and format characters are escapes
FORMULA = '=HYPERLINK("x","y")'
LATEX = r"50%_of $x$ & #1 {a} \b ~ ^"
CONTRAST = """() => {
  const rgb = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    return [...parts.slice(0, 3).map((value) => value * scale), parts[3] ?? 1];
  };
  const over = (top, below) => top.slice(0, 3).map((value, i) => value * top[3] + below[i] * (1 - top[3]));
  const light = (colour) => {
    const [r, g, b] = colour.map((value) => value / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(rgb(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const ratio = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  const seen = (element) => element.checkVisibility() && element.getClientRects().length;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const style = getComputedStyle(element);
    const below = ground(element);
    const name = `${element.tagName}.${element.getAttribute("class") ?? ""}`;
    if (own && seen(element) && !["TITLE", "DESC", "SCRIPT", "STYLE", "OPTION"].includes(element.tagName.toUpperCase())) {
      const ink = rgb(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
      found.push([name, 4.5, ratio(over(ink, below), below)]);
    }
    if (seen(element) && ["circle", "polyline"].includes(element.tagName) && !element.classList.contains("faint")) {
      found.push([name, 3, ratio(over(rgb(element.tagName === "circle" ? style.fill : style.stroke), below), below)]);
    }
    const control = ["SELECT", "INPUT", "BUTTON"].includes(element.tagName) && element.type !== "checkbox";
    if (control && seen(element) && style.borderTopWidth !== "0px") {
      found.push([name + " border", 3, ratio(over(rgb(style.borderTopColor), below), below)]);
    }
  }
  return found;
}"""


def until(page, condition: str) -> None:
    """Wait for it from here: `wait_for_function` asks again by `eval`, which the page's own rules forbid."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(condition)


def made(attacks: int = 4, victims: int = 3) -> Results:
    return grid(attacks, victims, draws=3, seeds=2)


@pytest.fixture(scope="module")
def results() -> Results:
    return made()


@pytest.fixture(scope="module")
def page_file(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html(results), "utf-8")
    return path


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory):
    results = made(2, 2)
    names = {"revadv-0": HOSTILE, "sharpap-0": FORMULA, "victim-00": LATEX, "victim-01": '"quoted",\nname'}
    results.rows = [(names.get(row[0], row[0]), names.get(row[1], row[1]), *row[2:]) for row in results.rows]
    results.cells = [
        replace(cell, attack=names.get(cell.attack, cell.attack), victim=names.get(cell.victim, cell.victim))
        for cell in results.cells
    ]
    broken = Cell(
        attack=HOSTILE, victim=LATEX, draw=0, seed=0, error=f"ValueError: {HOSTILE}", traceback=f"fit.py:3 in {HOSTILE}"
    )
    results.cells[results.cells.index(next(c for c in results.cells if c.attack == HOSTILE))] = broken
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    path.write_text(html(results), "utf-8")
    return path


def column(page, place: int) -> list[float]:
    cells = page.locator(f"#matrix tbody tr td:nth-child({place + 1})").all_inner_texts()
    return [float(text.split()[0]) for text in cells]


def names(page) -> list[str]:
    return page.locator("#matrix tbody th").all_inner_texts()


def means(results: Results, metric: str, k: int) -> dict[tuple[str, str], float]:
    return {(row["attack"], row["victim"]): row["mean"] for row in results.transfer_matrix(metric, k).to_dicts()}


def test_a_victims_name_sorts_downwards_upwards_and_as_given(opened, page_file, results):
    page = opened(page_file)
    known = means(results, "H", 10)
    given = ["no attack", *results.attacks]
    button = page.get_by_role("button", name="victim-01")
    best_first = sorted(results.attacks, key=lambda name: -known[name, "victim-01"])
    for order, state in ((best_first, "descending"), (best_first[::-1], "ascending"), (given[1:], None)):
        button.click()
        assert names(page) == ["no attack", *order]
        assert page.locator("#matrix thead th:nth-child(3)").get_attribute("aria-sort") == state
        assert column(page, 2)[1:] == [pytest.approx(100 * known[name, "victim-01"], abs=0.0051) for name in order]
    page.get_by_role("button", name="sharpap-1").click()
    heads = page.locator("#matrix thead th").all_inner_texts()[1:]
    assert heads == sorted(results.victims, key=lambda name: -known["sharpap-1", name])


def test_metric_length_and_filters_choose_what_is_shown(opened, page_file, results):
    page = opened(page_file)
    page.get_by_label("metric").select_option("N")
    page.get_by_label("K, list length").select_option("50")
    page.get_by_label("attacks").fill("SHARPAP-1, revadv-0")
    page.get_by_label("victims").fill("02")
    assert names(page) == ["no attack", "revadv-0", "sharpap-1"]
    known = means(results, "N", 50)
    assert column(page, 1) == [
        pytest.approx(known[name, "victim-02"], abs=0.00006) for name in ("none", "revadv-0", "sharpap-1")
    ]
    assert page.get_by_role("status").inner_text() == "2 of 4 attacks, 1 of 3 victims"


def test_the_address_restores_what_was_shown(opened, page_file):
    page = opened(page_file)
    page.get_by_label("metric").select_option("N")
    page.get_by_label("K, list length").select_option("20")
    page.get_by_label("attacks").fill("sharpap")
    page.get_by_label("intervals").uncheck()
    page.get_by_role("button", name="victim-02").click()
    page.locator("#matrix tbody tr:nth-child(2) td:nth-child(3)").click()
    page.locator("dialog[open]").wait_for()
    shown = page.locator("#matrix").inner_html(), page.locator("dialog").inner_text()
    other = opened(page_file, page.url.partition("report.html")[2])
    other.locator("dialog[open]").wait_for()
    assert other.locator("dialog").inner_text() == shown[1]
    for view in (page, other):
        view.keyboard.press("Escape")
    assert names(other) == names(page)
    assert column(other, 3) == column(page, 3)
    assert other.get_by_label("attacks").input_value() == "sharpap"
    assert other.locator("#matrix small").count() == 0
    page.evaluate("location.hash = 'metric=H&k=50&attack=nobody&victim=%3Cb%3E'")  # by hand, and half wrong
    until(page, "document.getElementById('metric').value === 'H'")
    assert page.get_by_label("K, list length").input_value() == "50"
    assert page.locator("dialog[open]").count() == 0


def test_a_cell_opens_to_its_trainings(opened, page_file, results):
    page = opened(page_file)
    page.locator("#matrix tbody tr:nth-child(3) td:nth-child(2)").click()
    detail = page.locator("dialog[open]")
    assert detail.get_by_role("heading").first.inner_text() == "sharpap-0 → victim-00"
    runs = {
        row[:4]: row[7] for row in results.rows if row[4:7] == ("H", 10, -1)
    }  # (attack, victim, draw, seed) to value
    table = detail.locator("table").first
    assert table.locator("tbody tr").count() == 6
    for draw in range(3):
        for seed in range(2):
            cells = table.locator("tr", has_text=f"draw {draw + 1}, seed {seed + 1}").locator("td").all_inner_texts()
            after, before = (100 * runs[attack, "victim-00", draw, seed] for attack in ("sharpap-0", "none"))
            found = [float(text.replace("−", "-")) for text in cells]
            assert found == [pytest.approx(value, abs=0.0051) for value in (after, before, after - before)]
    pair = results.comparisons("H", 10).filter(attack="sharpap-0", victim="victim-00").row(0, named=True)
    row = detail.locator("tr", has_text="sharpap-0 minus revadv-0").locator("td").first.inner_text()
    assert float(row.replace("−", "-")) == pytest.approx(100 * pair["mean"], abs=0.0051)
    assert detail.locator("svg circle").count() == 12


def test_everything_works_from_the_keyboard(opened, page_file):
    page = opened(page_file)
    order = []
    for _ in range(30):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", order[-1]  # focus is seen
        if order[-1] == "attack":
            break
    assert order[0] == "Skip to the figures"
    assert order[-8:] == ["metric", "k", "attacks", "victims", "intervals", "copy-latex", "copy-csv", "attack"]
    for key in ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#matrix thead th:nth-child(2)").get_attribute("aria-sort") == "descending"
    assert page.evaluate("document.activeElement.textContent") == "victim-00"  # the focus stays where it was
    for key in ("ArrowDown", "ArrowDown", "End", "Enter"):
        page.keyboard.press(key)
    title = page.locator("dialog[open] h2").inner_text()
    assert title.endswith("→ victim-02")
    assert "victim=victim-02" in page.url
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog').open && document.activeElement.tagName === 'TD'")
    until(page, "!location.href.includes('victim=')")  # the dialog's close event comes after its focus
    place = page.evaluate("[document.activeElement.parentElement.rowIndex, document.activeElement.cellIndex]")
    assert place == [2, 3]
    page.keyboard.press("Tab")
    assert not page.evaluate("document.getElementById('matrix').contains(document.activeElement)")  # one tab stop


def test_copies_are_what_is_shown_and_safe_to_paste(opened, hostile_file):
    page = opened(hostile_file, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as CSV").click()
    page.get_by_text(re.compile("^Copied 6 cells")).wait_for()
    rows = list(csv.DictReader(io.StringIO(page.evaluate("navigator.clipboard.readText()"))))
    assert [row["attack"] for row in rows[::2]] == ["none", SHOWN, f"'{FORMULA}"]
    assert rows[1]["victim"].replace("\r\n", "\n") == '"quoted",\nname'
    for row in rows:
        mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
        assert low < mean < high
        assert (row["metric"], row["k"], row["n"]) == ("H", "10", "3")
    page.get_by_role("button", name="Copy as LaTeX").click()
    page.get_by_text("Copied 3 rows as LaTeX.").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    assert r"50\%\_of \$x\$ \& \#1 \{a\} \textbackslash{}b \textasciitilde{} \textasciicircum{}" in text
    lines = text.splitlines()
    assert lines[1] == r"\begin{tabular}{lrr}"
    assert [len(re.findall(r"(?<!\\)&", line)) for line in (lines[3], *lines[5:8])] == [2] * 4
    assert re.search(r"^no attack & \$\d+\.\d\d \\pm \d+\.\d\d\$ &", lines[5])


def test_where_the_clipboard_is_closed_the_text_is_shown(opened, page_file):
    page = opened(page_file)
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('no')))")
    page.get_by_role("button", name="Copy as LaTeX").click()
    assert page.locator("dialog textarea").input_value().startswith("% H@10, \\%: mean")


def test_hostile_names_are_text_everywhere(opened, hostile_file):
    page = opened(hostile_file)
    assert page.title() == "SharpAP on made up"
    assert page.locator("img").count() == 0
    assert page.evaluate("[...document.querySelectorAll('#matrix tbody th')].map((e) => e.textContent)")[1] == SHOWN
    page.locator("#matrix td.failed").click()
    detail = page.locator("dialog[open]")
    assert detail.locator("h2").text_content() == f"{SHOWN} → {LATEX}"
    assert detail.locator(".warn").text_content() == f"draw 1, seed 1: ValueError: {SHOWN}"
    assert detail.locator("pre").text_content() == f"fit.py:3 in {SHOWN}"
    other = opened(hostile_file, page.url.partition("report.html")[2])
    assert other.locator("dialog[open] h2").text_content() == f"{SHOWN} → {LATEX}"
    assert page.title() == other.title() == "SharpAP on made up"
    assert other.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(opened, page_file, scheme):
    page = opened(page_file, color_scheme=scheme)
    page.locator("details").first.evaluate_all("all => all.forEach((each) => { each.open = true })")
    for metric in ("H", "NDCG"):
        page.get_by_label("metric").select_option(metric)
        found = page.evaluate(CONTRAST)
        assert len(found) > 100
        assert [each for each in found if each[2] < each[1]] == []
    page.locator("#matrix tbody tr:nth-child(3) td:nth-child(2)").click()
    assert [each for each in page.evaluate(CONTRAST) if each[2] < each[1]] == []


def test_colours_follow_the_system_until_the_reader_chooses(opened, page_file):
    page = opened(page_file, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    button = page.locator("button.theme")
    button.click()
    assert button.inner_text() == "Colours: light"
    light = page.evaluate(paper)
    assert light == "rgb(255, 255, 255)" != dark
    page.reload()
    assert page.evaluate(paper) == light  # the choice is kept
    button.click()
    assert page.evaluate(paper) == dark
    page.emulate_media(media="print")
    assert page.evaluate(paper) == light  # paper is white
    assert not page.locator("#tools").is_visible()


def test_tables_are_there_without_scripts(opened, page_file, results):
    page = opened(page_file, java_script_enabled=False)
    assert names(page) == ["no attack", *results.attacks]
    assert not page.locator("#tools").is_visible()
    summaries = page.locator("noscript summary").all_inner_texts()
    assert summaries == ["H@20, %", "H@50, %", "N@10", "N@20", "N@50"]


def test_a_narrow_screen_scrolls_tables_not_the_page(opened, page_file):
    page = opened(page_file, viewport={"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(("draws", "seeds"), [(1, 1), (3, 2)])
def test_five_thousand_cells_fit_on_a_page(opened, tmp_path, draws, seeds):
    results = grid(99, 50, draws=draws, seeds=seeds, targets=1)
    path = tmp_path / "report.html"
    path.write_text(html(results), "utf-8")
    assert path.stat().st_size < 5_000_000
    page = opened(path)
    assert page.locator("#matrix td").count() == 5000
    assert page.locator("*").count() < 10_000
    page.get_by_role("button", name="victim-01").click()
    assert column(page, 2)[1:] == sorted(column(page, 2)[1:], reverse=True)
