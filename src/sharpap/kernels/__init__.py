"""Sparse kernels over a CSR pattern: SDDMM, SpMM and its transpose, masked top-k, exact ranks.

numba on the CPU, torch on a GPU; `sddmm`, `spmm` and `spmm_t` are each other's derivatives, so they can be
differentiated as often as one likes. No array of size rows x columns is ever made.
"""

from sharpap.kernels.autograd import sddmm, spmm, spmm_t
from sharpap.kernels.csr import Pattern, stacked, stored
from sharpap.kernels.ranking import hits, recall_ndcg
from sharpap.kernels.search import topk
from sharpap.kernels.tiles import ranks_and_lists
from sharpap.kernels.topk import block_rows, item_ranks, mask_rows, score_blocks, topk_scores

__all__ = [
    "Pattern", "block_rows", "hits", "item_ranks", "mask_rows", "ranks_and_lists", "recall_ndcg", "score_blocks", "sddmm",
    "spmm", "spmm_t", "stacked", "stored", "topk", "topk_scores",
]  # fmt: skip
