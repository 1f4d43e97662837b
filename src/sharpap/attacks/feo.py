"""FEO: the fake users' embeddings are trained to serve the attack, and profiles are read off them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import embedding, normalize, softplus

from sharpap import checkpoints, progress
from sharpap.attacks.objective import rival_scores, target_slope_grad
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import kept_rows, pinned_items, to_csr
from sharpap.attacks.scan import Scan, check_movable, scan
from sharpap.attacks.worst_case import Identity, WorstCase, check_no_earlier_states, mixed
from sharpap.errors import ConfigError
from sharpap.kernels import stacked
from sharpap.recommenders.resume import Adam
from sharpap.recommenders.training import initial_factors
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.threat import Budget, Goal

Batch = tuple[Tensor, Tensor, Tensor]
# Of the genuine users nearest to a fake one, how many are known and how many of them are drawn: the source's figures.
NEAREST, DRAWN = 50, 10
BANDWIDTH = 4.0


@dataclass(frozen=True, kw_only=True)
class FEO(Settings):
    """Moves the embeddings of groups of fake users so that training *on them* would win lists for the targets.

    For each group a BPR-MF starts from scratch on the genuine rows, the finished fakes, and the targets alone for the fakes
    of the group. After each epoch of its training the embeddings of the group take two steps, by the model's own optimiser:
    one on `kl_weight` times an estimate of the divergence between fake and genuine embeddings, one on `attack_weight` times
    the attack loss. That loss is taken after a look-ahead, one gradient step of all item embeddings on

        sum over fakes f and targets t of softplus(mean_j s_fj - s_ft) + reg (|p_f|^2 + |q_t|^2 + the means of both over items)

    and differentiated through that step. The attack loss is goal-oriented: only as many pairs of a genuine user and a target
    count as the expected hit ratio asks for, those with the least softplus(K-th score - target's score). At the end each fake
    user takes the items that the model would recommend it.

    Attributes:
        expected_hit_ratio: the share of all pairs of a genuine user and a target that counts.
        attack_weight, kl_weight: see above.
        look_ahead_rate: length of the look-ahead step.
        filler_limit: fakes of one group that may hold the same filler; None: any number. Where a catalogue is too small for
            it, items that have reached it follow behind the others.
        step_user: fakes in a group.
        embedding_size, epochs, batch_size, learning_rate, reg, init_std: the BPR-MF's; `reg` weighs each triple's embeddings.
        k: length of the top list attacked.
        rivals: best items of each user among which the K-th score is taken, the worst case's included.
        worst_case: applied to genuine users' and items' embeddings after the look-ahead, before the gradient of the attack
            loss; `Identity()` is the base attack.

    Source: the project WuYunfan/FEOAttack, `attacker/feo_attacker.py`, its settings for Gowalla.

    Deviations, with what they do in docs/peers.md: (1) There is no filler limit, which is 1 in the source: no two fakes of a
    group share a filler, and on accurate models nothing is won. Batches hold 2,048 interactions
    instead of 16,384, which are three steps an epoch on a small set. Recipe "feo-original" has both. (2) The K-th score is
    that of the items a user could be shown; the source counts the user's own among them. (3) All genuine users are looked at
    in one step an epoch, instead of batches of 2,048 with a step on the divergence for each. (4) A user's own items are not
    left out of the negatives, and batches are shuffled; there they come in the order of the users. (5) Items over the limit
    and targets are left out of the fakes' lists; there they are scored 0.
    """

    imitates: ClassVar[bool] = True
    expected_hit_ratio: float = 0.05
    attack_weight: float = 0.3
    kl_weight: float = 0.001
    look_ahead_rate: float = 0.1
    filler_limit: int | None = None
    step_user: int = 10
    embedding_size: int = 64
    epochs: int = 10
    batch_size: int = 2_048
    learning_rate: float = 0.01
    reg: float = 0.01
    init_std: float = 0.1
    k: int = 50
    rivals: int = 100
    worst_case: WorstCase = field(default_factory=Identity)
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.worst_case is None:
            object.__setattr__(self, "worst_case", Identity())
        super().__post_init__()
        for name in ("step_user", "embedding_size", "epochs", "batch_size", "k", "rivals"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        for name in ("attack_weight", "kl_weight", "look_ahead_rate", "reg"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be 0 or positive.")
        if not 0 < self.expected_hit_ratio <= 1:
            raise ConfigError(f"expected_hit_ratio={self.expected_hit_ratio} must lie above 0 and at most at 1.")
        if self.filler_limit is not None and self.filler_limit < 1:
            raise ConfigError(f"filler_limit={self.filler_limit} must be 1 or more.", hint="None: no limit.")
        check_no_earlier_states(self.worst_case, "FEO unrolls a single step", acts_in="every epoch")

    @property
    def name(self) -> str:
        """ "feo" for the base attack, "feo-sharpap" with a worst case."""
        return "feo" if isinstance(self.worst_case, Identity) else "feo-sharpap"

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Promotes only: to demote is a `ConfigError`."""
        goal.check_promotes("FEO")
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        num_items = train.shape[1]
        pinned = pinned_items(goal)
        wanted = allowance.profile_size - len(pinned)
        rows: list[np.ndarray] = []
        history = []
        groups = range(0, allowance.num_fake, self.step_user)
        place = f"{self.name} {seed} {hashlib.sha256(repr(self).encode()).hexdigest()[:16]}"
        done, spent = 0, 0.0
        if (kept := checkpoints.load(place)) is not None:
            done, spent, history = kept["groups"], kept["seconds"], kept["history"]
            rows = list(kept_rows(kept["rows"], (allowance.profile_size,), num_items))
        with progress.task(f"{self.name}: groups", len(groups)) as task:
            task.advance(done)
            for number, first in islice(enumerate(groups), done, None):
                size = min(self.step_user, allowance.num_fake - first)
                data = stacked(train, to_csr([*rows, *[pinned] * size], num_items))
                scores, record = self.group_scores(train, data, size, goal, derive_seed(seed, "group", number))
                rows += [np.concatenate([pinned, fillers]) for fillers in self.fillers(scores, pinned, wanted)]
                history.append({"epoch": number, **record})
                task.advance(note=f"surrogate H@{self.k} {record['surrogate_hit_ratio']:.4f}")
                if checkpoints.due():
                    own = {"rows": np.array(rows), "groups": number + 1, "history": history}
                    checkpoints.save(place, own | {"seconds": spent + time.perf_counter() - start})
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

    def group_scores(
        self, train: csr_array, data: csr_array, size: int, goal: Goal, seed: int
    ) -> tuple[np.ndarray, dict[str, float]]:
        """(size, num_items) scores of the last `size` rows of `data`, the fakes at work, after training; and a record.

        `train` holds the genuine rows, `data` those and all fake rows. The record has the attack loss (at the worst case,
        if any) and the sampled H@k of the last epoch.
        """
        draw = rng(seed, "feo")
        users, items = (
            torch.from_numpy(part).requires_grad_()
            for part in initial_factors(*data.shape, self.embedding_size, self.init_std, seed)
        )
        optimizer = Adam([users, items], self.learning_rate)
        fakes = slice(data.shape[0] - size, data.shape[0])
        record: dict[str, float] = {}
        for epoch in range(self.epochs):
            batch: Batch | None = None
            for batch in self._batches(data, draw):
                optimizer.zero_grad()
                self.training_loss(users, items, batch).backward()
                optimizer.step()
            slope, record = self.attack_slope(users, items, fakes, train, goal, batch, derive_seed(seed, "look", epoch))
            apart = users.detach()[fakes].requires_grad_()
            (away,) = torch.autograd.grad(self.divergence(apart, users.detach()[: train.shape[0]], draw), apart)
            for move in (self.kl_weight * away, self.attack_weight * slope):
                users.grad, items.grad = torch.zeros_like(users), torch.zeros_like(items)
                users.grad[fakes] = move
                optimizer.step()
        return (users.detach()[fakes] @ items.detach().T).numpy(), record

    def _batches(self, data: csr_array, draw: np.random.Generator) -> Iterator[Batch]:
        """One epoch of (users, items, other items): every interaction once, shuffled, with a uniform negative."""
        users = np.repeat(np.arange(data.shape[0]), np.diff(data.indptr))
        order = draw.permutation(data.nnz)
        for first in range(0, data.nnz, self.batch_size):
            part = order[first : first + self.batch_size]
            others = draw.integers(0, data.shape[1], len(part))
            yield (
                torch.from_numpy(users[part]),
                torch.from_numpy(data.indices[part].astype(np.int64)),
                torch.from_numpy(others),
            )

    def training_loss(self, users: Tensor, items: Tensor, batch: Batch) -> Tensor:
        """The BPR loss of a batch with its penalty, a mean over triples."""
        p, q, other = embedding(batch[0], users), embedding(batch[1], items), embedding(batch[2], items)
        penalty = p.square().sum() + q.square().sum() + other.square().sum()
        return softplus((p * (other - q)).sum(1)).mean() + self.reg / len(p) * penalty

    def attack_slope(
        self, users: Tensor, items: Tensor, fakes: slice, train: csr_array, goal: Goal, batch: Batch | None, seed: int
    ) -> tuple[Tensor, dict[str, float]]:
        """The gradient of the attack loss after the look-ahead with respect to the fake users' embeddings, and a record."""
        genuine = users.detach()[: train.shape[0]]
        moving = users.detach()[fakes].requires_grad_()
        ahead = self.look_ahead(moving, items.detach(), goal)
        here = Embeddings(genuine, ahead.detach())
        found = scan(here, train, goal, k=self.k, rivals=self.rivals)
        loss = partial(self.attack_loss, found=found)

        def fit(at: Embeddings) -> float:
            everyone = torch.cat([at.users, users.detach()[train.shape[0] :]])
            return float(self.training_loss(everyone, at.items, batch)) if batch else 0.0

        worst = self.worst_case(here, loss, seed=seed, fit=fit)
        value, grad = mixed(loss, here, worst, self.worst_case.clean_share)
        (slope,) = torch.autograd.grad(ahead, moving, grad.items)
        return slope, {"attack_loss": value, "surrogate_hit_ratio": found.hit_ratio}

    def look_ahead(self, fakes: Tensor, items: Tensor, goal: Goal) -> Tensor:
        """Item embeddings after one step on the fakes' pull towards the targets, differentiable in `fakes`.

        O((fakes targets + items) d): the mean item stands for all.
        """
        items = items.detach().requires_grad_()
        targets = list(goal.targets)
        with torch.enable_grad():
            middle, wanted = items.mean(0), items[targets]
            pull = softplus((fakes @ middle)[:, None] - fakes @ wanted.T).sum()
            penalty = len(fakes) * (wanted.square().sum() + len(targets) * items.square().sum(1).mean())
            (slope,) = torch.autograd.grad(pull + self.reg * penalty, items, create_graph=True)
        return items.detach() - self.look_ahead_rate * slope

    def attack_loss(self, embeddings: Embeddings, found: Scan) -> tuple[float, Embeddings]:
        """The goal-oriented loss and its gradient; the K-th score is a constant. O(users (rivals + targets) d)."""
        users, items = embeddings.users[found.users], embeddings.items
        edge = rival_scores(users, items, found.rivals).topk(found.k, dim=1).values[:, -1:]
        gap = edge - users @ items[found.targets].T
        gap[found.eligible == 0] = torch.inf
        count = max(1, int(self.expected_hit_ratio * float(found.eligible.sum())))
        least, places = gap.flatten().topk(count, largest=False)
        slope = torch.zeros_like(gap)
        slope.view(-1)[places] = -torch.sigmoid(least) / count
        return float(softplus(least).mean()), target_slope_grad(slope, embeddings, found)

    def divergence(self, fakes: Tensor, genuine: Tensor, draw: np.random.Generator) -> Tensor:
        """An estimate of the Kullback-Leibler divergence between the fake and the genuine users' directions.

        The fakes' density is a mean of Gaussian kernels over all of them, the genuine users' one over some of the nearest.
        """
        fakes, genuine = normalize(fakes), normalize(genuine)
        among = torch.exp(torch.cdist(fakes, fakes).square() / (-2 * BANDWIDTH**2)).mean(1)
        near = torch.exp(torch.cdist(fakes, genuine).square() / (-2 * BANDWIDTH**2))
        near = near.topk(min(NEAREST, near.shape[1]), dim=1).values
        drawn = np.argsort(draw.random(tuple(near.shape)), axis=1)[:, :DRAWN]
        return (torch.log(among) - torch.log(near.gather(1, torch.from_numpy(drawn)).mean(1))).mean()

    def fillers(self, scores: np.ndarray, pinned: np.ndarray, wanted: int) -> list[np.ndarray]:
        """Each fake's best items but the targets, fake by fake, none more often than the limit while there are others."""
        uses, chosen = np.zeros(scores.shape[1], np.int64), []
        for row in scores:
            used_up = uses >= (np.inf if self.filler_limit is None else self.filler_limit)
            order = np.lexsort((-row, used_up))
            best = order[~np.isin(order, pinned)][:wanted].astype(np.int64)
            uses[best] += 1
            chosen.append(best)
        return chosen
