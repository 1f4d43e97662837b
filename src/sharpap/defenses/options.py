"""Defences that are settings of the recommender itself: T-CE, R-CE and stronger regularisation."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from scipy.sparse import csr_array

from sharpap.errors import ConfigError
from sharpap.recommenders import Recommender, Scorer
from sharpap.recommenders.calls import Timed, fit
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TCE(Settings):
    """Truncated loss: each batch leaves out the interactions that the model fits worst, as they may be false (T-CE).

    Attributes:
        truncate: share of the interactions left out in the end.
        truncate_epochs: epochs over which it grows to that.

    Source, deviations: see `recommenders.BiasedMF`, whose options these are.
    """

    truncate: float = 0.1
    truncate_epochs: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.truncate < 1 or self.truncate_epochs < 1:
            raise ConfigError(
                f"truncate={self.truncate} is no share between 0 and 1, or truncate_epochs={self.truncate_epochs} below 1."
            )

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """See `Defense`. Raises `ConfigError` for a recommender without a pointwise logistic loss."""
        _pointwise(self, recommender)
        options = {"truncate": self.truncate, "truncate_epochs": self.truncate_epochs, "reweight": 0.0}
        return fit(_with(recommender, options), train, valid, seed=seed)


@dataclass(frozen=True, kw_only=True)
class RCE(Settings):
    """Reweighted loss: pairs count by how well the model fits them already (R-CE).

    Attributes:
        reweight: the probability that the model gives a pair's label is its weight, to this power.

    Source, deviations: see `recommenders.BiasedMF`, whose option this is.
    """

    reweight: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reweight <= 0:
            raise ConfigError(f"reweight={self.reweight} must be above 0.")

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """See `Defense`. Raises `ConfigError` for a recommender without a pointwise logistic loss."""
        _pointwise(self, recommender)
        return fit(_with(recommender, {"truncate": 0.0, "reweight": self.reweight}), train, valid, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Regularised(Settings):
    """The recommender with its regularisation times a factor, and all else unchanged.

    Attributes:
        factor: of its `reg` or `regularization`; with 1 the row is the recommender itself. Above a tuned one (docs/tuning.md)
            it shows what exposure the next bit of accuracy buys.

    Source: a baseline; on MovieLens-100K the regularisation that validation asks for is what lowers the bound on any attack
    most (docs/reach.md).
    """

    factor: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.factor <= 0:
            raise ConfigError(f"factor={self.factor} must be above 0.")

    def fit(self, recommender: Recommender, train: csr_array, valid: csr_array | None = None, *, seed: int) -> Scorer:
        """See `Defense`. Raises `ConfigError` for a recommender without such a setting, or with none in it."""
        own = _inner(recommender)
        name = next((each for each in ("reg", "regularization") if each in _options(own)), None)
        if name is None:
            raise ConfigError(
                f"{type(own).__name__} has no reg or regularization to multiply.",
                hint="An audit takes other values of any setting: --vary NAME=VALUE,VALUE.",
            )
        value = getattr(own, name)
        if value is None and hasattr(own, "least_squares"):  # chosen for the data
            value = own.least_squares(train).reg
        if not value:
            raise ConfigError(f"{name}={value} of {type(own).__name__} cannot be multiplied.", hint=f"Set {name}.")
        return fit(_with(recommender, {name: value * self.factor}), train, valid, seed=seed)


def _inner(recommender: Any) -> Any:
    return recommender.recommender if isinstance(recommender, Timed) else recommender


def _options(recommender: Any) -> set[str]:
    return {each.name for each in fields(recommender)} if is_dataclass(recommender) else set()


def _with(recommender: Any, options: dict[str, Any]) -> Any:
    """The recommender with other settings."""
    if isinstance(recommender, Timed):
        return replace(recommender, recommender=_with(recommender.recommender, options))
    return replace(recommender, **options)


def _pointwise(defense: object, recommender: Any) -> None:
    own = _inner(recommender)
    if not {"truncate", "reweight"} <= _options(own):
        raise ConfigError(
            f"{type(defense).__name__} weighs the pairs of a pointwise loss, and {type(own).__name__} has none.",
            hint='neumf can, and biased-mf with loss = "logistic".',
        )
