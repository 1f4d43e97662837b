"""SASRec: self-attention over what a user had so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear, scaled_dot_product_attention

from sharpap.errors import ConfigError
from sharpap.recommenders.base import FloatArray
from sharpap.recommenders.sequential import Sequential
from sharpap.recommenders.training import dropout

_OF_LAYER = 12


@dataclass(frozen=True, kw_only=True)
class SASRec(Sequential):
    """A causal transformer that predicts the next item.

    Attributes:
        layers, heads: blocks of attention and feed-forward (width 4 d); heads of each attention.
        dropout: share left out of embeddings and of what each block adds. It and all others: see `Sequential`.

    Source: Kang and McAuley 2018, *Self-attentive sequential recommendation*; its loss as in Klenitskiy and Vasilev 2023,
    *Turning dross into gold loss*: cross-entropy over all items, or over sampled ones (Wu et al. 2022). Deviations: windows
    over the whole history, not its last items alone; batches of windows of like length. Positions count from a window's end,
    as there. Layers are normalised before attention and before the feed-forward part, which has GELU and width 4 d, as
    transformers have it today; no dropout within the attention; Glorot's uniform start.
    """

    layers: int = 2
    heads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding_size % self.heads:
            raise ConfigError(f"embedding_size={self.embedding_size} is no multiple of heads={self.heads}.")

    def weights(self, num_items: int, draw: np.random.Generator) -> list[FloatArray]:
        """See `Sequential`. Items, positions, the first and last norm, then each layer's norms and maps."""
        d = self.embedding_size
        items, positions = (0.02 * draw.standard_normal((rows, d)) for rows in (num_items, self.max_len))
        norm, made = [np.ones(d), np.zeros(d)], []
        for _ in range(self.layers):
            maps = [
                (glorot(draw, out, into), np.zeros(out)) for out, into in ((3 * d, d), (d, d), (4 * d, d), (d, 4 * d))
            ]
            made += [*norm, *maps[0], *maps[1], *norm, *maps[2], *maps[3]]
        return [part.astype(np.float32) for part in (items, positions, *norm, *norm, *made)]

    def states(self, theta: list[Tensor], items: Tensor, lengths: Tensor, draw: np.random.Generator | None) -> Tensor:
        """See `Sequential`."""
        (b, w), d = items.shape, self.embedding_size
        places = (torch.arange(w, device=items.device) + self.max_len - lengths[:, None]).clamp_(max=self.max_len - 1)

        def left_out(part: Tensor) -> Tensor:
            return part if draw is None else dropout(part, self.dropout, draw)

        x = left_out(layer_norm(theta[0][items] + theta[1][places], (d,), theta[2], theta[3]))
        for place in range(6, 6 + _OF_LAYER * self.layers, _OF_LAYER):
            part = theta[place : place + _OF_LAYER]
            mixed = linear(layer_norm(x, (d,), part[0], part[1]), part[2], part[3])
            query, key, value = mixed.view(b, w, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
            seen = scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).reshape(b, w, d)
            x = x + left_out(linear(seen, part[4], part[5]))
            inner = torch.nn.functional.gelu(linear(layer_norm(x, (d,), part[6], part[7]), part[8], part[9]))
            x = x + left_out(linear(left_out(inner), part[10], part[11]))
        return layer_norm(x, (d,), theta[4], theta[5])


def glorot(draw: np.random.Generator, out: int, into: int) -> FloatArray:
    """A uniform (out, into) start."""
    limit = (6 / (out + into)) ** 0.5
    return draw.uniform(-limit, limit, (out, into))
