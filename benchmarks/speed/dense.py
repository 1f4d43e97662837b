"""RevAdv's outer epoch the dense way: a users x items loss in torch, and autograd through the unrolled steps.

Our own, in the style of the public implementations: the same surrogate, steps, optimiser, attack loss and projection as
`sharpap.attacks.RevAdv` with `CrossEntropy` and `MomentumStep`, from the same start, so that
both come to the same attack loss. Nothing here is sparse: that is the point.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.seeds import rng
from sharpap.surrogates import WRMFSurrogate

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class DenseRevAdv:
    """One attacker with dense interactions.

    Args:
        train: genuine interactions, (n, m).
        targets: items to promote.
        settings: of the surrogate.
        dtype: of everything.
    """

    def __init__(
        self, train: csr_array, targets: np.ndarray, settings: WRMFSurrogate, dtype: torch.dtype = torch.float32
    ) -> None:
        self.settings, self.targets, self.dtype = settings, torch.from_numpy(targets), dtype
        rows = torch.from_numpy(np.repeat(np.arange(train.shape[0]), np.diff(train.indptr)))
        places = (rows, torch.from_numpy(train.indices.astype(np.int64)))
        self.genuine = torch.zeros(train.shape, dtype=dtype)
        self.genuine[places] = 1
        self.weight = torch.full(train.shape, settings.negative_weight, dtype=dtype)
        self.weight[places] = settings.positive_weight

    def loss(self, users: Tensor, items: Tensor, fake: Tensor) -> Tensor:
        """The recommendation loss over all pairs; linear in `fake`."""
        s, n = self.settings, len(self.genuine)
        known = (self.weight * (self.genuine - users[:n] @ items.T).square()).sum()
        score = users[n:] @ items.T
        made = (fake * s.positive_weight * (1 - score).square() + (1 - fake) * s.negative_weight * score.square()).sum()
        return known + made + s.reg * (users.square().sum() + items.square().sum())

    def epoch(self, fake: Tensor, seed: int) -> tuple[float, Tensor]:
        """Train, attack loss, and its gradient with respect to the (f, m) fake profiles."""
        s, (n, m) = self.settings, self.genuine.shape
        draw = rng(seed, "wrmf-surrogate")
        theta = [
            torch.from_numpy(
                draw.standard_normal((rows, s.embedding_size), dtype=np.float32) * np.float32(s.init_std)
            ).to(self.dtype)
            for rows in (n + len(fake), m)
        ]
        first, second = ([torch.zeros_like(part) for part in theta] for _ in range(2))
        fake = fake.clone().requires_grad_()
        for t in range(1, s.epochs + 1):
            unrolled = t > s.epochs - s.unrolled_epochs
            if not unrolled or t == s.epochs - s.unrolled_epochs + 1:
                theta = [part.detach().requires_grad_() for part in theta]
            grads = torch.autograd.grad(
                self.loss(theta[0], theta[1], fake if unrolled else fake.detach()), theta, create_graph=unrolled
            )
            with torch.set_grad_enabled(unrolled):
                first = [BETA1 * a + (1 - BETA1) * g for a, g in zip(first, grads, strict=True)]
                second = [BETA2 * b + (1 - BETA2) * g * g for b, g in zip(second, grads, strict=True)]
                rate = s.learning_rate / (1 - BETA1**t)
                theta = [
                    part - rate * a / ((b / (1 - BETA2**t)).sqrt() + EPSILON)
                    for part, a, b in zip(theta, first, second, strict=True)
                ]
        log_p = torch.log_softmax(theta[0][:n] @ theta[1].T, dim=1)[:, self.targets]
        eligible = 1 - self.genuine[:, self.targets]
        value = -(log_p * eligible / eligible.sum(0).clamp_min(1) / len(self.targets)).sum()
        (gradient,) = torch.autograd.grad(value, fake)
        return float(value.detach()), gradient


def project(fake: Tensor, gradient: Tensor, size: int) -> Tensor:
    """Row-normalised step, then the top `size` items of each profile."""
    moved = fake - gradient / torch.linalg.vector_norm(gradient, dim=1, keepdim=True).clamp_min(1e-30)
    return torch.zeros_like(fake).scatter_(1, moved.topk(size, dim=1).indices, 1)
