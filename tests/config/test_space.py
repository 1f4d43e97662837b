"""Search spaces as users write them."""

from __future__ import annotations

import math

import pytest

from sharpap.config.space import flatten, read_space, split_assignment
from sharpap.errors import ConfigError


def one(text):
    (found,) = read_space([("victim.x", text)])
    return found


def test_ranges_and_choices():
    rho = one("0.001:0.5:log")
    assert (rho.low, rho.high, rho.log, rho.whole) == (0.001, 0.5, True, False)
    assert rho.probes[1] == pytest.approx(math.sqrt(0.001 * 0.5))
    sizes = one("8:64")
    assert sizes.whole
    assert sizes.probes == (8, 36, 64)
    assert not one("0.0:1").whole
    assert one("16,32,64").choices == one("[16, 32, 64]").choices == one([16, 32, 64]).choices == (16, 32, 64)
    assert one("row, global").choices == ("row", "global")
    assert one("true,false").choices == (True, False)


def test_what_a_space_holds():
    assert one("8:64").holds(64)
    assert not one("8:64").holds(65)
    assert not one("8:64").holds(9.5)
    assert one("0.0:1.0").holds(1)
    assert not one("0.0:1.0").holds(True)
    assert not one("1,2").holds(True)
    assert not one("row,global").holds(None)


def test_tables_nest_and_the_later_path_counts():
    nested = flatten({"attack": {"worst_case": {"rho": "0.1:0.2"}}, "attack.epochs": [5, 10]})
    assert nested == [("attack.worst_case.rho", "0.1:0.2"), ("attack.epochs", [5, 10])]
    first, second = read_space([*nested, ("attack.epochs", "20,30")])
    assert (first.path, first.choices) == ("attack.epochs", (20, 30))
    assert second.path == "attack.worst_case.rho"
    assert split_assignment(" a.b = 1:2 ") == ("a.b", "1:2")


BAD = {
    "empty": ("0.5:0.1", "lower end"),
    "one point": ("3:3", "lower end"),
    "no end": ("1:", "not a range"),
    "words": ("low:high", "not a range"),
    "four parts": ("1:2:log:3", "not a range"),
    "scale": ("1:2:lin", "'lin' is no scale"),
    "log of zero": ("0:1:log", "above 0"),
    "infinite": ("0.1:inf", "both finite"),
    "one choice": ("16", "nothing to search"),
    "same twice": ("16,16", "nothing to search"),
    "a hole": ("row,", "nothing to search"),
    "lists": ([[1], [2]], "choices are numbers"),
    "a number": (3, "neither a range"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_ranges_say_what_is_wrong(case):
    text, words = BAD[case]
    with pytest.raises(ConfigError, match=words) as caught:
        one(text)
    assert "victim.x" in str(caught.value)


@pytest.mark.parametrize("text", ["rho", "=1:2", "rho="])
def test_a_space_is_an_assignment(text):
    with pytest.raises(ConfigError, match="not of the form"):
        split_assignment(text)
