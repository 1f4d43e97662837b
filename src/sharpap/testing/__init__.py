"""What a recommender, an attack, a detector or a defence must keep to, as a report and as test suites to inherit.

class TestMine(sharpap.testing.RecommenderTests):
    recommender = MyModel(factors=16)
"""

from sharpap.testing.finding import Doubt, Finding, Report
from sharpap.testing.recommender import check_recommender
from sharpap.testing.suites import AttackTests, DefenseTests, DetectorTests, RecommenderTests
from sharpap.testing.trial import Trial, example

__all__ = [
    "AttackTests", "DefenseTests", "DetectorTests", "Doubt", "Finding", "RecommenderTests", "Report", "Trial",
    "check_recommender", "example",
]  # fmt: skip
