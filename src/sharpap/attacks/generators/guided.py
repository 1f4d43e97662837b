"""Generators that are also trained to win: steps along the attack loss's gradient through a surrogate's training."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array

from sharpap.attacks.generators.gan import Batch, Discriminator, Generator, Rounds, Templates, made_rows
from sharpap.attacks.gradient import see
from sharpap.attacks.objective import Objective
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import IntArray, pinned_items, to_csr
from sharpap.attacks.revadv import default_objective
from sharpap.attacks.scan import check_movable, scan
from sharpap.attacks.worst_case import Identity, WorstCase, check_unrolled
from sharpap.errors import ConfigError
from sharpap.seeds import derive_seed, rng
from sharpap.surrogates.base import Surrogate
from sharpap.surrogates.wrmf import WRMFSurrogate
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, kw_only=True)
class Guided(Rounds, ABC):
    """Base of the attacks whose generator takes attack steps between rounds.

    An attack step trains the surrogate on the genuine rows and the fake ones as the generator makes them now, and pulls
    the attack loss's gradient at the worst case back to the fake rows (`gradient.see`), and through them to the generator.

    Attributes:
        attack_steps: after each round.
        attack_rate: their learning rate. They have an optimiser of their own: both losses differ in scale by orders.
        surrogate, worst_case, objective: as for `RevAdv`.
        k, rivals: length of the top list attacked, scanned competitors of each user.
        others: see `Rounds`.
    """

    base: ClassVar[str]

    attack_steps: int = 5
    attack_rate: float = 5e-3
    surrogate: Surrogate = field(default_factory=WRMFSurrogate)
    worst_case: WorstCase = field(default_factory=Identity)
    objective: Objective = field(default_factory=default_objective)
    k: int = 10
    rivals: int = 100

    def __post_init__(self) -> None:
        if self.worst_case is None:
            object.__setattr__(self, "worst_case", Identity())
        super().__post_init__()
        for name, least in (("attack_steps", 0), ("attack_rate", 0), ("k", 1), ("rivals", 1)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"{name}={getattr(self, name)} must be {least} or more.")
        check_unrolled(self.worst_case, self.surrogate)

    @property
    def name(self) -> str:
        """The base attack's name, with "-sharpap" where there is a worst case."""
        return self.base if isinstance(self.worst_case, Identity) else f"{self.base}-sharpap"

    @abstractmethod
    def begin(self, templates: Templates, targets: IntArray, draw: np.random.Generator) -> Generator:
        """The generator, pretrained if it is to be."""

    def judge(self, num_items: int, draw: np.random.Generator) -> Discriminator:
        """The discriminator."""
        return Discriminator(num_items, self.discriminator, draw, rate=self.discriminator_rate)

    def poison(
        self, train: csr_array, goal: Goal, budget: Budget, *, seed: int, templates: IntArray | None = None
    ) -> Poison:
        """See `Attack`; `templates` are the users that the fakes are made from, None: drawn.

        O(nnz + num_items hidden) memory beside the surrogate's.
        """
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        targets, pinned = np.array(goal.targets), pinned_items(goal)
        genuine = Templates.of(train, allowance.profile_size - len(pinned), targets, goal.audience(train))
        draw = rng(seed, self.base)
        generator = self.begin(genuine, targets, draw)
        judge = self.judge(train.shape[1], draw)
        own = genuine.of_users(templates).draw(allowance.num_fake, draw, noise=generator.noise)
        optimizer = torch.optim.Adam(generator.theta, lr=self.attack_rate)
        history = []
        for record in self.play(generator, judge, genuine, draw, self.name):
            for step in range(self.attack_steps):
                number = record["epoch"] * self.attack_steps + step
                record |= self.attack(generator, optimizer, own, train, goal, seed=seed, number=number)
            history.append(record)
        return Poison(
            profiles=to_csr(made_rows(generator, own, pinned), train.shape[1]),
            goal=goal,
            attack=self.name,
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
            history=tuple(history),
            notes={"k": self.k},
        )

    def attack(
        self, generator: Generator, optimizer: torch.optim.Optimizer, batch: Batch, train: csr_array, goal: Goal,
        *, seed: int, number: int,
    ) -> dict[str, Any]:  # fmt: skip
        """One attack step on the fakes of `batch`; its attack loss and the surrogate's H@k before it.

        Each fake row's gradient is brought to length 1. Rows and their gradients are dense a block at a time.
        """
        fake = to_csr(made_rows(generator, batch, pinned_items(goal)), train.shape[1])
        trained = self.surrogate.train(train, fake, seed=derive_seed(seed, "surrogate", number))
        found = scan(trained.embeddings, train, goal, k=self.k, rivals=self.rivals)
        seen = see(trained, found, self.objective, self.worst_case, seed=seed, epoch=number)
        gradient = seen.profile_gradient()
        optimizer.zero_grad()
        first = 0
        for block in batch.blocks():
            rows = generator.fake(block)
            slope = gradient.rows(torch.arange(first, first + len(rows))).to(rows.dtype)
            slope[:, list(goal.targets)] = 0
            slope /= torch.linalg.vector_norm(slope, dim=1, keepdim=True).clamp_min(1e-30) * len(batch.users)
            rows.backward(slope)
            first += len(rows)
        optimizer.step()
        return {"attack_loss": seen.value, "surrogate_hit_ratio": seen.hit_ratio}
