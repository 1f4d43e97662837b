"""What RAPU-G's masks leave out, how long the list behind them is, and what a mask costs.

    python benchmarks/masks.py [--data ml-100k ml-1m]

One mask at the parameters of a trained WRMF surrogate, seed 0, without fake users.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy.sparse import csr_array

from sharpap.data import load
from sharpap.surrogates import MaskedWRMFSurrogate


def main() -> None:
    """Print one line a dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["ml-100k", "ml-1m"])
    args = parser.parse_args()
    settings = MaskedWRMFSurrogate(masked_epochs=0)
    for name in args.data:
        train = load(name).train.matrix
        trained = settings.train(train, csr_array((0, train.shape[1])), seed=0)
        users, items = trained.embeddings.users, trained.embeddings.items
        mask = settings.mask(trained.pattern, users, items)
        clock = time.perf_counter()
        settings.mask(trained.pattern, users, items)
        seconds = time.perf_counter() - clock
        scores = (users.numpy()[mask.rows] * items.numpy()[mask.columns]).sum(1)
        print(
            f"{name}: {train.nnz:,} interactions; list of absent pairs {mask.listed:,}, from a score of {mask.cut}; left out "
            f"{len(mask.rows):,} absent pairs (median score {np.median(scores):.2f}) and {int(mask.present.sum()):,} "
            f"present ones, {100 * (1 - mask.share):.2f} % of all; {seconds:.2f} s"
        )


if __name__ == "__main__":
    main()
