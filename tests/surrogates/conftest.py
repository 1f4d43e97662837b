"""Data small enough for dense references."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array


@pytest.fixture(scope="module")
def data() -> tuple[csr_array, csr_array]:
    """24 genuine and 3 fake rows of 15 items."""
    genuine = csr_array(random_array((24, 15), density=0.3, rng=np.random.default_rng(1)))
    fake = csr_array(random_array((3, 15), density=0.4, rng=np.random.default_rng(2)))
    genuine.data[:] = 1
    fake.data[:] = 1
    return genuine, fake
