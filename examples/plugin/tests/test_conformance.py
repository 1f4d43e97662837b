"""All a plugin's tests need: SharpAP's suites, inherited. Run: python -m pytest"""

from sharpap.testing import AttackTests, RecommenderTests
from sharpap_example import CoCounts, Companions


class TestCoCounts(RecommenderTests):
    """See `sharpap.testing.RecommenderTests`."""

    recommender = CoCounts()


class TestCompanions(AttackTests):
    """See `sharpap.testing.AttackTests`."""

    attack = Companions()
