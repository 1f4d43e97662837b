"""GRU4Rec: a recurrent network over what a user had so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from sharpap.recommenders.base import FloatArray
from sharpap.recommenders.sequential import Sequential
from sharpap.recommenders.training import dropout


@dataclass(frozen=True, kw_only=True)
class GRU4Rec(Sequential):
    """Gated recurrent units that predict the next item.

    Attributes:
        hidden: width of the recurrent state, which is then mapped to d.
        layers: recurrent layers.
        dropout: share left out of embeddings and of the recurrent states. It and all others: see `Sequential`.

    Source: Hidasi et al. 2016, *Session-based recommendations with recurrent neural networks*, with the improvements of Tan,
    Xu and Liu 2016 (embeddings, dropout) as RecBole has it; cross-entropy as in Hidasi and Karatzoglou 2018. Deviations: a
    user's whole history is one session, cut into windows that each start afresh; items have one embedding for input and output;
    Adam; batches of windows of like length.
    """

    hidden: int = 128
    layers: int = 1

    def weights(self, num_items: int, draw: np.random.Generator) -> list[FloatArray]:
        """See `Sequential`. Items, the map to states, then each layer's input map, recurrent map and their biases."""
        d, h = self.embedding_size, self.hidden
        limit, made = h**-0.5, []
        for layer in range(self.layers):
            shapes = [(3 * h, h if layer else d), (3 * h, h), (3 * h,), (3 * h,)]
            made += [draw.uniform(-limit, limit, shape) for shape in shapes]
        items, out = 0.02 * draw.standard_normal((num_items, d)), draw.uniform(-limit, limit, (d, h))
        return [part.astype(np.float32) for part in (items, out, np.zeros(d), *made)]

    def states(self, theta: list[Tensor], items: Tensor, lengths: Tensor, draw: np.random.Generator | None) -> Tensor:
        """See `Sequential`. `lengths` are not looked at: nothing is read from the right."""

        def left_out(part: Tensor) -> Tensor:
            return part if draw is None else dropout(part, self.dropout, draw)

        x = left_out(theta[0][items])
        for place in range(3, 3 + 4 * self.layers, 4):
            start = x.new_zeros(1, len(x), self.hidden)
            x, _ = torch.gru(x, start, theta[place : place + 4], True, 1, 0.0, False, False, True)
            x = left_out(x)
        return linear(x, theta[1], theta[2])
