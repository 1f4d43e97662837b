"""What runs on CUDA: the torch paths against the CPU kernels here, whole trainings against the CPU's where there is a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array

from sharpap.device import resolve
from sharpap.errors import ConfigError
from sharpap.kernels import Pattern
from sharpap.kernels.adam import adam_adjoint, adam_step, torch_adjoint, torch_step
from sharpap.kernels.bpr import Negatives, _torch_gradient, _torch_hvp, _torch_of, bpr_gradient, bpr_hvp
from sharpap.recommenders import BPRMF, NGCF, SGL, VGCL, LightGCN, MultVAE, NeuMF, SimGCL
from sharpap.surrogates import PairwiseSurrogate, WRMFSurrogate
from sharpap.surrogates.base import Embeddings

CONSTANTS = [0.9, 0.999, 0.3, 0.7, 1e-8]


@pytest.fixture(scope="module")
def matrix() -> csr_array:
    made = csr_array(random_array((60, 40), density=0.2, rng=np.random.default_rng(0)))
    made.data[:] = 1
    return made


def tensors(count: int, *shape: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(count)]


def test_negatives_are_the_same_numbers_on_any_device():
    draw = np.random.default_rng(1)
    for count in (2, 3, 40, 59_047):
        users, items = draw.integers(0, 10**6, 5_000), draw.integers(0, count, 5_000)
        pattern = Pattern(torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), (0, count))
        negatives = Negatives.draw(pattern, draw)
        theirs = _torch_of(negatives.key, torch.from_numpy(users), torch.from_numpy(items), count)
        np.testing.assert_array_equal(negatives.of(users, items), theirs.numpy())


def test_torch_paths_of_the_pairwise_loss_equal_the_kernels(matrix):
    pattern = Pattern.from_csr(matrix)
    negatives = Negatives.draw(pattern, np.random.default_rng(2))
    (P, VP), (Q, VQ) = tensors(2, 60, 5), tensors(2, 40, 5)
    for ours, theirs in (
        (bpr_gradient(negatives, P, Q), _torch_gradient(negatives, P, Q)),
        (bpr_hvp(negatives, P, Q, VP, VQ), _torch_hvp(negatives, P, Q, VP, VQ)),
    ):
        torch.testing.assert_close(ours, theirs)


def test_torch_paths_of_adam_equal_the_kernels():
    parts = tensors(4, 50)
    parts[2] = parts[2].abs()
    ours, theirs = [part.clone() for part in parts], [part.clone() for part in parts]
    adam_step(*(part.numpy() for part in ours), *CONSTANTS)
    torch_step(*theirs, *CONSTANTS)
    torch.testing.assert_close(ours, theirs)

    parts = tensors(7, 50)
    parts[1] = parts[1].abs()
    ours, theirs = [part.clone() for part in parts], [part.clone() for part in parts]
    adam_adjoint(*(part.numpy() for part in ours), *CONSTANTS)
    torch_adjoint(*theirs, *CONSTANTS)
    torch.testing.assert_close(ours, theirs)


def test_devices_are_named_and_absent_ones_refused():
    assert resolve("cpu") == torch.device("cpu")
    assert resolve("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match="none of auto, cpu"):
        resolve("tpu")
    with pytest.raises(ConfigError, match="CUDA devices here"):
        resolve(f"cuda:{torch.cuda.device_count()}")
    with pytest.raises(ConfigError, match="CUDA devices here"):
        LightGCN(device="cuda:99").fit(csr_array(np.eye(3)), seed=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("model", [BPRMF, LightGCN, SGL, SimGCL, VGCL, NGCF, NeuMF, MultVAE])
def test_models_trained_on_cuda_agree_with_the_cpu(model, matrix):
    scores = [model(epochs=3, device=device).fit(matrix, seed=0).score(np.arange(60)) for device in ("cpu", "cuda")]
    np.testing.assert_allclose(*scores, rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("surrogate", [WRMFSurrogate, PairwiseSurrogate])
def test_surrogate_gradients_on_cuda_agree_with_the_cpu(surrogate, matrix):
    found = []
    for device in ("cpu", "cuda"):
        settings = surrogate(epochs=8, unrolled_epochs=4, precision="float64", device=device)
        trained = settings.train(matrix[:50], matrix[50:], seed=0)
        at = trained.embeddings
        gradient = trained.profile_gradient(Embeddings(at.users.cos(), at.items.cos()))
        found.append((at.users, gradient.rows(torch.arange(10)), trained.training_loss(at)))
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)
