"""Settings that do not fit are told when the object is made, by one of our errors."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest

from sharpap.attacks import DPA2DL, Identity, RevAdv
from sharpap.config.registry import REGISTRY
from sharpap.data import TargetPool
from sharpap.errors import ConfigError, SharpAPError
from sharpap.settings import Settings
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Budget, Goal

OURS = {cls for names in REGISTRY.values() for cls, _ in names.values() if issubclass(cls, Settings)}
CLASSES = sorted({*OURS, Budget, TargetPool}, key=lambda cls: cls.__name__)
WRONG = [None, "many", -3, 10**400, 0, math.nan, math.inf, -math.inf, 2.5, True, object(), (), (None,), {}, [], int]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_takes_a_value_or_refuses_it_with_a_message(cls):
    for field in fields(cls):
        for value in WRONG:
            said, made = "", None
            try:
                made = cls(**{field.name: value})
            except SharpAPError as error:
                said = str(error)
            if made is None:
                assert field.name.removesuffix("s") in said or repr(value) in said, (field.name, value, said)
            else:
                kept = getattr(made, field.name)
                assert kept is value or kept == value or isinstance(kept, Identity)
                assert not (isinstance(value, float) and not math.isfinite(value)), (field.name, value)
                assert type(value) is not object, field.name


def test_the_most_have_checked_settings():
    assert len(CLASSES) >= 35


def test_no_worst_case_is_the_base_attack():
    assert RevAdv(worst_case=None) == RevAdv()  # pyright: ignore[reportArgumentType]
    assert DPA2DL(worst_case=None) == DPA2DL()  # pyright: ignore[reportArgumentType]


def test_a_class_is_no_object_of_it():
    with pytest.raises(ConfigError, match=r"surrogate=.* is not an object of the kind Surrogate"):
        RevAdv(surrogate=WRMFSurrogate)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"targets=.* is not a tuple in which each is a whole number"):
        Goal(targets=(1.5,))  # pyright: ignore[reportArgumentType]
