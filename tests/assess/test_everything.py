"""The recipe of all attacks has all attacks."""

from __future__ import annotations

import re
from importlib import resources

from sharpap.config import REGISTRY
from sharpap.config.recipes import read_recipe


def test_every_attack_is_in_the_recipe_everything_or_left_out_with_a_reason():
    text = (resources.files("sharpap") / "recipes" / "everything.toml").read_text()
    left_out = {
        name: reason
        for names, reason in re.findall(r"^# ([a-z0-9, -]+): (.+)$", text.split("# Left out", 1)[1], re.MULTILINE)
        for name in names.split(", ")
    }
    included = read_recipe("everything")["attacks"]
    assert len(included) == len(set(included))
    assert not set(included) & set(left_out)
    assert {*included, *left_out} == set(REGISTRY["attack"])
