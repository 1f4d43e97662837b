"""Minibatch models of single (user, item) pairs with sampled negatives: biased MF and NeuMF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from sharpap.device import resolve
from sharpap.errors import ConfigError
from sharpap.recommenders import denoising
from sharpap.recommenders.base import FactorModel, FloatArray, IntArray
from sharpap.recommenders.resume import Adam, Moving
from sharpap.recommenders.training import Training, dropout
from sharpap.seeds import rng
from sharpap.settings import Settings


def batches(
    train: csr_array, negatives: int, size: int, draw: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """One epoch of (users, items, labels): every interaction once and `negatives` uniform items for each, shuffled."""
    users = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    order = draw.permutation(train.nnz)
    step = max(1, size // (1 + negatives))
    for start in range(0, train.nnz, step):
        part = order[start : start + step]
        own = users[part]
        drawn = draw.integers(0, train.shape[1], negatives * len(part))
        yield (
            torch.from_numpy(np.concatenate([own, np.tile(own, negatives)])),
            torch.from_numpy(np.concatenate([train.indices[part].astype(np.int64), drawn])),
            torch.cat([torch.ones(len(part)), torch.zeros(len(drawn))]),
        )


def num_batches(train: csr_array, negatives: int, size: int) -> int:
    """How many `batches` there are in an epoch."""
    return -(-train.nnz // max(1, size // (1 + negatives)))


@dataclass(frozen=True, kw_only=True)
class BiasedMF(Settings):
    """Matrix factorisation with biases, mu + b_u + b_i + p_u . q_i, on interactions (1) and sampled negatives (0).

    Attributes:
        embedding_size: d.
        epochs: most epochs.
        negatives: uniform items for each interaction.
        loss: "squared" as in the source, or "logistic".
        batch_size: pairs in a step.
        learning_rate: Adam's.
        reg: L2 weight of the factors and biases of each pair.
        init_std: standard deviation of the initial factors.
        check_every, patience, min_epochs: early stopping, see `Training`.
        truncate, truncate_epochs: T-CE, with the logistic loss: the share of interactions with the largest loss that each batch
            leaves out, and the epochs over which it grows to that.
        reweight: R-CE, with the logistic loss: each pair counts by its own probability to this power; 0: all the same.

    Source: Koren, Bell and Volinsky 2009. Deviations: for binary feedback (sampled negatives), trained by Adam. T-CE and R-CE:
    Wang, Feng, He, Nie and Chua 2021, *Denoising implicit feedback for recommendation*, and WenjieWWJ/DenoisingRec, where the
    share is one of all pairs, negatives included, and grows over steps.
    """

    embedding_size: int = 64
    epochs: int = 100
    negatives: int = 4
    loss: Literal["squared", "logistic"] = "squared"
    batch_size: int = 16_384
    learning_rate: float = 0.005
    reg: float = 0.01
    init_std: float = 0.1
    check_every: int = 2
    patience: int = 3
    min_epochs: int = 10
    truncate: float = 0.0
    truncate_epochs: int = 5
    reweight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        denoising.check(self)
        if self.loss not in ("squared", "logistic"):
            raise ConfigError(f"loss={self.loss!r} is neither squared nor logistic.")

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> FactorModel:
        """See `Recommender`. The model's factors are d + 2 wide: the biases stand beside a constant 1."""
        draw = rng(seed, "biased-mf")
        num_users, num_items = train.shape
        P, Q = (embedding_table(rows, self.embedding_size, self.init_std, draw) for rows in train.shape)
        user_bias, item_bias = (torch.zeros(rows, requires_grad=True) for rows in (num_users, num_items))
        mu = torch.zeros((), requires_grad=True)
        parts = [P, Q, user_bias, item_bias, mu]
        optimizer = Adam(parts, self.learning_rate)
        measure = mse_loss if self.loss == "squared" else binary_cross_entropy_with_logits

        def model() -> FactorModel:
            ones = np.ones((max(num_users, num_items), 1), np.float32)
            own = (user_bias.detach() + mu.detach()).numpy()[:, None]
            theirs = item_bias.detach().numpy()[:, None]
            return FactorModel(
                user_factors=np.concatenate([P.detach().numpy(), own, ones[:num_users]], 1),
                item_factors=np.concatenate([Q.detach().numpy(), ones[:num_items], theirs], 1),
                log={},
            )

        training = Training("BiasedMF", self.epochs, self.check_every, self.patience, self.min_epochs, train, valid)
        moving = Moving(settings=self, seed=seed, parts=parts, optimizer=optimizer, draw=draw)
        for epoch in training.run(model, moving):
            share = denoising.share_at(self, epoch)
            for users, items, labels in batches(train, self.negatives, self.batch_size, draw):
                p, q, b, c = P[users], Q[items], user_bias[users], item_bias[items]
                penalty = p.square().sum() + q.square().sum() + b.square().sum() + c.square().sum()
                logits = mu + b + c + (p * q).sum(1)
                loss = (
                    denoising.mean_loss(measure, logits, labels, share, self.reweight)
                    + self.reg / len(labels) * penalty
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return training.model(model())


@dataclass(frozen=True, kw_only=True)
class NeuMF(Settings):
    """Neural matrix factorisation: a generalised product of factors and a multilayer perceptron, joined in one output.

    Attributes:
        embedding_size: d of the product part, and of each side of the perceptron's input.
        hidden: widths of the perceptron's layers.
        dropout: share of each hidden layer dropped in training.
        epochs, negatives, batch_size, learning_rate, init_std, check_every, patience, min_epochs: as for `BiasedMF`.
        reg: L2 weight of the embeddings of each pair.
        decay: let the learning rate fall to zero over `epochs`, without early stopping.
        device: as for `BPRMF`.
        truncate, truncate_epochs, reweight: T-CE and R-CE, as for `BiasedMF`.

    Source: He et al. 2017, *Neural collaborative filtering*. Deviations: trained from scratch, its parts not pretrained.
    """

    embedding_size: int = 32
    hidden: tuple[int, ...] = (64, 32, 16)
    dropout: float = 0.0
    epochs: int = 60
    negatives: int = 4
    batch_size: int = 8_192
    learning_rate: float = 0.005
    reg: float = 3e-3
    init_std: float = 0.1
    check_every: int = 1
    patience: int = 3
    min_epochs: int = 8
    decay: bool = False
    device: str = "auto"
    truncate: float = 0.0
    truncate_epochs: int = 5
    reweight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        denoising.check(self)

    def fit(self, train: csr_array, *, seed: int, valid: csr_array | None = None) -> NeuMFModel:
        """See `Recommender`."""
        draw = rng(seed, "neumf")
        d = self.embedding_size
        device = resolve(self.device)
        tables = [embedding_table(rows, d, self.init_std, draw) for rows in train.shape for _ in range(2)]
        widths = [2 * d, *self.hidden]
        layers = []
        for fan_in, fan_out in pairwise(widths):
            layers += [glorot(fan_in, fan_out, draw), torch.zeros(fan_out, requires_grad=True)]
        head = glorot(d + widths[-1], 1, draw)
        *parts, head = (part.detach().to(device).requires_grad_() for part in (*tables, *layers, head))
        tables, layers = parts[:4], parts[4:]
        steps = self.epochs * num_batches(train, self.negatives, self.batch_size)
        moved = [*tables, *layers, head]
        optimizer = Adam(moved, self.learning_rate, decay_over=steps if self.decay else None)
        moving = Moving(settings=self, seed=seed, parts=moved, optimizer=optimizer, draw=draw)

        def model() -> NeuMFModel:
            users, items = (torch.cat([part.detach().cpu() for part in tables[side : side + 2]], 1) for side in (0, 2))
            parts = [part.detach().cpu() for part in (*layers, head)]
            return NeuMFModel(users=users, items=items, layers=parts[:-1], head=parts[-1])

        training = Training(
            "NeuMF", self.epochs, self.check_every, self.patience, self.min_epochs, train, valid, self.decay
        )
        for epoch in training.run(model, moving):
            share = denoising.share_at(self, epoch)
            for batch in batches(train, self.negatives, self.batch_size, draw):
                users, items, labels = (part.to(device) for part in batch)
                # Not `embedding`, whose backward pass is three times slower.
                user, user_in, item, item_in = (
                    table.index_select(0, users if side < 2 else items) for side, table in enumerate(tables)
                )
                hidden = torch.cat([user_in, item_in], 1)
                for weight, bias in zip(layers[::2], layers[1::2], strict=True):
                    hidden = dropout(torch.relu_(torch.addmm(bias, hidden, weight)), self.dropout, draw)
                logits = torch.cat([user * item, hidden], 1) @ head
                optimizer.zero_grad()
                measure = binary_cross_entropy_with_logits
                denoising.mean_loss(measure, logits[:, 0], labels, share, self.reweight).backward()
                add_penalty(tables[:2], users, self.reg)
                add_penalty(tables[2:], items, self.reg)
                optimizer.step()
        return training.model(model())


@dataclass(frozen=True, eq=False, kw_only=True)
class NeuMFModel:
    """A trained `NeuMF`.

    Attributes:
        users, items: (n, 2 d) and (m, 2 d), product part first.
        layers: weight and bias of each hidden layer in turn.
        head: (d + last width, 1).
        log: training record.
    """

    users: Tensor
    items: Tensor
    layers: list[Tensor]
    head: Tensor
    log: dict[str, Any] = field(default_factory=dict)

    def score(self, users: IntArray, pairs: int = 1 << 14) -> FloatArray:
        """(len(users), num_items) logits; the first layer is linear in either side, so each is done once."""
        d = self.users.shape[1] // 2
        mine = self.users[torch.from_numpy(np.asarray(users))]
        weight, bias = self.layers[:2]
        theirs = self.items[:, d:] @ weight[d:] + bias
        own = mine[:, d:] @ weight[:d]
        out = (mine[:, :d] * self.head[:d, 0]) @ self.items[:, :d].T
        step = max(1, pairs // len(self.items))
        for start in range(0, len(mine), step):
            hidden = torch.relu(own[start : start + step, None] + theirs)
            for weight, bias in zip(self.layers[2::2], self.layers[3::2], strict=True):
                hidden = torch.relu_(hidden @ weight + bias)
            out[start : start + step] += (hidden @ self.head[d:])[..., 0]
        return out.numpy()


def add_penalty(tables: list[Any], rows: Tensor, weight: float) -> None:
    """Add the gradient of `weight` times the mean over `rows` of the squared norm of a table's row."""
    counts = torch.bincount(rows, minlength=len(tables[0])) * (2 * weight / len(rows))
    with torch.no_grad():
        for table in tables:
            table.grad.addcmul_(table, counts[:, None])


def embedding_table(rows: int, width: int, std: float, draw: np.random.Generator) -> Tensor:
    """(rows, width) Gaussian embeddings, trained."""
    return torch.from_numpy(draw.standard_normal((rows, width), dtype=np.float32) * np.float32(std)).requires_grad_()


def glorot(fan_in: int, fan_out: int, draw: np.random.Generator) -> Tensor:
    """(fan_in, fan_out) Glorot-uniform weights, trained."""
    limit = (6 / (fan_in + fan_out)) ** 0.5
    return torch.from_numpy(draw.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32)).requires_grad_()
