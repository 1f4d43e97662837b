"""WRMF whose last training steps leave out the pairs that look unobserved or disturbed, as RAPU-G trains its surrogate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.errors import ConfigError
from sharpap.kernels import Pattern, sddmm, spmm, spmm_t
from sharpap.surrogates.mask import Mask, find_mask
from sharpap.surrogates.wrmf import ExactLoss, Loss, WRMFSurrogate


@dataclass(frozen=True, kw_only=True)
class MaskedWRMFSurrogate(WRMFSurrogate):
    """`WRMFSurrogate` that masks genuine pairs in its last epochs by expectation-maximisation, as RAPU-G does.

    In the model of the source a genuine pair is observed with probability a = (gamma_u + iota_i) / 2 and, if so,
    undisturbed with b = (eta_u + zeta_i) / 2; r is normal around s_ui when undisturbed and around `disturbed` otherwise,
    with deviation `sigma`; an unobserved pair is a 0, a present one is observed. Before each masked epoch the four vectors
    start at 0.8 and the two steps alternate until they settle: posteriors of both, that of "observed" cut at 0.5, and
    their row and column means. Pairs with both posteriors at 0.5 or more stay in the loss, which is divided by their share.
    Fake rows keep the plain loss, so that the derivative with respect to their entries has the same form in every step;
    masks are constants in it.

    What makes it sparse: where |s| is small, an absent pair is explained better by s than by `disturbed`, and stays in. So a
    mask is a short list of what goes out, among the present pairs and the absent ones with |s| >= `disturbed`, found in one
    pass over the scores in blocks of users. The iterations run over this list; the other absent pairs enter the means of
    "undisturbed" by their expectation, row by row and column by column, which is exact in the first iteration and for b
    near 1, where it settles. Should a pair below `disturbed` be at stake (a < 0.75 or so), the list starts at half of it; if
    that is not enough either, all pairs are listed when they are few, and training fails when they are not. The loss takes
    masked pairs out of the Gram product one by one. O(n m d) time a masked epoch, as for a scan; O(nnz + list) memory. The
    list held 53,061 pairs on ML-100K (44,205 interactions), and 2.8 million on ML-1M (465,079), where it starts at 0.25.

    Attributes:
        positive_weight, reg: those of the source.
        masked_epochs: last epochs with a mask.
        sigma: deviation of an entry around its mean.
        disturbed: mean of a disturbed entry.
        em_steps: most iterations.
        device: "cpu"; the masks have no other path.

    Source: Zhang et al. 2021 (RAPU-G); constants and order of updates as in the authors' code. Deviations: the expectation
    above (on ML-100K fewer than 0.3 % of the masked pairs differ from the complete iteration); full batches; Adam and sizes
    as `WRMFSurrogate`.

    What it does (benchmarks/masks.py): no present pair is left out, and of the absent ones those with the highest scores, 0.3 %
    of all pairs on ML-100K and 0.9 % on ML-1M: what the surrogate would recommend is no longer pulled to 0.
    """

    positive_weight: float | None = 20.0
    reg: float | None = 20.0
    masked_epochs: int = 3
    sigma: float = 0.3
    disturbed: float = 0.5
    em_steps: int = 100
    device: str = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.masked_epochs <= self.epochs:
            raise ConfigError(f"masked_epochs={self.masked_epochs} must lie in 0..{self.epochs}.")
        if self.device != "cpu":
            raise ConfigError(f"device={self.device!r}: the masked surrogate runs on the CPU only.")
        if not (self.sigma > 0 and 0 < self.disturbed <= 0.5 and self.em_steps >= 1):
            raise ConfigError(
                f"sigma={self.sigma} must be positive, disturbed={self.disturbed} above 0 and at most 0.5, "
                f"em_steps={self.em_steps} 1 or more."
            )

    def _loss_at(self, t: int, plain: Loss, theta: tuple[Tensor, ...], num_genuine: int) -> Loss:
        if t <= self.epochs - self.masked_epochs or not isinstance(plain, ExactLoss):
            return plain
        mask = self.mask(plain.pattern, theta[0][:num_genuine], theta[1])
        return MaskedLoss.of(plain, mask, num_genuine, theta[0].dtype)

    def mask(self, pattern: Pattern, users: Tensor, items: Tensor) -> Mask:
        """The genuine pairs that (n, d) and (m, d) parameters leave out; rows of `pattern` beyond n are ignored."""
        n = users.shape[0]
        genuine = Pattern(pattern.indptr[: n + 1], pattern.indices[: int(pattern.indptr[n])], (n, pattern.shape[1]))
        return find_mask(genuine, users, items, sigma=self.sigma, disturbed=self.disturbed, em_steps=self.em_steps)


@dataclass(frozen=True, eq=False)
class MaskedLoss:
    """sum over users of c_u w0 (sum over all items of s^2) + sum over entries [a (1 - s)^2 + b s^2] + reg |theta|^2.

    Attributes:
        pattern: positives and masked absent pairs.
        scale: (n, 1) c_u: 1 / share for genuine users, 1 for fake ones.
        pull, bend: (entries,) 2 a and 2 (a + b).
        plain: the loss without a mask.
    """

    pattern: Pattern
    scale: Tensor
    pull: Tensor
    bend: Tensor
    plain: ExactLoss

    @classmethod
    def of(cls, plain: ExactLoss, mask: Mask, num_genuine: int, dtype: torch.dtype) -> MaskedLoss:
        """The loss of one masked epoch."""
        w1, w0 = plain.weights["positive_weight"], plain.weights["negative_weight"]
        old = plain.pattern
        kept = np.concatenate([~mask.present, np.ones(old.nnz - len(mask.present), dtype=bool)])
        rows = np.concatenate([old.rows.numpy(), mask.rows])
        columns = np.concatenate([old.indices.numpy(), mask.columns])
        # 1: a positive, 2: a positive left out, 3: an absent pair left out; none is 0, which scipy might drop.
        kind = csr_array((np.concatenate([2.0 - kept, np.full(len(mask.rows), 3.0)]), (rows, columns)), shape=old.shape)
        kind.sort_indices()
        pattern = Pattern.from_csr(kind)
        scale = torch.ones(old.shape[0], 1, dtype=dtype)
        scale[:num_genuine] = 1 / mask.share
        row_scale = scale[pattern.rows.long(), 0]
        pull = 2 * w1 * row_scale * torch.from_numpy(kind.data == 1)
        return cls(pattern, scale, pull, pull - 2 * w0 * row_scale, plain)

    def gradient(self, theta: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `Loss`."""
        P, Q = theta
        w0, reg = self.plain.weights["negative_weight"], self.plain.weights["reg"]
        coef = self.bend * sddmm(self.pattern, P, Q) - self.pull
        scaled = self.scale * P
        users = torch.addmm(P, scaled, Q.T @ Q, beta=2 * reg, alpha=2 * w0)
        items = torch.addmm(Q, Q, P.T @ scaled, beta=2 * reg, alpha=2 * w0)
        return users.add_(spmm(self.pattern, coef, Q)), items.add_(spmm_t(self.pattern, coef, P))

    def hvp(self, theta: tuple[Tensor, ...], along: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """See `Loss`."""
        (P, Q), (VP, VQ) = theta, along
        w0, reg = self.plain.weights["negative_weight"], self.plain.weights["reg"]
        coef = self.bend * sddmm(self.pattern, P, Q) - self.pull
        tangent = self.bend * (sddmm(self.pattern, VP, Q) + sddmm(self.pattern, P, VQ))
        scaled, cross = self.scale * P, VQ.T @ Q
        users = torch.addmm(VP, self.scale * VP, Q.T @ Q, beta=2 * reg, alpha=2 * w0)
        users.addmm_(scaled, cross + cross.T, alpha=2 * w0)
        cross = VP.T @ scaled
        items = torch.addmm(VQ, VQ, P.T @ scaled, beta=2 * reg, alpha=2 * w0).addmm_(Q, cross + cross.T, alpha=2 * w0)
        users.add_(spmm(self.pattern, tangent, Q)).add_(spmm(self.pattern, coef, VQ))
        items.add_(spmm_t(self.pattern, tangent, P)).add_(spmm_t(self.pattern, coef, VP))
        return users, items
