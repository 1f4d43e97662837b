"""Reported figures beside measured ones."""

from __future__ import annotations

import pytest

from sharpap.assess.recipe import experiment_from
from sharpap.assess.results import Results
from sharpap.assess.tables.reported import Reported, verdict
from sharpap.errors import ConfigError


@pytest.mark.parametrize(
    ("reported", "low", "high", "against", "expected"),
    [
        (0.2, 0.1, 0.3, 0.0, "agrees in size"),
        (0.5, 0.1, 0.3, 0.0, "agrees in direction"),
        (0.2, -0.1, 0.3, 0.0, "undecided"),
        (0.5, -0.1, 0.3, 0.0, "disagrees"),
        (0.2, -0.3, -0.1, 0.0, "disagrees"),
        (-0.5, -0.3, -0.1, 0.0, "agrees in direction"),
        (0.32, 0.3, 0.4, None, "agrees in size"),
        (0.64, 0.3, 0.4, None, "disagrees"),
        (0.64, float("nan"), float("nan"), None, "undecided (no interval)"),
    ],
)
def test_verdicts(reported, low, high, against, expected):
    assert verdict(reported, low, high, against=against) == expected


def made() -> Results:
    rows = []
    for draw, (base, better) in enumerate([(0.10, 0.21), (0.12, 0.23), (0.11, 0.24)]):
        for attack, value in (
            ("none", 0.0),
            ("revadv", base),
            ("sharpap", better),
            ("pga", base),
            ("pga-sharpap", base),
        ):
            rows.append((attack, "wrmf", draw, 0, "H", 10, -1, value))
    from sharpap.assess.rows import Cell

    cells = [Cell(attack=row[0], victim="wrmf", draw=row[2], seed=0) for row in rows]
    return Results(dataset=None, config={}, rows=rows, cells=cells)


def test_changes_are_relative_to_the_base_and_levels_are_not():
    results = made()
    results.config["reported"] = [
        {"claim": "doubles", "attack": "sharpap", "base": "revadv", "victim": "wrmf", "change": 1.0},
        {"claim": "level", "attack": "revadv", "victim": "wrmf", "value": 0.32},
        {"claim": "not measured", "attack": "dada", "victim": "wrmf", "value": 0.1},
    ]
    found = results.reported().to_dicts()
    assert [row["claim"] for row in found] == ["doubles", "level"]
    assert found[0]["measured"] == pytest.approx(0.35 / 0.33)
    assert found[0]["verdict"] == "agrees in size"
    assert found[1]["measured"] == pytest.approx(0.11)
    assert found[1]["verdict"] == "disagrees"


def test_pairs_by_name_and_one_correction_over_all():
    results = made()
    assert results.pairs == [("sharpap", "revadv"), ("pga-sharpap", "pga")]
    found = results.comparisons()
    assert found["attack"].to_list() == ["sharpap", "pga-sharpap"]
    assert found["p_holm"][0] == pytest.approx(2 * found["p"][0])
    assert found["mean"][1] == 0


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"claim": "x", "attack": "a", "victim": "v"}, "either a value or a change"),
        ({"claim": "x", "attack": "a", "victim": "v", "change": 0.1}, "needs a base"),
        ({"claim": "x", "attack": "a", "victim": "v", "valeu": 0.1}, "no option 'valeu'"),
    ],
)
def test_a_wrong_figure_is_named(figure, message):
    with pytest.raises(ConfigError, match=message):
        experiment_from({"victims": ["popularity"], "reported": [figure]})
    assert Reported(claim="x", attack="a", victim="v", value=0.1).k == 10
