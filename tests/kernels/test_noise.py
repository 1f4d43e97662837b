"""Numbers by place: SplitMix64's published ones, the same on any device, uniform, normal, and free of each other."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from scipy.stats import kstest

from sharpap.kernels.noise import _bits, _orthant, _torch_uniform, normal, orthant_shift, uniform


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_bits_are_splitmix64s():
    """The first numbers of seed 1234567, as Rosetta Code lists them."""
    listed = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]

    @numba.njit
    def numbers(key):
        out = np.empty(5, np.uint64)
        for place in range(5):
            out[place] = _bits(key, place)
        return out

    assert [int(x) for x in numbers(np.uint64(1234567))] == listed


@pytest.mark.parametrize("count", [1, 2, 7, 10_000])
def test_any_device_has_the_same_numbers(count):
    key = np.uint64(draw(3).integers(0, 2**63))
    ours = uniform((count,), draw(3))
    np.testing.assert_array_equal(ours, _torch_uniform(key, count, torch.device("cpu")))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_has_the_same_numbers():
    part = torch.randn(51, 7)
    np.testing.assert_array_equal(uniform((9, 11), draw()), uniform((9, 11), draw(), "cuda").cpu())
    torch.testing.assert_close(normal((9, 11), draw()), normal((9, 11), draw(), "cuda").cpu())
    torch.testing.assert_close(orthant_shift(part, 0.1, draw()), orthant_shift(part.cuda(), 0.1, draw()).cpu())


def test_uniform_and_normal_numbers_are_what_they_are_called():
    numbers, bells = uniform((500, 401), draw()).numpy(), normal((500, 401), draw()).numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.isfinite(bells).all()
    assert kstest(numbers.ravel(), "uniform").pvalue > 0.01
    assert kstest(bells.ravel(), "norm").pvalue > 0.01
    for made in (numbers, bells):
        flat = made.ravel()
        for lag in (1, 2, 401):
            assert abs(np.corrcoef(flat[:-lag], flat[lag:])[0, 1]) < 0.01  # 4.5 standard errors
    again = uniform((500, 401), draw(1)).numpy()
    assert abs(np.corrcoef(numbers.ravel(), again.ravel())[0, 1]) < 0.01


@pytest.mark.parametrize("d", [1, 7, 64])
def test_shifts_have_the_length_and_the_orthant(d):
    part = torch.randn(300, d, generator=torch.Generator().manual_seed(0))
    part[3] = 0
    moved = orthant_shift(part, 0.1, draw())
    key = np.uint64(draw().integers(0, 2**63))
    numbers = _torch_uniform(key, 300 * (d + d % 2), torch.device("cpu")).view(300, -1)[:, :d]
    expected = torch.nn.functional.normalize(numbers) * part.sign() * 0.1
    torch.testing.assert_close(moved, expected)
    torch.testing.assert_close(moved.norm(dim=1)[part[:, 0] != 0], torch.full((299,), 0.1))
    assert _orthant.signatures  # the compiled loop made them, not torch


def test_a_view_of_a_matrix_is_shifted_as_its_copy():
    wide = torch.randn(40, 10, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        orthant_shift(wide[:, ::2], 0.1, draw()), orthant_shift(wide[:, ::2].clone(), 0.1, draw())
    )
