"""Cross-entropy over a catalogue, in blocks of states: logits of all states at once are as large as the score matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sharpap.kernels.topk import block_rows


class _CrossEntropy(torch.autograd.Function):
    """Gradients are made with the loss, while the probabilities of a block are at hand."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, items: Tensor, wanted: Tensor) -> Tensor:
        of_states, of_items = torch.empty_like(states), torch.zeros_like(items)
        loss, step = states.new_zeros(()), block_rows(4 * len(items))  # 4 MiB: four passes over what stays in a cache
        for start in range(0, len(states), step):
            part, own = states[start : start + step], wanted[start : start + step, None]
            share = torch.softmax(part @ items.T, 1)
            loss -= share.gather(1, own).clamp_min_(torch.finfo(share.dtype).tiny).log_().sum()
            share.scatter_add_(1, own, -states.new_ones(own.shape))
            torch.mm(share, items, out=of_states[start : start + step])
            of_items.addmm_(share.T, part)
        ctx.save_for_backward(of_states, of_items)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        of_states, of_items = ctx.saved_tensors
        return of_states * grads[0], of_items * grads[0], None


def cross_entropy(states: Tensor, items: Tensor, wanted: Tensor) -> Tensor:
    """Sum over states of -log softmax(states @ items.T) at the item that is wanted.

    Args:
        states: (t, d).
        items: (m, d).
        wanted: (t,) int64 items.

    Returns:
        A scalar that can be differentiated once, by states and items; no probability counts as less than the smallest normal
        number. O(t m d) time, O(block + t d + m d) memory.
    """
    made: Any = _CrossEntropy.apply(states, items, wanted)
    return made


def sampled_cross_entropy(states: Tensor, items: Tensor, wanted: Tensor, drawn: Tensor) -> Tensor:
    """`cross_entropy` with the sum over the catalogue estimated from items drawn uniformly, the same for all states.

    Each drawn item stands for m / k of them; where it is the one that is wanted, it does not count.

    Args:
        states, items, wanted: as there.
        drawn: (k,) int64 items.
    """
    weight = torch.log(states.new_tensor(len(items) / len(drawn)))
    others = (states @ items[drawn].T + weight).masked_fill(wanted[:, None] == drawn, -torch.inf)
    own = (states * items[wanted]).sum(1, keepdim=True)
    return (torch.logsumexp(torch.cat([own, others], 1), 1) - own[:, 0]).sum()
