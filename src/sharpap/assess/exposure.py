"""What an audit gives: exposures, groups of users, remedies, and the levels between budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sharpap.assess.detection import Detection
from sharpap.metrics import Interval


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What one attack did with one budget on one pool, over target draws.

    Attributes:
        attack, pool: which.
        share, fakes, profile_size: fake users as a share and a number, and items in each.
        hits: H@k, and its interval over draws.
        before: the same without attack.
        accuracy: relative change of NDCG@k for genuine users, None without held-out interactions.
        visibility: chance that the best of the detectors ranks a fake user above a genuine one; None where it was not measured.
        reach: the most that any fakes so many could do (`metrics.reach`), mean over draws; None where no bound is known.
    """

    attack: str
    pool: str
    share: float
    fakes: int
    profile_size: int
    hits: Interval
    before: float
    accuracy: Interval | None
    visibility: float | None
    reach: float | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """Users of one activity group under the strongest attack.

    Attributes:
        low, high: interactions of its least and most active user.
        users: how many there are.
        hits: H@k among them.
    """

    low: int
    high: int
    users: int
    hits: float


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A defence against the strongest attack.

    Attributes:
        name: in words.
        removed: users that it leaves out of training, the most suspicious first; 0 for a defence of another kind.
        caught: share of the fake users that are among them, None for a defence of another kind.
        lost: genuine users among them.
        hits: H@k afterwards.
        accuracy: relative change of NDCG@k from the clean run, None without held-out interactions.
    """

    name: str
    removed: int
    caught: float | None
    lost: int
    hits: Interval
    accuracy: Interval | None


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The answers.

    Attributes:
        dataset, recommender: what was audited.
        users, items, interactions: training data.
        settings: JSON-ready.
        ndcg: NDCG@k without attack, None without held-out interactions.
        yardstick: name and NDCG@k of the best of some quick models of this project with their defaults on the same data; None
            without held-out interactions.
        screening: every attack with about 1 % fakes on the first pool.
        strongest: the attack with most hits there; of equal ones, that which leaves the targets highest.
        curve: the strongest attack over budgets, on the first pool.
        pools: the strongest attack with about 1 % fakes on each pool.
        groups: users by activity, quarters of equal size, on the first pool, where the strongest attack gets through.
        breaking: the smallest budget of the curve with which the strongest attack reaches the first of LEVELS; the largest
            one tried where none does. Detectors and remedies are judged there.
        LEVELS: the shares of lists that are asked for.
        detections: every detector on every attack of the screening; on the strongest one with the breaking budget.
        remedies: what leaving out suspicious users, and other defences, do; empty for a recommender that gives only lists,
            since those of users without training rows hold what they own.
    """

    dataset: str
    recommender: str
    users: int
    items: int
    interactions: int
    settings: dict[str, Any]
    ndcg: float | None
    yardstick: tuple[str, float] | None
    screening: list[Exposure]
    strongest: str
    curve: list[Exposure]
    pools: list[Exposure]
    breaking: Exposure
    groups: list[Group]
    detections: list[Detection]
    remedies: list[Remedy]
    LEVELS: ClassVar[tuple[float, ...]] = (0.01, 0.05, 0.10)

    def needed(self, level: float) -> tuple[int | None, int | None]:
        """Between how many fake users the share `level` of lists is reached: (most that did not, least that did).

        (None, 0): it is reached without any; (None, f): even the smallest budget reaches it; (f, None): not even the largest.
        """
        if self.curve and self.curve[0].before >= level:
            return None, 0
        reached = [point.fakes for point in self.curve if point.hits.mean >= level]
        missed = [
            point.fakes for point in self.curve if point.hits.mean < level and (not reached or point.fakes < reached[0])
        ]
        return (missed[-1] if missed else None), (reached[0] if reached else None)
