"""SASRec and GRU4Rec: what they may read, that they read order, and that they learn what follows what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sharpap import progress
from sharpap.data.interactions import Interactions
from sharpap.kernels import softmax
from sharpap.recommenders import BPRMF, EASE, WRMF, GRU4Rec, Popularity, Recommender, SASRec
from sharpap.recommenders.calls import Timed, fit, reads_order
from sharpap.recommenders.sequential import Histories, Sequential, batches
from sharpap.seeds import rng
from sharpap.testing import RecommenderTests

SMALL: dict[str, Any] = {"embedding_size": 16, "epochs": 25, "learning_rate": 0.01, "batch_size": 128, "max_len": 12}
MODELS = {"sasrec": SASRec(**SMALL, heads=2), "gru4rec": GRU4Rec(**SMALL, hidden=16)}
BOTH = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


class TestSASRec(RecommenderTests):
    recommender = SASRec(**SMALL)


class TestGRU4Rec(RecommenderTests):
    recommender = GRU4Rec(**SMALL, hidden=16)


def parameters(model: Sequential, num_items: int) -> list[torch.Tensor]:
    return [torch.from_numpy(part) for part in model.weights(num_items, rng(0, "test"))]


def chain(num_users: int = 250, num_items: int = 60, length: int = 9) -> tuple[Interactions, np.ndarray]:
    """Walks along one hidden circle of items, with a jump now and then; and the item that follows each walk."""
    draw = rng(3, "chain")
    follows = np.empty(num_items, np.int64)
    circle = draw.permutation(num_items)
    follows[circle] = np.roll(circle, -1)
    walks = []
    while len(walks) < num_users:
        walk = [int(draw.integers(num_items))]
        while len(walk) < length + 1:
            jumps = draw.random() < 0.1 and len(walk) < length
            walk.append(int(draw.integers(num_items)) if jumps else int(follows[walk[-1]]))
        if len(set(walk)) == len(walk):
            walks.append(walk)
    items = np.array(walks)
    made, merged = Interactions.from_pairs(
        np.repeat(np.arange(num_users), length), items[:, :-1].ravel(), user_ids=np.arange(num_users),
        item_ids=np.arange(num_items), timestamps=np.tile(np.arange(length, dtype=float), num_users),
    )  # fmt: skip
    assert not merged
    return made, items[:, -1]


def first_places(model: Any, data: Interactions, wanted: np.ndarray) -> float:
    """How often the item that follows is the best that the user does not have."""
    scores = model.score(np.arange(data.num_users))
    scores[data.entries()] = -np.inf
    return float((scores.argmax(1) == wanted).mean())


@BOTH
def test_a_later_item_and_what_rows_are_filled_up_with_change_no_earlier_state(model):
    theta, draw = parameters(model, 30), rng(1, "items")
    items, sizes = torch.from_numpy(draw.integers(0, 30, (5, 9))), torch.full((5,), 6)
    states = model.states(theta, items, sizes, None)
    changed = items.clone()
    changed[:, 6:] = (changed[:, 6:] + 7) % 30
    again = model.states(theta, changed, sizes, None)
    assert torch.equal(states[:, :6], again[:, :6])
    assert not torch.isclose(states[:, 6:], again[:, 6:]).all(2).any()
    torch.testing.assert_close(model.states(theta, items[:, :6], sizes, None), states[:, :6])


@BOTH
def test_every_earlier_item_counts_and_so_does_their_order(model):
    theta, items, size = parameters(model, 30), torch.arange(5)[None], torch.tensor([5])
    last = model.states(theta, items, size, None)[0, -1]
    for place in range(5):
        changed = items.clone()
        changed[0, place] = 20
        assert not torch.allclose(model.states(theta, changed, size, None)[0, -1], last, atol=1e-6)
    assert not torch.allclose(model.states(theta, items[:, [1, 0, 2, 3, 4]], size, None)[0, -1], last, atol=1e-6)


def test_positions_of_sasrec_count_from_the_end_of_what_is_read():
    model = MODELS["sasrec"]
    theta, items = parameters(model, 30), torch.arange(6)[None].repeat(2, 1)
    before = model.states(theta, items, torch.tensor([3, 6]), None)
    theta[1][model.max_len - 3 :] += torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    after = model.states(theta, items, torch.tensor([3, 6]), None)
    moved = ~torch.isclose(before, after, atol=1e-6).all(2)
    assert moved[0, :3].all()
    assert moved[1].tolist() == [False] * 3 + [True] * 3


def test_windows_predict_each_item_but_the_first_once_from_at_most_so_many():
    sizes = np.array([0, 1, 2, 5, 9, 4])
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    histories = Histories(indptr, np.arange(indptr[-1]), int(indptr[-1]))
    starts, lengths = histories.windows(4)
    assert lengths.min() >= 1
    assert lengths.max() == 4
    predicted = np.concatenate(
        [np.arange(start + 1, start + length + 1) for start, length in zip(starts, lengths, strict=True)]
    )
    assert sorted(predicted) == sorted(set(range(indptr[-1])) - set(indptr[:-1].tolist()))
    ends = {start + length for start, length in zip(starts, lengths, strict=True)}
    assert {first + size - 1 for first, size in zip(indptr, sizes, strict=False) if size > 1} <= ends
    drawn = list(batches(starts, lengths, 5, rng(0, "batches")))
    assert sorted(np.concatenate([part for part, _ in drawn])) == sorted(starts)
    assert len(drawn) > 1


def test_histories_go_by_time_and_ties_in_any_order_that_the_seed_draws():
    train = csr_array((np.ones(5), ([0, 0, 0, 1, 1], [0, 2, 4, 1, 3])), shape=(2, 5))
    orders = [Histories.of(train, np.array([9.0, 3.0, 3.0, 1.0, 0.5]), seed).items.tolist() for seed in range(20)]
    assert orders == [
        Histories.of(train, np.array([9.0, 3.0, 3.0, 1.0, 0.5]), seed).items.tolist() for seed in range(20)
    ]
    assert {tuple(order) for order in orders} == {(2, 4, 0, 3, 1), (4, 2, 0, 3, 1)}
    found = Histories.of(train, np.array([9.0, 3.0, 4.0, 1.0, 0.5]), 0)
    starts, lengths = found.latest(np.array([0, 1]), 2)
    assert found.read(starts, lengths).tolist() == [[4, 0], [3, 1]]


@BOTH
def test_it_learns_what_follows_what_and_popularity_does_not(model):
    data, wanted = chain()
    found = fit(model, data.matrix, seed=0, times=data.timestamps)
    floor = first_places(fit(Popularity(), data.matrix, seed=0), data, wanted)
    assert floor < 0.1
    assert first_places(found, data, wanted) > 0.6
    shuffled = fit(model, data.matrix, seed=0, times=rng(0, "shuffled").random(data.nnz))
    assert first_places(shuffled, data, wanted) < first_places(found, data, wanted) - 0.2


@BOTH
def test_only_the_order_of_times_counts_and_every_training_is_the_same(model):
    data, _ = chain(60)
    users, times = np.arange(60), data.timestamps
    assert times is not None
    one, same = (fit(model, data.matrix, seed=2, times=each).score(users) for each in (times, 100 * times - 7))
    assert np.array_equal(one, same)
    assert not np.allclose(one, fit(model, data.matrix, seed=2, times=-times).score(users))
    assert not np.allclose(one, fit(model, data.matrix, seed=3, times=times).score(users))


@BOTH
def test_the_loss_falls_also_with_sampled_negatives(model):
    data, _ = chain()
    for negatives in (None, 8):
        settings = type(model)(**vars(model) | {"negatives": negatives})
        histories, draw = Histories.of(data.matrix, data.timestamps, 0), rng(0, "draw")
        parts = histories.windows(settings.max_len)

        def loss(theta):
            full = type(model)(**vars(model))
            return float(full.loss([part.detach() for part in theta], histories, *parts, rng(0, "loss")))  # noqa: B023

        theta = [part.requires_grad_() for part in parameters(settings, data.num_items)]
        before, optimizer = loss(theta), torch.optim.Adam(theta, lr=0.01)
        for _ in range(30):
            for some in batches(*parts, 256, draw):
                optimizer.zero_grad()
                settings.loss(theta, histories, *some, draw).backward()
                optimizer.step()
        assert loss(theta) < before - 1


def test_cross_entropy_matches_torch_and_so_do_its_gradients(monkeypatch):
    monkeypatch.setattr(softmax, "block_rows", lambda num_items: 3)
    draw = torch.Generator().manual_seed(0)
    states, items = (torch.randn(size, 4, generator=draw, dtype=torch.float64, requires_grad=True) for size in (8, 11))
    wanted = torch.randint(0, 11, (8,), generator=draw)
    reference = torch.nn.functional.cross_entropy(states @ items.T, wanted, reduction="sum")
    everything = softmax.sampled_cross_entropy(states, items, wanted, torch.arange(11))
    for found in (softmax.cross_entropy(states, items, wanted), everything):
        torch.testing.assert_close(found, reference)
        grads = [torch.autograd.grad(2 * loss, (states, items), retain_graph=True) for loss in (found, reference)]
        for mine, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(mine, theirs)


def test_sampled_cross_entropy_is_about_the_full_one():
    draw = torch.Generator().manual_seed(0)
    states, items = torch.randn(50, 8, generator=draw), 0.3 * torch.randn(4000, 8, generator=draw)
    wanted, drawn = torch.arange(50), torch.randint(0, 4000, (1000,), generator=draw)
    full, sampled = (
        softmax.cross_entropy(states, items, wanted),
        softmax.sampled_cross_entropy(states, items, wanted, drawn),
    )
    assert sampled.item() == pytest.approx(full.item(), rel=0.02)


def test_users_without_items_and_grown_histories_are_scored():
    data, _ = chain(60)
    dense = data.matrix.toarray()
    dense[5] = 0
    model: Any = SASRec(**SMALL).fit(csr_array(dense), seed=0)
    assert not model.score(np.array([5])).any()
    grown = model.reading(Histories.of(data.matrix, data.timestamps, 0))
    assert grown.score(np.array([5])).any()
    assert np.array_equal(grown.item_factors, model.item_factors)


@pytest.mark.parametrize(
    "model", [Popularity(), WRMF(epochs=3), BPRMF(epochs=5), EASE()], ids=lambda model: type(model).__name__
)
def test_what_reads_sets_is_the_same_with_and_without_times(model: Recommender):
    data, _ = chain(60)
    users = np.arange(60)
    assert not reads_order(model)
    with_times = fit(model, data.matrix, seed=0, times=data.timestamps).score(users)
    assert with_times.tobytes() == fit(model, data.matrix, seed=0).score(users).tobytes()


def test_without_times_a_warning_says_what_is_read():
    data, _ = chain(30)
    said: list[str] = []

    class Kept(type(progress._SILENT)):
        def event(self, kind: str, **fields: object) -> None:
            said.append(f"{kind}: {fields['message']}")

    with progress.reporting(Kept()):
        SASRec(embedding_size=4, epochs=1).fit(data.matrix, seed=0)
    assert [message for message in said if message.startswith("warning") and "without times" in message]


def test_a_part_of_the_interactions_keeps_its_times():
    data, _ = chain(20)
    told: list[Any] = []

    class Told:
        def fit(self, train: csr_array, *, seed: int, times: np.ndarray) -> Any:
            told.append((train, times))
            return Popularity().fit(train, seed=seed)

    keep = np.arange(data.nnz) % 3 > 0
    part: Any = data.select(keep)
    Timed(recommender=Told(), known=data.matrix, times=data.timestamps).fit(part.matrix, seed=0)  # pyright: ignore[reportArgumentType]
    assert np.array_equal(told[0][1], part.timestamps)
