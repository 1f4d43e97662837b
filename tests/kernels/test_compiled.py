"""A kernel gives the same bytes in the process that compiles it and in one that takes it from numba's cache.

numba optimises a parallel loop once for the process that compiles it and a second time for the cache; a sum that LLVM may
reorder can come out in two orders. Whoever repeats a run would then see the last digits change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

DIGESTS = """
import hashlib
import json

import numpy as np
import torch
from scipy.sparse import csr_array, random_array

from sharpap.kernels import Pattern, sddmm, spmm, spmm_t
from sharpap.kernels.adam import adam_adjoint, adam_step
from sharpap.kernels.als import solve_rows
from sharpap.kernels.bpr import Negatives, bpr_gradient, bpr_hvp
from sharpap.kernels.noise import orthant_shift
from sharpap.kernels.wrmf import wrmf_gradient, wrmf_hvp


def digest(*parts):
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


chance = np.random.default_rng(0)
R = csr_array(random_array((80, 90), density=0.17, rng=chance))
R.data[:] = 1
pattern = Pattern.from_csr(R)
weights = {"positive_weight": 7.0, "negative_weight": 0.5, "reg": 0.3}
found = {}
for d in (20, 64):
    P, Q, VP, VQ = (torch.from_numpy(chance.normal(size=(n, d)).astype(np.float32)) for n in (80, 90, 80, 90))
    values = torch.from_numpy(chance.normal(size=R.nnz).astype(np.float32))
    negatives = Negatives.draw(pattern, np.random.default_rng(1))
    found[f"sddmm {d}"] = digest(sddmm(pattern, P, Q))
    found[f"spmm {d}"] = digest(spmm(pattern, None, Q), spmm(pattern, values, Q), spmm_t(pattern, values, P))
    found[f"wrmf_gradient {d}"] = digest(*wrmf_gradient(pattern, P, Q, **weights))
    found[f"wrmf_hvp {d}"] = digest(*wrmf_hvp(pattern, P, Q, VP, VQ, **weights))
    found[f"bpr_gradient {d}"] = digest(*bpr_gradient(negatives, P, Q))
    found[f"bpr_hvp {d}"] = digest(*bpr_hvp(negatives, P, Q, VP, VQ))
    rows = P.numpy().copy()
    found[f"orthant_shift {d}"] = digest(orthant_shift(P, 0.1, np.random.default_rng(2)))
    solve_rows(pattern, rows, Q.numpy(), steps=4, **weights)
    found[f"solve_rows {d}"] = digest(rows)
flat = [np.abs(chance.normal(size=1001)).astype(np.float32) for _ in range(7)]
adam_step(*flat[:4], 0.9, 0.999, 0.01, 0.5, 1e-8)
found["adam_step"] = digest(*flat[:4])
adam_adjoint(*flat, 0.9, 0.999, 0.01, 0.5, 1e-8)
found["adam_adjoint"] = digest(*flat)
print(json.dumps(found))
"""


def test_compiled_and_cached_kernels_give_the_same_bytes(tmp_path):
    def digests() -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS], capture_output=True, text=True,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    compiled = digests()
    assert list(tmp_path.rglob("*.nbc"))
    cached = digests()
    assert [name for name, digest in compiled.items() if cached[name] != digest] == []
