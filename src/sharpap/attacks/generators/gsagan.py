"""GSA-GAN: profiles out of noise, by a Wasserstein GAN that is also trained to win on a simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.attacks.generators.gan import Batch, Discriminator, Templates, keep_best, layers, perceptron, rows_of
from sharpap.attacks.generators.guided import Guided
from sharpap.attacks.profiles import IntArray, item_counts
from sharpap.errors import ConfigError

# Brings what the noise adds to an item's score to a deviation of about 1.3, a Gumbel's, so that the first profiles are
# near draws by popularity.
SPREAD = 5.0


@dataclass(frozen=True, kw_only=True)
class GSAGAN(Guided):
    """A generator turns noise into profiles that pass for genuine and raise the targets on a simulated recommender.

    noise - hidden - items; the best items are the profile, as many as genuine profiles cut to size have. A Wasserstein critic
    with clipped weights compares both. The attacker knows the interactions but no victim ("gray box"), and simulates one:
    the surrogate.

    Attributes:
        noise_size: standard normal numbers that a profile comes from.
        clip: largest weight of the critic.
        others: see `Guided` and `Rounds`.

    Source: Wang et al. 2022, *Gray-box shilling attack: an adversarial learning approach* (TIST); its authors' code,
    CoderWZW/GSA_GANs.

    Deviations: (1) In the authors' code the simulator's utility is a number read from a file before training, and so has
    no gradient: their generator learns to pass for genuine and nothing else. Here the gradient runs through the
    simulator's training. (2) The attack loss is RevAdv's default; theirs, recipe "gsa-gan-original", is the targets' mean
    score (minus that of other items, which fakes hardly move). (3) Binary profiles of the budget's size instead of ratings
    above 0.2, and normal noise instead of uniform. (4) Attack steps act on the noise of the profiles to be injected,
    between rounds, with an optimiser of their own. (5) Tens of steps at greater rates
    instead of a million, from a start near draws by popularity. (6) To
    demote, targets are left out and the attack loss changes its sign.
    """

    imitates: ClassVar[bool] = True
    base: ClassVar[str] = "gsa-gan"

    rounds: int = 40
    attack_steps: int = 2
    noise_size: int = 100
    clip: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise_size < 1:
            raise ConfigError(f"noise_size={self.noise_size} must be 1 or more.")
        if not self.clip > 0:
            raise ConfigError(f"clip={self.clip} must be above 0.")

    def begin(self, templates: Templates, targets: IntArray, draw: np.random.Generator) -> Dreamer:
        """A generator of noise."""
        popularity = item_counts(csr_array(templates.train[templates.sources]))
        return Dreamer(self, popularity, targets, draw)

    def judge(self, num_items: int, draw: np.random.Generator) -> Discriminator:
        """A critic with clipped weights."""
        rate = self.discriminator_rate
        return Discriminator(num_items, self.discriminator, draw, rate=rate, kind="clipped", bound=self.clip)


class Dreamer:
    """noise - hidden - m. See `gan.Generator`."""

    def __init__(self, settings: GSAGAN, popularity: IntArray, targets: IntArray, draw: np.random.Generator) -> None:
        self.noise = settings.noise_size
        self.theta = layers((settings.noise_size, settings.hidden, len(popularity)), draw)
        with torch.no_grad():
            self.theta[2] *= SPREAD
            self.theta[3] += torch.from_numpy(np.log(popularity + 1)).float()
        self.targets = torch.from_numpy(targets)

    def fake(self, batch: Batch) -> Tensor:
        """The best items of each draw of noise; never a target."""
        scores = perceptron(batch.noise, self.theta).index_fill(1, self.targets, -torch.inf)
        return keep_best(scores, batch.items.shape[1])

    def real(self, batch: Batch) -> Tensor:
        """Genuine profiles cut to size."""
        return rows_of(batch.items, len(self.theta[-1]))

    def penalty(self, batch: Batch) -> Tensor:
        """Nothing beside the critic's doubt."""
        return torch.zeros(())
