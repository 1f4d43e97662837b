"""What the tests of the attacks' parts share."""

from __future__ import annotations

import numpy as np
import pytest

from sharpap.attacks.profiles import to_csr
from sharpap.attacks.scan import scan
from sharpap.surrogates import WRMFSurrogate
from sharpap.threat import Goal


@pytest.fixture(scope="module")
def trained(blocks):
    fake = to_csr([np.array([1, 5, 9])] * 3, 40)
    embeddings = (
        WRMFSurrogate(embedding_size=6, epochs=40, precision="float64", reg=2.0).train(blocks, fake, seed=0).embeddings
    )
    return embeddings, scan(embeddings, blocks, Goal(targets=(5, 33)), k=4, rivals=12)
