"""Pairs that a pointwise model trusts less: T-CE and R-CE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sharpap.errors import ConfigError


def check(made: Any) -> None:
    """Raise `ConfigError` where the options of a pointwise model make no sense."""
    if not 0 <= made.truncate < 1 or made.truncate_epochs < 1 or made.reweight < 0:
        raise ConfigError(
            f"truncate={made.truncate} must be a share below 1, truncate_epochs={made.truncate_epochs} 1 or more and "
            f"reweight={made.reweight} 0 or more."
        )
    if made.truncate and made.reweight:
        raise ConfigError(
            f"truncate={made.truncate} and reweight={made.reweight} are two methods.", hint="Set one of them."
        )
    if (made.truncate or made.reweight) and getattr(made, "loss", "logistic") != "logistic":
        raise ConfigError(
            f"truncate and reweight belong to the logistic loss, and loss={made.loss!r}.", hint='Set loss = "logistic".'
        )


def share_at(made: Any, epoch: int) -> float:
    """The share of interactions that is left out in an epoch (from 1): it grows by equal parts for `truncate_epochs`."""
    return made.truncate * min(1.0, (epoch - 1) / made.truncate_epochs)


def mean_loss(measure: Callable[..., Tensor], logits: Tensor, labels: Tensor, share: float, power: float) -> Tensor:
    """The loss of a batch.

    Args:
        measure: loss of logits and labels with `reduction`.
        logits, labels: (b,) of each pair.
        share: of the interactions in the batch, left out: those with the largest loss (T-CE).
        power: each pair counts by the probability that the model gives its label, to this power (R-CE).
    """
    if not share and not power:
        return measure(logits, labels)
    losses = measure(logits, labels, reduction="none")
    if power:
        fits = torch.sigmoid(torch.where(labels > 0, logits, -logits)).detach()
        return (losses * fits**power).mean()
    positive = torch.nonzero(labels > 0)[:, 0]
    out = positive[losses.detach()[positive].argsort(descending=True, stable=True)[: int(share * len(positive))]]
    kept = torch.ones_like(losses)
    kept[out] = 0
    return (losses * kept).sum() / kept.sum()
