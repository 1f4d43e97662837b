"""All a plugin's tests need: SharpAP's suites, inherited. Run: python -m pytest"""

from sharpap_example import CoCounts, Companions

from sharpap.testing import AttackTests, RecommenderTests


class TestCoCounts(RecommenderTests):
    """See `sharpap.testing.RecommenderTests`."""

    recommender = CoCounts()


class TestCompanions(AttackTests):
    """See `sharpap.testing.AttackTests`."""

    attack = Companions()
