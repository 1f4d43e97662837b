"""CoAttack: a model is trained to recommend the targets while it is trained, and says what its fake users would like."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.attacks.objective import Hinge, Objective
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import pinned_items, to_csr
from sharpap.attacks.scan import Scan, check_movable, scan
from sharpap.attacks.worst_case import Identity, WorstCase, check_no_earlier_states, mixed
from sharpap.errors import ConfigError, TrainingError
from sharpap.kernels import Pattern, block_rows, stacked, topk_scores
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_loss
from sharpap.recommenders.graph import Graph
from sharpap.recommenders.training import initial_factors
from sharpap.recommenders.wrmf import reg_for, weight_for
from sharpap.seeds import derive_seed
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.surrogates.passing import GradientPassing
from sharpap.surrogates.unroll import Adam, Moments
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, kw_only=True)
class CoAttack(Settings):
    """Trains one model with the attack loss in it, and fills each fake profile with what the model recommends.

    A weighted matrix factorisation is trained on genuine and fake rows, by full-batch Adam. In the last steps the attack loss
    is added to its own,

        recommendation loss + attack_weight * sum over eligible users and targets of the objective,

    and every `refill` steps the fake users' fillers are read off anew: the items that the model scores best for them. So
    profiles, model and attack move together, in one training where other attacks need one for each step of the profiles.

    Attributes:
        objective: the attack loss.
        worst_case: the embeddings that the attack loss's gradient is taken at; `Identity()` is the base attack.
        embedding_size, learning_rate, positive_weight, negative_weight, reg, init_std: as for `WRMFSurrogate`.
        epochs: Adam steps.
        attack_epochs: the last of them, with the attack loss.
        attack_weight: see above.
        refill: steps after which fillers are read off and users' rivals looked for anew.
        passing: spread each step's gradient, the attack loss's included, over the graph; None: ordinary training.
        k: length of the top list attacked.
        rivals: scanned competitors per user, the worst case's included.

    Source: Wang et al. 2024, *Securing recommender system via cooperative training* (code: greensun0830/Cotraining-Attack,
    models/CoAttack.py), for which 20 of its epochs, kappa 0.2 and the joint loss are followed.

    Deviations: (1) the fake users take part in training, with the targets at first and then their fillers too. In that code
    they are in no batch and their embeddings stay as drawn, so that profiles are the best items of random directions.
    (2) The weighted loss over all pairs for implicit feedback, without a sigmoid, instead of squared errors of ratings.
    (3) Fillers are read off during the attack as well, not only at the end. (4) The game against a robust defence
    (GCoAttack) is left out.
    """

    objective: Objective = field(default_factory=Hinge)
    worst_case: WorstCase = field(default_factory=Identity)
    embedding_size: int = 64
    epochs: int = 80
    attack_epochs: int = 40
    attack_weight: float = 1.0
    refill: int = 10
    passing: GradientPassing | None = None
    k: int = 10
    rivals: int = 100
    learning_rate: float = 0.1
    positive_weight: float | None = None
    negative_weight: float = 1.0
    reg: float | None = None
    init_std: float = 0.1
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.worst_case is None:
            object.__setattr__(self, "worst_case", Identity())
        super().__post_init__()
        for name in ("embedding_size", "epochs", "refill", "k", "rivals"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        if not 1 <= self.attack_epochs <= self.epochs:
            raise ConfigError(f"attack_epochs={self.attack_epochs} must lie in 1..{self.epochs}, the epochs.")
        if not self.attack_weight >= 0:
            raise ConfigError(f"attack_weight={self.attack_weight} must be 0 or positive.")
        check_no_earlier_states(
            self.worst_case, "CoAttack unrolls no training", acts_in="every step with the attack loss"
        )

    @property
    def name(self) -> str:
        """ "coattack" for the base attack, "coattack-sharpap" with a worst case."""
        return "coattack" if isinstance(self.worst_case, Identity) else "coattack-sharpap"

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Promotes only: to demote is a `ConfigError`. O(epochs (nnz d + (n + m) d^2)) and the scans."""
        goal.check_promotes("CoAttack")
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        pinned = pinned_items(goal)
        weights = {
            "positive_weight": weight_for(train) if self.positive_weight is None else self.positive_weight,
            "negative_weight": self.negative_weight,
            "reg": reg_for(train) if self.reg is None else self.reg,
        }
        num_users, num_items = train.shape
        rows = [pinned] * allowance.num_fake
        pattern, graph = poisoned(train, rows), None
        start_at = initial_factors(*pattern.shape, self.embedding_size, self.init_std, seed)
        theta = torch.from_numpy(start_at[0]), torch.from_numpy(start_at[1])
        moments = [Moments.zeros(part) for part in theta]
        adam = Adam(learning_rate=self.learning_rate)
        first = self.epochs - self.attack_epochs + 1
        history = []
        found: Scan | None = None
        with progress.task(f"{self.name}: training", self.epochs) as task:
            for t in range(1, self.epochs + 1):
                grads = wrmf_gradient(pattern, *theta, **weights)
                if t >= first:
                    here = Embeddings(theta[0][:num_users], theta[1])
                    if found is None or (t - first) % self.refill == 0:
                        found = scan(here, train, goal, k=self.k, rivals=self.rivals)
                    value, grad = self.attack_gradient(
                        here, found, pattern, theta[0], weights, derive_seed(seed, "step", t)
                    )
                    strength = self.attack_weight * float(found.eligible.sum())
                    grads[0][:num_users].add_(grad.users, alpha=strength)
                    grads[1].add_(grad.items, alpha=strength)
                    history.append({"epoch": t, "attack_loss": value, "surrogate_hit_ratio": found.hit_ratio})
                    task.advance(0, note=f"surrogate H@{self.k} {found.hit_ratio:.4f}")
                if self.passing:
                    graph = graph or Graph.normalised(pattern)
                    grads = self.passing(graph, self.passing.apart(graph, theta, grads), grads)
                for part, moment, grad in zip(theta, moments, grads, strict=True):
                    adam.step(part, moment, grad, t)
                if t == self.epochs or (t >= first and (t - first + 1) % self.refill == 0):
                    if not all(bool(torch.isfinite(part).all()) for part in theta):
                        raise TrainingError(
                            "CoAttack's training diverged.", hint="Lower its learning_rate or attack_weight."
                        )
                    rows = self.filled(theta[0][num_users:], theta[1], pinned, allowance.profile_size)
                    pattern, graph = poisoned(train, rows), None
                task.advance()
        return Poison(
            profiles=to_csr(rows, num_items),
            goal=goal,
            attack=self.name,
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
            history=tuple(history),
            notes={"k": self.k},
        )

    def attack_gradient(
        self, here: Embeddings, found: Scan, pattern: Pattern, users: torch.Tensor, weights: dict[str, float], seed: int
    ) -> tuple[float, Embeddings]:
        """The attack loss and its gradient, at the worst case where there is one. `users` are genuine and fake rows."""
        loss = partial(self.objective.value_and_grad, scan=found)
        fakes = users[len(here.users) :]

        def fit(at: Embeddings) -> float:
            return wrmf_loss(pattern, torch.cat([at.users, fakes]), at.items, **weights)

        worst = self.worst_case(here, loss, seed=seed, fit=fit)
        return mixed(loss, here, worst, self.worst_case.clean_share)

    @staticmethod
    def filled(fakes: torch.Tensor, items: torch.Tensor, pinned: np.ndarray, size: int) -> list[np.ndarray]:
        """One row for each fake user: the targets, and the other items with the best scores. A block of users at a time."""
        if size == len(pinned):
            return [pinned] * len(fakes)
        rows: list[np.ndarray] = []
        for part in fakes.split(block_rows(len(items))):
            scores = (part @ items.T).numpy()
            scores[:, pinned] = -np.inf
            best, _ = topk_scores(scores, size - len(pinned))
            rows += [np.concatenate([pinned, row]).astype(np.int64) for row in best]
        return rows


def poisoned(train: csr_array, rows: list[np.ndarray]) -> Pattern:
    """Genuine rows, then fake ones."""
    return Pattern.from_csr(stacked(train, to_csr(rows, train.shape[1])))
