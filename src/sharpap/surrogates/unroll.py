"""Adam with a hand-written adjoint: what turns "train, then look" into a gradient.

Reverse mode through K Adam steps needs, per step, the parameters and the gradient it used: O((n + m) d K) numbers.
The moments are not stored: they are recovered from the stored gradients by running Adam's recursions backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sharpap.kernels.adam import adam_adjoint, adam_step, torch_adjoint, torch_step


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma and Ba 2015) without weight decay.

    Attributes:
        learning_rate, beta1, beta2, epsilon: as in the paper.
    """

    learning_rate: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def step(self, theta: Tensor, moments: Moments, grad: Tensor, t: int) -> None:
        """Update `theta` and `moments` in place; `t` counts from 1."""
        self._run(adam_step, torch_step, [theta, moments.first, moments.second, grad], t)

    def adjoint(self, state: AdjointMoments, theta_bar: Tensor, grad: Tensor, t: int) -> Tensor:
        """One step backwards: the adjoint of the gradient that step `t` used.

        `theta_bar` is the adjoint of the parameters after the step, and also their direct adjoint before it; the
        caller adds the Hessian-vector product with the returned tensor. `state` moves to step t - 1 in place.
        """
        out = torch.empty_like(theta_bar)
        parts = [state.first, state.second, state.first_bar, state.second_bar, theta_bar, grad, out]
        self._run(adam_adjoint, torch_adjoint, parts, t)
        return out

    def _run(self, kernel: Callable[..., None], any_device: Callable[..., None], parts: list[Tensor], t: int) -> None:
        """One pass over tensors of one shape at step `t`, by the kernel where they lie on the CPU."""
        constants = (self.beta1, self.beta2, self.learning_rate / (1 - self.beta1**t), 1 - self.beta2**t, self.epsilon)
        if parts[0].device.type == "cpu":
            kernel(*map(_flat, parts), *constants)
        else:
            any_device(*parts, *constants)


def _flat(part: Tensor) -> np.ndarray:
    """The elements in order: the tensor's own memory where it is contiguous, as all that is written here must be."""
    return part.contiguous().view(-1).numpy()


def steps_before(unrolled: int, every: int) -> range:
    """How many steps before the end each `every`-th unrolled state lies, the trained one left out; empty for 0.

    The state before the first unrolled step is left out too: it does not depend on the profiles as far as the tape goes.
    """
    return range(every, unrolled, every) if every else range(0)


@dataclass(frozen=True, eq=False)
class Moments:
    """Adam's running moments of one parameter."""

    first: Tensor
    second: Tensor

    @classmethod
    def zeros(cls, theta: Tensor) -> Moments:
        """Moments before the first step."""
        return cls(torch.zeros_like(theta), torch.zeros_like(theta))


@dataclass(frozen=True, eq=False)
class AdjointMoments:
    """Moments on their way back, and their adjoints."""

    first: Tensor
    second: Tensor
    first_bar: Tensor
    second_bar: Tensor

    @classmethod
    def at(cls, moments: Moments) -> AdjointMoments:
        """Start at the end of training, where nothing depends on the moments yet."""
        zeros = torch.zeros_like
        return cls(moments.first.clone(), moments.second.clone(), zeros(moments.first), zeros(moments.second))
