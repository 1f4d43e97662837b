"""Mult-VAE: a variational autoencoder of user profiles with a multinomial likelihood."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sharpap.device import resolve
from sharpap.kernels import Pattern, spmm
from sharpap.kernels.noise import normal
from sharpap.recommenders.base import FloatArray, IntArray
from sharpap.recommenders.resume import Adam, Moving
from sharpap.recommenders.training import Training, dropout
from sharpap.seeds import rng
from sharpap.settings import Settings


@dataclass(frozen=True, kw_only=True)
class MultVAE(Settings):
    """Encodes a user's normalised profile into a Gaussian and decodes a sample of it into a softmax over the catalogue.

    Attributes:
        hidden, latent: widths: m - hidden - latent - hidden - m.
        dropout: share of the profile left out in training.
        anneal: largest weight of the divergence, reached linearly after `anneal_steps` steps.
        batch_size: users in a step.
        epochs, learning_rate, check_every, patience, min_epochs: see `Training`.
        reg: L2 weight of the weight matrices.
        device: as for `BPRMF`.

    Source: Liang et al. 2018. Deviations: none known; the first layer is a sparse product.
    """

    hidden: int = 600
    latent: int = 200
    dropout: float = 0.5
    anneal: float = 0.2
    anneal_steps: int = 2_000
    batch_size: int = 500
    epochs: int = 200
    learning_rate: float = 1e-3
    reg: float = 0.0
    check_every: int = 3
    patience: int = 5
    min_epochs: int = 20
    device: str = "auto"

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> MultVAEModel:
        """See `Recommender`. O((nnz + n m) hidden) an epoch, O(batch_size m) memory."""
        draw, device = rng(seed, "mult-vae"), resolve(self.device)
        m = train.shape[1]
        widths = [(m, self.hidden), (self.hidden, 2 * self.latent), (self.latent, self.hidden), (self.hidden, m)]
        theta = []
        for fan_in, fan_out in widths:
            limit = (6 / (fan_in + fan_out)) ** 0.5
            weight = draw.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32)
            bias = np.clip(draw.standard_normal(fan_out) * 1e-3, -2e-3, 2e-3).astype(np.float32)
            theta += [torch.from_numpy(part).to(device).requires_grad_() for part in (weight, bias)]
        optimizer = Adam(theta, self.learning_rate)
        active = np.flatnonzero(np.diff(train.indptr))
        training = Training("MultVAE", self.epochs, self.check_every, self.patience, self.min_epochs, train, valid)
        moving = Moving(settings=self, seed=seed, parts=theta, optimizer=optimizer, draw=draw)
        batches = -(-len(active) // self.batch_size)

        def model() -> MultVAEModel:
            return MultVAEModel(train=train, theta=[part.detach().cpu() for part in theta])

        for epoch in training.run(model, moving):
            order, steps = draw.permutation(active), (epoch - 1) * batches
            for start in range(0, len(order), self.batch_size):
                rows = csr_array(train[order[start : start + self.batch_size]])
                steps += 1
                mu, log_var = encode(theta, rows, self.dropout, draw).chunk(2, 1)
                logits = decode(theta, mu + normal(mu.shape, draw, device) * torch.exp(0.5 * log_var))
                sizes = torch.from_numpy(np.diff(rows.indptr)).to(device)
                owned = torch.repeat_interleave(torch.arange(len(sizes), device=device), sizes)
                picked = logits[owned, torch.from_numpy(rows.indices.astype(np.int64)).to(device)]
                error = (sizes * torch.logsumexp(logits, 1)).sum() - picked.sum()
                divergence = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum()
                beta = self.anneal * min(1.0, steps / self.anneal_steps)
                loss = (error + beta * divergence) / rows.shape[0]
                if self.reg:
                    loss = loss + self.reg * sum(weight.square().sum() for weight in theta[::2])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return training.model(model())


def encode(theta: list[Tensor], rows: csr_array, drop: float, draw: np.random.Generator | None) -> Tensor:
    """(b, 2 latent) mean and log variance of L2-normalised profiles; entries are dropped when `draw` is given."""
    sizes = np.maximum(np.diff(rows.indptr), 1)
    values = torch.from_numpy(np.repeat(1 / np.sqrt(sizes), np.diff(rows.indptr)).astype(np.float32))
    if draw is not None:
        values = dropout(values, drop, draw)
    device = theta[0].device
    hidden = torch.tanh(spmm(Pattern.from_csr(rows, device=device), values.to(device), theta[0]) + theta[1])
    return hidden @ theta[2] + theta[3]


def decode(theta: list[Tensor], latent: Tensor) -> Tensor:
    """(b, m) logits."""
    return torch.addmm(theta[7], torch.tanh(latent @ theta[4] + theta[5]), theta[6])


@dataclass(frozen=True, eq=False, kw_only=True)
class MultVAEModel:
    """A trained `MultVAE`: weights and biases of the four layers, and the profiles to encode."""

    train: csr_array
    theta: list[Tensor]
    log: dict[str, Any] = field(default_factory=dict)

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), num_items) logits at the mean of the latent Gaussian."""
        mu, _ = encode(self.theta, csr_array(self.train[users]), 0.0, None).chunk(2, 1)
        return decode(self.theta, mu).numpy()
