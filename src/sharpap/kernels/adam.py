"""Adam's step, and its adjoint, each in one pass over the parameters."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def adam_step(
    theta: Array, first: Array, second: Array, grad: Array, beta1: float, beta2: float, rate: float, correct2: float,
    epsilon: float,
) -> None:  # fmt: skip
    """Update flat parameters and moments in place; `rate` is corrected for the first moment, `correct2` for the second."""
    real = theta.dtype.type
    b1, b2, lr, c2, eps, one = real(beta1), real(beta2), real(rate), real(1 / correct2), real(epsilon), real(1)
    for i in numba.prange(len(theta)):
        g = grad[i]
        m = b1 * first[i] + (one - b1) * g
        v = b2 * second[i] + (one - b2) * g * g
        first[i], second[i] = m, v
        theta[i] -= lr * m / (np.sqrt(v * c2) + eps)


@numba.njit(parallel=True, fastmath=_FAST, cache=True, nogil=True)
def adam_adjoint(
    first: Array, second: Array, first_bar: Array, second_bar: Array, theta_bar: Array, grad: Array, out: Array,
    beta1: float, beta2: float, rate: float, correct2: float, epsilon: float,
) -> None:  # fmt: skip
    """One step backwards: `out` becomes the adjoint of the gradient; moments and their adjoints go back in place."""
    real = first.dtype.type
    b1, b2, lr, c2, eps, one, two = (
        real(beta1), real(beta2), real(rate), real(correct2), real(epsilon), real(1), real(2),
    )  # fmt: skip
    tiny = real(1e-20)
    for i in numba.prange(len(first)):
        g, m, v = grad[i], first[i], second[i]
        root = np.sqrt(v / c2)
        below = root + eps
        scaled = theta_bar[i] * lr
        m_bar = first_bar[i] - scaled / below
        # d(1/below)/dv is singular at 0, where Adam has seen no gradient and there is nothing to move.
        v_bar = second_bar[i] + scaled * m / (two * c2 * below * below * max(root, tiny))
        out[i] = m_bar * (one - b1) + v_bar * g * two * (one - b2)
        first[i] = (m - (one - b1) * g) / b1
        second[i] = max((v - (one - b2) * g * g) / b2, real(0))
        first_bar[i] = b1 * m_bar
        second_bar[i] = b2 * v_bar


def torch_step(
    theta: Tensor, first: Tensor, second: Tensor, grad: Tensor, beta1: float, beta2: float, rate: float, correct2: float,
    epsilon: float,
) -> None:  # fmt: skip
    """`adam_step` of tensors on any device."""
    first.mul_(beta1).add_(grad, alpha=1 - beta1)
    second.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    theta.addcdiv_(first, (second / correct2).sqrt_().add_(epsilon), value=-rate)


def torch_adjoint(
    first: Tensor, second: Tensor, first_bar: Tensor, second_bar: Tensor, theta_bar: Tensor, grad: Tensor, out: Tensor,
    beta1: float, beta2: float, rate: float, correct2: float, epsilon: float,
) -> None:  # fmt: skip
    """`adam_adjoint` of tensors on any device."""
    root = (second / correct2).sqrt_()
    below = root + epsilon
    scaled = theta_bar * rate
    first_bar -= scaled / below
    second_bar += scaled * first / (2 * correct2 * below.square_() * root.clamp_min_(1e-20))
    torch.add(first_bar * (1 - beta1), second_bar * grad, alpha=2 * (1 - beta2), out=out)
    first.sub_(grad, alpha=1 - beta1).div_(beta1)
    second.addcmul_(grad, grad, value=beta2 - 1).div_(beta2).clamp_min_(0)
    first_bar.mul_(beta1)
    second_bar.mul_(beta2)
