"""What a vote of models promises against any fakes, and what an attack that was run did to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sharpap.assess.experiment import Experiment
from sharpap.attacks import Attack, check_poison
from sharpap.data import Dataset, TargetPool
from sharpap.defenses import CertifiedBagging, certify
from sharpap.defenses.certificate import Array, Kind
from sharpap.errors import ConfigError
from sharpap.recommenders import Recommender, capabilities_of
from sharpap.threads import for_work_of
from sharpap.threat import Budget

KINDS: tuple[Kind, ...] = ("these", "ideal")


@dataclass(frozen=True, kw_only=True)
class Promise:
    """With so many fakes, at least; means over the users that were in a model.

    Attributes:
        fakes: how many, or fewer.
        kind: of which vote, see `certify`.
        kept: share of a user's list that stays.
        users: share of the users of whose list something stays.
        precision, recall: share of the k places that hold test items, of the test items that are found; None without test
            data.
        measured: share of the list that stayed under the attack that was run; None where none was.
        broken: users for whom less stayed than promised.
    """

    fakes: int
    kind: Kind
    kept: float
    users: float
    precision: float | None
    recall: float | None
    measured: float | None = None
    broken: int | None = None


@dataclass(frozen=True, kw_only=True)
class Certified:
    """The promises of one recommender's vote.

    Attributes:
        users: how many have interactions.
        voters: least, median and most models that a user is in.
        precision, recall: of the vote without fakes; None without test data.
        promises: by kind and number of fakes.
    """

    users: int
    voters: tuple[int, int, int]
    precision: float | None
    recall: float | None
    promises: tuple[Promise, ...]

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def certified(
    dataset: Dataset, recommender: Recommender, defense: CertifiedBagging, fakes: Sequence[int], *, k: int = 10,
    confidence: float = 0.999, attack: Attack | None = None, seed: int = 0,
) -> Certified:  # fmt: skip
    """Train a recommender's vote once and read what it promises; with an attack, craft it and train again for each budget.

    Args:
        dataset: training data, and test data for precision and recall.
        recommender: the base model.
        defense: how many models of how many users.
        fakes: numbers of fake users, 1 or more.
        k: list length.
        confidence: see `certify`.
        attack: what to check the promises against, on one draw of unpopular targets.
        seed: the root of all randomness.

    Raises:
        ConfigError: numbers that make no sense, or a recommender that gives only lists.
    """
    users = dataset.train.num_users
    if not fakes or min(fakes) < 1 or max(fakes) > users or not 0 < confidence < 1:
        raise ConfigError(
            f"fakes={tuple(fakes)} must lie between 1 and {users}, confidence={confidence} between 0 and 1."
        )
    if capabilities_of(recommender).top_k is not None:
        raise ConfigError(f"A vote needs all scores, and {type(recommender).__name__} gives only lists.")
    if not 1 <= k <= dataset.num_items:
        raise ConfigError(f"k={k} must lie between 1 and the {dataset.num_items} items.")
    experiment = Experiment(
        dataset=dataset, attacks={}, victims={"vote": recommender}, targets=TargetPool(draws=1), ks=(k,), seed=seed
    )
    ordered = sorted(set(fakes))
    votes = defense.fit(recommender, dataset.train.matrix, dataset.valid.matrix, seed=experiment.victim_seed(0))
    mine, test = votes.lists(k), dataset.test.matrix if dataset.test.matrix.nnz else None
    known = votes.trials > 0
    stayed: dict[int, Array] = {}
    if attack is not None:
        stayed = {each: _stayed(experiment, defense, recommender, attack, each, mine, k) for each in ordered}
    promises = []
    for kind in KINDS:
        own = certify(votes, ordered, k=k, confidence=confidence, kind=kind)
        hits = None if test is None else certify(votes, ordered, k=k, wanted=test, confidence=confidence, kind=kind)
        for place, each in enumerate(ordered):
            kept = own.kept[:, place]
            left = stayed.get(each)
            promises.append(
                Promise(
                    fakes=each, kind=kind, kept=float(kept[known].mean() / k), users=float((kept[known] > 0).mean()),
                    precision=hits and float(hits.precision[place]), recall=hits and float(hits.recall[place]),
                    measured=None if left is None else float(left[known].mean() / k),
                    broken=None if left is None else int((left < kept).sum()),
                )
            )  # fmt: skip
    precision, recall = (None, None) if test is None else _accuracy(mine, test, k)
    voters = np.quantile(votes.trials[known], [0, 0.5, 1]).astype(int).tolist()
    return Certified(
        users=votes.num_active, voters=tuple(voters), precision=precision, recall=recall, promises=tuple(promises)
    )


def _stayed(
    experiment: Experiment, defense: CertifiedBagging, recommender: Recommender, attack: Attack, fakes: int, before: Any,
    k: int,
) -> Array:  # fmt: skip
    """(num_users,) how much of each list is still there after an attack."""
    dataset, goal, budget = experiment.dataset, experiment.goal(0), Budget(fake_users=fakes)
    train = dataset.train.matrix
    with for_work_of(attack):
        made = attack.poison(train, goal, budget, seed=experiment.attack_seed(0))
    check_poison(made, dataset.num_items, budget.resolve(train, goal))
    after = defense.fit(recommender, made.inject(train), dataset.valid.matrix, seed=experiment.victim_seed(0))
    return before.multiply(after.lists(k)[: train.shape[0]]).sum(1).astype(int)


def _accuracy(lists: Any, test: Any, k: int) -> tuple[float, float]:
    hits, wanted = lists.multiply(test).sum(1), np.diff(test.indptr)
    asked = wanted > 0
    return float(hits[asked].mean() / k), float((hits[asked] / wanted[asked]).mean())
