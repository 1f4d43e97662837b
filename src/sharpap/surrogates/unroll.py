"""Adam with a hand-written adjoint: what turns "train, then look" into a gradient.

Reverse mode through K Adam steps needs, per step, the parameters and the gradient it used: O((n + m) d K) numbers.
The moments are not stored: they are recovered from the stored gradients by running Adam's recursions backwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


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
        moments.first.mul_(self.beta1).add_(grad, alpha=1 - self.beta1)
        moments.second.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
        denominator = (moments.second / (1 - self.beta2**t)).sqrt_().add_(self.epsilon)
        theta.addcdiv_(moments.first, denominator, value=-self.learning_rate / (1 - self.beta1**t))

    def adjoint(self, state: AdjointMoments, theta_bar: Tensor, grad: Tensor, t: int) -> Tensor:
        """One step backwards: the adjoint of the gradient that step `t` used.

        `theta_bar` is the adjoint of the parameters after the step, and also their direct adjoint before it; the
        caller adds the Hessian-vector product with the returned tensor. `state` moves to step t - 1 in place.
        """
        correct1, correct2 = 1 - self.beta1**t, 1 - self.beta2**t
        root = (state.second / correct2).sqrt_()
        denominator = root + self.epsilon
        scaled = theta_bar * (self.learning_rate / correct1)
        state.first_bar.addcdiv_(scaled, denominator, value=-1)
        # d(1/denominator)/d(second) is singular at 0, where Adam has seen no gradient and there is nothing to move.
        slope = scaled.mul_(state.first).div_(denominator.square_().mul_(root.clamp_min_(1e-20)).mul_(2 * correct2))
        state.second_bar.add_(slope)
        grad_bar = state.first_bar * (1 - self.beta1) + state.second_bar * grad * (2 * (1 - self.beta2))
        state.first.sub_(grad, alpha=1 - self.beta1).div_(self.beta1)
        state.second.addcmul_(grad, grad, value=-(1 - self.beta2)).div_(self.beta2).clamp_min_(0)
        state.first_bar.mul_(self.beta1)
        state.second_bar.mul_(self.beta2)
        return grad_bar


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
