"""Sharpness of losses whose curvature is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sharpap.metrics.sharpness import keskar_sharpness, random_direction, surface
from sharpap.surrogates import Embeddings

AT = Embeddings(torch.tensor([[1.0, -2.0]], dtype=torch.float64), torch.tensor([[0.5, 0.0]], dtype=torch.float64))


def linear(slope: float):
    def loss(e: Embeddings) -> tuple[float, Embeddings]:
        return slope * float(e.users.sum() + e.items.sum()), Embeddings(
            torch.full_like(e.users, slope), torch.full_like(e.items, slope)
        )

    return loss


def test_keskars_measure_of_a_linear_loss_is_the_corner_of_the_box():
    widths = 0.01 * (2 + 3 + 1.5 + 1)  # epsilon (|theta| + 1)
    start = 3 * (1 - 2 + 0.5)
    expected = 100 * 3 * widths / (1 + abs(start))
    assert keskar_sharpness(AT, linear(3.0), epsilon=0.01, steps=4) == pytest.approx(expected)


def test_sharper_bowls_are_sharper():
    def bowl(c: float):
        def loss(e: Embeddings) -> tuple[float, Embeddings]:
            du, di = e.users - AT.users + 1e-3, e.items - AT.items + 1e-3
            return c * float((du**2).sum() + (di**2).sum()), Embeddings(2 * c * du, 2 * c * di)

        return loss

    assert keskar_sharpness(AT, bowl(10)) > 5 * keskar_sharpness(AT, bowl(1)) > 0


def test_surfaces_pass_through_the_centre():
    first, second = (random_direction(AT, seed=seed) for seed in (0, 1))
    for part, whole in ((first.users, AT.users), (first.items, AT.items)):
        torch.testing.assert_close(part.norm(dim=1), whole.norm(dim=1))

    def value(e: Embeddings) -> float:
        return float((e.users**2).sum())

    shares, line = surface(AT, value, first, points=5)
    grid = surface(AT, value, first, second, points=5)[1]
    assert shares[2] == 0
    assert line[2] == pytest.approx(5.0)
    np.testing.assert_allclose(grid[:, 2], line)
