"""Training that seeks flat minima: SAM, ASAM and AWP. The mirror image of SharpAP, which attacks where it is steep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sharpap.defenses.base import Perturbing

_LEAST = 1e-30


class _Flat(Perturbing):
    """What the three share; their fields stand in each."""

    def offsets(self, parts: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
        """See `WeightAdversary`."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class SAM(_Flat):
    """Sharpness-aware minimisation: each step follows the gradient at the worst point of a ball around the parameters.

    To first order that point is rho |theta| g / |g|, with all parameters in one ball.

    Attributes:
        rho: radius, as a share of the norm of all parameters.

    Source: Foret, Kleiner, Mobahi and Neyshabur 2021, *Sharpness-aware minimization for efficiently improving
    generalization*, and davda54/sam. As there, g leaves the regularisation out, which is taken where the parameters are.
    Deviations: the radius is relative, for theirs is made for networks of another size; full-batch steps, with the same
    negatives in both gradients.
    """

    rho: float = 0.03

    def offsets(self, parts: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
        """rho |theta| g / |g|."""
        radius = self.rho * _norm(parts) / max(_norm(grads), _LEAST)
        return [grad * radius for grad in grads]


@dataclass(frozen=True, kw_only=True)
class ASAM(_Flat):
    """Adaptive SAM: a ball in which each number counts by its own size, so that scaling a model does not change its sharpness.

    With T = |theta| + eta the offset is e = r T^2 g / |T g|, of length |e / T| = r.

    Attributes:
        rho: the radius r as a share of |theta / T|, the parameters' own length there: about how much a number changes by.
        eta: keeps numbers near 0 movable.

    Source: Kwon, Kim, Park and Choi 2021, *ASAM: adaptive sharpness-aware minimization for scale-invariant learning of deep
    neural networks*, and SamsungLabs/ASAM. Deviations: those of `SAM`; biases, where a model has some, are scaled too.
    """

    rho: float = 0.01
    eta: float = 0.01

    def offsets(self, parts: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
        """r T^2 g / |T g|."""
        scales = [part.abs().add_(self.eta) for part in parts]
        steep = [grad * scale for grad, scale in zip(grads, scales, strict=True)]
        own = _norm([part / scale for part, scale in zip(parts, scales, strict=True)])
        radius = self.rho * own / max(_norm(steep), _LEAST)
        return [each.mul_(scale).mul_(radius) for each, scale in zip(steep, scales, strict=True)]


@dataclass(frozen=True, kw_only=True)
class AWP(_Flat):
    """Adversarial weight perturbation: as `SAM`, with a ball of its own for each layer, here the table of users and of items.

    Attributes:
        gamma: radius, as a share of the norm of the layer.

    Source: Wu, Xia and Wang 2020, *Adversarial weight perturbation helps robust generalization*, and csdongxian/AWP; biases
    are left where they are, as there. Deviations: there it goes with perturbed inputs, and interactions are none that could be:
    the loss is that of the data as it is; those of `SAM`, but for the radius, which is relative there too.
    """

    gamma: float = 0.01

    def offsets(self, parts: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
        """gamma |theta_l| g_l / |g_l| for each layer l."""
        return [
            grad * (self.gamma * _norm([part]) / max(_norm([grad]), _LEAST))
            if part.ndim > 1
            else torch.zeros_like(part)
            for part, grad in zip(parts, grads, strict=True)
        ]


def _norm(parts: Sequence[Tensor]) -> float:
    """The Euclidean norm of all numbers together."""
    return sum(float(part.square().sum(dtype=torch.float64)) for part in parts) ** 0.5
