"""The checks as pytest classes to inherit. They need no import of pytest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from scipy.sparse import csr_array

from sharpap.recommenders import Popularity
from sharpap.testing.attack import CHECKS as ATTACK_CHECKS
from sharpap.testing.attack import Siege
from sharpap.testing.detector import DEFENSE_CHECKS, DETECTOR_CHECKS, Shield, Watchman
from sharpap.testing.finding import Doubt
from sharpap.testing.recommender import CHECKS as RECOMMENDER_CHECKS
from sharpap.testing.recommender import speed
from sharpap.testing.trial import Trial
from sharpap.threat import Direction


def _one_test_each(checks: Iterable[Callable[[Any], str]]) -> Callable[[type], type]:
    """Give a class a test method for each check; a doubt becomes a warning."""

    def method(check: Callable[[Any], str]) -> Callable[[Any], None]:
        def test(self: Any) -> None:
            try:
                check(self.subject())
            except Doubt as doubt:
                warnings.warn(str(doubt), stacklevel=2)

        test.__doc__ = check.__doc__
        return test

    def decorate(cls: type) -> type:
        for check in checks:
            name = f"test_{check.__name__}"
            made = method(check)
            made.__name__, made.__qualname__ = name, f"{cls.__qualname__}.{name}"
            setattr(cls, name, made)
        return cls

    return decorate


@_one_test_each(each for each in RECOMMENDER_CHECKS if each is not speed)
class RecommenderTests:
    """Conformance of a recommender.

    Attributes:
        recommender: an instance with small settings: it is trained four times.
        data: a training matrix of one's own; None: 150 users x 100 items made up.
    """

    recommender: ClassVar[Any] = None
    data: ClassVar[csr_array | None] = None

    @classmethod
    def subject(cls) -> Trial:
        """The trainings, shared by the tests of a class."""
        if "_trial" not in cls.__dict__:
            cls._trial = Trial(cls.recommender, cls.data)
        return cls._trial


@_one_test_each(ATTACK_CHECKS)
class AttackTests:
    """Conformance of an attack.

    Attributes:
        attack: an instance with small settings: it crafts about ten times.
        directions: those it can work in.
        data: a training matrix of one's own; None: 150 users x 100 items made up.
    """

    attack: ClassVar[Any] = None
    directions: ClassVar[tuple[Direction, ...]] = ("promote", "demote")
    data: ClassVar[csr_array | None] = None

    @classmethod
    def subject(cls) -> Siege:
        """The attack and its data."""
        return Siege(cls.attack, cls.directions, cls.data)


@_one_test_each(DETECTOR_CHECKS)
class DetectorTests:
    """Conformance of a detector.

    Attributes:
        detector: an instance.
        data: a training matrix of one's own; None: 150 users x 100 items made up.
    """

    detector: ClassVar[Any] = None
    data: ClassVar[csr_array | None] = None

    @classmethod
    def subject(cls) -> Watchman:
        """The detector and its data."""
        return Watchman(cls.detector, cls.data)


@_one_test_each(DEFENSE_CHECKS)
class DefenseTests:
    """Conformance of a defence.

    Attributes:
        defense: an instance with small settings.
        recommender: what is trained under it, five times.
        data: a training matrix of one's own; None: 150 users x 100 items made up.
    """

    defense: ClassVar[Any] = None
    recommender: ClassVar[Any] = Popularity()
    data: ClassVar[csr_array | None] = None

    @classmethod
    def subject(cls) -> Shield:
        """The defence, the recommender and the data."""
        return Shield(cls.defense, cls.recommender, cls.data)
