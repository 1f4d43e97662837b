"""The pairwise loss at moved rows, against rows that are moved one by one and differentiated by autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn.functional import softplus

from sharpap.kernels import Pattern
from sharpap.kernels.bpr import Negatives, bpr_gradient
from sharpap.kernels.triples import Triples


def setting(matrix: csr_array, seed: int = 0):
    pattern = Pattern.from_csr(matrix)
    generator = torch.Generator().manual_seed(seed)
    P, Q = (torch.randn(rows, 5, generator=generator, dtype=torch.float64) for rows in matrix.shape)
    negatives = Negatives.draw(pattern, np.random.default_rng(seed))
    rows, columns = pattern.rows.long(), pattern.indices.long()
    against = torch.from_numpy(negatives.of(rows.numpy(), columns.numpy()))
    return negatives, P, Q, (rows, columns, against)


def by_hand(P, Q, triples, radius):
    """The moved rows of each triple, (3, nnz, d), and how far they moved."""
    rows = [table[place].clone().requires_grad_() for table, place in zip((P, Q, Q), triples, strict=True)]
    loss = softplus(-(rows[0] * (rows[1] - rows[2])).sum(1)).sum()
    moves = [
        radius[triples[0]][:, None] * torch.nn.functional.normalize(grad) for grad in torch.autograd.grad(loss, rows)
    ]
    return [row.detach() + move for row, move in zip(rows, moves, strict=True)], moves


def test_each_row_of_an_interaction_moves_by_the_radius_and_against_it(blocks):
    negatives, P, Q, triples = setting(blocks)
    radius = torch.linspace(0.1, 0.9, len(P), dtype=torch.float64)
    rows, moves = by_hand(P, Q, triples, radius)
    for move in moves:
        torch.testing.assert_close(move.norm(dim=1), radius[triples[0]])
    found = Triples.at(negatives, P, Q)
    moved = found.moved_margins(radius)
    torch.testing.assert_close(moved, (rows[0] * (rows[1] - rows[2])).sum(1))
    nearby = Triples.at(negatives, P, Q).moved_margins(radius * 1e-3)
    assert (nearby < found.margins).all()  # to first order no direction of that length is worse


@pytest.mark.parametrize("weight", [0.0, 1.0, 0.3])
def test_the_gradient_is_autograds_with_the_moves_held(blocks, weight):
    negatives, P, Q, triples = setting(blocks)
    radius = torch.linspace(0.1, 0.9, len(P), dtype=torch.float64)
    _, moves = by_hand(P, Q, triples, radius)
    U, V = P.clone().requires_grad_(), Q.clone().requires_grad_()
    user, positive, negative = (table[place] for table, place in zip((U, V, V), triples, strict=True))
    plain = softplus(-(user * (positive - negative)).sum(1)).sum()
    moved = ((user + moves[0]) * (positive + moves[1] - negative - moves[2])).sum(1)
    theirs = torch.autograd.grad(plain + weight * softplus(-moved).sum(), (U, V))
    for mine, other in zip(Triples.at(negatives, P, Q).gradient(radius, weight), theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_without_a_move_it_is_the_plain_gradient(blocks):
    negatives, P, Q, _ = setting(blocks)
    mine = Triples.at(negatives, P, Q).gradient(torch.zeros(len(P), dtype=torch.float64), 1.0)
    for part, other in zip(mine, bpr_gradient(negatives, P, Q), strict=True):
        torch.testing.assert_close(part, 2 * other)


def test_user_losses_are_means_over_a_users_interactions(blocks):
    dense = blocks.toarray()
    dense[7] = 0
    negatives, P, Q, (rows, columns, against) = setting(csr_array(dense))
    losses = softplus(-(P[rows] * (Q[columns] - Q[against])).sum(1))
    found = Triples.at(negatives, P, Q).user_losses()
    for user in range(len(P)):
        mine = losses[rows == user]
        assert found[user] == pytest.approx(float(mine.mean()) if len(mine) else 0.0)


def test_rows_without_direction_stay_and_give_no_nan(blocks):
    negatives, P, Q, _ = setting(blocks)
    P[3], Q[:] = 0, Q[0].clone()
    found = Triples.at(negatives, P.float(), Q.float()).gradient(torch.full((len(P),), 0.5), 1.0)
    assert all(torch.isfinite(part).all() for part in found)
