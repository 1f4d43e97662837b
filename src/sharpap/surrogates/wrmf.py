"""WRMF surrogate: exact weighted matrix factorisation, trained by full-batch Adam and differentiated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.device import resolve
from sharpap.errors import TrainingError
from sharpap.kernels import Pattern, stacked
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_hvp, wrmf_loss
from sharpap.recommenders.wrmf import reg_for, weight_for
from sharpap.seeds import rng
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.surrogates.unroll import Adam, AdjointMoments, Moments, steps_before

# Items at a time in `WRMFProfileGradient.rows`: what is in the making for 64 profiles then stays in the cache.
COLUMNS = 4096


@dataclass(frozen=True, kw_only=True)
class WRMFSurrogate(Settings):
    """Weighted regularised matrix factorisation (Hu, Koren, Volinsky 2008), as RevAdv's surrogate uses it.

    Minimises sum over *all* pairs of w_ui (r_ui - p_u . q_i)^2 + reg |theta|^2 exactly; the sum over the pairs
    without interaction is a product of Gram matrices (see `sharpap.kernels.wrmf`).

    Attributes:
        embedding_size: d.
        epochs: full-batch Adam steps.
        unrolled_epochs: the last steps that `profile_gradient` differentiates through.
        learning_rate: Adam's.
        positive_weight, negative_weight: w on interactions and elsewhere. A positive weight of None is
            `recommenders.wrmf.weight_for` the genuine rows.
        reg: weight of the squared norm of all parameters; None: `recommenders.wrmf.reg_for` the genuine rows.
        init_std: standard deviation of the initial parameters.
        precision: "float32", or "float64" for checks.
        device: where it trains and differentiates, as for `recommenders.BPRMF`; what the attack sees lies on the CPU.

    Source: Tang, Wen and Wang, *Revisiting adversarially learned injection attacks against recommender systems*
    (RecSys 2020), section 4.

    Deviations: (1) Adam 0.1 for 60 steps instead of 0.01 for 50, and 30 unrolled steps instead of 10: at 0.01 the
    loss has not settled after 50 full-batch steps (docs/attacks.md). (2) The derivative with respect to an absent
    entry is that of the loss *with its weight*, x (w1 (1 - s)^2 - w0 s^2) + w0 s^2, linear between "absent" and
    "present", where the original differentiates the target r alone and keeps the weight at w0; so that absent and
    present items are comparable, as a swap needs. (3) d = 64, as later re-implementations. (4) The weight
    and reg are those of an accurate model; the papers' are 20 and 20, under recipe names that end in "-paper".
    """

    embedding_size: int = 64
    epochs: int = 60
    unrolled_epochs: int = 30
    learning_rate: float = 0.1
    positive_weight: float | None = None
    negative_weight: float = 1.0
    reg: float | None = None
    init_std: float = 0.1
    precision: str = "float32"
    device: str = "auto"

    def train(self, genuine: csr_array, fake: csr_array, *, seed: int) -> TrainedWRMF:
        """Train on [genuine; fake]. Raises `TrainingError` when it diverges."""
        if self.positive_weight is None or self.reg is None:
            fitting = {"positive_weight": weight_for(genuine), "reg": reg_for(genuine)}
            missing = {name: value for name, value in fitting.items() if getattr(self, name) is None}
            return replace(self, **missing).train(genuine, fake, seed=seed)
        device = resolve(self.device)
        pattern = Pattern.from_csr(stacked(genuine, fake), device=device)
        num_users, num_items = pattern.shape
        dtype = torch.float64 if self.precision == "float64" else torch.float32
        generator = rng(seed, "wrmf-surrogate")
        size = self.embedding_size
        theta = tuple(
            torch.from_numpy(generator.standard_normal((rows, size), dtype=np.float32) * np.float32(self.init_std)).to(
                device, dtype
            )
            for rows in (num_users, num_items)
        )
        moments = tuple(Moments.zeros(part) for part in theta)
        adam = Adam(learning_rate=self.learning_rate)
        tape: list[Step] = []
        unrolled = min(self.unrolled_epochs, self.epochs)
        # The tape lies in four blocks: tensors of its own for each step would leave holes in the heap, outer epoch after outer
        # epoch, until the process holds twice what it uses.
        room = [[part.new_empty((unrolled, *part.shape)) for part in theta] for _ in ("theta", "grads")]
        plain = ExactLoss(pattern, self.weights)
        for t in range(1, self.epochs + 1):
            loss = self._loss_at(t, plain, theta, genuine.shape[0])
            grads = loss.gradient(theta)
            if t > self.epochs - unrolled:
                before, used = (
                    tuple(block[len(tape)].copy_(part) for block, part in zip(blocks, parts, strict=True))
                    for blocks, parts in zip(room, (theta, grads), strict=True)
                )
                tape.append(Step(t, before, used, loss))
            for part, moment, grad in zip(theta, moments, grads, strict=True):
                adam.step(part, moment, grad, t)
        if not all(bool(torch.isfinite(part).all()) for part in theta):
            raise TrainingError("The WRMF surrogate diverged.", hint="Lower its learning_rate or raise reg.")
        embeddings = Embeddings(theta[0][: genuine.shape[0]].cpu(), theta[1].cpu())
        return TrainedWRMF(self, pattern, embeddings, theta[0][genuine.shape[0] :], moments, tape)

    def _loss_at(self, t: int, plain: Loss, theta: tuple[Tensor, ...], num_genuine: int) -> Loss:
        """The loss of step `t`; a variant may change it."""
        return plain

    @property
    def weights(self) -> dict[str, float]:
        """The weights of the recommendation loss."""
        assert self.positive_weight is not None  # `train` has put numbers in their places
        assert self.reg is not None
        return {
            "positive_weight": self.positive_weight,
            "negative_weight": self.negative_weight,
            "reg": self.reg,
        }


class Loss(Protocol):
    """What one training step minimises."""

    def gradient(self, theta: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """With respect to users' and items' parameters."""
        ...

    def hvp(self, theta: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The Hessian at `theta` times `along`."""
        ...


@dataclass(frozen=True, eq=False)
class ExactLoss:
    """The weighted loss over all pairs."""

    pattern: Pattern
    weights: dict[str, float]

    def gradient(self, theta: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `Loss`."""
        return wrmf_gradient(self.pattern, *theta, **self.weights)

    def hvp(self, theta: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `Loss`."""
        return wrmf_hvp(self.pattern, *theta, *along, **self.weights)


@dataclass(frozen=True, eq=False)
class Step:
    """One unrolled step: parameters before it, the gradient it used, and its loss."""

    t: int
    theta: tuple[Tensor, ...]
    grads: tuple[Tensor, ...]
    loss: Loss


@dataclass(frozen=True, eq=False)
class TrainedWRMF:
    """A trained `WRMFSurrogate` with the tape of its last steps, last one last."""

    settings: WRMFSurrogate
    pattern: Pattern
    embeddings: Embeddings
    fake_users: Tensor
    moments: tuple[Moments, ...]
    tape: list[Step]

    def training_loss(self, embeddings: Embeddings) -> float:
        """See `TrainedSurrogate`."""
        return wrmf_loss(
            self.pattern, torch.cat([embeddings.users.to(self.fake_users.device), self.fake_users]),
            embeddings.items.to(self.fake_users.device), **self.settings.weights,
        )  # fmt: skip

    def states(self, every: int) -> dict[int, Embeddings]:
        """See `TrainedSurrogate`. Views of the tape: nothing is copied."""
        num_genuine = self.embeddings.users.shape[0]
        return {0: self.embeddings} | {
            back: Embeddings(self.tape[-back].theta[0][:num_genuine].cpu(), self.tape[-back].theta[1].cpu())
            for back in steps_before(len(self.tape), every)
        }

    def profile_gradient(
        self, grad: Embeddings, earlier: Mapping[int, Embeddings] | None = None
    ) -> WRMFProfileGradient:
        """Reverse the unrolled steps; see `TrainedSurrogate`. O((n + m) d K) memory.

        The tape is used up: the terms that rows are made from later take the place of what only a step that is passed needed.
        """
        settings, num_genuine = self.settings, grad.users.shape[0]
        device = self.fake_users.device
        fakes = slice(num_genuine, None)
        users_bar = self.fake_users.new_zeros(self.pattern.shape[0], grad.users.shape[1])
        users_bar[:num_genuine] = grad.users.to(device)
        theta_bar = [users_bar, grad.items.to(device, copy=True)]
        states = [AdjointMoments.at(moment) for moment in self.moments]
        adam = Adam(learning_rate=settings.learning_rate)
        terms = []
        for back in range(1, len(self.tape) + 1):
            step = self.tape.pop()
            bars = tuple(
                adam.adjoint(state, bar, used, step.t)
                for state, bar, used in zip(states, theta_bar, step.grads, strict=True)
            )
            for bar, curvature in zip(theta_bar, step.loss.hvp(step.theta, bars), strict=True):
                bar.add_(curvature)
            extra = (earlier or {}).get(back)
            if extra is not None:
                theta_bar[0][:num_genuine] += extra.users.to(device)
                theta_bar[1] += extra.items.to(device)
            items_bar = step.grads[1].copy_(bars[1])
            terms.append((step.theta[0][fakes].clone(), step.theta[1], bars[0][fakes].clone(), items_bar))
            del step, bars
        return WRMFProfileGradient(settings.weights["positive_weight"], settings.negative_weight, terms)


@dataclass(frozen=True, eq=False)
class WRMFProfileGradient:
    """Profile gradients from the adjoints of the unrolled steps.

    An entry x_ij adds x (w1 (1 - s)^2 - w0 s^2) to the loss, so that it moves the gradient of step k by
    c(s) = 2 (w1 - w0) s - 2 w1 times q_j in p_i and times p_i in q_j.
    """

    positive_weight: float
    negative_weight: float
    terms: list[tuple[Tensor, Tensor, Tensor, Tensor]]

    def rows(self, fakes: Tensor) -> Tensor:
        """(len(fakes), num_items) derivatives of the attack loss."""
        if not self.terms:
            raise TrainingError(
                "The surrogate kept no unrolled step.",
                hint="Set unrolled_epochs to 1 or more; one gradient a training.",
            )
        slope = 2 * (self.positive_weight - self.negative_weight)
        terms = [(mine[fakes], items, bar[fakes], items_bar) for mine, items, bar, items_bar in self.terms]
        like = terms[0][1]
        offset = like.new_full((1, 1), -2 * self.positive_weight)
        total = like.new_zeros(len(fakes), len(like))
        for start in range(0, len(like), COLUMNS):
            here = slice(start, start + COLUMNS)
            part = like.new_zeros(len(fakes), len(like[here]))
            for mine, items, mine_bar, items_bar in terms:
                weight = torch.addmm(offset, mine, items[here].T, alpha=slope)
                part.addcmul_((mine_bar @ items[here].T).addmm_(mine, items_bar[here].T), weight)
            total[:, here] = part
        return total.cpu()
