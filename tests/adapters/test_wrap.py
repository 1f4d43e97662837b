"""`adapt` and the torch adapter: every accepted form gives the same scores, every refusal says what to do."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import nn

from sharpap.adapters import FunctionRecommender, TorchModel, adapt
from sharpap.adapters.seeding import global_seed
from sharpap.errors import ContractError
from sharpap.recommenders import WRMF, FactorModel
from sharpap.recommenders.calls import fit
from sharpap.testing import RecommenderTests

TRAIN = csr_array((np.arange(15 * 11).reshape(15, 11) * 7 % 5 == 0).astype(np.float32))
U = np.random.default_rng(0).normal(size=(15, 3))
V = np.random.default_rng(1).normal(size=(11, 3))
USERS = np.array([4, 0, 14])


class WithFit:
    def __init__(self, made):
        self.made = made

    def fit(self, train):
        return self.made


class Remembers:
    """Trains in place, returns nothing, scores as `predict`, draws from the global generator."""

    def __init__(self):
        self.random_state = None

    def fit(self, train):
        self.noise = np.random.rand(train.shape[1])  # noqa: NPY002

    def predict(self, users):
        return U[users] @ V.T + 0 * self.noise


FORMS = {
    "factors": lambda train, seed: (U, V),
    "tensors": lambda train, seed: (torch.from_numpy(U), torch.from_numpy(V).requires_grad_()),
    "dense": lambda train, seed: U @ V.T,
    "sparse": lambda train, seed: csr_array(U @ V.T),
    "callable": lambda train, seed: lambda users: U[users] @ V.T,
    "scorer": lambda train, seed: FactorModel(user_factors=U, item_factors=V, log={}),
    "attributes": lambda train, seed: SimpleNamespace(user_embeddings=U, item_embeddings=V),
    "no seed": lambda train: (U, V),
    "random_state": lambda X, random_state: (U, V) if random_state < 2**32 else None,
    "options": partial(lambda train, seed, *, scale: (U * scale, V), scale=1.0),
    "fit without seed": WithFit((U, V)),
    "fit in place": Remembers(),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_scores_alike(form):
    scores = fit(adapt(FORMS[form]), TRAIN, TRAIN, seed=2**62).score(USERS)
    np.testing.assert_allclose(scores, U[USERS] @ V.T, rtol=1e-5, atol=1e-6)


def test_conforming_objects_are_returned_as_they_are():
    model = WRMF()
    assert adapt(model) is model


def test_valid_reaches_a_wrapped_fit_that_names_it():
    seen = []

    class Stops:
        def fit(self, train, valid=None):
            seen.append(valid)
            return U, V

    valid = csr_array(TRAIN.shape, dtype=np.float32)
    fit(adapt(Stops()), TRAIN, valid, seed=0)
    assert seen[0] is valid


REFUSED = {
    "a class": (WithFit, "Give an instance"),
    "a number": (3, "neither fit nor score"),
    "only score": (SimpleNamespace(score=lambda users: users), "has no fit"),
    "a module": (nn.Embedding(3, 2), "TorchModel"),
    "no arguments": (lambda: (U, V), "takes no training matrix"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_is_refused(case):
    made, word = REFUSED[case]
    with pytest.raises(ContractError, match=word):
        adapt(made)


WRONG = {
    "swapped matrix": ((U @ V.T).T, "axes are swapped"),
    "genuine users only": (np.ones((12, 11)), "fake users are rows, too"),
    "transposed factors": ((U, V.T), "transposed"),
    "swapped factors": ((V, U), "swapped"),
    "sizes of factors": ((U, V[:, :2]), "3 factors a user and 2 an item"),
    "too few items": ((U, V[:9]), "those without interactions included"),
    "nothing": (None, "must give"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_results_of_training_say_which_axis(case):
    made, word = WRONG[case]
    with pytest.raises(ContractError, match=word):
        FunctionRecommender(function=lambda train, seed: made).fit(TRAIN, seed=0)


@pytest.mark.parametrize("function", [lambda train, factors: (U, V), lambda train, seed, *, factors: (U, V)])
def test_arguments_without_a_value_are_not_guessed(function):
    with pytest.raises(ContractError, match="'factors'"):
        adapt(function).fit(TRAIN, seed=0)
    assert adapt(function, factors=3).fit(TRAIN, seed=0).score(USERS).shape == (3, 11)


def test_global_generators_are_seeded_and_put_back():
    def draw():
        return np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    expected = draw()
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    with global_seed(9):
        inside = draw()
    assert draw() == expected
    with global_seed(9):
        assert draw() == inside


class MF(nn.Module):
    def __init__(self, num_users, num_items, bias=False):
        super().__init__()
        self.user_embedding, self.item_embedding = nn.Embedding(num_users, 4), nn.Embedding(num_items, 4)
        if bias:
            self.item_bias = nn.Embedding(num_items, 1)


def descend(module, matrix, seed):
    """Logistic loss over all pairs, by hand."""
    target = torch.from_numpy(matrix.toarray())
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    for _ in range(60):
        logits = module.user_embedding.weight @ module.item_embedding.weight.T
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class TestTorchModule(RecommenderTests):
    recommender = TorchModel(make=MF, train=descend)


def test_torch_scores_are_the_modules_own():
    kept = []

    def train(module, matrix, seed):
        kept.append(module)

    scores = TorchModel(make=MF, train=train).fit(TRAIN, seed=1).score(USERS)
    with torch.no_grad():
        expected = kept[0].user_embedding(torch.from_numpy(USERS)) @ kept[0].item_embedding.weight.T
    np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-6)
    given = TorchModel(
        make=MF, train=train, score=lambda module, users: module.user_embedding(users)[:, :1].expand(-1, 11)
    )
    np.testing.assert_array_equal(
        given.fit(TRAIN, seed=1).score(USERS)[:, 3], kept[1].user_embedding.weight[USERS, 0].detach()
    )


TORCH = {
    "a bias left out": ({"make": lambda n, m: MF(n, m, bias=True)}, "item_bias"),
    "no embedding": ({"make": lambda n, m: nn.Linear(n, m)}, "has: none"),
    "wrong name": ({"users": "encoder.users"}, "user_embedding"),
    "wrong size": ({"make": lambda n, m: MF(n, m + 1)}, r"11 items is not clear"),
    "no module": ({"make": lambda n, m: 3}, "must return a torch.nn.Module"),
}


@pytest.mark.parametrize("case", TORCH)
def test_torch_modules_that_cannot_be_scored_say_why(case):
    settings, word = TORCH[case]
    with pytest.raises(ContractError, match=word):
        TorchModel(**({"make": MF, "train": lambda *args: None} | settings)).fit(TRAIN, seed=0)


def test_embeddings_named_explicitly_may_leave_a_bias_out():
    named = TorchModel(
        make=lambda n, m: MF(n, m, bias=True), train=lambda *args: None, users="user_embedding", items="item_embedding"
    )
    assert named.fit(TRAIN, seed=0).score(USERS).shape == (3, 11)
