"""What a detector can learn from: fakes that the defender simulates, since nobody labels real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array, vstack

from sharpap.attacks import Attack, AverageAttack, Bandwagon, CopyAttack, RandomAttack, Segment
from sharpap.data.interactions import canonical_csr
from sharpap.detectors.base import Array, ByScikitLearn
from sharpap.errors import ConfigError
from sharpap.seeds import derive_seed, rng
from sharpap.threat import Budget, Goal

TARGETS = 5  # of a group of simulated fakes


@dataclass(frozen=True, kw_only=True)
class Simulating(ByScikitLearn):
    """Base of detectors that learn from fakes which they craft themselves.

    Nobody tells them who is fake. They craft fakes by attacks of their choice, for targets of their own, and put them beside
    the users of the training matrix. The first are labelled fake and the second genuine, so that some labels are wrong: **real
    fakes count as genuine**. They find who resembles what was simulated. Whoever tests them on an attack must therefore take
    it out of `attacks`, as `sharpap detect` does by itself.

    Attributes:
        attacks: what is simulated.
        simulated: number of fakes, as a share of the users.
        draws: groups of fakes of each attack. Each has five targets of its own, and the length of its profiles is that of a
            user drawn at random: a classifier would else learn the one length that attacks give profiles by default.
    """

    attacks: tuple[Attack, ...] = (RandomAttack(), AverageAttack(), Bandwagon(), Segment(), CopyAttack())
    simulated: float = 0.1
    draws: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.attacks:
            raise ConfigError("attacks=() is empty: there is nothing to learn from.", hint="Simulate one or more.")
        if not 0 < self.simulated < 1:
            raise ConfigError(f"simulated={self.simulated} must lie between 0 and 1.")

    def suspicion(self, train: csr_array, *, seed: int) -> Array:
        """See `Detector`. Where rows stand does not matter, and users without interactions are left out."""
        order = self._judged_rows(train, seed)
        found = np.full(train.shape[0], -np.inf)
        if len(order) > 1:
            genuine = canonical_csr(csr_array(train[order]))
            everyone = canonical_csr(csr_array(vstack([genuine, self._fakes(genuine, seed)])))
            found[order] = self._judged(everyone, len(order), seed)
        return found

    def _judged(self, everyone: csr_array, genuine: int, seed: int) -> Array:
        """(genuine,) scores of the first rows; the others are simulated."""
        raise NotImplementedError

    def _fakes(self, train: csr_array, seed: int) -> csr_array:
        generator = rng(seed, "simulated")
        lengths = np.diff(train.indptr)
        groups = [attack for attack in self.attacks for _ in range(self.draws)]
        total = max(len(groups), round(self.simulated * train.shape[0]))
        made = []
        for group, attack in enumerate(groups):
            targets = generator.choice(train.shape[1], min(TARGETS, train.shape[1]), replace=False)
            size = max(len(targets), int(generator.choice(lengths)))
            count = total * (group + 1) // len(groups) - total * group // len(groups)
            poison = attack.poison(
                train, Goal(targets=tuple(map(int, targets))), Budget(fake_users=count, profile_size=size),
                seed=derive_seed(seed, "simulated", group),
            )  # fmt: skip
            made.append(poison.profiles)
        return csr_array(vstack(made))


@dataclass(frozen=True, kw_only=True)
class Supervised(Simulating):
    """Base of those with a classifier on columns of numbers. A user is judged by one that has not learnt from that user.

    Attributes:
        classifier: scikit-learn's. "logistic": regression on columns brought to mean 0 and deviation 1, both classes of equal
            weight; "forest": a random forest; "bayes": Gaussian naive Bayes on such columns.
        folds: parts of the users; each is judged by what learnt from the others.
    """

    classifier: Literal["logistic", "forest", "bayes"] = "logistic"
    folds: int = 5

    def columns(self, everyone: csr_array, *, seed: int) -> Array:
        """(num_rows, num_columns) of genuine and simulated users together; labels are unknown here."""
        raise NotImplementedError

    def _judged(self, everyone: csr_array, genuine: int, seed: int) -> Array:
        columns = self.columns(everyone, seed=derive_seed(seed, "columns"))
        fake = np.arange(len(columns)) >= genuine
        part = rng(seed, "folds").permutation(np.arange(genuine) % self.folds)
        found = np.empty(genuine)
        for fold in range(min(self.folds, genuine)):
            asked = np.append(part == fold, fake[genuine:] & False)
            model = _classifier(self.classifier, derive_seed(seed, "classifier", fold) % 2**32)
            model.fit(columns[~asked], fake[~asked])
            found[asked[:genuine]] = model.predict_proba(columns[asked])[:, 1]
        return found


def _classifier(kind: str, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier  # pyright: ignore[reportMissingImports]
    from sklearn.linear_model import LogisticRegression  # pyright: ignore[reportMissingImports]
    from sklearn.naive_bayes import GaussianNB  # pyright: ignore[reportMissingImports]
    from sklearn.pipeline import make_pipeline  # pyright: ignore[reportMissingImports]
    from sklearn.preprocessing import StandardScaler  # pyright: ignore[reportMissingImports]

    if kind == "forest":
        return RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced", random_state=seed)
    model = GaussianNB() if kind == "bayes" else LogisticRegression(class_weight="balanced", max_iter=1000)
    return make_pipeline(StandardScaler(), model)
