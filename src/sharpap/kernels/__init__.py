"""Sparse kernels: SDDMM, SpMM and masked top-k over a CSR pattern."""
