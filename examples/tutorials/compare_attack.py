"""A new attack beside SharpAP on MovieLens-1M, as a table and a picture for a paper. Run: python compare_attack.py"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

import sharpap as sp
from sharpap.seeds import rng


@dataclass(frozen=True, kw_only=True)
class Companions:
    """Fills fake profiles with what the owners of a target have besides it."""

    def poison(self, train, goal, budget, *, seed):
        """`budget` says how many profiles of how many items; the framework checks that it is kept."""
        allowed = budget.resolve(train, goal)
        generator = rng(seed, "companions")
        targets = list(goal.targets)
        owners = np.flatnonzero(train[:, targets].sum(axis=1))
        near = np.setdiff1d(train[owners].indices, targets)
        far = np.setdiff1d(np.arange(train.shape[1]), [*targets, *near])
        profiles = np.zeros((allowed.num_fake, train.shape[1]), np.float32)
        for row in profiles:
            fillers = np.concatenate([generator.permutation(near), generator.permutation(far)])
            row[targets] = 1
            row[fillers[: allowed.profile_size - len(targets)]] = 1
        profiles = csr_array(profiles)
        return sp.Poison(profiles=profiles, goal=goal, attack="companions", settings={}, seed=seed)


def main(data="ml-1m", sharpap=None, **settings):
    """Both attacks on two victims; `settings` are those of `sharpap.stress_test`."""
    sharpap = sharpap or sp.RevAdv(worst_case=sp.SharpnessAware(), epochs=10)
    settings = {"budget": sp.Budget(fake_users=0.01), "targets": sp.TargetPool(draws=4)} | settings
    return sp.stress_test(
        data,
        attacks={"random": sp.RandomAttack(), "companions": Companions(), "sharpap": sharpap},
        victims={"wrmf": sp.WRMF(), "item-knn": sp.ItemKNN()},
        **settings,
    )


if __name__ == "__main__":
    results = main(out="results/companions")
    print(results.to_latex(k=50))
    print(results.paired("companions", "sharpap", k=50))
    results.plot("victims", k=50).save("companions.svg")
