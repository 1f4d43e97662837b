"""How exposed one recommender is: what it takes, who is hit, what it costs, how visible it is, what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from sharpap import progress
from sharpap.assess.backends import Backend, backend, work_through
from sharpap.assess.cells import CellStore
from sharpap.assess.detection import Detection, detect, detectors
from sharpap.assess.experiment import CLEAN, Experiment
from sharpap.assess.exposure import AuditReport, Exposure, Group, Remedy
from sharpap.assess.stages import Stage, Staged, Stages
from sharpap.assess.work import Craft, Made, Train, Work
from sharpap.assess.yardstick import yardstick
from sharpap.attacks import Attack, Bandwagon, Poison, RandomAttack, RevAdv, SharpnessAware
from sharpap.data import Dataset, TargetPool
from sharpap.defenses import Bagging, Defended, Defense, RemoveSuspicious
from sharpap.detectors import Detector
from sharpap.errors import AttackError, ConfigError, TrainingError
from sharpap.metrics import Evaluation, Interval, hit_ratio, interval, mean_rank
from sharpap.recommenders import Recommender
from sharpap.recommenders.base import IntArray
from sharpap.threat import Budget, Goal

FACTORS = (1.0, 3.0)
Key = tuple[str, str, float]
VICTIM = "audited"


def suite() -> dict[str, Attack]:
    """What an audit tries: two heuristics that anyone can mount, and the strongest gradient attack of the literature."""
    return {
        "random": RandomAttack(),
        "bandwagon": Bandwagon(),
        "sharpap": RevAdv(worst_case=SharpnessAware(), epochs=30),
    }


def remedies() -> dict[str, Defense]:
    """What an audit tries besides leaving out suspicious users."""
    return {"bagging": Bagging(models=5)}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Settings of an audit.

    Attributes:
        attacks: name to attack.
        budgets: shares of fake users, ascending; the first screening takes the one nearest 1 %.
        draws: target draws of each pool.
        size: targets in a draw.
        pools: target pools compared (`data.TargetPool.kind`); the first is the one budgets are tried on.
        detectors: name to detector; all are shown, and the best on the strongest attack are used to leave users out.
        best: how many of them; it takes `best` x 2 x draws trainings.
        defenses: name to defence, tried as well.
        k: list length.
        seed: the root of all randomness.
    """

    attacks: Mapping[str, Attack] = field(default_factory=suite)
    budgets: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.05)
    draws: int = 3
    size: int = 5
    pools: tuple[str, ...] = ("unpopular", "lower_torso", "head")
    detectors: Mapping[str, Detector] = field(default_factory=detectors)
    best: int = 2
    defenses: Mapping[str, Defense] = field(default_factory=remedies)
    k: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.attacks or not self.budgets or not self.pools or not self.detectors:
            raise ConfigError("An audit needs at least one attack, one budget, one pool of targets and one detector.")
        if list(self.budgets) != sorted(set(self.budgets)) or not 0 < self.budgets[0] <= self.budgets[-1] < 1:
            raise ConfigError(f"budgets={self.budgets} must be ascending shares between 0 and 1.")
        if self.draws < 2 or self.size < 1 or self.k < 1 or self.best < 0:
            raise ConfigError(
                f"draws={self.draws} must be 2 or more, size={self.size} and k={self.k} 1 or more, best={self.best} 0 or more."
            )


def audit(
    dataset: Dataset, recommender: Recommender, settings: Audit | None = None, *, name: str = "",
    store: CellStore | None = None, jobs: int = 1,
) -> AuditReport:  # fmt: skip
    """Attack one recommender with a suite of attacks and budgets, and measure.

    Args:
        dataset: training data, and validation and test data where there are some.
        recommender: anything with `fit` and `score`; trained from scratch about attacks + budgets + pools times draws, and
            for each remedy.
        settings: what to try.
        name: of the recommender, for the report.
        store: a folder of finished work, from which an interrupted audit goes on: profiles and trainings, remedies included.
        jobs: processes that work side by side; in a script, with more than one, the call must stand under
            `if __name__ == "__main__"`.

    Raises:
        TrainingError: the recommender failed on the clean data, or on poisoned data.
        AttackError: an attack failed.
    """
    return _Auditor(dataset, recommender, settings or Audit(), name, store).report(jobs)


class _Auditor:
    """Asks for work, phase by phase, and turns it into figures."""

    def __init__(
        self, dataset: Dataset, recommender: Recommender, settings: Audit, name: str, store: CellStore | None
    ) -> None:
        self.dataset, self.recommender, self.settings = dataset, recommender, settings
        self.name = name or type(recommender).__name__
        self.middle = min(settings.budgets, key=lambda share: abs(np.log(share / 0.01)))
        self.first = settings.pools[0]
        pairs = [(self.first, share) for share in settings.budgets] + [(pool, self.middle) for pool in settings.pools]
        works = {stage: Work(self._experiment(stage, self._victims(stage[1])), store) for stage in pairs}
        self.stages = Stages(works[self.first, self.middle].experiment, store, works=works)
        self.poisons: dict[tuple[Key, int], Poison] = {}
        self.found: dict[tuple[Key, str, int], Evaluation] = {}

    def report(self, jobs: int) -> AuditReport:
        """Try everything."""
        settings, train, first, middle = self.settings, self.dataset.train, self.first, self.middle
        most = settings.best * len(FACTORS) + len(settings.defenses)
        sets = len(settings.attacks) + len(settings.budgets) - 1 + 2 * len(settings.pools) - 1 + most
        with (
            progress.task(f"Audit of {self.name}", sets * settings.draws) as task,
            backend(self.stages, jobs) as workers,
        ):
            self._attack(workers, task, [(attack, first, middle) for attack in settings.attacks])
            screening = [self._exposure((attack, first, middle)) for attack in settings.attacks]
            strongest = max(
                screening, key=lambda each: (each.hits.mean, -self._ranks((each.attack, first, middle)))
            ).attack
            curve = [(strongest, first, share) for share in settings.budgets]
            pools = [(strongest, pool, middle) for pool in settings.pools]
            self._attack(workers, task, curve + pools)
            made = {each.attack: dict(enumerate(self._made((each.attack, first, middle)))) for each in screening}
            seen = detect(train.matrix, made, settings.detectors, seed=settings.seed)
            screening = [replace(each, visibility=_most(seen, each.attack)) for each in screening]
            worst = strongest, first, self._breaking(curve)
            made = {strongest: dict(enumerate(self._made(worst)))}
            seen = [each for each in seen if each.attack != strongest]
            seen += detect(train.matrix, made, settings.detectors, seed=settings.seed)
            lists = self.found[worst, VICTIM, 0].capabilities.top_k is not None
            chosen = [] if lists else self._chosen([each for each in seen if each.attack == strongest], worst[2])
            self._train(workers, task, worst, chosen)
        return AuditReport(
            dataset=self.dataset.name, recommender=self.name, users=train.num_users, items=train.num_items,
            interactions=train.nnz, ndcg=self._clean(first, 0).ndcg.get(self._k),
            yardstick=yardstick(self.dataset, self._k, self.stages.experiment.victim_seed(0)),
            screening=screening, strongest=strongest, breaking=self._exposure(worst),
            curve=[self._exposure(key) for key in curve], pools=[self._exposure(key) for key in pools],
            groups=self._groups(worst), detections=seen, remedies=[self._remedy(worst, name) for name in chosen],
            settings={
                "attacks": list(settings.attacks), "budgets": list(settings.budgets), "draws": settings.draws,
                "size": settings.size, "pools": list(settings.pools), "k": settings.k, "seed": settings.seed,
                "detectors": list(settings.detectors), "best": settings.best, "defenses": list(settings.defenses),
            },
        )  # fmt: skip

    @property
    def _k(self) -> int:
        return min(self.settings.k, self.dataset.num_items)

    def _targets(self, pool: str) -> TargetPool:
        return TargetPool(kind=pool, size=self.settings.size, draws=self.settings.draws)  # pyright: ignore[reportArgumentType]

    def _experiment(self, stage: Stage, victims: Mapping[str, Recommender]) -> Experiment:
        settings, (pool, share) = self.settings, stage
        return Experiment(
            dataset=self.dataset, attacks=settings.attacks, victims=victims, targets=self._targets(pool),
            budget=Budget(fake_users=share), ks=(settings.k,), seed=settings.seed,
        )  # fmt: skip

    @cache  # noqa: B019 - lives as long as the audit
    def _goals(self, pool: str) -> list[Goal]:
        return self._experiment((pool, self.middle), {VICTIM: self.recommender}).goals()

    def _breaking(self, curve: list[Key]) -> float:
        """The smallest share with which the attack gets through, or the largest that was tried."""
        points = [self._exposure(key) for key in curve]
        through = [
            each.share for each in points if each.hits.mean >= AuditReport.LEVELS[0] and each.hits.mean > each.before
        ]
        return through[0] if through else points[-1].share

    def _victims(self, share: float) -> dict[str, Recommender]:
        return {VICTIM: self.recommender} | {
            name: Defended(recommender=self.recommender, defense=defense)
            for name, defense in self._defenses(share).items()
        }

    def _defenses(self, share: float) -> dict[str, Defense]:
        """All that may be tried, before it is known which detectors are good: settings only, nothing is trained."""
        removals = {
            name: RemoveSuspicious(detector=self.settings.detectors[detector], users=users)
            for name, (detector, users) in self._removals(share).items()
        }
        return removals | dict(self.settings.defenses)

    def _removals(self, share: float) -> dict[str, tuple[str, int]]:
        """Detector and number of users of each removal."""
        return {
            self._removal(name, factor, share): (name, self._removed(factor, share))
            for name in self.settings.detectors
            for factor in FACTORS
        }

    @cache  # noqa: B019 - lives as long as the audit
    def _removed(self, factor: float, share: float) -> int:
        """How many users a removal leaves out."""
        fakes = Budget(fake_users=share).resolve(self.dataset.train.matrix, self._goals(self.first)[0]).num_fake
        return max(1, round(factor * fakes))

    def _removal(self, detector: str, factor: float, share: float) -> str:
        return f"leave out the {self._removed(factor, share)} users that {detector} suspects most"

    def _chosen(self, seen: list[Detection], share: float) -> list[str]:
        """Remedies by name: the best detectors on the strongest attack, and the other defences."""
        best = sorted(seen, key=lambda each: (-each.precision.mean, -each.auc.mean))[: self.settings.best]
        return [self._removal(each.detector, factor, share) for each in best for factor in FACTORS] + list(
            self.settings.defenses
        )

    def _attack(self, workers: Backend, task: progress.Task, wanted: list[Key]) -> None:
        """Craft and train what is not made yet, each draw with a victim seed of its own, which its clean run shares."""
        keys = [key for key in dict.fromkeys(wanted) if (key, VICTIM, 0) not in self.found]
        pools = [pool for pool in dict.fromkeys(key[1] for key in keys) if (_none(pool), VICTIM, 0) not in self.found]
        first = [
            self._training((CLEAN, pool, self.middle), VICTIM, draw)
            for pool in pools
            for draw in range(self.settings.draws)
        ]
        first += [
            Staged(attack=key[0], draw=draw, stage=key[1:], piece=Craft(attack=key[0], draw=draw, goal=goal))
            for key in keys
            for draw, goal in enumerate(self._goals(key[1]))
        ]
        for piece, made, ready in work_through(workers, first):
            key = (piece.attack, *piece.stage)
            if isinstance(piece.piece, Craft):
                event = {"attack": piece.attack, "draw": piece.draw, "seconds": round(made.seconds, 3)}
                progress.event("poison", **event, **_place(piece.stage), error=made.error)
                if made.value is None:
                    raise AttackError(f"{piece.attack}, draw {piece.draw}: {made.error}")
                self.poisons[key, piece.draw] = made.value
                ready.appendleft(self._training(key, VICTIM, piece.draw))
            else:
                self._take(piece, made, task)

    def _train(self, workers: Backend, task: progress.Task, key: Key, victims: list[str]) -> None:
        """Train defended victims on profiles that are made."""
        first = [self._training(key, victim, draw) for victim in victims for draw in range(self.settings.draws)]
        for piece, made, _ in work_through(workers, first):
            self._take(piece, made, task)

    def _training(self, key: Key, victim: str, draw: int) -> Staged:
        attack, pool, share = key
        piece = Train(
            attack=attack, draw=draw, victim=victim, seed=draw, poison=None if attack == CLEAN else self.poisons[key, draw],
            targets=self._goals(pool)[draw].targets,
        )  # fmt: skip
        return Staged(attack=attack, draw=draw, stage=(pool, share), piece=piece)

    def _take(self, piece: Staged, made: Made, task: progress.Task) -> None:
        training, (cell, found) = piece.piece, made.value
        if not isinstance(training, Train):
            raise TypeError(f"{type(training).__name__} is no training.")
        event = training.place | {"seconds": round(made.seconds, 3), "error": made.error}
        progress.event("cell", **event, **_place(piece.stage))
        if found is None:
            raise TrainingError(
                f"{self.name} failed {'on the clean data' if piece.attack == CLEAN else f'on {piece.attack}'}: {cell.error}",
                hint="`sharpap check-recommender` looks at a recommender step by step.",
            )
        longest = found.capabilities.top_k
        if not found.capabilities.reaches(self.settings.k):
            raise ConfigError(
                f"{self.name} gives lists of {longest}; the audit counts in the best {self.settings.k}.",
                hint=f"Set k={longest}.",
            )
        pool, share = piece.stage
        self.found[
            _none(pool) if piece.attack == CLEAN else (piece.attack, pool, share), training.victim, piece.draw
        ] = found
        hits = float(np.nanmean(hit_ratio(found.ranks, self.settings.k)))
        what = piece.attack if training.victim == VICTIM else training.victim
        task.advance(note=f"{what}, {pool}, {100 * share:g} %: H@{self.settings.k} {hits:.4f}")

    def _clean(self, pool: str, draw: int) -> Evaluation:
        return self.found[_none(pool), VICTIM, draw]

    def _made(self, key: Key) -> list[Poison]:
        return [self.poisons[key, draw] for draw in range(self.settings.draws)]

    def _seen(self, key: Key, victim: str = VICTIM) -> list[Evaluation]:
        return [self.found[key, victim, draw] for draw in range(self.settings.draws)]

    def _exposure(self, key: Key) -> Exposure:
        """What was found, in figures."""
        attack, pool, share = key
        poisons = self._made(key)
        return Exposure(
            attack=attack, pool=pool, share=share, fakes=poisons[0].num_fake,
            profile_size=int(poisons[0].profile_sizes.max()), hits=self._hits(self._seen(key)),
            before=self._hits(self._seen(_none(pool))).mean, accuracy=self._accuracy(self._seen(key), pool), visibility=None,
            reach=self._reach(pool, poisons[0].num_fake),
        )  # fmt: skip

    def _reach(self, pool: str, fakes: int) -> float | None:
        bounds = [each.reach for each in self._seen(_none(pool))]
        shares = [bound.share(fakes, self._k) for bound in bounds if bound is not None and fakes <= bound.fakes[-1]]
        return float(np.nanmean(shares)) if len(shares) == len(bounds) else None

    def _hits(self, found: list[Evaluation]) -> Interval:
        return interval(np.array([float(np.nanmean(hit_ratio(each.ranks, self.settings.k))) for each in found]))

    def _ranks(self, key: Key) -> float:
        """Mean rank of the targets. It decides between attacks of equal hits, above all where none has any."""
        ranks = [mean_rank(found.ranks) for found in self._seen(key)]
        return float(np.nanmean(ranks))

    def _accuracy(self, found: list[Evaluation], pool: str) -> Interval | None:
        k, before = self._k, self._seen(_none(pool))
        if any(k not in each.ndcg or each.ndcg[k] == 0 for each in before):
            return None
        return interval(np.array([now.ndcg[k] / old.ndcg[k] - 1 for now, old in zip(found, before, strict=True)]))

    def _groups(self, key: Key) -> list[Group]:
        """Quarters of users by activity, under attack."""
        sizes = np.diff(self.dataset.train.matrix.indptr)
        users = np.flatnonzero(sizes)
        order = np.argsort(sizes[users], kind="stable")
        groups = []
        for rows in np.array_split(order, 4):
            if len(rows) == 0:
                continue
            hits = [np.nanmean(hit_ratio(found.ranks[rows], self.settings.k)) for found in self._seen(key)]
            own = sizes[users[rows]]
            groups.append(Group(low=int(own.min()), high=int(own.max()), users=len(rows), hits=float(np.mean(hits))))
        return groups

    @cache  # noqa: B019 - as above
    def _suspects(self, key: Key, detector: str, draw: int) -> IntArray:
        """Users that a detector suspects on one draw, the most suspicious first: as many as any remedy leaves out."""
        most = self._defenses(key[2])[self._removal(detector, max(FACTORS), key[2])]
        assert isinstance(most, RemoveSuspicious)
        everyone = self.poisons[key, draw].inject(self.dataset.train.matrix)
        return most.suspects(everyone, seed=self.stages.experiment.victim_seed(draw))

    def _remedy(self, key: Key, name: str) -> Remedy:
        """One remedy, and for a removal whom it removed."""
        train = self.dataset.train.matrix
        removed, caught, lost = 0, None, 0
        if name in self._removals(key[2]):
            detector, users = self._removals(key[2])[name]
            shares, genuine = [], []
            for draw, poison in enumerate(self._made(key)):
                out = self._suspects(key, detector, draw)[:users]
                removed, fakes = len(out), int((out >= train.shape[0]).sum())
                shares.append(fakes / poison.num_fake)
                genuine.append(removed - fakes)
            caught, lost = float(np.mean(shares)), round(float(np.mean(genuine)))
        found = self._seen(key, name)
        return Remedy(
            name=name, removed=removed, caught=caught, lost=lost, hits=self._hits(found),
            accuracy=self._accuracy(found, self.first),
        )  # fmt: skip


def _place(stage: Stage) -> dict[str, str]:
    """Which pool and budget, for the log."""
    return {"pool": stage[0], "fakes": f"{100 * stage[1]:g}%"}


def _none(pool: str) -> Key:
    return CLEAN, pool, 0.0


def _most(seen: list[Detection], attack: str) -> float:
    return max(each.auc.mean for each in seen if each.attack == attack)
