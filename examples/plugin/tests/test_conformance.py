"""All a plugin's tests need: SharpAP's suites, inherited. Run: python -m pytest"""

from sharpap_example import CoCounts, Companions, RareItems

from sharpap.testing import AttackTests, DetectorTests, RecommenderTests


class TestCoCounts(RecommenderTests):
    """See `sharpap.testing.RecommenderTests`."""

    recommender = CoCounts()


class TestCompanions(AttackTests):
    """See `sharpap.testing.AttackTests`."""

    attack = Companions()


class TestRareItems(DetectorTests):
    """See `sharpap.testing.DetectorTests`."""

    detector = RareItems()
