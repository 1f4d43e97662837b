"""GSPAttack: a generator draws the fake users' edges, and learns through a graph network that is trained on them."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus
from torch.utils.checkpoint import checkpoint

from sharpap import progress
from sharpap.attacks.k_hot import NEVER, Generator, gumbel, k_hot
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import pinned_items, to_csr
from sharpap.attacks.scan import Scan, check_movable, scan
from sharpap.attacks.worst_case import Identity, WorstCase, check_no_earlier_states, trained_against
from sharpap.errors import ConfigError
from sharpap.kernels import Pattern, sddmm
from sharpap.kernels.bpr import Negatives
from sharpap.recommenders.resume import Adam
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.surrogates.ngcf import FakeGraph, NGCFNet
from sharpap.threat import Budget, Goal

# Numbers in the widest array of a block of fake users: 32 MB of float32.
_BLOCK = 1 << 23


@dataclass(frozen=True, kw_only=True)
class GSPAttack(Settings):
    """A generator draws the fake users' edges, trained end to end through a graph network that sees them.

    For each fake user a perceptron gives every item a logit, from the two embeddings; repeated Gumbel-softmax draws as many
    fillers as a profile holds. The network propagates over genuine and drawn edges, and all is trained by Adam on

        fit_weight * cross-entropy of the graph + promotion_weight * mean over (u, t) of -log sigmoid(s_ut)

    with u a genuine user without target t. The draw of the epoch with the least loss is kept.

    Attributes:
        embedding_size, layers: of the network.
        width: of the generator's hidden layer; 0: the root of the number of items, as in the source.
        warm_up: epochs in which the network is trained on the genuine edges alone, without fake fillers and without promotion.
        epochs: of training together.
        temperature: of the softmaxes that give the gradient.
        fit_weight, promotion_weight: alpha and beta.
        joint: the network too is trained on the promotion, as in the source. Otherwise the generator alone is: the network
            stays what a victim would learn from the edges.
        learning_rate: Adam's, of network and generator.
        k, rivals: for the hit ratio that is noted at the end.
        worst_case: applied to the final embeddings of genuine users and items in each promotion loss; `Identity()` is the base
            attack.

    Source: Guo, Bai and Deng 2023, *Targeted shilling attacks on GNN-based recommender systems* (CIKM). We have not read the
    paper; CoderWZW/ARLib's port is followed in its parts, network, generator and losses.

    Deviations from the port, in which the generator learns nothing: (1) Its softmax runs over an axis of one entry, so that
    every edge gets the same weight, and its edges enter the graph without a gradient. Here a draw has as many ones as there
    are fillers, and the gradient passes through it (straight through, see `k_hot`). (2) Its promotion is of the fake users' own
    scores; here it is of the genuine users', whom the attack is about. (3) Edges to the targets are set, not drawn.
    (4) The cross-entropy's absent pairs are sampled, one for each interaction, and weighted to count as many as the user
    lacks; those of fake users are all there. (5) `warm_up`; numbers of epochs are ours. (6) To demote, profiles have no
    target and the promotion's sign is turned.
    """

    embedding_size: int = 64
    layers: int = 2
    width: int = 0
    warm_up: int = 200
    epochs: int = 100
    temperature: float = 1.0
    fit_weight: float = 1.0
    promotion_weight: float = 1.0
    joint: bool = True
    learning_rate: float = 0.01
    k: int = 10
    rivals: int = 50
    worst_case: WorstCase = field(default_factory=Identity)
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.worst_case is None:
            object.__setattr__(self, "worst_case", Identity())
        super().__post_init__()
        for name in ("layers", "epochs", "k", "rivals"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        for name in ("warm_up", "width", "fit_weight", "promotion_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be 0 or positive.")
        check_no_earlier_states(self.worst_case, "GSPAttack unrolls no training", acts_in="every epoch")

    @property
    def name(self) -> str:
        """ "gspattack" for the base attack, "gspattack-sharpap" with a worst case."""
        return "gspattack" if isinstance(self.worst_case, Identity) else "gspattack-sharpap"

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        trial = Trial.new(self, train, goal, allowance.num_fake, seed)
        pinned = pinned_items(goal)
        wanted = min(allowance.profile_size - len(pinned), train.shape[1] - len(goal.targets))
        best, chosen, history = np.inf, trial.edges(0), []
        with progress.task(f"{self.name}: epochs", self.warm_up + self.epochs) as task:
            for _ in range(self.warm_up):
                trial.learn(trial.edges(0), promoting=False)
                task.advance()
            for epoch in range(self.epochs):
                edges = trial.edges(wanted)
                loss, promotion = trial.learn(edges, promoting=True)
                if loss < best:
                    best, chosen = loss, edges.detach()
                history.append({"epoch": epoch, "loss": loss, "attack_loss": promotion})
                task.advance(note=f"loss {loss:.4f}")
        rows: list[np.ndarray] = [np.flatnonzero(row) for row in chosen.numpy() > 0.5]
        found = trial.look(chosen)
        return Poison(
            profiles=to_csr(rows, train.shape[1]),
            goal=goal,
            attack=self.name,
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
            history=tuple(history),
            notes={"k": self.k, "surrogate_hit_ratio": found.hit_ratio},
        )


@dataclass(eq=False, kw_only=True)
class Trial:
    """A network and a generator in training against one goal.

    Attributes:
        settings, train, goal, num_fake, seed: as `GSPAttack.poison` has them.
        pattern: of the genuine interactions.
        net, generator, optimizer, draw: what moves.
        last: embeddings of fake users and items as the last pass left them: what the generator looks at.
        found: which pairs of a genuine user and a target count.
        steps: passes so far.
    """

    settings: GSPAttack
    train: csr_array
    goal: Goal
    num_fake: int
    seed: int
    pattern: Pattern
    net: NGCFNet
    generator: Generator
    optimizer: Adam
    draw: np.random.Generator
    last: tuple[Tensor, Tensor]
    found: Scan
    steps: int = 0

    @classmethod
    def new(cls, settings: GSPAttack, train: csr_array, goal: Goal, num_fake: int, seed: int) -> Trial:
        """Fresh parameters."""
        draw = rng(seed, "gspattack")
        num_users, num_items = train.shape
        net = NGCFNet.new(num_users + num_fake, num_items, settings.embedding_size, settings.layers, draw)
        hidden = settings.width or max(1, round(num_items**0.5))
        generator = Generator.new(settings.embedding_size, hidden, draw)
        last = net.users.detach()[num_users:], net.items.detach()
        start = Embeddings(net.users.detach()[:num_users], last[1])
        return cls(
            settings=settings, train=train, goal=goal, num_fake=num_fake, seed=seed, pattern=Pattern.from_csr(train),
            net=net, generator=generator, draw=draw, last=last, found=scan(start, train, goal, k=settings.k, rivals=1),
            optimizer=Adam([*net.parameters, *generator.parameters], settings.learning_rate),
        )  # fmt: skip

    def edges(self, wanted: int) -> Tensor:
        """(f, m) edges of the fake users: those to the targets, when promoting, and a draw of `wanted` others.

        Differentiable in the generator's weights. A block of fake users at a time, whose hidden layer is made again for the
        gradient, so that memory is O(f m).
        """
        p, q = self.last
        fixed = torch.zeros(self.num_fake, len(q))
        fixed[:, pinned_items(self.goal)] = 1
        if wanted == 0:
            return fixed
        targets = torch.tensor(self.goal.targets)
        rows = max(1, _BLOCK // (len(q) * len(self.generator.bias)))

        def drawn(part: Tensor, noise: Tensor) -> Tensor:
            logits = self.generator.logits(part, q).index_fill(1, targets, NEVER)
            return k_hot(logits, noise, wanted, self.settings.temperature)

        blocks = [
            checkpoint(
                drawn, part, gumbel((len(part), len(q)), self.draw), use_reentrant=False, preserve_rng_state=False
            )
            for part in p.split(rows)
        ]
        return fixed + torch.cat(blocks)

    def learn(self, edges: Tensor, *, promoting: bool) -> tuple[float, float]:
        """One step of Adam on these edges; the loss, and the promotion's part before its weight."""
        settings, num_users = self.settings, self.train.shape[0]
        users, items = self.net.propagate(FakeGraph(self.pattern, edges))
        negatives = Negatives.draw(self.pattern, self.draw)
        loss = settings.fit_weight * self.fit(users, items, edges.detach(), negatives)
        promotion = torch.zeros(())
        if promoting:

            def fit(at: Embeddings) -> float:
                moved = torch.cat([at.users, users.detach()[num_users:]])
                return float(self.fit(moved, at.items, edges.detach(), negatives))

            here = Embeddings(users[:num_users], items)
            seed = derive_seed(self.seed, "worst-case", self.steps)
            promotion = trained_against(settings.worst_case, here, self.promotion, seed=seed, fit=fit)
        self.optimizer.zero_grad()
        if settings.joint or not promoting:
            (loss + settings.promotion_weight * promotion).backward()
        else:
            made = self.generator.parameters
            grads = torch.autograd.grad(promotion, made, retain_graph=True, allow_unused=True)
            loss.backward()
            for part, grad in zip(made, grads, strict=True):
                if grad is not None:
                    part.grad = settings.promotion_weight * grad + (0 if part.grad is None else part.grad)
        self.optimizer.step()
        self.last = users.detach()[num_users:], items.detach()
        self.steps += 1
        return float((loss + settings.promotion_weight * promotion).detach()), float(promotion.detach())

    def fit(self, users: Tensor, items: Tensor, edges: Tensor, negatives: Negatives) -> Tensor:
        """Mean binary cross-entropy of all pairs, the genuine users' absent ones by a sample. O(nnz d + f m d)."""
        pattern, num_users = self.pattern, self.train.shape[0]
        genuine = users[:num_users].contiguous()
        rows, degrees = pattern.rows.numpy(), pattern.indptr.diff()
        against = negatives.of(rows, pattern.indices.numpy())
        ordered = torch.from_numpy(against[np.lexsort((against, rows))].astype(np.int32))
        absent = sddmm(Pattern(pattern.indptr, ordered, pattern.shape), genuine, items)
        weights = ((len(items) - degrees) / degrees.clamp_min(1))[pattern.rows.long()].to(absent.dtype)
        fakes = users[num_users:] @ items.T
        total = softplus(-sddmm(pattern, genuine, items)).sum() + (weights * softplus(absent)).sum()
        return (total + (softplus(fakes) - edges * fakes).sum()) / (len(users) * len(items))

    def promotion(self, at: Embeddings) -> Tensor:
        """Mean of -log sigmoid of the targets' scores over genuine users without them; of their negatives to demote."""
        found = self.found
        scores = at.users[found.users] @ at.items[found.targets].T
        return -(logsigmoid(found.sign * scores) * found.weights).sum()

    def look(self, edges: Tensor) -> Scan:
        """The ranking of genuine users on these edges."""
        with torch.no_grad():
            users, items = self.net.propagate(FakeGraph(self.pattern, edges))
        settings = self.settings
        here = Embeddings(users[: self.train.shape[0]], items)
        return scan(here, self.train, self.goal, k=settings.k, rivals=settings.rivals)
