"""DPA2DL: profiles read off a neural surrogate that was trained to recommend the targets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.special import expit
from torch import Tensor
from torch.nn.functional import logsigmoid

from sharpap import checkpoints, progress
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import kept_rows, pinned_items, to_csr
from sharpap.attacks.scan import Scan, check_movable, scan_scores
from sharpap.attacks.worst_case import Identity, WorstCase, check_no_earlier_states, trained_against
from sharpap.errors import ConfigError
from sharpap.kernels import stacked
from sharpap.recommenders.pointwise import batches
from sharpap.recommenders.resume import Adam, Moving
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.surrogates.neumf import NeuMFNet
from sharpap.threat import Budget, Goal

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, kw_only=True)
class DPA2DL(Settings):
    """Poisons a copy of the surrogate for each group of fakes, and fills their profiles with what the copy recommends.

    A NeuMF is trained on the genuine data. For each group of fake users it is trained a little more on genuine and already
    inserted fake rows; a copy of it, in which the group's users own the targets only, is trained on

        normal loss + poison_weight * mean over (u, t) of max(log s_uK - log s_ut, -kappa)

    with s_uK the K-th best score of user u and u a genuine user without t; then each fake user takes the items with the
    best predicted score times selection probability. A chosen item's probability is multiplied by `decay`, so that
    profiles differ; once every one is below 1, all go back to 1.

    Attributes:
        embedding_size, hidden: the NeuMF's d and the widths of its perceptron.
        epochs: of training on the genuine data.
        tune_epochs: of normal training before each group; a fraction will do.
        poison_steps: minibatches of poison training for each group.
        poison_weight, kappa: see above; kappa is how far beyond a win, in log score, the loss still pushes.
        users_per_step: genuine users the poison loss averages over in one step.
        scan_every: steps after which these users are drawn anew and their rivals looked for; between, the K-th score is the
            K-th best of the rivals at hand.
        group_size: fake users made from one poisoned copy.
        decay: factor on the selection probability of a chosen item.
        k: length of the top list attacked.
        rivals: best items of each user among which the K-th score is taken, the worst case's included.
        negatives, batch_size, learning_rate, reg: as for `recommenders.NeuMF`.
        worst_case: applied to the embeddings of genuine users and items just before each gradient of the poison loss;
            `Identity()` is the base attack.

    Source: Huang et al. 2021, *Data poisoning attacks to deep learning based recommender systems* (NDSS).

    Deviations: (1) six fake users share one poisoned copy; the source poisons for each (`group_size=1`). (2) Poison training
    takes minibatches, and the group's own pairs are in each of them, else few would ever be seen; the poison loss is a
    mean over a sample of users. (3) The poisoned copy is dropped after its group, and normal training goes on from the
    normal model. (4) All targets in every profile. (5) Binary feedback throughout; weights, steps and kappa are ours.
    """

    embedding_size: int = 16
    hidden: tuple[int, ...] = (32, 16)
    epochs: int = 10
    tune_epochs: float = 0.25
    poison_steps: int = 60
    poison_weight: float = 1.0
    kappa: float = 1.0
    users_per_step: int = 128
    scan_every: int = 5
    group_size: int = 6
    decay: float = 0.9
    k: int = 10
    rivals: int = 50
    negatives: int = 4
    batch_size: int = 8_192
    learning_rate: float = 0.005
    reg: float = 1e-4
    worst_case: WorstCase = field(default_factory=Identity)
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.worst_case is None:
            object.__setattr__(self, "worst_case", Identity())
        super().__post_init__()
        if not self.hidden:
            raise ConfigError("hidden=() leaves the perceptron without a layer.")
        for name in (
            "embedding_size",
            "epochs",
            "poison_steps",
            "users_per_step",
            "scan_every",
            "group_size",
            "k",
            "rivals",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        for name in ("tune_epochs", "poison_weight", "kappa"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be 0 or positive.")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay={self.decay} must lie above 0 and at most at 1.")
        check_no_earlier_states(
            self.worst_case, "DPA2DL unrolls no training", acts_in="every step of the poison training"
        )

    @property
    def name(self) -> str:
        """ "dpa2dl" for the base attack, "dpa2dl-sharpap" with a worst case."""
        return "dpa2dl" if isinstance(self.worst_case, Identity) else "dpa2dl-sharpap"

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Promotes only: to demote is a `ConfigError`."""
        goal.check_promotes("DPA2DL")
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        num_users, num_items = train.shape
        pinned = pinned_items(goal)
        draw = rng(seed, "dpa2dl")
        net = NeuMFNet.new(num_users + allowance.num_fake, num_items, self.embedding_size, self.hidden, draw)
        optimizer = Adam(net.parameters, self.learning_rate)
        chance = np.ones(num_items, np.float32)
        rows: list[np.ndarray] = []
        history = []
        groups = range(0, allowance.num_fake, self.group_size)
        moving = Moving(settings=self, seed=seed, parts=net.parameters, optimizer=optimizer, draw=draw)
        place = moving.name(train)
        done, spent = 0, 0.0
        if (kept := checkpoints.load(place)) is not None:
            moving.restore(kept)
            done, spent, history = kept["groups"], kept["seconds"], kept["history"]
            rows = list(kept_rows(kept["rows"], (allowance.profile_size,), num_items))
            chance = kept["chance"]
            if chance.shape != (num_items,):
                raise ValueError("The saved state of an attack belongs to other data.")
        with progress.task(f"{self.name}: groups", len(groups)) as task:
            task.advance(done)
            for number, first in islice(enumerate(groups), done, None):
                data = stacked(train, to_csr(rows, num_items)) if rows else train
                self._train(net, optimizer, data, draw, self.tune_epochs if rows else self.epochs)
                group = np.arange(first, min(first + self.group_size, allowance.num_fake)) + num_users
                poisoned, record = self.poison_training(
                    net, train, data, group, goal, derive_seed(seed, "group", number)
                )
                wanted = allowance.profile_size - len(pinned)
                rows += [self.select(scores, chance, pinned, wanted) for scores in poisoned.model().score(group)]
                history.append({"epoch": number, **record})
                task.advance(note=f"surrogate H@{self.k} {record['surrogate_hit_ratio']:.4f}")
                if checkpoints.due():
                    own = {"rows": np.array(rows), "chance": chance, "groups": number + 1, "history": history}
                    seconds = spent + time.perf_counter() - start
                    checkpoints.save(place, own | {"seconds": seconds} | moving.state())
        return Poison(
            profiles=to_csr(rows, num_items),
            goal=goal,
            attack=self.name,
            settings=asdict(self),
            seed=seed,
            seconds=spent + time.perf_counter() - start,
            history=tuple(history),
            notes={"k": self.k},
        )

    def _train(self, net: NeuMFNet, optimizer: Adam, data: csr_array, draw: np.random.Generator, epochs: float) -> None:
        """Normal training, in place."""
        steps = round(epochs * data.nnz / max(1, self.batch_size // (1 + self.negatives)) + 0.5)
        for batch in islice(self._batches(data, draw), steps if epochs else 0):
            optimizer.zero_grad()
            net.training_loss(batch, self.reg).backward()
            optimizer.step()

    def _batches(self, data: csr_array, draw: np.random.Generator) -> Iterator[Batch]:
        while True:
            yield from batches(data, self.negatives, self.batch_size, draw)

    def poison_training(
        self, net: NeuMFNet, train: csr_array, data: csr_array, group: np.ndarray, goal: Goal, seed: int
    ) -> tuple[NeuMFNet, dict[str, float]]:
        """A poisoned copy of `net`, which stays as it is, and a record of the training.

        `train` holds the genuine rows, `data` those and the fake rows inserted so far; `group` are the rows of the fake
        users at work. The record has the last step's poison loss (at the
        worst case, if any) and the sampled H@k before any poison.
        """
        draw = rng(seed, "poison-training")
        net = net.copy()
        optimizer = Adam(net.parameters, self.learning_rate)
        record: dict[str, float] = {}
        found: Scan | None = None
        active = goal.audience(train)
        for step, others in enumerate(islice(self._batches(data, draw), self.poison_steps)):
            batch = self._with_group(others, group, goal, train.shape[1], draw)
            if found is None or step % self.scan_every == 0:
                users = np.sort(draw.choice(active, min(self.users_per_step, len(active)), replace=False))
                found = self.look(net, train, goal, users)
            optimizer.zero_grad()
            poison = self._poison(net, found, batch, train.shape[0], derive_seed(seed, "worst-case", step))
            (net.training_loss(batch, self.reg) + self.poison_weight * poison).backward()
            optimizer.step()
            record.setdefault("surrogate_hit_ratio", found.hit_ratio)
            record["attack_loss"] = float(poison.detach())
        return net, record

    def _with_group(
        self, batch: Batch, group: np.ndarray, goal: Goal, num_items: int, draw: np.random.Generator
    ) -> Batch:
        """The batch, and behind it the targets of the group's fake users with their negatives."""
        rows, columns, labels = batch
        own = torch.from_numpy(np.repeat(group, len(goal.targets)))
        drawn = torch.from_numpy(draw.integers(0, num_items, self.negatives * len(own)))
        return (
            torch.cat([rows, own, own.repeat(self.negatives)]),
            torch.cat([columns, torch.tensor(goal.targets).repeat(len(group)), drawn]),
            torch.cat([labels, torch.ones(len(own)), torch.zeros(len(drawn))]),
        )

    def poison_loss(self, net: NeuMFNet, users: Tensor, items: Tensor, found: Scan) -> Tensor:
        """The poison loss at these embedding tables: a differentiable scalar. O(users (rivals + targets)) pairs."""
        p = users[found.users][:, None]
        edge = net.logits(p, items[found.rivals]).topk(found.k, dim=1).values[:, -1:]
        own = net.logits(p, items[found.targets])
        return ((logsigmoid(edge) - logsigmoid(own)).clamp_min(-self.kappa) * found.weights).sum()

    def look(self, net: NeuMFNet, train: csr_array, goal: Goal, users: np.ndarray) -> Scan:
        """Rank all items for these genuine users; (users, num_items) scores exist for them only."""
        blocks = [(users, net.model().score(users))]
        return scan_scores(blocks, users, train, goal, k=self.k, rivals=self.rivals, dtype=net.items.dtype)

    def _poison(self, net: NeuMFNet, found: Scan, batch: Batch, num_users: int, seed: int) -> Tensor:
        """The poison loss, at the worst case of the embeddings of genuine users and items."""

        def loss(at: Embeddings) -> Tensor:
            return self.poison_loss(net, at.users, at.items, found)

        def fit(at: Embeddings) -> float:
            with torch.no_grad():
                users = torch.cat([at.users, net.users[num_users:]])
                return float(net.training_loss(batch, self.reg, (users, at.items)))

        here = Embeddings(net.users[:num_users], net.items)
        return trained_against(self.worst_case, here, loss, seed=seed, fit=fit)

    def select(self, scores: np.ndarray, chance: np.ndarray, pinned: np.ndarray, wanted: int) -> np.ndarray:
        """One profile: the targets and the `wanted` best others by predicted score times `chance`, which is updated.

        `scores` are (num_items,) logits of one fake user.
        """
        preference = chance * expit(scores)
        preference[pinned] = -1
        chosen = np.argsort(-preference, kind="stable")[:wanted]
        chance[chosen] *= self.decay
        others = np.ones(len(chance), bool)
        others[pinned] = False
        if (chance[others] < 1).all():
            chance[:] = 1
        return np.concatenate([pinned, chosen]).astype(np.int64)
