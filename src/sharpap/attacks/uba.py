"""UBA: whom to copy. Fakes are spent on those users whom they promise to win, as templates of another attack's profiles."""

from __future__ import annotations

import inspect
import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, cast

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.attacks.base import Attack
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import copied_profiles, to_csr
from sharpap.attacks.revadv import RevAdv
from sharpap.attacks.scan import check_movable, scan_scores
from sharpap.errors import ConfigError
from sharpap.kernels import stacked, stored
from sharpap.recommenders import WRMF, Recommender
from sharpap.recommenders.calls import fit, score_blocks
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings
from sharpap.threat import Allowance, Budget, Goal

Array = np.ndarray[Any, np.dtype[Any]]
IntArray = np.ndarray[Any, np.dtype[np.integer[Any]]]


class TemplateAttack(Protocol):
    """An attack that starts from the rows of given genuine users."""

    def poison(
        self, train: csr_array, goal: Goal, budget: Budget, *, seed: int, templates: IntArray | None = None
    ) -> Poison:
        """See `Attack`; `templates` has the user that each fake profile starts from."""
        ...


@dataclass(frozen=True, kw_only=True)
class UBA(Settings):
    """Spends the fakes on the users with the greatest uplift, and lets another attack make the profiles.

    Treating user u with t fakes means t profiles that start from u's own row, at most `most`. The uplift Y_u(t) is estimated
    with every candidate treated alike. The numbers t_u of the greatest sum of uplifts with sum t_u <= the number of fakes are
    found exactly: a grouped knapsack, by dynamic programming. Candidates are the goal's users, or all, who lack a target; all
    of them if nobody does. No worst case applies to the choice; that of `attack` does to the profiles, recipe "uba-sharpap".

    Attributes:
        attack: makes the profiles; one whose `poison` takes `templates`, such as `RevAdv`.
        uplift: "paths", how many more paths user - item - user - target there are, which is an entry of the third power of
            the graph's adjacency; or "retraining", how many more of the targets are in the user's top k.
        most: H, the most fakes spent on one user.
        candidates: users considered, drawn if there are more.
        recommender, trials: with "retraining", what is trained on each number of fakes, and how often.
        k: list length there.

    Source: Wang et al. 2024, *Uplift modeling for target user attacks on recommender systems* (WWW), with its repository
    Wcsa23187/UBA.

    Deviations: (1) The fakes that uplift is estimated with are plain copies of rows, not the attack's own profiles, which would
    cost an attack for each number of fakes. (2) Targets that a user owns count for nothing. (3) The source counts several
    targets apart; here their sum counts. (4) Fakes that no user's uplift asks for are spent on the chosen users by lot.
    """

    attack: Attack = field(default_factory=RevAdv)
    uplift: Literal["paths", "retraining"] = "paths"
    most: int = 5
    candidates: int = 200
    recommender: Recommender = field(default_factory=WRMF)
    trials: int = 3
    k: int = 20
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("most", "candidates", "trials", "k"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        if self.uplift not in ("paths", "retraining"):
            raise ConfigError(f"uplift={self.uplift!r} is neither paths nor retraining.")
        if "templates" not in inspect.signature(self.attack.poison).parameters:
            raise ConfigError(
                f"{type(self.attack).__name__} does not start from rows of genuine users, so UBA cannot choose them.",
                hint='Wrap one that does, such as attack = "revadv".',
            )

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Promotes only: to demote is a `ConfigError`."""
        goal.check_promotes("UBA")
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        draw = rng(seed, "uba")
        users = self._candidates(train, goal, draw)
        gains = self.gains(train, goal, users, allowance.profile_size, draw, seed)
        counts = allocate(gains, allowance.num_fake)
        templates = np.repeat(users, counts)
        spare = allowance.num_fake - len(templates)
        chosen = users[counts > 0] if len(templates) else users
        templates = np.sort(np.concatenate([templates, draw.choice(chosen, spare)]))
        made = cast(TemplateAttack, self.attack).poison(train, goal, budget, seed=seed, templates=templates)
        promised = float(gains[np.flatnonzero(counts), counts[counts > 0] - 1].sum())
        return replace(
            made,
            attack="uba" if made.attack == "revadv" else f"uba-{made.attack}",
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
            notes=made.notes | {"templates": templates.tolist(), "uplift": promised},
        )

    def _candidates(self, train: csr_array, goal: Goal, draw: np.random.Generator) -> IntArray:
        users = goal.audience(train)
        lacking = users[~stored(train, np.array(goal.targets))[users].all(1)]
        found = lacking if len(lacking) else users
        return found if len(found) <= self.candidates else np.sort(draw.choice(found, self.candidates, replace=False))

    def gains(
        self, train: csr_array, goal: Goal, users: IntArray, size: int, draw: np.random.Generator, seed: int
    ) -> Array:
        """(users, most) uplift of each user by the number of fakes spent on it, all users treated alike."""
        levels, fakes = [], csr_array(np.empty((0, train.shape[1]), np.float32))
        with progress.task("UBA: uplift", self.most + 1) as task:
            for level in range(self.most + 1):
                if level:  # one more fake for each
                    allowance = Allowance(num_fake=len(users), profile_size=size)
                    more = to_csr(copied_profiles(train, goal, allowance, draw, sources=users), train.shape[1])
                    fakes = stacked(fakes, more)
                poisoned = stacked(train, fakes)
                if self.uplift == "paths":
                    levels.append(three_hops(poisoned, users, goal.targets))
                else:
                    levels.append(self._wins(poisoned, train, goal, users, seed))
                task.advance()
        return np.stack([level - levels[0] for level in levels[1:]], axis=1)

    def _wins(self, poisoned: csr_array, train: csr_array, goal: Goal, users: IntArray, seed: int) -> Array:
        """(users,) targets in the top k that the user does not own, mean over trainings."""
        total = np.zeros(len(users))
        for trial in range(self.trials):
            model = fit(self.recommender, poisoned, seed=derive_seed(seed, "uplift", trial))
            blocks = score_blocks(model, users, train.shape[1])
            found = scan_scores(blocks, users, train, goal, k=self.k, rivals=self.k, dtype=torch.float32)
            total += found.won.sum(1).numpy()
        return total / self.trials


def three_hops(matrix: csr_array, users: IntArray, targets: tuple[int, ...]) -> Array:
    """(users,) paths user - item - other user - target, summed over targets that the user does not own.

    A path may come by the same user or item twice: these are entries of the third power of the adjacency of users and
    items, R R^T R for the interactions R. O(nnz targets).
    """
    columns = csr_array(matrix[:, list(targets)])
    paths = (matrix[users] @ (matrix.T @ columns)).toarray()
    return np.where(columns[users].toarray() > 0, 0.0, paths).sum(1).astype(np.float64)


def allocate(gains: Array, budget: int) -> IntArray:
    """(users,) numbers t_u of the greatest sum of gains[u, t_u - 1], 0 for t_u = 0, with sum t_u <= `budget`; exact.

    A grouped knapsack: best[n] is the most that the users so far give for n fakes. O(users budget most) time. Of equals the
    fewer fakes are taken, at later users.
    """
    users, most = gains.shape
    best = np.zeros(budget + 1)
    taken = np.zeros((users, budget + 1), np.min_scalar_type(most))
    for user, own in enumerate(gains):
        options = np.full((most + 1, budget + 1), -np.inf)
        options[0] = best
        for count in range(1, min(most, budget) + 1):
            options[count, count:] = best[: budget + 1 - count] + own[count - 1]
        taken[user] = options.argmax(0)
        best = options.max(0)
    counts, left = np.zeros(users, np.int64), budget
    for user in reversed(range(users)):
        counts[user] = taken[user, left]
        left -= counts[user]
    return counts
