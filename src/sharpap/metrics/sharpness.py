"""How sharp a loss is around trained parameters: Keskar's measure, and the loss along a line and over a plane."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sharpap.seeds import rng
from sharpap.surrogates.base import Embeddings

Loss = Callable[[Embeddings], tuple[float, Embeddings]]


def keskar_sharpness(embeddings: Embeddings, loss: Loss, *, epsilon: float = 1e-2, steps: int = 10) -> float:
    """The largest rise of a loss in a box around the parameters, in percent of 1 + |loss|.

    max over |delta_i| <= epsilon (|theta_i| + 1) of (L(theta + delta) - L(theta)) / (1 + |L(theta)|) * 100, by signed gradient
    ascent from the centre (the best point passed counts).

    Args:
        embeddings: theta.
        loss: value and gradient.
        epsilon: half the width of the box, in units of |theta_i| + 1.
        steps: of the ascent.

    Source: Keskar et al. 2017, metric 2.1, in the full space. Deviations: |L| in the denominator, since an attack loss may be
    negative; ascent instead of L-BFGS-B, so that it is a lower bound.
    """
    box = Embeddings(epsilon * (embeddings.users.abs() + 1), epsilon * (embeddings.items.abs() + 1))
    start, grad = loss(embeddings)
    best = start
    offset = Embeddings(torch.zeros_like(embeddings.users), torch.zeros_like(embeddings.items))
    for _ in range(steps):
        moved = []
        for place, slope, width in ((offset.users, grad.users, box.users), (offset.items, grad.items, box.items)):
            step = place + slope.sign() * width * (2 / steps)
            moved.append(torch.minimum(torch.maximum(step, -width), width))
        offset = Embeddings(moved[0], moved[1])
        value, grad = loss(embeddings.plus(offset))
        best = max(best, value)
    return 100 * (best - start) / (1 + abs(start))


def random_direction(embeddings: Embeddings, *, seed: int) -> Embeddings:
    """A Gaussian direction whose rows are as long as the parameters' (filter normalisation, Li et al. 2018)."""
    draw = rng(seed, "direction")
    users, items = (
        torch.from_numpy(draw.standard_normal(part.shape, dtype=np.float32)).to(part.dtype)
        for part in (embeddings.users, embeddings.items)
    )
    return filter_normalised(Embeddings(users, items), embeddings)


def filter_normalised(direction: Embeddings, embeddings: Embeddings) -> Embeddings:
    """A direction whose rows are as long as the parameters' (Li et al. 2018); rows of zeros stay so."""

    def scaled(part: Tensor, like: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(part, dim=1, keepdim=True)
        share = torch.linalg.vector_norm(like, dim=1, keepdim=True) / length.clamp_min(1e-30)
        return part * torch.where(length > 1e-30, share, torch.zeros_like(share))

    return Embeddings(scaled(direction.users, embeddings.users), scaled(direction.items, embeddings.items))


def surface(
    embeddings: Embeddings,
    value: Callable[[Embeddings], float],
    first: Embeddings,
    second: Embeddings | None = None,
    *,
    reach: float = 0.2,
    points: int = 21,
) -> tuple[np.ndarray, np.ndarray]:
    """A loss along `first`, or over the plane of `first` and `second`.

    Returns:
        (points,) shares from -reach to reach, and (points,) or (points, points) losses; row = share of `first`.
    """
    shares = np.linspace(-reach, reach, points)

    def at(a: float, b: float) -> float:
        users, items = embeddings.users + a * first.users, embeddings.items + a * first.items
        if second is not None:
            users, items = users + b * second.users, items + b * second.items
        return value(Embeddings(users, items))

    if second is None:
        return shares, np.array([at(a, 0.0) for a in shares])
    return shares, np.array([[at(a, b) for b in shares] for a in shares])
