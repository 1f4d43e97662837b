"""Leg-UP: an autoencoder with learnt thresholds, trained to pass for genuine and to win on a surrogate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from sharpap.attacks.generators.gan import (
    LEAK,
    Batch,
    Templates,
    keep_best,
    layers,
    perceptron,
    read,
    rows_of,
)
from sharpap.attacks.generators.guided import Guided
from sharpap.attacks.profiles import IntArray
from sharpap.errors import ConfigError

# The autoencoder's output is tanh, stretched to (0, 5).
HALF = 2.5


@dataclass(frozen=True, kw_only=True)
class LegUP(Guided):
    """An autoencoder with learnt thresholds turns genuine profiles into fakes.

    a = 2.5 + 2.5 tanh(decoder(encoder(template))) in (0, 5), a threshold b for each item, and the items with the greatest
    a - b are the profile, as many as the template has. The step is HeaviTanh: hard forwards, and backwards the derivative of
    tanh around the row's cut, so that thresholds learn as weights do. The generator is pretrained to rebuild templates;
    then discriminator, generator and attack steps take turns.

    Attributes:
        pretrain_steps, pretrain_rate: of the reconstruction: cross-entropy of a - b with the template's row.
        sharpness: k of HeaviTanh, whose derivative is 1 - tanh(k x)^2; the greater, the fewer items near the cut have one.
        others: see `Guided` and `Rounds`.

    Source: Lin et al. 2022, *Shilling black-box recommender systems by learning to generate fake user profiles* (TNNLS); its
    authors' code, XMUDM/ShillingAttack (`aushplus.py`).

    Deviations: (1) Feedback is binary: the source's five thresholds of a rating are one of presence, and as the budget fixes
    a profile's size, each row is cut there instead of at 0. The source keeps the template's items and changes ratings; with
    ratings gone, the items are what is generated. (2) The attack loss is RevAdv's default on a WRMF with 30 unrolled steps;
    the source's is a cross-entropy (recipe "leg-up-original") through one unrolled step. (3) A new surrogate seed in each
    attack step, and an optimiser of its own. (4) k is 1 there: then many items near the cut share the gradient, and the
    attack learns slower. (5) Fewer steps in more turns; widths, rates and leaky rectifiers are ours. (6) To demote, targets
    are left out and the attack loss changes its sign.
    """

    imitates: ClassVar[bool] = True
    base: ClassVar[str] = "leg-up"

    rounds: int = 25
    discriminator_steps: int = 2
    attack_steps: int = 4
    attack_rate: float = 1e-2
    pretrain_steps: int = 50
    pretrain_rate: float = 5e-3
    sharpness: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sharpness > 0:
            raise ConfigError(f"sharpness={self.sharpness} must be above 0.")
        for name in ("pretrain_steps", "pretrain_rate"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name}={getattr(self, name)} must be 0 or more.")

    def begin(self, templates: Templates, targets: IntArray, draw: np.random.Generator) -> Rebuilder:
        """An autoencoder that was trained to rebuild templates."""
        generator = Rebuilder(self, templates.train.shape[1], targets, draw)
        optimizer = torch.optim.Adam(generator.theta, lr=self.pretrain_rate)
        for _ in range(self.pretrain_steps):
            batch = templates.draw(min(self.batch_size, len(templates.sources)), draw)
            loss = binary_cross_entropy_with_logits(generator.margins(batch), generator.real(batch))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return generator


class Rebuilder:
    """m - hidden - m, then a threshold for each item. See `gan.Generator`."""

    noise = 0

    def __init__(self, settings: LegUP, num_items: int, targets: IntArray, draw: np.random.Generator) -> None:
        self.thresholds = torch.ones(num_items, requires_grad=True)
        self.theta = [*layers((num_items, settings.hidden, num_items), draw), self.thresholds]
        self.targets, self.sharpness = torch.from_numpy(targets), settings.sharpness

    def margins(self, batch: Batch) -> Tensor:
        """(b, m) a - b."""
        hidden = leaky_relu(read(batch.items, *self.theta[:2]), LEAK)
        return HALF + HALF * torch.tanh(perceptron(hidden, self.theta[2:4])) - self.thresholds

    def fake(self, batch: Batch) -> Tensor:
        """The best margins; never a target."""
        margins = self.sharpness * self.margins(batch)
        return keep_best(margins.index_fill(1, self.targets, -torch.inf), batch.items.shape[1])

    def real(self, batch: Batch) -> Tensor:
        """The templates."""
        return rows_of(batch.items, len(self.thresholds))

    def penalty(self, batch: Batch) -> Tensor:
        """Nothing beside the discriminator's doubt."""
        return torch.zeros(())
