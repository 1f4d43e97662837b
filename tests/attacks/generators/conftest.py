"""What trains in the generators' tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sharpap.attacks.generators.gan import Rounds


@pytest.fixture
def played(monkeypatch):
    """Generators in the order they were trained in, each with its first weights."""
    seen: list[tuple[Any, list[torch.Tensor]]] = []
    play = Rounds.play

    def watched(self, generator, *args):
        seen.append((generator, [part.detach().clone() for part in generator.theta]))
        return play(self, generator, *args)

    monkeypatch.setattr(Rounds, "play", watched)
    return seen


@pytest.fixture(scope="session")
def many() -> csr_array:
    """300 users of two taste groups, 40 items: enough templates for a contest."""
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 2, 300)
    chance = np.full((300, 40), 0.02)
    for group in (0, 1):
        chance[groups == group, 20 * group : 20 * group + 20] += np.clip(3 / np.arange(1, 21), 0.1, 0.9)
    return csr_array((generator.random((300, 40)) < chance).astype(np.float32))
