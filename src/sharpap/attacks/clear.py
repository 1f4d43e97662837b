"""CLeaR: profiles read off a contrastive surrogate whose embeddings were spread out, and its targets raised."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap import progress
from sharpap.attacks.objective import rival_scores
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import draw_items, pinned_items, to_csr
from sharpap.attacks.scan import Scan, check_movable, scan
from sharpap.attacks.worst_case import Identity, WorstCase, check_no_earlier_states, trained_against
from sharpap.errors import ConfigError
from sharpap.kernels import stacked
from sharpap.recommenders import SGL, LightGCN, Recommender, SimGCL, XSimGCL
from sharpap.recommenders.pairwise import Learner
from sharpap.recommenders.resume import Adam
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.threat import Budget, Goal

Graphs = SimGCL | SGL | XSimGCL | LightGCN


@dataclass(frozen=True, kw_only=True)
class CLeaR(Settings):
    """Poisons a copy of a contrastive model, then trains the model on what the copy recommends to the fakes, in turn.

    The outer level takes `poison_steps` steps of Adam on the embeddings of a copy, down the loss

        rank_loss + dispersion_weight * dispersion

    rank_loss is the mean over genuine users u and targets t that u lacks of s_uK - s_ut, s_uK the K-th best score.
    The dispersion is how much of the embeddings lies along their leading direction (see `dispersion`): less of it means a
    flatter spectrum, which contrastive training favours anyway, and which leaves unpopular items less far from most users.
    Then each fake user gets the targets and the items that the copy recommends to it. The inner level trains the model
    itself on genuine and these fake rows. The profiles that leave the trained model with the best targets are kept.

    Attributes:
        surrogate: the model; one of SimGCL, SGL, XSimGCL, or LightGCN (without contrast).
        epochs: outer ones.
        poison_steps, learning_rate: Adam on the copy.
        dispersion_weight: see above; 0 leaves the rank loss alone.
        power_steps: steps of power iteration, from a random vector, that the leading direction is found by.
        tune_steps: steps of ordinary training in each epoch.
        k: length of the top list attacked.
        rivals: best items of each user among which the K-th score is taken, the worst case's included.
        worst_case: applied to the copy's final embeddings of genuine users and items before each step; `Identity()` is the
            base attack.

    Source: Wang et al. 2023, *Poisoning attacks against contrastive recommender systems* (arXiv 2311.18244; later *Unveiling
    vulnerabilities of contrastive recommender systems to poisoning attacks*); the authors' code in CoderWZW/ARLib is followed.

    Deviations: (1) Every target of a user is compared with the K-th best item, there with the K-th, the one before it, and so
    on; targets that a user owns are left out. (2) The surrogate is trained from the beginning with random profiles in place;
    there they are added to a trained model. (3) Ordinary training goes on at its own rate, there at a tenth of it; numbers
    of steps are ours. (4) Profiles with as many hits are told apart by the rank loss: at small budgets there is no hit at all.
    (5) Fillers are the best items without the targets, so that all profiles have the same size.
    """

    surrogate: Recommender = field(default_factory=lambda: SimGCL(epochs=150, min_epochs=0))
    epochs: int = 10
    poison_steps: int = 20
    learning_rate: float = 0.02
    dispersion_weight: float = 1.0
    power_steps: int = 1
    tune_steps: int = 15
    k: int = 10
    rivals: int = 50
    worst_case: WorstCase = field(default_factory=Identity)
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.worst_case is None:
            object.__setattr__(self, "worst_case", Identity())
        super().__post_init__()
        if not isinstance(self.surrogate, Graphs):
            raise ConfigError(
                f"surrogate={type(self.surrogate).__name__} is no graph model whose embeddings are all it trains.",
                hint="Take SimGCL, SGL, XSimGCL or LightGCN.",
            )
        for name in ("epochs", "poison_steps", "power_steps", "k", "rivals"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        for name in ("dispersion_weight", "tune_steps"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be 0 or positive.")
        check_no_earlier_states(self.worst_case, "CLeaR unrolls no training", acts_in="every step on the copy")

    @property
    def name(self) -> str:
        """ "clear" for the base attack, "clear-sharpap" with a worst case."""
        return "clear" if isinstance(self.worst_case, Identity) else "clear-sharpap"

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Promotes only: to demote is a `ConfigError`."""
        goal.check_promotes("CLeaR")
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        wanted = allowance.profile_size - len(goal.targets)
        draw, others = rng(seed, "clear"), np.ones(train.shape[1])
        others[list(goal.targets)] = 0
        fillers = np.array([draw_items(others, wanted, draw) for _ in range(allowance.num_fake)])
        learner = Learner.new(self._settings, poisoned(train, fillers, goal), derive_seed(seed, "surrogate"))
        with progress.task(f"{self.name}: surrogate", self._settings.epochs) as task:
            for _ in range(self._settings.epochs):
                learner.step()
                task.advance()
        best, chosen, history = (-1.0, 0.0), fillers, []
        with progress.task(f"{self.name}: epochs", self.epochs) as task:
            for epoch in range(self.epochs):
                learner = learner.on(poisoned(train, chosen, goal))
                copy, record = self.poison_training(learner, train, goal, seed=derive_seed(seed, "outer", epoch))
                fillers = self.select(learner, copy, train.shape[0], goal, wanted)
                learner = learner.on(poisoned(train, fillers, goal))
                for _ in range(self.tune_steps):
                    learner.step()
                with torch.no_grad():
                    here = embeddings(learner, learner.theta, train.shape[0])
                    found = self.look(here, train, goal)
                    reached = found.hit_ratio, -float(rank_loss(here, found)[0])
                if reached > best:
                    best, chosen = reached, fillers
                history.append({"epoch": epoch, **record, "surrogate_hit_ratio": found.hit_ratio})
                task.advance(note=f"surrogate H@{self.k} {found.hit_ratio:.4f}")
        pinned = pinned_items(goal)
        return Poison(
            profiles=to_csr([np.concatenate([pinned, row]) for row in chosen], train.shape[1]),
            goal=goal,
            attack=self.name,
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
            history=tuple(history),
            notes={"k": self.k},
        )

    @property
    def _settings(self) -> Graphs:
        assert isinstance(self.surrogate, Graphs)
        return self.surrogate

    def poison_training(
        self, learner: Learner, train: csr_array, goal: Goal, *, seed: int
    ) -> tuple[list[Tensor], dict[str, float]]:
        """Layer-0 embeddings of a poisoned copy, on the learner's graph, and a record of its last step; the learner stays."""
        draw, num_users = rng(seed, "power-iteration"), train.shape[0]
        theta = [part.detach().clone().requires_grad_() for part in learner.theta]
        optimizer = Adam(theta, self.learning_rate)
        record: dict[str, float] = {}
        for step in range(self.poison_steps):
            here = embeddings(learner, theta, num_users)
            found = self.look(here, train, goal)
            about = torch.from_numpy(draw.standard_normal(here.items.shape[1], dtype=np.float32))

            def loss(at: Embeddings, found: Scan = found, about: Tensor = about) -> Tensor:
                return self.attack_loss(at, found, about)

            value = trained_against(self.worst_case, here, loss, seed=derive_seed(seed, "worst-case", step), fit=None)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            record["attack_loss"] = float(value.detach())
        return theta, record

    def look(self, at: Embeddings, train: csr_array, goal: Goal) -> Scan:
        """Every user's best rivals at these embeddings."""
        still = Embeddings(at.users.detach(), at.items.detach())
        return scan(still, train, goal, k=self.k, rivals=self.rivals)

    def attack_loss(self, at: Embeddings, found: Scan, about: Tensor) -> Tensor:
        """Rank loss and dispersion at these embeddings; power iteration begins with `about`. O(users (rivals + targets) d)."""
        rank, edge = rank_loss(at, found)
        if self.dispersion_weight == 0:
            return rank
        rows = torch.cat([at.users[found.users], at.items[found.targets], at.items[edge]])
        mine, theirs = found.eligible.sum(1), found.eligible.sum(0)
        spread = dispersion(rows, torch.cat([mine, theirs, mine]), about, self.power_steps)
        return rank + self.dispersion_weight * spread

    def select(self, learner: Learner, theta: list[Tensor], num_users: int, goal: Goal, wanted: int) -> np.ndarray:
        """(num_fake, wanted) fillers: the items that a model of these layer-0 embeddings scores best for each fake user."""
        with torch.no_grad():
            users, items = learner.encoder.final(*theta)
            scores = users[num_users:] @ items.T
            scores[:, list(goal.targets)] = -torch.inf
            return scores.topk(wanted, dim=1).indices.cpu().numpy()


def poisoned(train: csr_array, fillers: np.ndarray, goal: Goal) -> csr_array:
    """Genuine rows, and behind them fake rows of the targets and these fillers."""
    pinned = pinned_items(goal)
    fakes = to_csr([np.concatenate([pinned, row]) for row in fillers], train.shape[1])
    return stacked(train, fakes)


def embeddings(learner: Learner, theta: list[Tensor], num_users: int) -> Embeddings:
    """Final embeddings of genuine users and items on the CPU, differentiable in the layer-0 ones."""
    users, items = learner.encoder.final(*theta)
    return Embeddings(users[:num_users].cpu(), items.cpu())


def rank_loss(at: Embeddings, found: Scan) -> tuple[Tensor, Tensor]:
    """Mean over eligible pairs of the K-th best score less the target's, and each user's K-th best item."""
    users = at.users[found.users]
    scores = rival_scores(users, at.items, found.rivals)
    kth = scores.detach().topk(found.k, dim=1).indices[:, -1:]
    own = users @ at.items[found.targets].T
    return ((scores.gather(1, kth) - own) * found.weights).sum(), found.rivals.gather(1, kth).squeeze(1)


def dispersion(rows: Tensor, counts: Tensor, about: Tensor, power_steps: int) -> Tensor:
    """Mean absolute entry of H r r^T / |r|^2, the part of the rows H along their leading right singular direction.

    r is (H^T H)^power_steps `about`, H with each row `counts` times. Differentiable in the rows, through r too. O(rows d).
    """
    along = about
    for _ in range(power_steps):
        along = rows.T @ (counts * (rows @ along))
        along = along / along.norm()
    return (counts * (rows @ along).abs()).sum() / counts.sum() * along.abs().mean()
