"""Your own model as a victim: anything with `fit` and `score`. Run: python examples/own_recommender.py"""

import numpy as np

import sharpap as sp


class ItemKNN:
    """Cosine item neighbourhoods, in a dozen lines of numpy."""

    def fit(self, train, *, seed):
        """Train on a (users, items) CSR matrix, fake users at the end."""
        self.train = train
        norms = np.sqrt(np.maximum(train.power(2).sum(axis=0), 1))
        similarity = (train.T @ train).toarray() / np.outer(norms, norms)
        np.fill_diagonal(similarity, 0)
        cut = np.partition(similarity, -50, axis=1)[:, [-50]]
        self.similarity = np.where(similarity >= cut, similarity, 0)
        return self

    def score(self, users):
        """(len(users), items) scores."""
        return self.train[users] @ self.similarity


if __name__ == "__main__":
    results = sp.stress_test(
        "ml-100k",
        attacks={"bandwagon": sp.Bandwagon(), "sharpap": sp.RevAdv(worst_case=sp.SharpnessAware())},
        victims={"mine": ItemKNN(), "wrmf": sp.WRMF()},
        targets=sp.TargetPool(draws=1),
    )
    print(results.transfer_matrix("H", k=10))
