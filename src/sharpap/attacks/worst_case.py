"""The worst case: where around the trained surrogate the attack is judged. This is SharpAP's contribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from sharpap.errors import ConfigError, ContractError
from sharpap.seeds import rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings

Ball = Literal["global", "row", "adaptive"]
Loss = Callable[[Embeddings], tuple[float, Embeddings]]
Fit = Callable[[Embeddings], float]
_TINY = 1e-30


@runtime_checkable
class WorstCase(Protocol):
    """Maps trained embeddings to the embeddings the attack is optimised against."""

    @property
    def clean_share(self) -> float:
        """Weight of the loss at the unperturbed embeddings in what the attack minimises; see `mixed`."""
        ...

    @property
    def every_step(self) -> int:
        """0: the attack is judged at the end of training; k: at every k-th unrolled state, each at its own worst case."""
        ...

    def __call__(self, embeddings: Embeddings, loss: Loss, *, seed: int, fit: Fit | None = None) -> Embeddings:
        """Perturbed embeddings, constant with respect to the fake profiles.

        `loss` gives the attack loss's value and gradient, `fit` the recommendation loss.
        """
        ...


def mixed(loss: Loss, clean: Embeddings, worst: Embeddings, clean_share: float) -> tuple[float, Embeddings]:
    """Value and gradient of clean_share * loss(clean) + (1 - clean_share) * loss(worst)."""
    value, grad = loss(worst)
    if clean_share == 0 or worst is clean:
        return value, grad
    other, base = loss(clean)
    share = 1 - clean_share
    return share * value + clean_share * other, Embeddings(
        share * grad.users + clean_share * base.users, share * grad.items + clean_share * base.items
    )


def trained_against(
    worst_case: WorstCase,
    here: Embeddings,
    loss: Callable[[Embeddings], Tensor],
    *,
    seed: int,
    fit: Fit | None = None,
) -> Tensor:
    """What an attack that trains by autograd minimises: the loss where `worst_case` puts `here`, `clean_share` of it unmoved.

    The offset is a constant: the gradient goes on to whatever made `here`.
    """
    still = Embeddings(here.users.detach(), here.items.detach())

    def both(at: Embeddings) -> tuple[float, Embeddings]:
        tables = at.users.detach().requires_grad_(), at.items.detach().requires_grad_()
        value = loss(Embeddings(*tables))
        return float(value.detach()), Embeddings(*torch.autograd.grad(value, tables))

    worst = worst_case(still, both, seed=seed, fit=fit)
    share = 1.0 if worst is still else worst_case.clean_share
    if share == 1:
        return loss(here)
    moved = loss(here.plus(Embeddings(worst.users - still.users, worst.items - still.items)))
    return moved if share == 0 else share * loss(here) + (1 - share) * moved


@dataclass(frozen=True, kw_only=True)
class Identity:
    """No perturbation: the base attack."""

    @property
    def clean_share(self) -> float:
        """Both are the same here."""
        return 0.0

    @property
    def every_step(self) -> int:
        """At the end of training."""
        return 0

    def __call__(self, embeddings: Embeddings, loss: Loss, *, seed: int, fit: Fit | None = None) -> Embeddings:
        """The embeddings themselves."""
        return embeddings


@dataclass(frozen=True, kw_only=True)
class SharpnessAware(Settings):
    """SharpAP's worst case: the model in a ball around the surrogate that is worst for the attacker.

    max over ||eps|| <= rho of L_atk(theta + eps), to first order: eps = rho g / ||g|| with g = grad L_atk(theta); it
    *raises* the attack loss. Costs `steps` gradients of the attack loss and nothing else.

    Attributes:
        rho: radius.
        relative: rho as a share of ||theta|| (of each row's norm for ball="row"), else absolute.
        ball: "global": one ball around all parameters; "row": one around each embedding row; "adaptive": the ball of
            ASAM (Kwon et al. 2021), each coordinate scaled by |theta|.
        steps: 1: the closed form above; more: projected gradient ascent with step 2 rho / steps.
        tau: when set, the offset is halved until the recommendation loss grows by at most this share, the victim space
            L_rec(theta + eps) <= (1 + tau) L_rec(theta) of the paper's problem statement.
        clean_share: weight of the unperturbed loss in what the attack minimises; 0.5 is the mean of clean and worst.
        every_step: 0: the worst case at the trained surrogate alone. k: the attack minimises the mean over theta_T,
            theta_{T-k}, theta_{T-2k}, ... > theta_{T-K} of L_atk(theta_t(X) + eps_t), T training steps of which K are unrolled,
            eps_t the worst case at theta_t, constant. The gradients join one reverse pass, each at its step; a state more
            costs `steps` + 1 gradients of the attack loss. Its rivals are those of theta_T: no further pass over all scores.

    Source: Xie, Yang, Shao and Wu 2026, *Sharpness-Aware Poisoning*, arXiv 2604.22170; ball and step after Foret et al.
    2021 (SAM). Deviations: the paper's rho and norm are not stated where we could read them; relative radii, rows,
    adaptive scaling and several steps are this project's options (inferred). So is `every_step`, our reading of a perturbation
    in every unrolled step: training itself stays unperturbed. With `tau`, earlier states are bounded with the fake rows of
    the end of training.
    """

    rho: float = 0.02
    relative: bool = True
    ball: Ball = "row"
    steps: int = 1
    tau: float | None = None
    clean_share: float = 0.0
    every_step: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.rho, self.ball, self.every_step)
        if self.tau is not None and self.tau < 0:
            raise ConfigError(f"tau={self.tau} must be 0 or positive.")
        if not 0 <= self.clean_share <= 1:
            raise ConfigError(f"clean_share={self.clean_share} must lie in [0, 1].")
        if self.steps < 1:
            raise ConfigError(f"steps={self.steps} must be 1 or more.")

    def __call__(self, embeddings: Embeddings, loss: Loss, *, seed: int, fit: Fit | None = None) -> Embeddings:
        """See `WorstCase`."""
        if self.rho == 0:
            return embeddings
        radius = _radius(embeddings, self.rho, self.ball, self.relative)
        offset: Embeddings | None = None
        for _ in range(self.steps):
            _, grad = loss(embeddings if offset is None else embeddings.plus(offset))
            stride = 1.0 if self.steps == 1 else 2.0 / self.steps
            move = _on_sphere(grad, embeddings, radius, self.ball, stride)
            offset = move if offset is None else _into_ball(offset.plus(move), embeddings, radius, self.ball)
        if offset is None:
            return embeddings
        return embeddings.plus(offset if self.tau is None else self._within(embeddings, offset, fit))

    def _within(self, embeddings: Embeddings, offset: Embeddings, fit: Fit | None, halvings: int = 12) -> Embeddings:
        """The offset, halved until the recommendation loss keeps its bound."""
        if fit is None:
            raise ContractError("tau needs a surrogate that can evaluate its recommendation loss.")
        bound = (1 + (self.tau or 0)) * fit(embeddings)
        for _ in range(halvings):
            if fit(embeddings.plus(offset)) <= bound:
                return offset
            offset = Embeddings(offset.users / 2, offset.items / 2)
        return Embeddings(torch.zeros_like(offset.users), torch.zeros_like(offset.items))


@dataclass(frozen=True, kw_only=True)
class RandomDirection(Settings):
    """Control: a perturbation of the same rows by the same lengths in a random direction.

    Costs the one gradient that says which rows the attack loss depends on; `SharpnessAware` moves no others.

    Attributes: as `SharpnessAware`.
    """

    rho: float = 0.02
    relative: bool = True
    ball: Ball = "row"
    clean_share: float = 0.0
    every_step: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.rho, self.ball, self.every_step)

    def __call__(self, embeddings: Embeddings, loss: Loss, *, seed: int, fit: Fit | None = None) -> Embeddings:
        """See `WorstCase`."""
        generator, (_, grad) = rng(seed, "random-direction"), loss(embeddings)
        noise = Embeddings(
            *(
                torch.from_numpy(generator.standard_normal(part.shape, dtype=np.float32)).to(part.dtype)
                * (_row_norms(part) > 0)
                for part in (grad.users, grad.items)
            )
        )
        radius = _radius(embeddings, self.rho, self.ball, self.relative)
        return embeddings.plus(_on_sphere(noise, embeddings, radius, self.ball, 1.0))


def check_unrolled(worst_case: WorstCase, surrogate: object) -> None:
    """Raise `ConfigError` where a worst case asks for earlier states than the surrogate unrolls."""
    every, unrolled = worst_case.every_step, getattr(surrogate, "unrolled_epochs", 0)
    if every and every >= unrolled:
        raise ConfigError(
            f"every_step={every} needs a surrogate that unrolls more steps; {type(surrogate).__name__} has {unrolled}.",
            hint="Lower every_step, or take the worst case at the end of training (every_step 0).",
        )


def check_no_earlier_states(worst_case: WorstCase, because: str, *, acts_in: str) -> None:
    """Raise `ConfigError` where a worst case asks for earlier states of a training that is not unrolled."""
    if worst_case.every_step:
        raise ConfigError(
            f"every_step={worst_case.every_step}: {because}, so that there are no earlier states.",
            hint=f"Leave it at 0; the worst case acts in {acts_in} anyway.",
        )


def _check(rho: float, ball: str, every_step: int) -> None:
    if not rho >= 0:
        raise ConfigError(f"rho={rho} must be 0 or positive.")
    if every_step < 0:
        raise ConfigError(f"every_step={every_step} must be 0 or positive.")
    if ball not in ("global", "row", "adaptive"):
        raise ConfigError(f"ball={ball!r} is none of global, row, adaptive.")


def _scale(embeddings: Embeddings, ball: Ball) -> Embeddings | None:
    """ASAM's T = |theta|, or None for a plain ball."""
    return Embeddings(embeddings.users.abs(), embeddings.items.abs()) if ball == "adaptive" else None


def _row_norms(part: Tensor) -> Tensor:
    return torch.linalg.vector_norm(part, dim=1, keepdim=True)


def _radius(embeddings: Embeddings, rho: float, ball: Ball, relative: bool) -> Embeddings:
    """Radius per row, as tensors that broadcast over the two parts.

    The adaptive ball lives in units of theta (||eps / |theta| || <= rho); relative then means a share of sqrt(size),
    which is the norm of theta / |theta|.
    """
    users, items = embeddings.users, embeddings.items
    one = torch.ones(1, 1, dtype=users.dtype)
    if not relative:
        return Embeddings(rho * one, rho * one)
    if ball == "row":
        return Embeddings(rho * _row_norms(users), rho * _row_norms(items))
    size = (users.numel() + items.numel()) ** 0.5 if ball == "adaptive" else float(embeddings.norm())
    return Embeddings(rho * size * one, rho * size * one)


def _on_sphere(grad: Embeddings, at: Embeddings, radius: Embeddings, ball: Ball, stride: float) -> Embeddings:
    """The step of length stride * radius that raises the loss most: radius g / ||g||, or radius T^2 g / ||T g||."""
    if ball == "row":
        return Embeddings(
            *(
                part * (stride * r / _row_norms(part).clamp_min(_TINY))
                for part, r in ((grad.users, radius.users), (grad.items, radius.items))
            )
        )
    scale = _scale(at, ball)
    scaled = grad if scale is None else Embeddings(grad.users * scale.users, grad.items * scale.items)
    factor = stride * radius.users / scaled.norm().clamp_min(_TINY)
    if scale is None:
        return Embeddings(scaled.users * factor, scaled.items * factor)
    return Embeddings(scaled.users * scale.users * factor, scaled.items * scale.items * factor)


def _into_ball(offset: Embeddings, at: Embeddings, radius: Embeddings, ball: Ball) -> Embeddings:
    """Shrink `offset` onto the ball where it left it."""
    if ball == "row":
        return Embeddings(
            *(
                part * (r / _row_norms(part).clamp_min(_TINY)).clamp_max(1)
                for part, r in ((offset.users, radius.users), (offset.items, radius.items))
            )
        )
    scale = _scale(at, ball)
    measured = (
        offset
        if scale is None
        else Embeddings(offset.users / scale.users.clamp_min(_TINY), offset.items / scale.items.clamp_min(_TINY))
    )
    factor = (radius.users / measured.norm().clamp_min(_TINY)).clamp_max(1)
    return Embeddings(offset.users * factor, offset.items * factor)
