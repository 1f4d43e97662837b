"""WRMF by alternating least squares, differentiated at its optimum instead of through its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.errors import ConfigError, ContractError, TrainingError
from sharpap.kernels import Pattern, sddmm, spmm_t, stacked
from sharpap.kernels.als import solve_rows
from sharpap.kernels.wrmf import wrmf_hvp, wrmf_loss
from sharpap.recommenders.training import initial_factors
from sharpap.settings import Settings
from sharpap.surrogates.base import Embeddings
from sharpap.surrogates.wrmf import WRMFProfileGradient


@dataclass(frozen=True, kw_only=True)
class ALSSurrogate(Settings):
    """WRMF trained by ALS; profile gradients by the implicit function theorem.

    At the optimum the gradient of the loss is 0 for every X, so d theta / dX = -H^-1 d(grad) / dX. No step is stored.

    Attributes:
        embedding_size: d.
        sweeps: of ALS, each both sides.
        gradient: "items": H is the items' part with the users held fixed, as PGA has it: one small system an item.
            "exact": the whole Hessian of both sides. `MeanScore` needs it.
        solve_steps: conjugate-gradient steps for H^-1.
        damping: added to the diagonal of H, as a share of `reg`; the exact Hessian need not be positive definite away
            from the optimum.
        positive_weight, negative_weight, reg, init_std: as for `WRMFSurrogate`.
        cg_steps: conjugate-gradient steps a row in training.

    Source: Li, Wang, Singh and Vorobeychik 2016 (PGA), eq. 8 for "items", with the weighted loss of WRMF in place of theirs
    over observed ratings; "exact" is this project's. As in `WRMFSurrogate`, an entry's derivative carries its weight.
    """

    embedding_size: int = 64
    sweeps: int = 8
    gradient: Literal["items", "exact"] = "exact"
    solve_steps: int = 30
    damping: float = 0.1
    positive_weight: float = 20.0
    negative_weight: float = 1.0
    reg: float = 20.0
    init_std: float = 0.1
    cg_steps: int = 4
    precision: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gradient not in ("items", "exact"):
            raise ConfigError(f"gradient={self.gradient!r} is neither items nor exact.")

    def train(self, genuine: csr_array, fake: csr_array, *, seed: int) -> TrainedALS:
        """See `Surrogate`. O(nnz d + (n + m) d^2) a sweep."""
        pattern = Pattern.from_csr(stacked(genuine, fake))
        kind = "float64" if self.precision == "float64" else "float32"
        users, items = (
            part.astype(kind) for part in initial_factors(*pattern.shape, self.embedding_size, self.init_std, seed)
        )
        for _ in range(self.sweeps):
            solve_rows(pattern, users, items, steps=self.cg_steps, **self.loss)
            solve_rows(pattern.transpose, items, users, steps=self.cg_steps, **self.loss)
        P, Q = torch.from_numpy(users), torch.from_numpy(items)
        if not (torch.isfinite(P).all() and torch.isfinite(Q).all()):
            raise TrainingError("The ALS surrogate diverged.", hint="Raise its reg.")
        return TrainedALS(self, pattern, Embeddings(P[: genuine.shape[0]], Q), P)

    @property
    def loss(self) -> dict[str, float]:
        """The weights of the recommendation loss."""
        return {
            "positive_weight": self.positive_weight,
            "negative_weight": self.negative_weight,
            "reg": self.reg,
        }


@dataclass(frozen=True, eq=False)
class TrainedALS:
    """A trained `ALSSurrogate`; `all_users` are genuine and fake rows."""

    settings: ALSSurrogate
    pattern: Pattern
    embeddings: Embeddings
    all_users: Tensor

    def training_loss(self, embeddings: Embeddings) -> float:
        """See `TrainedSurrogate`."""
        fakes = self.all_users[embeddings.users.shape[0] :]
        return wrmf_loss(self.pattern, torch.cat([embeddings.users, fakes]), embeddings.items, **self.settings.loss)

    def states(self, every: int) -> dict[int, Embeddings]:
        """See `TrainedSurrogate`: only the optimum, there is no tape."""
        if every:
            raise ConfigError(
                "The ALS surrogate stores no training step.", hint="Set every_step to 0, or unroll another."
            )
        return {0: self.embeddings}

    def profile_gradient(
        self, grad: Embeddings, earlier: Mapping[int, Embeddings] | None = None
    ) -> WRMFProfileGradient:
        """Solve H v = grad once; entry (i, j) then has the derivative -v . d(gradient) / dx_ij."""
        if earlier:
            raise ContractError("The ALS surrogate stores no training step to take a gradient at.")
        settings, P, Q = self.settings, self.all_users, self.embeddings.items
        num_genuine = grad.users.shape[0]
        if settings.gradient == "items":
            users_bar = torch.zeros_like(P)
            items_bar = -self._solve_items(grad.items)
        else:
            full = torch.cat([grad.users, torch.zeros_like(P[num_genuine:])])
            users_bar, items_bar = (-part for part in self._solve_all((full, grad.items)))
        fakes = slice(num_genuine, None)
        return WRMFProfileGradient(
            settings.positive_weight, settings.negative_weight, [(P[fakes], Q, users_bar[fakes], items_bar)]
        )

    def _solve_items(self, grad: Tensor) -> Tensor:
        """The items' systems, block diagonal: each is (2 w0 P'P + 2 (w1 - w0) sum p p' + 2 reg) v = grad."""
        s, P = self.settings, self.all_users
        gram = 2 * (s.negative_weight * P.T @ P) + 2 * s.reg * torch.eye(P.shape[1], dtype=P.dtype)
        extra = 2 * (s.positive_weight - s.negative_weight)

        def apply(v: Tensor) -> Tensor:
            return v @ gram + spmm_t(self.pattern, extra * sddmm(self.pattern, P, v), P)

        return conjugate_gradients(apply, grad, s.solve_steps)

    def _solve_all(self, grad: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        s, P, Q = self.settings, self.all_users, self.embeddings.items
        n = P.shape[0]

        def apply(v: Tensor) -> Tensor:
            flat = v.view(-1, P.shape[1])
            parts = wrmf_hvp(self.pattern, P, Q, flat[:n].contiguous(), flat[n:].contiguous(), **s.loss)
            return (torch.cat(parts) + s.damping * s.reg * flat).view(1, -1)

        found = conjugate_gradients(apply, torch.cat(grad).view(1, -1), s.solve_steps).view(-1, P.shape[1])
        return found[:n], found[n:]


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor], right: Tensor, steps: int, tolerance: float = 1e-6
) -> Tensor:
    """Solve A_r x_r = right_r for every row r at once, `apply` being block diagonal over rows.

    A row stops where it has converged or where A_r shows no positive curvature along its direction.
    """
    x = torch.zeros_like(right)
    r, p = right.clone(), right.clone()
    norm = r.square().sum(1, keepdim=True)
    enough = norm * tolerance**2
    for _ in range(steps):
        Ap = apply(p)
        curvature = (p * Ap).sum(1, keepdim=True)
        going = (curvature > 0) & (norm > enough)
        if not going.any():
            break
        alpha = torch.where(going, norm / curvature, 0)
        x += alpha * p
        r -= alpha * Ap
        fresh = r.square().sum(1, keepdim=True)
        p = torch.where(going, r + fresh / norm.clamp_min(1e-30) * p, 0)
        norm = torch.where(going, fresh, 0)
    return x
