"""A defence of one's own: users with more interactions count less. Run: python add_defence.py"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

import sharpap as sp
from sharpap.defenses import Bagging, Defended, RemoveSuspicious
from sharpap.detectors import RarityDeviation
from sharpap.recommenders.calls import fit
from sharpap.seeds import rng


@dataclass(frozen=True, kw_only=True)
class ShortProfiles:
    """Trains on at most so many interactions of each user, drawn at random.

    Attributes:
        most: interactions that are kept of each user.
    """

    most: int = 40

    def fit(self, recommender, train, valid=None, *, seed):
        """Shorten the rows, then train as usual. Users and items keep their numbers."""
        generator = rng(seed, "short-profiles")
        users = range(train.shape[0])
        rows = [np.sort(generator.permutation(train[[user]].indices)[: self.most]) for user in users]
        ends = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        columns = np.concatenate(rows)
        shorter = csr_array((np.ones(len(columns), train.dtype), columns, ends), shape=train.shape)
        return fit(recommender, shorter, valid, seed=seed)


def main(data="ml-100k", attack=None, **settings):
    """One recommender, bare and under three defences; `settings` are those of `sharpap.stress_test`."""
    model = sp.WRMF()
    settings = {"budget": sp.Budget(fake_users=0.05), "targets": sp.TargetPool(draws=2)} | settings
    return sp.stress_test(
        data,
        attacks={"attack": attack or sp.RevAdv(epochs=10)},
        victims={
            "wrmf": model,
            "short": Defended(recommender=model, defense=ShortProfiles()),
            "cleaned": Defended(
                recommender=model, defense=RemoveSuspicious(detector=RarityDeviation(kind="wda"), users=0.05)
            ),
            "voted": Defended(recommender=model, defense=Bagging(models=5)),
        },
        **settings,
    )


if __name__ == "__main__":
    results = main(out="results/short-profiles")
    print(results.to_markdown(k=50))
