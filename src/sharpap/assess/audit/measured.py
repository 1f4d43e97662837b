"""What an audit's trainings found, turned into figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from sharpap.assess.audit.audit_report import Exposure, Group, Path, Step, Value
from sharpap.assess.experiment import CLEAN
from sharpap.assess.tables.cliff import Cliffs, cliffs
from sharpap.assess.tables.promises import Promises, promises
from sharpap.assess.tables.worth import Worth, worth
from sharpap.attacks import Poison
from sharpap.data import Dataset
from sharpap.metrics import Evaluation, Interval, hit_ratio, interval, mean_rank
from sharpap.threat import Allowance

Key = tuple[str, str, float]
VICTIM = "audited"


@dataclass(eq=False, kw_only=True)
class Figures:
    """Profiles and evaluations by place, and what follows from them.

    Attributes:
        dataset, draws, k: of the audit.
        poisons: by attack, pool and share of fakes, and draw.
        evaluations: by the same, victim and draw; the clean ones under `none`.
        failed: victim to why a training of it failed.
        spared: places where the bound leaves fakes next to nothing, so that none were made, with their budgets.
    """

    dataset: Dataset
    draws: int
    k: int
    poisons: dict[tuple[Key, int], Poison] = field(default_factory=dict)
    evaluations: dict[tuple[Key, str, int], Evaluation] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    spared: dict[Key, Allowance] = field(default_factory=dict)

    def made(self, key: Key) -> list[Poison]:
        """The profiles of a place, by draw."""
        return [self.poisons[key, draw] for draw in range(self.draws)]

    def seen(self, key: Key, victim: str = VICTIM) -> list[Evaluation]:
        """What a victim became there, by draw."""
        return [self.evaluations[key, victim, draw] for draw in range(self.draws)]

    def has(self, key: Key) -> bool:
        """Whether the audited recommender was trained there."""
        return (key, VICTIM, 0) in self.evaluations

    def bound(self, pool: str, fakes: int) -> float | None:
        """The most that so many fakes could do; None where that is not known."""
        return self._reach(self.seen(none(pool)), fakes)

    def draws_of(self, key: Key) -> set[int]:
        """The draws on which the audited recommender was trained there."""
        return {draw for draw in range(self.draws) if (key, VICTIM, draw) in self.evaluations}

    def hits_of(self, key: Key, draws: Iterable[int]) -> float:
        """H@k over some draws."""
        return float(np.mean(self._hits([self.evaluations[key, VICTIM, draw] for draw in draws])))

    def exposure(self, key: Key) -> Exposure:
        """What one attack did with one budget on one pool."""
        attack, pool, share = key
        clean = self.seen(none(pool))
        if key in self.spared:
            spared, most = self.spared[key], self._reach(clean, self.spared[key].num_fake) or 0.0
            return Exposure(
                attack=attack, pool=pool, share=share, fakes=spared.num_fake, profile_size=spared.profile_size,
                hits=Interval(mean=most, low=0.0, high=most, p=float("nan"), n=self.draws), before=self.hits(clean).mean,
                accuracy=None, visibility=None, reach=most, tried=False,
            )  # fmt: skip
        poisons = self.made(key)
        return Exposure(
            attack=attack, pool=pool, share=share, fakes=poisons[0].num_fake,
            profile_size=int(poisons[0].profile_sizes.max()), hits=self.hits(self.seen(key)),
            before=self.hits(clean).mean, accuracy=self.accuracy(self.seen(key), pool), visibility=None,
            reach=self._reach(clean, poisons[0].num_fake),
        )  # fmt: skip

    def ndcg(self, pool: str, victim: str = VICTIM, *, valid: bool = False) -> float | None:
        """NDCG@k without attack on test or validation interactions, mean over draws; None without any."""
        found = [each.valid_ndcg if valid else each.ndcg for each in self.seen(none(pool), victim)]
        values = [each[self.k] for each in found if self.k in each]
        return float(np.mean(values)) if len(values) == len(found) else None

    def hits(self, found: list[Evaluation]) -> Interval:
        """H@k over draws."""
        return interval(np.array(self._hits(found)))

    def ranks(self, key: Key) -> float:
        """Mean rank of the targets. It decides between attacks of equal hits, above all where none has any."""
        return float(np.nanmean([mean_rank(found.ranks) for found in self.seen(key)]))

    def accuracy(self, found: list[Evaluation], pool: str) -> Interval | None:
        """Change of NDCG@k from the clean runs, relative; None without held-out interactions."""
        k, before = self.k, self.seen(none(pool))
        if any(k not in each.ndcg or each.ndcg[k] == 0 for each in before):
            return None
        return interval(np.array([now.ndcg[k] / old.ndcg[k] - 1 for now, old in zip(found, before, strict=True)]))

    def worth(self, key: Key, victim: str) -> Worth:
        """What a defended victim is worth against the profiles of a place."""
        clean, defended = self.seen(none(key[1])), self.seen(none(key[1]), victim)
        known = all(self.k in each.ndcg for each in (*clean, *defended))
        accurate, after = ([each.ndcg[self.k] for each in found] if known else [] for found in (clean, defended))
        hits = (self._hits(found) for found in (clean, self.seen(key), self.seen(key, victim)))
        return worth(*hits, accurate=accurate, after=after)

    def promised(self, key: Key, victim: str) -> tuple[Promises | None, float | None]:
        """What a vote promises, and the share of its lists that stayed in a place; None for others."""
        clean, attacked = self.seen(none(key[1]), victim), self.seen(key, victim)
        lists = [(before.kept, after.kept) for before, after in zip(clean, attacked, strict=True)]
        stayed = [before.share(before.stayed(after, self.k), self.k) for before, after in lists if before and after]
        found = promises({(victim, draw): each for draw, each in enumerate(clean)})
        return found, float(np.mean(stayed)) if stayed else None

    def groups(self, key: Key) -> list[Group]:
        """Quarters of users by activity, under attack."""
        sizes = np.diff(self.dataset.train.matrix.indptr)
        users = np.flatnonzero(sizes)
        order = np.argsort(sizes[users], kind="stable")
        groups = []
        for rows in np.array_split(order, 4):
            if len(rows) == 0:
                continue
            hits = [np.nanmean(hit_ratio(found.ranks[rows], self.k)) for found in self.seen(key)]
            own = sizes[users[rows]]
            groups.append(Group(low=int(own.min()), high=int(own.max()), users=len(rows), hits=float(np.mean(hits))))
        return groups

    def cliff(self, key: Key, name: str) -> Cliffs | None:
        """The bound on any attack by number of fakes, under the recommender's name, as far as the fakes of a place."""
        clean = {(name, draw): found for draw, found in enumerate(self.seen(none(key[1])))}
        return cliffs(clean, self.poisons[key, 0].num_fake)

    def path(self, setting: str, victims: Iterable[tuple[Value, str]], key: Key) -> Path:
        """The victims with each value of a setting, on the profiles of one place."""
        return Path(setting=setting, steps=[self._step(value, victim, key) for value, victim in victims])

    def _step(self, value: Value, victim: str, key: Key) -> Step:
        if victim in self.failed:
            return Step(value=value, error=self.failed[victim])
        pool, clean, attacked = key[1], self.seen(none(key[1]), victim), self.seen(key, victim)
        more = np.subtract(self._hits(attacked), self._hits(self.seen(key)))
        return Step(
            value=value, current=victim == VICTIM, valid=self.ndcg(pool, victim, valid=True), ndcg=self.ndcg(pool, victim),
            before=self.hits(clean).mean, hits=self.hits(attacked), more=None if victim == VICTIM else interval(more),
            reach=self._reach(clean, self.poisons[key, 0].num_fake),
        )  # fmt: skip

    def _hits(self, found: list[Evaluation]) -> list[float]:
        return [float(np.nanmean(hit_ratio(each.ranks, self.k))) for each in found]

    def _reach(self, clean: list[Evaluation], fakes: int) -> float | None:
        bounds = [each.reach for each in clean]
        shares = [bound.share(fakes, self.k) for bound in bounds if bound is not None and fakes <= bound.fakes[-1]]
        return float(np.nanmean(shares)) if len(shares) == len(bounds) else None


def none(pool: str) -> Key:
    """The place of the clean runs of a pool."""
    return CLEAN, pool, 0.0
