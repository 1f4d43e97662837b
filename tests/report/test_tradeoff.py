"""Exposure against accuracy: the worst attack on each victim, the front, and what looks genuine drawn apart."""

from __future__ import annotations

import pytest

from sharpap.assess.results import Results
from sharpap.assess.rows import Cell
from sharpap.report import tradeoff
from sharpap.report.page import html

FIGURES = {  # victim: NDCG, hits of sharpap, hits of copy
    "plain": (0.22, 0.20, 0.02),
    "safe": (0.20, 0.05, 0.01),
    "worse": (0.19, 0.06, 0.03),
}


@pytest.fixture
def results():
    made = Results(
        dataset=None,
        config={
            "attacks": {"sharpap": {"name": "sharpap"}, "copied": {"name": "copy"}},
            "victims": {
                "plain": {"name": "wrmf"},
                "safe": {"name": "defended", "recommender": {"name": "wrmf"}, "defense": {"name": "bagging"}},
                "worse": {"name": "ease"},
            },
        },
        provenance={},
    )
    for victim, (ndcg, strong, copied) in FIGURES.items():
        for attack, hits in (("none", 0.0), ("sharpap", strong), ("copied", copied)):
            for draw in (-1,) if attack == "none" else (0, 1):
                made.add(attack, victim, draw, 0, [("NDCG", 10, -1, ndcg)])
                made.add(attack, victim, max(draw, 0), 0, [("H", 10, -1, hits + 0.01 * max(draw, 0))])
                made.cells.append(Cell(attack=attack, victim=victim, draw=draw, seed=0, train_seconds=1.0))
    return made


def test_each_victim_stands_under_its_strongest_attack_and_the_front_is_what_nobody_beats(results):
    found = {each.victim: each for each in tradeoff.points(results, 10)}
    assert [each.victim for each in tradeoff.points(results, 10)] == ["plain", "safe", "worse"]
    assert {name: each.front for name, each in found.items()} == {"plain": True, "safe": True, "worse": False}
    assert (found["plain"].worst.attack, found["plain"].worst.hits) == ("sharpap", pytest.approx(0.205))
    assert (found["safe"].defended, found["safe"].recommender) == (True, "wrmf")
    assert not found["worse"].defended


def test_attacks_that_look_genuine_are_told_by_what_they_are_and_not_by_their_name(results):
    assert tradeoff.imitating(results) == {"copied"}
    plain = tradeoff.points(results, 10)[0].genuine
    assert plain is not None
    assert (plain.attack, plain.hits) == ("copied", pytest.approx(0.025))
    results.config["attacks"]["copied"] = {"name": "bandwagon"}
    assert all(each.genuine is None for each in tradeoff.points(results, 10))


def test_the_page_has_both_pictures_and_the_table_of_the_front(results):
    page = html(results)
    assert all(part in page for part in ('id="tradeoff"', "whose profiles look genuine", "s0 ring"))
    table = page.split("not beaten in both</th>", 1)[1].split("</table>", 1)[0]
    assert [name in table for name in FIGURES] == [True, True, False]


def test_two_victims_are_no_picture(results):
    results.rows = [row for row in results.rows if row[1] != "worse"]
    assert not tradeoff.section(results)
