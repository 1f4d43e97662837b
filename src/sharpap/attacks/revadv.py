"""RevAdv, and with a worst case SharpAP: profiles by gradient through the surrogate's training."""

from __future__ import annotations

import hashlib
import heapq
import time
from dataclasses import asdict, dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap import checkpoints, progress
from sharpap.attacks.communities import communities
from sharpap.attacks.gradient import Seen, see
from sharpap.attacks.objective import Objective, SmoothHits
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import IntArray, copied_profiles, kept_rows, pinned_items, to_csr
from sharpap.attacks.scan import Scan, check_movable, scan
from sharpap.attacks.step import Mover, Step, SwapStep
from sharpap.attacks.worst_case import Identity, WorstCase, check_unrolled
from sharpap.errors import ConfigError, ContractError
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings, ProfileGradient, Surrogate
from sharpap.surrogates.wrmf import WRMFSurrogate
from sharpap.threat import Budget, Goal


def default_objective() -> SmoothHits:
    """Hits in short lists and, with a wider step, in long ones, each counted by its own scale."""
    return SmoothHits(bandwidth=0.2, relative=True, longer=50, longer_bandwidth=0.8, longer_share=0.7, geometric=True)


@dataclass(frozen=True, kw_only=True)
class RevAdv(Settings):
    """Follows a gradient through the surrogate's training; `RevAdv(worst_case=SharpnessAware(...))` is SharpAP.

    Each outer epoch trains the surrogate from scratch on [genuine; fake], perturbs its embeddings to the worst case,
    and pulls the attack loss's gradient there back through the unrolled training to the profiles, which a discrete step
    then changes. The perturbation is constant in the backward pass, and the unrolled backward runs once, so that the
    worst case costs one more gradient of the attack loss with respect to the embeddings.

    Attributes:
        surrogate: the model the attacker trains.
        others: further surrogates. Each epoch trains all of them; the profiles follow the mean of their gradients, each at the
            same scale, and are chosen by their mean H@k.
        worst_case: `Identity()`, or None, is the base attack.
        objective: the attack loss.
        step: how a gradient changes the profiles.
        epochs: outer epochs.
        reseed: a new surrogate initialisation every epoch.
        k: length of the top list attacked.
        rivals: scanned competitors per user; thresholds under perturbation are looked for among these.
        users_per_epoch: genuine users the loss averages over in one epoch, drawn anew; None: all. A sample costs strength
            (docs/performance.md).
        finalists, final_seeds: this many best profiles are compared on this many fresh surrogates at the end.
        chosen_by: "hits", H@k on them, or "loss", the attack loss on them. Where a surrogate can hardly be won, hits are luck.
        known_share: share of genuine interactions the attacker sees, drawn once; the loss still averages over all users.

    Source: Tang, Wen and Wang 2020 (RevAdv); Xie et al. 2026 (SharpAP), section 4.

    Deviations, with their measured effect in docs/attacks.md: (1) the default loss and step are ours (`SmoothHits`,
    `SwapStep`); the original's are `CrossEntropy` and `MomentumStep`, recipe "revadv-original". (2) The surrogate is
    reseeded every epoch; with one seed the profiles fit that initialisation and fail on every other. (3) Starting profiles
    are sampled genuine rows, not the first ones. (4) The best profiles are chosen by fresh surrogates, not by the
    luckiest epoch.
    """

    surrogate: Surrogate = field(default_factory=WRMFSurrogate)
    others: tuple[Surrogate, ...] = ()
    worst_case: WorstCase = field(default_factory=Identity)
    objective: Objective = field(default_factory=default_objective)
    step: Step = field(default_factory=SwapStep)
    epochs: int = 40
    reseed: bool = True
    k: int = 10
    rivals: int = 100
    users_per_epoch: int | None = None
    finalists: int = 4
    final_seeds: int = 2
    chosen_by: Literal["hits", "loss"] = "hits"
    known_share: float = 1.0
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.worst_case is None:
            object.__setattr__(self, "worst_case", Identity())
        super().__post_init__()
        for name in ("epochs", "k", "rivals", "finalists", "final_seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be 1 or more.")
        if self.chosen_by not in ("hits", "loss"):
            raise ConfigError(f"chosen_by={self.chosen_by!r} is neither hits nor loss.")
        if not 0 < self.known_share <= 1:
            raise ConfigError(f"known_share={self.known_share} must lie above 0 and at most at 1.")
        for member in self.members:
            check_unrolled(self.worst_case, member)

    def poison(
        self, train: csr_array, goal: Goal, budget: Budget, *, seed: int, templates: IntArray | None = None
    ) -> Poison:
        """See `Attack`. Profiles start from the rows of `templates`, one user each; None: of users drawn."""
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        check_movable(train, goal)
        num_items = train.shape[1]
        train = self._known(train, seed)
        clean = self._clean(train, seed)
        pinned = torch.from_numpy(pinned_items(goal))
        first = copied_profiles(train, goal, allowance, rng(seed, "initial"), sources=templates)
        fillers = torch.from_numpy(np.stack(first))[:, len(pinned) :]
        popularity = np.bincount(train.indices, minlength=num_items)
        mover = self.step.begin(allowance.num_fake, num_items, torch.tensor(goal.targets), popularity)
        moves = rng(seed, "moves")
        best: Best = []
        history = []
        name = self.name
        place = f"{name} {seed} {hashlib.sha256(repr(self).encode()).hexdigest()[:16]}"
        first_epoch, spent = 0, 0.0
        if (kept := checkpoints.load(place)) is not None:
            first_epoch, spent = kept["epoch"], kept["seconds"]
            for part in ("fillers", "finalists"):
                kept_rows(kept[part], tuple(fillers.shape), num_items)
            fillers, best, history = _restored(kept, mover, moves)
        with progress.task(f"{name}: profiles", self.epochs) as task:
            task.advance(first_epoch)
            for epoch in range(first_epoch, self.epochs):
                fake = self._profiles(fillers, pinned, num_items)
                users = self._users(train, goal, seed, epoch)
                seen = [
                    self._look(member, base, train, fake, goal, users, seed, epoch)
                    for member, base in zip(self.members, clean, strict=True)
                ]
                value, hits = (
                    float(np.mean([getattr(each, name) for each in seen])) for name in ("value", "hit_ratio")
                )
                sign = 1.0 if goal.direction == "promote" else -1.0
                heapq.heappush(best, (sign * hits if self.chosen_by == "hits" else 0.0, -value, -epoch, fillers))
                if len(best) > self.finalists:
                    heapq.heappop(best)
                history.append({"epoch": epoch, "attack_loss": value, "surrogate_hit_ratio": hits})
                task.advance(note=f"surrogate H@{self.k} {hits:.4f}")
                if epoch + 1 < self.epochs:
                    gradients = [each.profile_gradient() for each in seen]
                    gradient = gradients[0] if len(gradients) == 1 else MeanGradient(gradients, goal.targets)
                    fillers = mover.move(fillers, gradient, done=epoch / self.epochs, generator=moves)
                    del gradients, gradient  # with `seen` the largest things there are: not beside the next epoch's
                del seen
                if checkpoints.due():
                    seconds = spent + time.perf_counter() - start
                    checkpoints.save(
                        place, {"epoch": epoch + 1, "seconds": seconds} | _state(fillers, best, history, mover, moves)
                    )
        finalists = [entry[3] for entry in sorted(best, reverse=True)]
        chosen, hit_ratio = self._choose(finalists, train, clean, goal, pinned, seed)
        return Poison(
            profiles=self._profiles(chosen, pinned, num_items),
            goal=goal,
            attack=name,
            settings=asdict(self),
            seed=seed,
            seconds=spent + time.perf_counter() - start,
            history=tuple(history),
            notes={"surrogate_hit_ratio": hit_ratio, "k": self.k},
        )

    @property
    def name(self) -> str:
        """ "revadv" for the base attack, "sharpap" with a worst case; recipes give others their own names."""
        return "revadv" if isinstance(self.worst_case, Identity) else "sharpap"

    def _known(self, train: csr_array, seed: int) -> csr_array:
        """What the attacker sees of the genuine rows; every user keeps an interaction."""
        if self.known_share == 1:
            return train
        kept = rng(seed, "known").random(train.nnz) < self.known_share
        kept[train.indptr[:-1][np.diff(train.indptr) > 0]] = True
        rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))[kept]
        return csr_array((train.data[kept], (rows, train.indices[kept])), shape=train.shape)

    def _clean(self, train: csr_array, seed: int) -> list[Clean | None]:
        """Each surrogate without fakes, for the objectives that ask for it."""
        if not getattr(self.objective, "uses_clean", False):
            return [None] * len(self.members)
        none = to_csr([], train.shape[1])
        active = np.flatnonzero(np.diff(train.indptr))
        found: list[Clean | None] = []
        for member in self.members:
            state = member.train(train, none, seed=derive_seed(seed, "clean")).embeddings
            groups = torch.zeros(train.shape[0], dtype=torch.int64)
            groups[active] = communities(state.users[active], getattr(self.objective, "communities", 1), seed=seed)
            found.append(Clean(state, groups))
        return found

    def _look(
        self, surrogate: Surrogate, clean: Clean | None, train: csr_array, fake: csr_array, goal: Goal,
        users: np.ndarray | None, seed: int, epoch: int,
    ) -> Seen:  # fmt: skip
        """Train one surrogate and take the attack loss's gradient at its worst case, or the worst cases of its states."""
        trained = surrogate.train(train, fake, seed=derive_seed(seed, "surrogate", epoch if self.reseed else 0))
        found = self._scanned(trained.embeddings, clean, train, goal, users)
        return see(trained, found, self.objective, self.worst_case, seed=seed, epoch=epoch)

    def _scanned(
        self, embeddings: Embeddings, clean: Clean | None, train: csr_array, goal: Goal, users: np.ndarray | None
    ) -> Scan:
        found = scan(embeddings, train, goal, k=self.k, rivals=self.rivals, users=users)
        if clean is None:
            return found
        scores = clean.embeddings.users[found.users] @ clean.embeddings.items[found.targets].T
        return replace(found, clean=scores, communities=clean.communities[found.users])

    @property
    def members(self) -> tuple[Surrogate, ...]:
        """All surrogates."""
        return (self.surrogate, *self.others)

    def _users(self, train: csr_array, goal: Goal, seed: int, epoch: int) -> np.ndarray | None:
        if self.users_per_epoch is None:
            return None
        active = goal.audience(train)
        if self.users_per_epoch >= len(active):
            return None
        return np.sort(rng(seed, "users", epoch).choice(active, self.users_per_epoch, replace=False))

    @staticmethod
    def _profiles(fillers: Tensor, pinned: Tensor, num_items: int) -> csr_array:
        return to_csr(list(torch.cat([pinned.expand(len(fillers), -1), fillers], dim=1).numpy()), num_items)

    def _choose(
        self, candidates: list[Tensor], train: csr_array, clean: list[Clean | None], goal: Goal, pinned: Tensor, seed: int
    ) -> tuple[Tensor, float]:  # fmt: skip
        """The best candidate over fresh surrogates, all candidates on the same ones, and its mean H@k on them."""
        users = self._users(train, goal, seed, self.epochs)
        sign = 1.0 if goal.direction == "promote" else -1.0
        hits, scores = [], []
        with progress.task("Comparing the best profiles", len(candidates)) as task:
            for fillers in candidates:
                fake = self._profiles(fillers, pinned, train.shape[1])
                seen = []
                for trial in range(self.final_seeds):
                    for member, base in zip(self.members, clean, strict=True):
                        state = member.train(train, fake, seed=derive_seed(seed, "final", trial)).embeddings
                        if self.chosen_by == "loss":
                            found = self._scanned(state, base, train, goal, users)
                            loss = self.objective.value_and_grad(state, found)[0]
                        else:  # hits need no more rivals than a list holds
                            found, loss = scan(state, train, goal, k=self.k, rivals=self.k, users=users), 0.0
                        seen.append((found.hit_ratio, loss))
                hit_ratio, loss = np.mean(seen, axis=0).tolist()
                hits.append(hit_ratio)
                scores.append(-loss if self.chosen_by == "loss" else sign * hit_ratio)
                task.advance()
        index = int(np.argmax(scores))
        return candidates[index], hits[index]


Best = list[tuple[float, float, int, Tensor]]


def _state(
    fillers: Tensor, best: Best, history: list[dict[str, float]], mover: Mover, moves: np.random.Generator
) -> checkpoints.State:
    """All that the epochs to come depend on; everything else is made anew from seeds."""
    return {
        "fillers": fillers.numpy(), "finalists": torch.stack([entry[3] for entry in best]).numpy(),
        "scores": [entry[:3] for entry in best], "history": history, "moves": moves.bit_generator.state,
        **{f"mover {key}": value for key, value in mover.state().items()},
    }  # fmt: skip


def _restored(
    kept: checkpoints.State, mover: Mover, moves: np.random.Generator
) -> tuple[Tensor, Best, list[dict[str, float]]]:
    """Fillers, best and history; the mover and the generator are set in place."""
    moves.bit_generator.state = kept["moves"]
    mover.restore({key.removeprefix("mover "): value for key, value in kept.items() if key.startswith("mover ")})
    scored = zip(kept["scores"], torch.from_numpy(kept["finalists"]), strict=True)
    best = [(hits, value, epoch, fillers) for (hits, value, epoch), fillers in scored]
    return torch.from_numpy(kept["fillers"]), best, kept["history"]


@dataclass(frozen=True, eq=False)
class Clean:
    """A surrogate trained without fakes, and the communities of its users."""

    embeddings: Embeddings
    communities: Tensor


@dataclass(frozen=True, eq=False)
class MeanGradient:
    """The mean of several profile gradients, each row of each brought to the same length without the targets' entries.

    Attributes:
        parts: gradients by several surrogates.
        targets: items whose entries no step changes; 0 here.
    """

    parts: list[ProfileGradient]
    targets: tuple[int, ...] = ()

    def rows(self, fakes: Tensor) -> Tensor:
        """See `ProfileGradient`."""
        total: Tensor | None = None
        for part in self.parts:
            slope = part.rows(fakes).float()
            slope[:, list(self.targets)] = 0
            slope -= slope.mean(1, keepdim=True)
            slope[:, list(self.targets)] = 0
            slope /= torch.linalg.vector_norm(slope, dim=1, keepdim=True).clamp_min(1e-30) * len(self.parts)
            total = slope if total is None else total.add_(slope)
        if total is None:
            raise ContractError("There is no gradient to average.")
        return total
