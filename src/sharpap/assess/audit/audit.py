"""How exposed one recommender is: what it takes, who is hit, what it costs, how visible it is, what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product

import numpy as np

from sharpap import progress
from sharpap.assess.audit.audit_report import AuditReport, Remedy, Value
from sharpap.assess.audit.detection import Detection, detect, detectors
from sharpap.assess.audit.measured import VICTIM, Figures, Key, none
from sharpap.assess.audit.yardstick import yardstick
from sharpap.assess.execution.backend import Backend, work_through
from sharpap.assess.execution.choice import backend
from sharpap.assess.experiment import CLEAN, Experiment
from sharpap.assess.work.cells import CellStore
from sharpap.assess.work.pieces import Craft, Made, Train, Work
from sharpap.assess.work.stages import Stage, Staged, Stages
from sharpap.attacks import Attack, Bandwagon, RandomAttack, RevAdv, SharpnessAware
from sharpap.data import Dataset, TargetPool
from sharpap.defenses import Defended, Defense, Regularised, RemoveSuspicious
from sharpap.detectors import CoVisits, DegSim, Detector
from sharpap.errors import AttackError, ConfigError, TrainingError
from sharpap.metrics import hit_ratio
from sharpap.recommenders import Recommender
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Allowance, Budget, Goal

UNROLLED = 15  # as strong as the surrogate's own 30, in two thirds of the time (docs/audit.md)


def suite() -> dict[str, Attack]:
    """What an audit tries: two heuristics that anyone can mount, and the strongest gradient attack of the literature."""
    return {
        "random": RandomAttack(),
        "bandwagon": Bandwagon(),
        "sharpap": RevAdv(worst_case=SharpnessAware(), epochs=30, surrogate=WRMFSurrogate(unrolled_epochs=UNROLLED)),
    }


def removals() -> dict[str, Detector]:
    """The detectors whose suspects an audit leaves out: the two that helped in the matrix of docs/defences.md."""
    return {"co-visits": CoVisits(), "deg-sim": DegSim()}


def remedies() -> dict[str, Defense]:
    """What an audit tries besides: more regularisation, which is one training where the recommender has such a setting."""
    return {"regularised": Regularised()}


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Settings of an audit.

    Attributes:
        attacks: name to attack.
        budgets: shares of fake users, ascending; the first screening takes the one nearest 1 %.
        draws: target draws of each pool.
        size: targets in a draw.
        pools: target pools compared (`data.TargetPool.kind`); the first is the one budgets are tried on.
        detectors: name to detector; what each sees of the attacks is shown.
        removals: name to detector whose suspects are left out of training, as many as the largest budget has fakes: how many
            there are a defender does not know. Each takes 2 x draws trainings, without attack and with it.
        defenses: name to defence, tried as well, and as long. One that the recommender cannot be trained under is said.
        k: list length.
        seed: the root of all randomness.
    """

    attacks: Mapping[str, Attack] = field(default_factory=suite)
    budgets: tuple[float, ...] = (0.0025, 0.005, 0.01, 0.02, 0.05)
    draws: int = 3
    size: int = 5
    pools: tuple[str, ...] = ("unpopular", "lower_torso", "head")
    detectors: Mapping[str, Detector] = field(default_factory=detectors)
    removals: Mapping[str, Detector] = field(default_factory=removals)
    defenses: Mapping[str, Defense] = field(default_factory=remedies)
    k: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.attacks or not self.budgets or not self.pools or not self.detectors:
            raise ConfigError("An audit needs at least one attack, one budget, one pool of targets and one detector.")
        if list(self.budgets) != sorted(set(self.budgets)) or not 0 < self.budgets[0] <= self.budgets[-1] < 1:
            raise ConfigError(f"budgets={self.budgets} must be ascending shares between 0 and 1.")
        if self.draws < 2 or self.size < 1 or self.k < 1:
            raise ConfigError(f"draws={self.draws} must be 2 or more, size={self.size} and k={self.k} 1 or more.")


def audit(
    dataset: Dataset, recommender: Recommender, settings: Audit | None = None, *, name: str = "",
    vary: Mapping[str, Mapping[Value, Recommender]] | None = None, origin: str = "", store: CellStore | None = None,
    jobs: int = 1,
) -> AuditReport:  # fmt: skip
    """Attack one recommender with a suite of attacks and budgets, and measure.

    Args:
        dataset: training data, and validation and test data where there are some.
        recommender: anything with `fit` and `score`; trained from scratch about attacks + budgets + pools times draws, and
            for each remedy.
        settings: what to try.
        name: of the recommender, for the report.
        vary: setting to value to the recommender with it (see `assess.audit.vary`); each is trained twice times draws: without
            attack, and on the profiles of the strongest attack where the audited one gives way. Attacks do not look at the
            victim, so that profiles crafted anew would be the same.
        origin: where the recommender's settings come from, for the report.
        store: a folder of finished work, from which an interrupted audit goes on: profiles and trainings, remedies included.
        jobs: processes that work side by side; in a script, with more than one, the call must stand under
            `if __name__ == "__main__"`.

    Raises:
        TrainingError: the recommender failed on the clean data, or on poisoned data.
        AttackError: an attack failed.
    """
    return _Auditor(dataset, recommender, settings or Audit(), name, vary or {}, store).report(jobs, origin)


class _Auditor:
    """Asks for work, phase by phase, and turns it into figures."""

    def __init__(
        self, dataset: Dataset, recommender: Recommender, settings: Audit, name: str,
        vary: Mapping[str, Mapping[Value, Recommender]], store: CellStore | None,
    ) -> None:  # fmt: skip
        self.dataset, self.recommender, self.settings = dataset, recommender, settings
        self.name = name or type(recommender).__name__
        self.middle = min(settings.budgets, key=lambda share: abs(np.log(share / 0.01)))
        self.first = settings.pools[0]
        self.variants: dict[str, Recommender] = {}
        self.paths = {
            setting: [self._variant(setting, *each) for each in values.items()] for setting, values in vary.items()
        }
        self.defenses = self._defenses()
        victims = {VICTIM: recommender, **self.variants} | {
            name: Defended(recommender=recommender, defense=defense) for name, defense in self.defenses.items()
        }
        stages = product(settings.pools, settings.budgets)
        works = {stage: Work(self._experiment(stage, victims), store) for stage in stages}
        self.stages = Stages(works[self.first, self.middle].experiment, store, works=works)
        self.figures = Figures(dataset=dataset, draws=settings.draws, k=self._k)

    def report(self, jobs: int, origin: str) -> AuditReport:
        """Try everything."""
        settings, train, figures, first, middle = (
            self.settings,
            self.dataset.train,
            self.figures,
            self.first,
            self.middle,
        )
        most = 2 * (len(self.defenses) + len(self.variants))
        sets = len(settings.attacks) + len(settings.budgets) - 1 + 2 * len(settings.pools) - 1 + most
        with (
            progress.task(f"Audit of {self.name}", sets * settings.draws) as task,
            backend(self.stages, jobs) as workers,
        ):
            tried = self._screen(workers, task)
            strongest = max(tried, key=lambda key: (figures.exposure(key).hits.mean, -figures.ranks(key)))[0]
            curve = [(strongest, first, share) for share in settings.budgets]
            self._attack(workers, task, curve)
            worst = strongest, first, self._breaking(curve)
            pools = [(strongest, pool, worst[2]) for pool in settings.pools]
            self._attack(workers, task, pools)
            seen = self._detect(tried)
            screening = [replace(figures.exposure(key), visibility=_most(seen, key[0])) for key in tried]
            seen = [each for each in seen if each.attack != strongest] + self._detect([worst])
            lists = figures.evaluations[worst, VICTIM, 0].capabilities.top_k is not None
            others = [*([] if lists else self.defenses), *self.variants]
            self._train(workers, task, (CLEAN, first, middle), others)
            self._train(workers, task, worst, [name for name in others if name not in figures.failed])
        failed = {name: why for name, why in figures.failed.items() if name in self.defenses}
        return AuditReport(
            dataset=self.dataset.name, recommender=self.name, users=train.num_users, items=train.num_items,
            interactions=train.nnz, origin=origin, ndcg=figures.ndcg(first),
            yardstick=yardstick(self.dataset, self._k, self.stages.experiment.victim_seed(0)),
            screening=screening, strongest=strongest, breaking=figures.exposure(worst),
            curve=[figures.exposure(key) for key in curve], pools=[figures.exposure(key) for key in pools],
            groups=figures.groups(worst), detections=seen, failed=failed,
            remedies=[] if lists else [self._remedy(worst, name) for name in self.defenses if name not in failed],
            paths=[figures.path(setting, victims, worst) for setting, victims in self.paths.items()],
            cliff=figures.cliff(curve[-1], self.name),
            settings={
                "attacks": list(settings.attacks), "budgets": list(settings.budgets), "draws": settings.draws,
                "size": settings.size, "pools": list(settings.pools), "k": settings.k, "seed": settings.seed,
                "detectors": list(settings.detectors), "defenses": list(self.defenses),
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
        points = [self.figures.exposure(key) for key in curve]
        through = [
            each.share for each in points if each.hits.mean >= AuditReport.LEVELS[0] and each.hits.mean > each.before
        ]
        return through[0] if through else points[-1].share

    def _variant(self, setting: str, value: Value, recommender: Recommender) -> tuple[Value, str]:
        """A value and the name of its victim, which may be the audited one."""
        if recommender is self.recommender:
            return value, VICTIM
        self.variants[f"{setting}={value}"] = recommender
        return value, f"{setting}={value}"

    def _detect(self, keys: list[Key]) -> list[Detection]:
        made = {key[0]: dict(enumerate(self.figures.made(key))) for key in keys}
        return detect(self.dataset.train.matrix, made, self.settings.detectors, seed=self.settings.seed, tell=False)

    def _defenses(self) -> dict[str, Defense]:
        """By name: settings only, nothing is trained yet."""
        settings, train = self.settings, self.dataset.train.matrix
        most = Budget(fake_users=settings.budgets[-1]).resolve(train, self._goals(self.first)[0]).num_fake
        without = {
            f"leave out the {most} users that {name} suspects most": RemoveSuspicious(detector=detector, users=most)
            for name, detector in settings.removals.items()
        }
        return without | dict(settings.defenses)

    def _screen(self, workers: Backend, task: progress.Task) -> list[Key]:
        """Try every attack with about 1 % fakes, and where none gets through, with the most: who comes nearest with few need
        not be who gets through with many.
        """
        tried: list[Key] = []
        self._clean(workers, task, [self.first])
        self._say_what_is_known()
        for share in (self.middle, self.settings.budgets[-1]):
            tried = [(attack, self.first, share) for attack in self.settings.attacks]
            if self._spared(tried[0]):
                continue
            self._attack(workers, task, tried)
            found = map(self.figures.exposure, tried)
            if any(each.hits.mean > each.before for each in found):
                break
        return tried

    def _attack(self, workers: Backend, task: progress.Task, wanted: list[Key]) -> None:
        """Craft and train what is not made yet, each draw with a victim seed of its own, which its clean run shares."""
        self._clean(workers, task, [key[1] for key in wanted])
        keys = [key for key in dict.fromkeys(wanted) if not self.figures.has(key)]
        spared = {key: self._allowed(key) for key in keys if self._spared(key)}
        self.figures.spared |= spared
        task.advance(len(spared) * self.settings.draws)
        first = [
            Staged(attack=key[0], draw=draw, stage=key[1:], piece=Craft(attack=key[0], draw=draw, goal=goal))
            for key in keys
            if key not in self.figures.spared
            for draw, goal in enumerate(self._goals(key[1]))
        ]
        for piece, made, ready in work_through(workers, first):
            key = (piece.attack, *piece.stage)
            if isinstance(piece.piece, Craft):
                event = {"attack": piece.attack, "draw": piece.draw, "seconds": round(made.seconds, 3)}
                progress.event("poison", **event, **_place(piece.stage), error=made.error)
                if made.value is None:
                    raise AttackError(f"{piece.attack}, draw {piece.draw}: {made.error}")
                self.figures.poisons[key, piece.draw] = made.value
                ready.appendleft(self._training(key, VICTIM, piece.draw))
            else:
                self._take(piece, made, task)

    def _clean(self, workers: Backend, task: progress.Task, pools: list[str]) -> None:
        """Train without attack where that is not done yet."""
        left = [pool for pool in dict.fromkeys(pools) if not self.figures.has(none(pool))]
        places = [(CLEAN, pool, self.middle) for pool in left]
        first = [self._training(place, VICTIM, draw) for place in places for draw in range(self.settings.draws)]
        for piece, made, _ in work_through(workers, first):
            self._take(piece, made, task)

    def _allowed(self, key: Key) -> Allowance:
        """The budget of a place in whole numbers."""
        return Budget(fake_users=key[2]).resolve(self.dataset.train.matrix, self._goals(key[1])[0])

    def _spared(self, key: Key) -> bool:
        """Whether so few fakes cannot reach the first of the levels, whatever they are. The most are always tried."""
        most = self.figures.bound(key[1], self._allowed(key).num_fake)
        return key[2] < self.settings.budgets[-1] and most is not None and most < AuditReport.LEVELS[0]

    def _say_what_is_known(self) -> None:
        """The first answer: accuracy, and what any attack could do."""
        found, settings = self.figures, self.settings
        ndcg = found.ndcg(self.first)
        said = "" if ndcg is None else f"NDCG@{self._k} without attack is {ndcg:.4f}. "
        fakes = [self._allowed((CLEAN, self.first, share)).num_fake for share in settings.budgets]
        bounds = [(number, found.bound(self.first, number)) for number in fakes]
        known = [f"{100 * bound:.1f} % with {number:,} fakes" for number, bound in bounds if bound is not None]
        said += f"At most, any attack: {', '.join(known)}." if known else ""
        progress.event("so far", message=said.strip())

    def _say_what_it_takes(self, key: Key, draw: int) -> None:
        """What the strongest attack has done so far with a budget, once all of them have been tried on a draw."""
        tried = [(attack, *key[1:]) for attack in self.settings.attacks]
        common = set.intersection(*map(self.figures.draws_of, tried))
        if draw in common:
            hits = {each[0]: self.figures.hits_of(each, common) for each in tried}
            best = max(hits, key=lambda attack: hits[attack])
            fakes, sets = self._allowed(key).num_fake, f"{len(common)} of {self.settings.draws}"
            told = f"{fakes:,} fakes of {best} are in {100 * hits[best]:.2f} % of the lists ({sets} target sets)."
            progress.event("so far", message=told)

    def _train(self, workers: Backend, task: progress.Task, key: Key, victims: list[str]) -> None:
        """Train other victims on profiles that are made, or on the clean data."""
        first = [self._training(key, victim, draw) for victim in victims for draw in range(self.settings.draws)]
        for piece, made, _ in work_through(workers, first):
            self._take(piece, made, task)

    def _training(self, key: Key, victim: str, draw: int) -> Staged:
        attack, pool, share = key
        poison = None if attack == CLEAN else self.figures.poisons[key, draw]
        targets = self._goals(pool)[draw].targets
        piece = Train(attack=attack, draw=draw, victim=victim, seed=draw, poison=poison, targets=targets)
        return Staged(attack=attack, draw=draw, stage=(pool, share), piece=piece)

    def _take(self, piece: Staged, made: Made, task: progress.Task) -> None:
        training, (cell, found) = piece.piece, made.value
        if not isinstance(training, Train):
            raise TypeError(f"{type(training).__name__} is no training.")
        event = training.place | {"seconds": round(made.seconds, 3), "error": made.error}
        progress.event("cell", **event, **_place(piece.stage))
        if training.victim != VICTIM and (found is None or not found.capabilities.reaches(self.settings.k)):
            self.figures.failed[training.victim] = cell.error or "Its lists are too short."
            task.advance(note=f"{training.victim} failed")
            return
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
        self.figures.evaluations[
            none(pool) if piece.attack == CLEAN else (piece.attack, pool, share), training.victim, piece.draw
        ] = found
        if training.victim == VICTIM and piece.attack != CLEAN:
            self._say_what_it_takes((piece.attack, pool, share), piece.draw)
        hits = float(np.nanmean(hit_ratio(found.ranks, self.settings.k)))
        what = piece.attack if training.victim == VICTIM else training.victim
        task.advance(note=f"{what}, {pool}, {100 * share:g} %: H@{self.settings.k} {hits:.4f}")

    def _remedy(self, key: Key, name: str) -> Remedy:
        """One remedy, and for a removal whom it removed."""
        train, defense = self.dataset.train.matrix, self.defenses[name]
        removed, caught, lost = 0, None, 0
        if isinstance(defense, RemoveSuspicious):
            shares, genuine = [], []
            for draw, poison in enumerate(self.figures.made(key)):
                out = defense.suspects(poison.inject(train), seed=self.stages.experiment.victim_seed(draw))
                removed, fakes = len(out), int((out >= train.shape[0]).sum())
                shares.append(fakes / poison.num_fake)
                genuine.append(removed - fakes)
            caught, lost = float(np.mean(shares)), round(float(np.mean(genuine)))
        promised, stayed = self.figures.promised(key, name)
        return Remedy(
            name=name, removed=removed, caught=caught, lost=lost, worth=self.figures.worth(key, name),
            accuracy=self.figures.accuracy(self.figures.seen(key, name), self.first), promised=promised, stayed=stayed,
        )  # fmt: skip


def _place(stage: Stage) -> dict[str, str]:
    """Which pool and budget, for the log."""
    return {"pool": stage[0], "fakes": f"{100 * stage[1]:g}%"}


def _most(seen: list[Detection], attack: str) -> float:
    return max(each.auc.mean for each in seen if each.attack == attack)
