"""How exposed one recommender is: what it takes, who is hit, what it costs, how visible it is, what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.assess.cells import CellStore
from sharpap.assess.experiment import CLEAN, Experiment
from sharpap.assess.exposure import AuditReport, Exposure, Group, Remedy
from sharpap.assess.work import Craft, Made, Train, Work
from sharpap.attacks import Attack, Bandwagon, Poison, RandomAttack, RevAdv, SharpnessAware
from sharpap.data import Dataset, TargetPool
from sharpap.errors import AttackError, ConfigError, TrainingError
from sharpap.metrics import Evaluation, Interval, detection_auc, evaluate, hit_ratio, interval, suspicion
from sharpap.recommenders import Recommender, capabilities_of
from sharpap.recommenders.calls import fit
from sharpap.threat import Budget

VICTIM = "audited"


def suite() -> dict[str, Attack]:
    """What an audit tries: two heuristics that anyone can mount, and the strongest gradient attack of the literature."""
    return {
        "random": RandomAttack(),
        "bandwagon": Bandwagon(),
        "sharpap": RevAdv(worst_case=SharpnessAware(), epochs=30),
    }


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Settings of an audit.

    Attributes:
        attacks: name to attack.
        budgets: shares of fake users, ascending; the first screening takes the one nearest 1 %.
        draws: target draws of each pool.
        size: targets in a draw.
        pools: target pools compared (`data.TargetPool.kind`); the first is the one budgets are tried on.
        k: list length.
        seed: the root of all randomness.
    """

    attacks: Mapping[str, Attack] = field(default_factory=suite)
    budgets: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.05)
    draws: int = 3
    size: int = 5
    pools: tuple[str, ...] = ("unpopular", "lower_torso", "head")
    k: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.attacks or not self.budgets or not self.pools:
            raise ConfigError("An audit needs at least one attack, one budget and one pool of targets.")
        if list(self.budgets) != sorted(set(self.budgets)) or not 0 < self.budgets[0] <= self.budgets[-1] < 1:
            raise ConfigError(f"budgets={self.budgets} must be ascending shares between 0 and 1.")
        if self.draws < 2 or self.size < 1 or self.k < 1:
            raise ConfigError(f"draws={self.draws} must be 2 or more, size={self.size} and k={self.k} 1 or more.")


def audit(
    dataset: Dataset, recommender: Recommender, settings: Audit | None = None, *, name: str = "", store: CellStore | None = None
) -> AuditReport:  # fmt: skip
    """Attack one recommender with a suite of attacks and budgets, and measure.

    Args:
        dataset: training data, and validation and test data where there are some.
        recommender: anything with `fit` and `score`; trained from scratch about attacks + budgets + pools times draws.
        settings: what to try.
        name: of the recommender, for the report.
        store: a folder of finished work, from which an interrupted audit goes on.

    Raises:
        TrainingError: the recommender failed on the clean data, or on poisoned data.
        AttackError: an attack failed.
    """
    return _Auditor(dataset, recommender, settings or Audit(), name, store).report()


class _Auditor:
    def __init__(
        self, dataset: Dataset, recommender: Recommender, settings: Audit, name: str, store: CellStore | None
    ) -> None:
        self.dataset, self.recommender, self.settings, self.store = dataset, recommender, settings, store
        self.name = name or type(recommender).__name__
        self.middle = min(settings.budgets, key=lambda share: abs(np.log(share / 0.01)))
        self.clean: dict[tuple[str, int], Evaluation] = {}
        self.attacked: dict[tuple[str, str, float], list[tuple[Poison, Evaluation]]] = {}

    def report(self) -> AuditReport:
        """Try everything."""
        settings, train = self.settings, self.dataset.train
        first = settings.pools[0]
        steps = len(settings.attacks) + len(settings.budgets) + len(settings.pools) + 3
        with progress.task(f"Audit of {self.name}", steps) as task:
            screening = []
            for attack in settings.attacks:
                screening.append(self._exposure(attack, first, self.middle))
                task.advance(note=f"{attack}: H@{settings.k} {screening[-1].hits.mean:.4f}")
            strongest = max(screening, key=lambda each: each.hits.mean).attack
            curve = []
            for share in settings.budgets:
                curve.append(self._exposure(strongest, first, share))
                task.advance(note=f"{curve[-1].fakes} fakes: H@{settings.k} {curve[-1].hits.mean:.4f}")
            pools = []
            for pool in settings.pools:
                pools.append(self._exposure(strongest, pool, self.middle))
                task.advance(note=f"{pool}: H@{settings.k} {pools[-1].hits.mean:.4f}")
            worst = self._attacked(strongest, first, self.middle)
            groups = self._groups(worst)
            lists = worst[0][1].capabilities.top_k is not None
            remedies = [] if lists else [self._remedy(worst, factor) for factor in (1.0, 3.0)]
            task.advance(3)
        return AuditReport(
            dataset=self.dataset.name, recommender=self.name, users=train.num_users, items=train.num_items,
            interactions=train.nnz, ndcg=self.clean[first, 0].ndcg.get(self._k), screening=screening, strongest=strongest,
            curve=curve, pools=pools, groups=groups, remedies=remedies,
            settings={
                "attacks": list(settings.attacks), "budgets": list(settings.budgets), "draws": settings.draws,
                "size": settings.size, "pools": list(settings.pools), "k": settings.k, "seed": settings.seed,
            },
        )  # fmt: skip

    @property
    def _k(self) -> int:
        return min(self.settings.k, self.dataset.num_items)

    def _work(self, pool: str, share: float) -> Work:
        settings = self.settings
        experiment = Experiment(
            dataset=self.dataset, attacks=settings.attacks, victims={VICTIM: self.recommender},
            targets=TargetPool(kind=pool, size=settings.size, draws=settings.draws),  # pyright: ignore[reportArgumentType]
            budget=Budget(fake_users=share), ks=(settings.k,), seed=settings.seed,
        )  # fmt: skip
        return Work(experiment, self.store)

    def _train(self, pool: str, share: float, attack: str, poison: Poison | None, draw: int) -> Evaluation:
        work = self._work(pool, share)
        targets = work.experiment.goals()[draw].targets
        piece = Train(attack=attack, draw=draw, victim=VICTIM, seed=draw, poison=poison, targets=targets)
        made = work.do(piece)
        cell, found = made.value
        _warn(made)
        progress.event("cell", **piece.place, seconds=round(made.seconds, 3), error=made.error)
        if found is None:
            raise TrainingError(
                f"{self.name} failed {'on the clean data' if poison is None else f'on {attack}'}: {cell.error}",
                hint="`sharpap check-recommender` looks at a recommender step by step.",
            )
        longest = found.capabilities.top_k
        if not found.capabilities.reaches(self.settings.k):
            raise ConfigError(
                f"{self.name} gives lists of {longest}; the audit counts in the best {self.settings.k}.",
                hint=f"Set k={longest}.",
            )
        return found

    def _attacked(self, attack: str, pool: str, share: float) -> list[tuple[Poison, Evaluation]]:
        """One attack, one budget, one pool, by draw; a draw has a victim seed of its own, shared with its clean run."""
        key = attack, pool, share
        if key not in self.attacked:
            work, made = self._work(pool, share), []
            for draw, goal in enumerate(work.experiment.goals()):
                crafted = work.do(Craft(attack=attack, draw=draw, goal=goal))
                _warn(crafted)
                progress.event(
                    "poison", attack=attack, draw=draw, seconds=round(crafted.seconds, 3), error=crafted.error
                )
                if crafted.value is None:
                    raise AttackError(f"{attack}, draw {draw}: {crafted.error}")
                if (pool, draw) not in self.clean:
                    self.clean[pool, draw] = self._train(pool, share, CLEAN, None, draw)
                made.append((crafted.value, self._train(pool, share, attack, crafted.value, draw)))
            self.attacked[key] = made
        return self.attacked[key]

    def _exposure(self, attack: str, pool: str, share: float) -> Exposure:
        """What `_attacked` gave, in figures."""
        train, made = self.dataset.train.matrix, self._attacked(attack, pool, share)
        before = [self.clean[pool, draw] for draw in range(len(made))]
        poisons, found = [poison for poison, _ in made], [seen for _, seen in made]
        return Exposure(
            attack=attack, pool=pool, share=share, fakes=poisons[0].num_fake,
            profile_size=int(poisons[0].profile_sizes.max()), hits=self._hits(found),
            before=self._hits(before).mean, accuracy=self._accuracy(found, before),
            visibility=float(np.mean([_auc(poison, train) for poison in poisons])),
        )  # fmt: skip

    def _hits(self, found: list[Evaluation]) -> Interval:
        return interval(np.array([float(np.nanmean(hit_ratio(each.ranks, self.settings.k))) for each in found]))

    def _accuracy(self, found: list[Evaluation], before: list[Evaluation]) -> Interval | None:
        k = self._k
        if any(k not in each.ndcg or each.ndcg[k] == 0 for each in before):
            return None
        return interval(np.array([now.ndcg[k] / old.ndcg[k] - 1 for now, old in zip(found, before, strict=True)]))

    def _groups(self, made: list[tuple[Poison, Evaluation]]) -> list[Group]:
        """Quarters of users by activity, under attack."""
        sizes = np.diff(self.dataset.train.matrix.indptr)
        users = np.flatnonzero(sizes)
        order = np.argsort(sizes[users], kind="stable")
        groups = []
        for rows in np.array_split(order, 4):
            if len(rows) == 0:
                continue
            hits = [np.nanmean(hit_ratio(found.ranks[rows], self.settings.k)) for _, found in made]
            own = sizes[users[rows]]
            groups.append(Group(low=int(own.min()), high=int(own.max()), users=len(rows), hits=float(np.mean(hits))))
        return groups

    def _remedy(self, made: list[tuple[Poison, Evaluation]], factor: float) -> Remedy:
        """Leave out `factor` times as many users as there are fakes, the most suspicious ones, and train again."""
        train = self.dataset.train.matrix
        found, caught, lost = [], [], []
        removed = 0
        for draw, (poison, _) in enumerate(made):
            everyone = poison.inject(train)
            removed = min(round(factor * poison.num_fake), everyone.shape[0] - 1)
            out = np.argsort(-suspicion(everyone), kind="stable")[:removed]
            fakes = int((out >= train.shape[0]).sum())
            caught.append(fakes / poison.num_fake)
            lost.append(removed - fakes)
            kept = ~np.isin(np.arange(everyone.shape[0]), out)
            everyone.data *= np.repeat(kept, np.diff(everyone.indptr))
            everyone.eliminate_zeros()
            seed = self._work(self.settings.pools[0], self.middle).experiment.victim_seed(draw)
            model = fit(self.recommender, everyone, self.dataset.valid.matrix, seed=seed)
            seen = evaluate(
                model, train, targets=poison.goal.targets, held_out=self.dataset.test.matrix, ks=(self.settings.k,),
                capabilities=capabilities_of(self.recommender, model),
            )  # fmt: skip
            found.append(seen)
        before = [self.clean[self.settings.pools[0], draw] for draw in range(len(found))]
        return Remedy(
            removed=removed, caught=float(np.mean(caught)), lost=round(float(np.mean(lost))), hits=self._hits(found),
            accuracy=self._accuracy(found, before),
        )  # fmt: skip


def _warn(made: Made) -> None:
    for problem in made.problems:
        progress.event("warning", message=problem)


def _auc(poison: Poison, train: csr_array) -> float:
    everyone = poison.inject(train)
    return detection_auc(suspicion(everyone), np.arange(everyone.shape[0]) >= train.shape[0])
