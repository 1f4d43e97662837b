"""A PyTorch module with user and item embeddings as a victim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import nn

from sharpap.adapters.scorers import CallableScorer, array, factors
from sharpap.adapters.seeding import global_seed
from sharpap.errors import ContractError
from sharpap.recommenders.base import IntArray, Scorer


@dataclass(frozen=True, kw_only=True)
class TorchModel:
    """A module and the function that trains it.

    Attributes:
        make: (num_users, num_items) -> an untrained `nn.Module`. A class does.
        train: (module, matrix, seed) -> None: trains the module in place on the (num_users, num_items) CSR matrix. May
            return another module, which then counts. torch, numpy and random are seeded when it is called.
        users, items: names of the two `nn.Embedding` inside the module, e.g. "encoder.user_embedding"; None: found by size
            and name.
        score: (module, users) -> (len(users), num_items) scores, with `users` an int64 tensor; None: the inner product of
            the two embeddings. A module with biases, layers or propagation needs it.
    """

    make: Callable[[int, int], nn.Module]
    train: Callable[[nn.Module, csr_array, int], Any]
    users: str | None = None
    items: str | None = None
    score: Callable[[nn.Module, torch.Tensor], Any] | None = None

    def fit(self, train: csr_array, *, seed: int) -> Scorer:
        """See `Recommender`. Raises `ContractError` where the embeddings cannot be told, or are not the whole model."""
        num_users, num_items = train.shape
        with global_seed(seed):
            module = self.make(num_users, num_items)
            if not isinstance(module, nn.Module):
                raise ContractError(f"make gave {type(module).__name__}.", hint="It must return a torch.nn.Module.")
            trained = self.train(module, train, seed)
        module = trained if isinstance(trained, nn.Module) else module
        module.eval()
        if self.score is not None:
            return CallableScorer(_Scores(module, self.score))
        U = find_embedding(module, self.users, num_users, "user")
        V = find_embedding(module, self.items, num_items, "item")
        named = self.users is not None and self.items is not None
        rest = [name for name, part in module.named_parameters() if part is not U.weight and part is not V.weight]
        if rest and not named:
            raise ContractError(
                f"{type(module).__name__} has parameters beside its two embeddings ({', '.join(rest[:3])}), which an inner "
                "product leaves out.",
                hint="Pass score=(module, users) -> scores, or name both embeddings if the product is all.",
            )
        return factors(U.weight, V.weight, train.shape, type(module).__name__)


@dataclass(frozen=True, eq=False)
class _Scores:
    module: nn.Module
    score: Callable[[nn.Module, torch.Tensor], Any]

    def __call__(self, users: IntArray) -> Any:
        device = next((part.device for part in self.module.parameters()), torch.device("cpu"))
        with torch.no_grad():
            return array(self.score(self.module, torch.from_numpy(np.asarray(users, np.int64)).to(device)))


def find_embedding(module: nn.Module, name: str | None, rows: int, side: str) -> nn.Embedding:
    """The embedding of users or items: by name, else the only one with a row for each, else the one called so."""
    found = {key: part for key, part in module.named_modules() if isinstance(part, nn.Embedding)}
    listed = ", ".join(f"{key} {tuple(part.weight.shape)}" for key, part in found.items()) or "none"
    if name is not None:
        if name not in found:
            raise ContractError(f"The module has no nn.Embedding {name!r}.", hint=f"It has: {listed}.")
        return found[name]
    fitting = {key: part for key, part in found.items() if part.num_embeddings == rows}
    if len(fitting) > 1:
        fitting = {key: part for key, part in fitting.items() if side in key.lower()}
        fitting = {key: part for key, part in fitting.items() if "bias" not in key.lower()} or fitting
    if len(fitting) != 1:
        raise ContractError(
            f"Which nn.Embedding holds the {rows} {side}s is not clear; the module has: {listed}.",
            hint=f'Name it, {side}s="...", or pass score=(module, users) -> scores.',
        )
    return next(iter(fitting.values()))
