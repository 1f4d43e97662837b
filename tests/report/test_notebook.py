"""What a notebook or a paper takes of results and data: a line, a small table, LaTeX, Markdown, pictures."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from grids import grid

import sharpap as sp
from sharpap.data import split, synthetic
from sharpap.errors import ConfigError


@pytest.fixture
def results():
    return grid(4, 3, draws=2, ks=(10, 50))


def test_objects_say_what_they_are_in_a_line(results):
    data = synthetic(60, 50, 800, seed=0)
    assert (
        repr(data) == f"<Interactions: 60 users x 50 items, {data.nnz:,} interactions ({100 * data.nnz / 3000:.3g} %)>"
    )
    dataset = split(data, seed=0)
    assert repr(dataset).startswith("<Dataset ")
    assert f"train {dataset.train.nnz}" in repr(dataset)
    assert repr(results) == "<Results: 4 attacks on 3 victims, 2 target draws, 27 trainings, lists of 10, 50>"


def test_notebooks_show_tables_with_names_escaped(results):
    results.cells = [cell for cell in results.cells if cell.victim != "victim-02"]
    shown = ElementTree.fromstring(results._repr_html_())
    assert [cell.text for cell in shown.findall("./thead/tr/th")] == ["H@10, %", "victim-00", "victim-01"]
    mean = results.transfer_matrix().filter(attack="sharpap-0", victim="victim-01")["mean"][0]
    row = next(row for row in shown.findall("./tbody/tr") if row[0].text == "sharpap-0")
    assert row[2].text == f"{100 * mean:.2f}"
    dataset = split(synthetic(60, 50, 800, seed=0), seed=0, name="<b>")
    assert ElementTree.fromstring(dataset._repr_html_()).find(".//b") is None


def test_a_table_for_a_paper_takes_one_line(results):
    lines = results.to_latex(k=50).splitlines()
    assert lines[0] == r"\begin{tabular}{lrrr}"
    assert lines[2] == r"H@50, \% & victim-00 & victim-01 & victim-02 \\"
    assert len(lines) == 4 + 5 + 2
    found = results.transfer_matrix(k=50).to_dicts()
    best = max(
        (row for row in found if row["victim"] == "victim-00" and row["attack"] != "none"), key=lambda r: r["mean"]
    )
    row = next(line for line in lines if line.startswith(best["attack"]))
    half = 100 * (best["high"] - best["mean"])
    assert row.split(" & ")[1] == rf"\textbf{{{100 * best['mean']:.2f}}} $\pm$ {half:.2f}"
    assert results.to_markdown(k=50).startswith("H@50 in percent")


@pytest.fixture(scope="module")
def measured():
    """A real run, with bounds and landscapes."""
    dataset = split(synthetic(60, 50, 800, seed=0), seed=0)
    attacks = {"random": sp.RandomAttack(), "bandwagon": sp.Bandwagon()}
    victims = {"wrmf": sp.WRMF(embedding_size=4, epochs=2), "ease": sp.EASE()}
    pool = sp.TargetPool(draws=1, size=2)
    return sp.stress_test(dataset, attacks=attacks, victims=victims, targets=pool, ks=(10,), sharpness=True)


@pytest.mark.parametrize("kind", ["victims", "tradeoff", "reach", "sharpness"])
def test_pictures_are_files_of_their_own_in_light_and_dark(results, measured, kind, tmp_path):
    made = (results if kind in ("victims", "tradeoff") else measured).plot(kind, k=10)
    keys = {"reach": {"wrmf", "ease"}, "sharpness": {"random", "bandwagon"}}
    assert {f">{name}</text>" in made.svg for name in keys.get(kind, ())} <= {True}
    root = ElementTree.fromstring(made._repr_svg_())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = root.find("{http://www.w3.org/2000/svg}style").text
    assert "prefers-color-scheme:dark" in style
    assert "--paper:#ffffff" in style
    used = {name for each in root.iter() for name in each.get("class", "").split()}
    assert all(f".{name} {{ --c:" in style for name in used if name.startswith("s"))
    assert made.save(tmp_path / "a.svg").read_text() == made.svg
    height = float(root.get("height"))
    assert all(float(each.get("cy")) < height for each in root.iter() if each.get("cy"))


def test_what_cannot_be_drawn_is_said(results, tmp_path):
    with pytest.raises(ConfigError, match="no picture"):
        results.plot("pie")
    with pytest.raises(ConfigError, match="K = 7"):
        results.plot(k=7)
    with pytest.raises(ConfigError, match="SVG"):
        results.plot().save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="3 victims"):
        grid(2, 2).plot("tradeoff")
    with pytest.raises(ConfigError, match="bound"):
        results.plot("reach")
    with pytest.raises(ConfigError, match="landscape"):
        results.plot("sharpness")
