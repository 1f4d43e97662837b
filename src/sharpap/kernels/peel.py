"""Greedy peeling of a bipartite graph: the node that holds least goes first."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@numba.njit(cache=True, nogil=True)
def peel(indptr: Array, indices: Array, back_indptr: Array, back_indices: Array, weight: Array) -> tuple[Array, Array]:
    """Take rows and columns away one by one, always the one whose weight of edges to what is left is least.

    O(nnz log n): the least is read from the root of a binary tree of minima. Ties go to the lower number.

    Args:
        indptr, indices: CSR pattern of n rows and m columns.
        back_indptr, back_indices: of its transpose.
        weight: (m,) weight of each edge of a column.

    Returns:
        (n + m,) step at which each row, then each column, goes, and (n + m,) density before each step: the weight of the
        edges left over the number of nodes left.
    """
    n, m = len(indptr) - 1, len(back_indptr) - 1
    leaves = 1
    while leaves < n + m:
        leaves *= 2
    tree = np.full(2 * leaves, np.inf)
    total = 0.0
    for row in range(n):
        held = 0.0
        for e in range(indptr[row], indptr[row + 1]):
            held += weight[indices[e]]
        tree[leaves + row] = held
        total += held
    for column in range(m):
        tree[leaves + n + column] = weight[column] * (back_indptr[column + 1] - back_indptr[column])
    for node in range(leaves - 1, 0, -1):
        tree[node] = min(tree[2 * node], tree[2 * node + 1])
    step = np.full(n + m, -1)
    density = np.empty(n + m)
    for t in range(n + m):
        density[t] = total / (n + m - t)
        node = 1
        while node < leaves:
            node *= 2
            if tree[node] > tree[node + 1]:
                node += 1
        gone = node - leaves
        total -= tree[node]
        step[gone] = t
        tree[node] = np.inf
        _up(tree, node)
        if gone < n:
            for e in range(indptr[gone], indptr[gone + 1]):
                if step[n + indices[e]] < 0:
                    tree[leaves + n + indices[e]] -= weight[indices[e]]
                    _up(tree, leaves + n + indices[e])
        else:
            for e in range(back_indptr[gone - n], back_indptr[gone - n + 1]):
                if step[back_indices[e]] < 0:
                    tree[leaves + back_indices[e]] -= weight[gone - n]
                    _up(tree, leaves + back_indices[e])
    return step, density


@numba.njit(cache=True, nogil=True)
def _up(tree: Array, node: int) -> None:
    node //= 2
    while node > 0:
        tree[node] = min(tree[2 * node], tree[2 * node + 1])
        node //= 2
