"""Adam's step, and its adjoint, each in one pass over the parameters."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

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
