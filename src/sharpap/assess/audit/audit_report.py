"""What an audit gives: exposures, groups of users, remedies, and the levels between budgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from sharpap.assess.audit.detection import Detection
from sharpap.assess.tables.cliff import Cliffs
from sharpap.assess.tables.promises import Promises
from sharpap.assess.tables.worth import Worth
from sharpap.metrics import Interval

Value = bool | int | float | str | None


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
        tried: whether profiles were made. None are where the bound on any attack lies below the first level: then `hits` is
            that bound.
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
    tried: bool = True


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
        worth: what it takes from the attack, and its price without attack.
        accuracy: relative change of NDCG@k under attack from the clean run, None without held-out interactions.
        promised, stayed: of a vote with a certificate, what it promises under this name, and the share of its lists that the
            attack left; None for others.
    """

    name: str
    removed: int
    caught: float | None
    lost: int
    worth: Worth
    accuracy: Interval | None
    promised: Promises | None = None
    stayed: float | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """The recommender with one value of a setting, trained anew on the same profiles.

    Attributes:
        value: of the setting; None: as the recommender has it, where that is not known.
        current: whether it is the audited one.
        valid, ndcg: NDCG@k without attack on validation and on test interactions, mean over draws; None without any.
        before, hits: H@k without attack, and with it.
        more: what `hits` has more than the audited recommender's, paired by draw; None for itself.
        reach: the most that any fakes so many could do; None where no bound is known.
        error: why it could not be trained, or "": then nothing else is known.
    """

    value: Value
    current: bool = False
    valid: float | None = None
    ndcg: float | None = None
    before: float = 0.0
    hits: Interval | None = None
    more: Interval | None = None
    reach: float | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Path:
    """One setting of the recommender at several values, under the strongest attack with the breaking budget.

    Attributes:
        setting: its name.
        steps: by value, the audited one among them.
        WITHIN: how far below the most accurate value another may lie, as a share of it, to be advised.
    """

    setting: str
    steps: list[Step]
    WITHIN: ClassVar[float] = 0.05

    @property
    def current(self) -> Step:
        """The audited one."""
        return next(each for each in self.steps if each.current)

    @property
    def most_accurate(self) -> Step:
        """On validation interactions, or on test ones where there are none of those; the audited one where neither are."""
        return max(self._trained, key=lambda each: (self._accuracy(each), each.current))

    @property
    def advised(self) -> Step:
        """Of the values about as accurate as the best, that which the attack hits least; of equal ones the most accurate."""
        least = (1 - self.WITHIN) * self._accuracy(self.most_accurate)
        near = [each for each in self._trained if self._accuracy(each) >= least]
        return min(
            near, key=lambda each: (each.hits.mean if each.hits else 0.0, -self._accuracy(each), not each.current)
        )

    @property
    def _trained(self) -> list[Step]:
        return [each for each in self.steps if not each.error]

    def _accuracy(self, step: Step) -> float:
        validated = all(each.valid is not None for each in self._trained)
        return (step.valid if validated else step.ndcg) or 0.0


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The answers.

    Attributes:
        dataset, recommender: what was audited.
        users, items, interactions: training data.
        settings: JSON-ready.
        origin: where the recommender's settings come from, in a sentence, or "".
        ndcg: NDCG@k without attack, mean over draws; None without held-out interactions.
        yardstick: name and NDCG@k of the best of some quick models of this project with their defaults on the same data; None
            without held-out interactions.
        screening: every attack with about 1 % fakes on the first pool; with the most fakes where none gets through with so few.
        strongest: the attack with most hits there; of equal ones, that which leaves the targets highest.
        curve: the strongest attack over budgets, on the first pool.
        cliff: the bound on any attack by number of fakes, means over draws; None where none is known.
        pools: the strongest attack with the breaking budget on each pool.
        groups: users by activity, quarters of equal size, on the first pool, where the strongest attack gets through.
        breaking: the smallest budget of the curve with which the strongest attack reaches the first of LEVELS; the largest
            one tried where none does. Detectors and remedies are judged there.
        LEVELS: the shares of lists that are asked for.
        detections: every detector on every attack of the screening; on the strongest one with the breaking budget.
        remedies: what leaving out suspicious users, and other defences, do; empty for a recommender that gives only lists,
            since those of users without training rows hold what they own.
        failed: defence to why it could not be trained.
        paths: settings of the recommender at several values.
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
    failed: dict[str, str] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)
    origin: str = ""
    cliff: Cliffs | None = None
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
