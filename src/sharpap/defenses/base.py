"""What a defence is, and a recommender that is trained under one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from scipy.sparse import csr_array

from sharpap.errors import ConfigError
from sharpap.recommenders import WRMF, Capabilities, Recommender, Scorer, capabilities_of
from sharpap.recommenders.base import FloatArray
from sharpap.recommenders.calls import Timed, fit, reads_order
from sharpap.settings import Settings


@runtime_checkable
class Defense(Protocol):
    """Anything that trains a recommender so that fake users have less say. It knows neither the fakes nor the targets.

    A defence may clean the training data first, or train in another way; the recommender is whatever the user has.
    """

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """Train under the defence.

        Args:
            recommender: not changed; call it through `recommenders.calls.fit`.
            train: (num_users, num_items) binary CSR, not changed. All its users and items keep their numbers.
            valid: held-out interactions of the first rows, for early stopping.
            seed: same seed, same model.
        """
        ...


class Perturbing(Settings):
    """Base of defences that perturb the model while the recommender trains; each is a `recommenders.perturb.Perturbation`."""

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """See `Defense`. Raises `ConfigError` for a recommender that is not trained in a way that this can perturb."""
        return fit(recommender, train, valid, seed=seed, perturb=self)  # pyright: ignore[reportArgumentType]


def _default() -> Defense:
    from sharpap.defenses.remove import RemoveSuspicious

    return RemoveSuspicious()


@dataclass(frozen=True, kw_only=True)
class Defended:
    """A recommender under a defence; a victim like any other.

    Attributes:
        recommender: what is trained.
        defense: how.
    """

    recommender: Recommender = field(default_factory=WRMF)
    defense: Defense = field(default_factory=_default)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the recommender."""
        return capabilities_of(self.recommender)

    @property
    def reads_order(self) -> bool:
        """As the recommender does."""
        return reads_order(self.recommender)

    def fit(
        self, train: csr_array, *, seed: int, valid: csr_array | None = None, times: FloatArray | None = None
    ) -> Scorer:
        """See `Recommender`; a defence need not know of `times`.

        Raises:
            ConfigError: a recommender that gives only lists; no defence here can use them.
        """
        if self.capabilities.top_k is not None:
            raise ConfigError(
                f"{type(self.defense).__name__} needs all scores, and {type(self.recommender).__name__} gives only lists."
            )
        inner = self.recommender
        if times is not None and self.reads_order:
            inner = Timed(recommender=inner, known=train, times=times)
        return self.defense.fit(inner, train, valid, seed=seed)
