"""AUSH: genuine profiles augmented by a generator with items that the targets' audience has."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import leaky_relu

from sharpap.attacks.generators.gan import (
    LEAK,
    Batch,
    Discriminator,
    Rounds,
    Templates,
    keep_best,
    layers,
    made_rows,
    perceptron,
    read,
    rows_of,
)
from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import IntArray, item_counts, pinned_items, to_csr
from sharpap.errors import ConfigError
from sharpap.seeds import rng
from sharpap.threat import Budget, Goal


@dataclass(frozen=True, kw_only=True)
class AUSH(Rounds):
    """Takes genuine fillers and the targets, and adds items that a generator chooses to go with the fillers.

    Candidates are the items that the targets' owners have most. The generator reads the fillers of a genuine user and scores
    the candidates; the best are the profile's selected items. It lowers the discriminator's doubt (do fillers and selected
    items go together?), plus

        mean of (1 - p)^2 + mean of (p z)^2

    over the candidates, with p its scores in (0, 1): the shilling loss, and the reconstruction of z, a random share of those
    that the template's user does not have. The discriminator sees fillers and selected items of both kinds of rows, no target.

    Attributes:
        selected_share: share of the non-target items that are selected ones.
        candidates: candidates for each selected item.
        zero_share: share of the absent candidates that z marks.
        others: see `Rounds`.

    It has no attack loss on a model, so no worst case applies. To demote, targets are left out.

    Source: Lin et al. 2020, *Attacking recommender systems with augmented user profiles* (CIKM); its authors' code,
    XMUDM/ShillingAttack.

    Deviations: (1) Feedback is binary. The source rates all selected items and so needs as few as the attacker names; here
    the generator chooses among candidates, by the best of its scores, and the discriminator sees the choice (the gradient
    passes through tanh). (2) Candidates come from co-ownership with the targets instead of from categories. (3) Templates are
    of users with as many candidates as a fake one has selected items, and genuine rows are cut to that. (4) Losses are means
    over candidates; rates, widths and leaky rectifiers are ours.
    """

    imitates: ClassVar[bool] = True
    rounds: int = 100
    selected_share: float = 0.2
    candidates: int = 5
    zero_share: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.candidates < 1:
            raise ConfigError(f"candidates={self.candidates} must be 1 or more.")
        for name in ("selected_share", "zero_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in [0, 1].")

    def poison(
        self, train: csr_array, goal: Goal, budget: Budget, *, seed: int, templates: IntArray | None = None
    ) -> Poison:
        """See `Attack`; `templates` are the users that the fakes are made from, None: drawn.

        O(nnz + num_items hidden) memory.
        """
        start = time.perf_counter()
        allowance = budget.resolve(train, goal)
        num_items = train.shape[1]
        pinned = pinned_items(goal)
        free = min(allowance.profile_size - len(pinned), num_items - len(goal.targets))
        count = round(self.selected_share * free)
        room = num_items - len(goal.targets) - (free - count)
        chosen = companions(train, goal, min(self.candidates * count, room))
        left_out = np.concatenate([np.array(goal.targets), chosen])
        genuine = Templates.of(train, free - count, left_out, goal.audience(train))
        held = np.asarray(train[:, chosen].sum(axis=1)).ravel()
        genuine = genuine.among(held >= count)
        draw = rng(seed, "aush")
        generator = Augmenter(self, train, chosen, count, draw)
        judge = Discriminator(num_items, self.discriminator, draw, rate=self.discriminator_rate)
        history = tuple(self.play(generator, judge, genuine, draw, "AUSH"))
        batch = genuine.of_users(templates).draw(allowance.num_fake, draw)
        return Poison(
            profiles=to_csr(made_rows(generator, batch, pinned), num_items),
            goal=goal,
            attack="aush",
            settings=asdict(self),
            seed=seed,
            seconds=time.perf_counter() - start,
            history=history,
            notes={"candidates": chosen.tolist()},
        )


def companions(train: csr_array, goal: Goal, count: int) -> IntArray:
    """The `count` items that users who have a target have most, the more targets they have the more; popular ones besides."""
    wanted = np.zeros(train.shape[1])
    wanted[list(goal.targets)] = 1
    together = train.T @ (train @ wanted)
    popularity = item_counts(train)
    together[list(goal.targets)] = -1
    return np.lexsort((-popularity, -together))[:count]


class Augmenter:
    """m - hidden - candidates: reads fillers, chooses selected items. See `gan.Generator`."""

    noise = 0

    def __init__(
        self, settings: AUSH, train: csr_array, candidates: IntArray, count: int, draw: np.random.Generator
    ) -> None:
        self.settings, self.train, self.candidates, self.count, self.draw = settings, train, candidates, count, draw
        self.theta = layers((train.shape[1], settings.hidden, len(candidates)), draw)

    def logits(self, batch: Batch) -> Tensor:
        """(b, candidates) scores."""
        hidden = leaky_relu(read(batch.items, *self.theta[:2]), LEAK)
        return perceptron(hidden, self.theta[2:])

    def fake(self, batch: Batch) -> Tensor:
        """Fillers and the best candidates."""
        return self._joined(batch, keep_best(self.logits(batch), self.count))

    def real(self, batch: Batch) -> Tensor:
        """Fillers and candidates that the user has, no more of them than a fake one has."""
        own = self._owned(batch) * torch.from_numpy(self.draw.uniform(1, 2, (len(batch.items), len(self.candidates))))
        kept = keep_best(torch.where(own > 0, own, -torch.inf).float(), self.count)
        return self._joined(batch, kept)

    def penalty(self, batch: Batch) -> Tensor:
        """The shilling loss and the reconstruction of zeros."""
        if not len(self.candidates):
            return torch.zeros(())
        chance = torch.sigmoid(self.logits(batch))
        marked = torch.from_numpy(self.draw.random(chance.shape) < self.settings.zero_share)
        zeros = (self._owned(batch) == 0) & marked
        return (1 - chance).square().mean() + (chance * zeros).square().mean()

    def _owned(self, batch: Batch) -> Tensor:
        return torch.from_numpy(csr_array(self.train[batch.users])[:, self.candidates].toarray())

    def _joined(self, batch: Batch, chosen: Tensor) -> Tensor:
        rows = rows_of(batch.items, self.train.shape[1])
        return rows.index_copy(1, torch.from_numpy(self.candidates), chosen)
