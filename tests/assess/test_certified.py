"""What is promised of a recommender's vote, beside an attack that was run; and the verb that shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharpap import Dataset, split, synthetic
from sharpap.assess.audit.certified import certified
from sharpap.attacks import Bandwagon
from sharpap.defenses import CertifiedBagging
from sharpap.errors import ConfigError
from sharpap.recommenders import Capabilities, Popularity

DATA = ["--data", "synthetic", "--set", "data.users=90", "--set", "data.items=40", "--set", "data.interactions=1200"]
VOTE = ["--models", 40, "--sample", 8, "--listed", 2]


def _made(users: int, items: int, interactions: int) -> Dataset:
    return split(synthetic(users=users, items=items, interactions=interactions, seed=0), seed=0)


def test_promises_hold_under_the_attack_that_was_run():
    dataset = _made(40, 30, 500)
    defense = CertifiedBagging(models=120, users=4, listed=2)
    found = certified(dataset, Popularity(), defense, [2, 1], k=5, confidence=0.9, attack=Bandwagon(), seed=2)
    assert [(each.fakes, each.kind) for each in found.promises] == [
        (1, "these"),
        (2, "these"),
        (1, "ideal"),
        (2, "ideal"),
    ]
    assert found.promises[0].kept > 0
    for each in found.promises:
        assert each.broken == 0
        assert each.measured is not None
        assert 0 <= each.kept <= each.measured <= 1
        assert (each.precision or 0) <= (found.precision or 0)
        assert (each.recall or 0) <= (found.recall or 0)
        assert each.kept <= each.users
    assert found.voters[0] <= found.voters[1] <= found.voters[2]
    assert found == certified(dataset, Popularity(), defense, [1, 2], k=5, confidence=0.9, attack=Bandwagon(), seed=2)


def test_lists_and_numbers_that_make_no_sense_are_refused():
    dataset = _made(60, 30, 600)

    class Lists:
        capabilities = Capabilities(top_k=5)

        def fit(self, train, *, seed): ...

    given: dict[str, dict[str, Any]] = {
        "gives only lists": {"recommender": Lists()}, "fakes=": {"fakes": [0]}, "fakes=.61,": {"fakes": [61]},
        "k=31": {"k": 31}, "confidence=1": {"confidence": 1.0},
    }  # fmt: skip
    for message, wrong in given.items():
        asked: dict[str, Any] = {"recommender": Popularity(), "fakes": [1], "k": 5, "confidence": 0.9} | wrong
        with pytest.raises(ConfigError, match=message):
            certified(dataset, defense=CertifiedBagging(models=3), **asked)


def test_the_verb_shows_and_prints(sharpap):
    code, text, err = sharpap("certify", "popularity", *DATA, *VOTE, "--fakes", "1,3", "--k", 5, "--attack", "random")
    assert code == 0, err
    assert "these models" in text
    assert "ideal vote" in text
    assert "random left" in text
    code, text, _ = sharpap("certify", "popularity", *DATA, *VOTE, "--fakes", "1,3", "--k", 5, "--json")
    facts = json.loads(text)
    assert (facts["target"], facts["models"], facts["sample"], facts["listed"], facts["attack"]) == (
        "popularity",
        40,
        8,
        2,
        None,
    )
    assert [each["fakes"] for each in facts["promises"]] == [1, 3, 1, 3]
    assert all(each["measured"] is None for each in facts["promises"])


@pytest.mark.parametrize(
    ("given", "named"),
    [(["--fakes", "a"], "--fakes a"), (["--fakes", "0"], "fakes="), (["--sample", "0"], "users=0"), (["--k", "0"], "k=0"),
     (["--models", "0"], "models=0"), (["--attack", "randm"], "randm"), (["--confidence", "2"], "confidence=2"),
     (["--fakes", "9" * 30], "fakes=")],
)  # fmt: skip
def test_the_verb_refuses_in_plain_words(sharpap, given, named):
    code, _, err = sharpap("certify", "popularity", *DATA, *given)
    assert code == 2
    assert named in err
