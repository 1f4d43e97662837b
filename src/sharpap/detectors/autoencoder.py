"""Autoencoder: profiles that what most users have in common does not rebuild."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import embedding_bag

from sharpap.detectors.base import Array, by_content
from sharpap.errors import ConfigError
from sharpap.seeds import derive_seed, rng
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Settings):
    """Reconstruction error of a small denoising autoencoder that is trained on all users, fakes among them.

    Input is a user's set of items, brought to length 1, with some of it left out; a hidden layer with tanh; output is a
    softmax over the catalogue. The error is the mean negative log-likelihood of a user's items, in nats.

    Attributes:
        hidden: width of the hidden layer.
        dropout: share of a user's items that training leaves out of the input.
        epochs, batch_size, learning_rate, reg: of Adam and its weight decay.

    Sources: Sakurada and Yairi 2014, *Anomaly detection using autoencoders with nonlinear dimensionality reduction*, for the
    error as a score; Liang, Krishnan, Hoffman and Jebara 2018, *Variational autoencoders for collaborative filtering*
    (Mult-DAE), for the network and its loss. Deviation: Mult-DAE for the squared error of the first. Input is sparse; output
    is dense for one batch of users at a time.
    """

    hidden: int = 64
    dropout: float = 0.5
    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 0.005
    reg: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout={self.dropout} must be in [0, 1).")

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`; the seed is that of weights, batches and dropout."""
        order = by_content(train, seed=seed)
        order = order[np.diff(train.indptr)[order] > 0]
        rows = csr_array(train[order])
        generator = torch.Generator().manual_seed(derive_seed(seed, "autoencoder"))
        weights = self._trained(rows, rng(seed, "batches"), generator)
        found = np.full(train.shape[0], -np.inf)
        with torch.no_grad():
            errors = [_errors(weights, batch, None) for batch in _batches(rows, np.arange(len(order)), self.batch_size)]
        if errors:
            found[order] = torch.cat(errors).double().numpy()
        return found

    def _trained(self, rows: csr_array, shuffle: np.random.Generator, generator: torch.Generator) -> list[Tensor]:
        """Encoder (num_items, hidden) and its bias, decoder (num_items, hidden) and its bias."""
        num_items = rows.shape[1]
        spread = (6 / (num_items + self.hidden)) ** 0.5  # Glorot and Bengio 2010
        weights = [
            (torch.rand(num_items, self.hidden, generator=generator) * 2 - 1) * spread, torch.zeros(self.hidden),
            (torch.rand(num_items, self.hidden, generator=generator) * 2 - 1) * spread, torch.zeros(num_items),
        ]  # fmt: skip
        for weight in weights:
            weight.requires_grad_()
        adam = torch.optim.Adam(weights, lr=self.learning_rate, weight_decay=self.reg)
        for _ in range(self.epochs):
            for batch in _batches(rows, shuffle.permutation(rows.shape[0]), self.batch_size):
                kept = torch.rand(len(batch[0]), generator=generator) >= self.dropout
                adam.zero_grad()
                _errors(weights, batch, kept).mean().backward()
                adam.step()
        return [weight.detach() for weight in weights]


Batch = tuple[Tensor, Tensor]


def _batches(rows: csr_array, order: Array, size: int) -> Iterator[Batch]:
    """Items of some users, one after the other, and (b,) where each user's begin."""
    for start, end in pairwise([*range(0, len(order), size), len(order)]):
        part = csr_array(rows[order[start:end]])
        yield torch.from_numpy(part.indices.astype(np.int64)), torch.from_numpy(part.indptr[:-1].astype(np.int64))


def _errors(weights: list[Tensor], batch: Batch, kept: Tensor | None) -> Tensor:
    """(b,) mean negative log-likelihood of each user's items, rebuilt from those that are kept (None: from all)."""
    encoder, encoder_bias, decoder, decoder_bias = weights
    items, starts = batch
    sizes = torch.diff(starts, append=torch.tensor([len(items)]))
    user = torch.repeat_interleave(torch.arange(len(starts)), sizes)
    share = torch.ones(len(items)) if kept is None else kept.float()
    length = torch.zeros(len(starts)).index_add(0, user, share).clamp(min=1).sqrt()
    hidden = torch.tanh(
        embedding_bag(items, encoder, starts, mode="sum", per_sample_weights=share / length[user]) + encoder_bias
    )
    likelihood = torch.log_softmax(hidden @ decoder.T + decoder_bias, 1)[user, items]
    return -torch.zeros(len(starts)).index_add(0, user, likelihood) / sizes
