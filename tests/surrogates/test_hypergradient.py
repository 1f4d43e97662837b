"""The unrolled hypergradient against torchopt on a dense loss, and against finite differences of full retraining."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchopt
from scipy.sparse import csr_array, vstack

from sharpap.attacks import CrossEntropy, MeanScore, RevAdv, SharpnessAware, SmoothHits
from sharpap.attacks.scan import scan
from sharpap.errors import ConfigError, ContractError, TrainingError
from sharpap.kernels import Pattern
from sharpap.kernels.bpr import Negatives
from sharpap.recommenders.training import initial_factors
from sharpap.seeds import derive_seed, rng
from sharpap.surrogates import ALSSurrogate, Embeddings, GradientPassing, PairwiseSurrogate, WRMFSurrogate
from sharpap.threat import Goal

N, F, M = 24, 3, 15
Pair = tuple[torch.Tensor, torch.Tensor]
SURROGATE = WRMFSurrogate(
    positive_weight=20.0,
    embedding_size=4,
    epochs=25,
    unrolled_epochs=25,
    learning_rate=0.05,
    reg=0.5,
    precision="float64",
)


def dense_loss(users: torch.Tensor, items: torch.Tensor, X: torch.Tensor) -> torch.Tensor:
    """The dense users x items loss, linear in every entry of X between absent and present."""
    s = users @ items.T
    w1, w0, reg = SURROGATE.positive_weight, SURROGATE.negative_weight, SURROGATE.reg
    fit = (X * w1 * (1 - s) ** 2 + (1 - X) * w0 * s**2).sum()
    return fit + reg * (users.square().sum() + items.square().sum())


def initial(seed: int) -> list[torch.Tensor]:
    generator = rng(seed, "wrmf-surrogate")
    return [
        torch.from_numpy(generator.standard_normal((rows, 4), dtype=np.float32) * np.float32(0.1)).double()
        for rows in (N + F, M)
    ]


def train_with_torchopt(X: torch.Tensor, genuine: csr_array, *, seed: int) -> list[torch.Tensor]:
    full = torch.cat([torch.from_numpy(genuine.toarray()).double(), X])
    theta = [part.requires_grad_() for part in initial(seed)]
    optimizer = torchopt.adam(lr=SURROGATE.learning_rate, eps=1e-8)
    state = optimizer.init(tuple(theta))
    for _ in range(SURROGATE.epochs):
        grads = torch.autograd.grad(dense_loss(theta[0], theta[1], full), theta, create_graph=True)
        updates, state = optimizer.update(grads, state, inplace=False)
        theta = list(torchopt.apply_updates(tuple(theta), updates, inplace=False))
    return theta


def train_by_autograd(X: torch.Tensor, genuine: csr_array, *, seed: int) -> list[torch.Tensor]:
    return states_by_autograd(X, genuine, seed=seed)[-1]


def states_by_autograd(X: torch.Tensor, genuine: csr_array, *, seed: int) -> list[list[torch.Tensor]]:
    """Adam written out on the autograd graph, in float64 throughout; the parameters after every step."""
    states = []
    full = torch.cat([torch.from_numpy(genuine.toarray()).double(), X])
    theta = [part.requires_grad_() for part in initial(seed)]
    first = [torch.zeros_like(part) for part in theta]
    second = [torch.zeros_like(part) for part in theta]
    for t in range(1, SURROGATE.epochs + 1):
        grads = torch.autograd.grad(dense_loss(theta[0], theta[1], full), theta, create_graph=True)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, grads, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, grads, strict=True)]
        theta = [
            part - SURROGATE.learning_rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            for part, m, v in zip(theta, first, second, strict=True)
        ]
        states.append(theta)
    return states


def attack_direction(embeddings: Embeddings) -> Embeddings:
    """A fixed random linear attack loss: its gradient does not depend on the embeddings."""
    generator = torch.Generator().manual_seed(3)
    return Embeddings(
        torch.randn(embeddings.users.shape, generator=generator, dtype=torch.float64),
        torch.randn(embeddings.items.shape, generator=generator, dtype=torch.float64),
    )


# torchopt rounds its bias correction to float32, so it agrees to about five digits only.
@pytest.mark.parametrize(("reference", "digits"), [(train_by_autograd, 1e-8), (train_with_torchopt, 1e-3)])
def test_matches_autograd_and_torchopt_on_the_dense_loss(data, reference, digits):
    genuine, fake = data
    trained = SURROGATE.train(genuine, fake, seed=7)
    direction = attack_direction(trained.embeddings)
    ours = trained.profile_gradient(direction).rows(torch.arange(F))

    X = torch.from_numpy(fake.toarray()).double().requires_grad_()
    users, items = reference(X, genuine, seed=7)
    torch.testing.assert_close(trained.embeddings.users, users[:N].detach(), rtol=digits, atol=digits / 50)
    torch.testing.assert_close(trained.embeddings.items, items.detach(), rtol=digits, atol=digits / 50)
    loss = (users[:N] * direction.users).sum() + (items * direction.items).sum()
    (theirs,) = torch.autograd.grad(loss, X)
    assert theirs.abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=10 * digits, atol=digits * float(theirs.abs().max()))


def test_matches_finite_differences_of_full_retraining(data):
    genuine, fake = data
    trained = SURROGATE.train(genuine, fake, seed=7)
    direction = attack_direction(trained.embeddings)
    ours = trained.profile_gradient(direction).rows(torch.arange(F))

    def retrained(X: torch.Tensor) -> float:
        users, items = train_by_autograd(X, genuine, seed=7)
        return float(((users[:N] * direction.users).sum() + (items * direction.items).sum()).detach())

    base = torch.from_numpy(fake.toarray()).double()
    step = 1e-5
    for row, column in [(0, 0), (1, 4), (2, 9), (0, 14), (2, 3)]:
        up, down = base.clone(), base.clone()
        up[row, column] += step
        down[row, column] -= step
        slope = (retrained(up) - retrained(down)) / (2 * step)
        assert float(ours[row, column]) == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_rows_can_be_asked_for_in_any_blocks(data):
    genuine, fake = data
    trained = SURROGATE.train(genuine, fake, seed=1)
    gradient = trained.profile_gradient(attack_direction(trained.embeddings))
    whole = gradient.rows(torch.arange(F))
    torch.testing.assert_close(gradient.rows(torch.tensor([2, 0])), whole[[2, 0]])


@pytest.mark.parametrize("columns", [1, 4, M - 1])
def test_items_taken_a_few_at_a_time_give_the_same_rows(data, monkeypatch, columns):
    whole, parts = (SURROGATE.train(*data, seed=1) for _ in range(2))
    expected = whole.profile_gradient(attack_direction(whole.embeddings)).rows(torch.arange(F))
    monkeypatch.setattr("sharpap.surrogates.wrmf.COLUMNS", columns)
    ours = parts.profile_gradient(attack_direction(parts.embeddings)).rows(torch.arange(F))
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def test_the_tape_is_given_up_step_by_step(data):
    """What held it is small in comparison: a second gradient has nothing to go through, and says so."""
    trained = SURROGATE.train(*data, seed=1)
    assert len(trained.tape) == SURROGATE.unrolled_epochs
    parts = [part for step in trained.tape for part in (*step.theta, *step.grads)]
    assert len({part.untyped_storage().data_ptr() for part in parts}) == 4  # one block each, not one for every step
    del parts
    trained.profile_gradient(attack_direction(trained.embeddings))
    assert not trained.tape
    again = trained.profile_gradient(attack_direction(trained.embeddings))
    with pytest.raises(TrainingError, match="no unrolled step"):
        again.rows(torch.arange(F))


def test_gradient_predicts_what_discrete_changes_do_after_retraining(ml100k):
    """Forty flipped entries in real data, far beyond the infinitesimal: prediction and truth go together."""

    train = ml100k.train.matrix
    generator = np.random.default_rng(0)
    targets = tuple(
        generator.choice(np.flatnonzero(np.bincount(train.indices, minlength=train.shape[1]) == 3), 5, False)
    )
    rows = np.stack([generator.choice(train.shape[1], 40, replace=False) for _ in range(20)])
    dense = np.zeros((20, train.shape[1]))
    np.put_along_axis(dense, rows, 1, axis=1)
    dense[:, targets] = 1
    goal = Goal(targets=tuple(int(t) for t in targets))
    surrogate = WRMFSurrogate(
        positive_weight=20.0, reg=20.0, embedding_size=16, unrolled_epochs=60, precision="float64"
    )
    objective = SmoothHits(bandwidth=0.3)

    def attack_loss(fake: np.ndarray) -> tuple[float, Embeddings, object]:
        trained = surrogate.train(train, csr_array(fake), seed=5)
        found = scan(trained.embeddings, train, goal, k=10, rivals=50)
        value, grad = objective.value_and_grad(trained.embeddings, found)
        return value, grad, trained

    value, grad, trained = attack_loss(dense)
    gradient = trained.profile_gradient(grad).rows(torch.arange(20)).numpy()  # pyright: ignore
    predicted, actual = [], []
    for _ in range(25):
        changed = dense.copy()
        flips = [(int(generator.integers(20)), int(generator.integers(train.shape[1]))) for _ in range(40)]
        flips = [flip for flip in flips if flip[1] not in targets]
        for flip in flips:
            changed[flip] = 1 - changed[flip]
        predicted.append(float((gradient * (changed - dense)).sum()))
        actual.append(attack_loss(changed)[0] - value)
    assert np.corrcoef(predicted, actual)[0, 1] > 0.6


def dense_als(X: np.ndarray, users: np.ndarray, items: np.ndarray, sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact alternating least squares on a loss that is linear in X, from given factors."""
    w1, w0, reg = ALS.positive_weight, ALS.negative_weight, ALS.reg
    W, B, eye = X * w1 + (1 - X) * w0, X * w1, reg * np.eye(users.shape[1])
    for _ in range(sweeps):
        users = np.stack([np.linalg.solve((items.T * w) @ items + eye, items.T @ b) for w, b in zip(W, B, strict=True)])
        items = np.stack(
            [np.linalg.solve((users.T * w) @ users + eye, users.T @ b) for w, b in zip(W.T, B.T, strict=True)]
        )
    return users, items


ALS = ALSSurrogate(
    embedding_size=3,
    sweeps=400,
    cg_steps=8,
    positive_weight=6.0,
    reg=1.0,
    solve_steps=400,
    damping=0.0,
    precision="float64",
)


@pytest.mark.parametrize("gradient", ["exact", "items"])
def test_als_gradient_matches_finite_differences_of_retraining(data, gradient):
    """A loss of scores, as attack losses are: it does not see rotations of the factors, along which the Hessian is 0."""
    genuine, fake = data
    trained = replace(ALS, gradient=gradient).train(genuine, fake, seed=3)
    users, items = trained.all_users.numpy(), trained.embeddings.items.numpy()
    C = np.random.default_rng(5).standard_normal((N, M))
    grad = Embeddings(torch.from_numpy(C @ items), torch.from_numpy(C.T @ users[:N]))
    ours = trained.profile_gradient(grad).rows(torch.arange(F)).numpy()
    full = np.concatenate([genuine.toarray(), fake.toarray()]).astype(np.float64)
    assert np.abs(dense_als(full, users, items, 1)[1] - items).max() < 1e-6

    def retrained(X: np.ndarray) -> float:
        if gradient == "exact":
            P, Q = dense_als(X, users, items, 400)
            return float((C * (P[:N] @ Q.T)).sum())
        W, B = X * ALS.positive_weight + (1 - X), X * ALS.positive_weight
        Q = np.stack([
            np.linalg.solve((users.T * w) @ users + ALS.reg * np.eye(3), users.T @ b) for w, b in zip(W.T, B.T, strict=True)
        ])  # fmt: skip
        return float((C * (users[:N] @ Q.T)).sum())

    for row, column in [(0, 0), (1, 4), (2, 9), (0, 14)]:
        up, down = full.copy(), full.copy()
        up[N + row, column] += 1e-4
        down[N + row, column] -= 1e-4
        slope = (retrained(up) - retrained(down)) / 2e-4
        assert ours[row, column] == pytest.approx(slope, rel=3e-3, abs=1e-4)


def test_with_users_held_fixed_the_mean_score_says_nothing_about_fillers(data):
    """A filler's entry moves that filler's factors alone, and the mean score asks for the targets' only; cross-entropy asks
    for every item's. So with PGA's gradient the mean score leaves profiles as they were.
    """
    genuine, fake = data
    goal = Goal(targets=(3, 8))
    for objective, moved in ((MeanScore(), False), (CrossEntropy(), True)):
        trained = ALSSurrogate(embedding_size=4, gradient="items", precision="float64").train(genuine, fake, seed=0)
        found = scan(trained.embeddings, genuine, goal, k=3, rivals=5)
        _, grad = objective.value_and_grad(trained.embeddings, found)
        rows = trained.profile_gradient(grad).rows(torch.arange(F))
        assert rows[:, [3, 8]].abs().max() > 1e-6
        rows[:, [3, 8]] = 0
        assert bool(rows.abs().max() > 1e-6) == moved


def test_training_loss_is_the_dense_loss(data):
    genuine, fake = data
    trained = SURROGATE.train(genuine, fake, seed=7)
    X = torch.from_numpy(fake.toarray()).double()
    full = torch.cat([torch.from_numpy(genuine.toarray()).double(), X])
    users = torch.cat([trained.embeddings.users, trained.fake_users])
    assert trained.training_loss(trained.embeddings) == pytest.approx(
        float(dense_loss(users, trained.embeddings.items, full))
    )


PAIRWISE = PairwiseSurrogate(
    embedding_size=4, epochs=12, unrolled_epochs=12, learning_rate=0.05, reg=0.05, precision="float64"
)


def passed(passing: GradientPassing, A: torch.Tensor, *, present: torch.Tensor, theta: Pair, grads: Pair) -> Pair:
    """Gradient passing with dense matrices."""
    apart = (theta[0] @ grads[1].T + grads[0] @ theta[1].T).detach() > 0
    near, far, total = grads, grads, list(grads)
    for hop in range(1, 2 * passing.rounds + 1):
        parted = A * (apart & present)
        near, far = (parted @ near[1], parted.T @ near[0]), (A @ far[1], A.T @ far[0])
        weight, more = (passing.odd, near) if hop % 2 else (passing.even, far)
        total = [part + weight * extra for part, extra in zip(total, more, strict=True)]
    return total[0], total[1]


def pairwise_by_autograd(X: torch.Tensor, data: tuple[csr_array, csr_array], settings: PairwiseSurrogate, seed: int):
    """The same training on the autograd graph with dense, real-valued profiles: loss weights, penalties and edges.

    Embeddings after every step.
    """
    states = []
    genuine, fake = data
    full = torch.cat([torch.from_numpy(genuine.toarray()).double(), X])
    pattern = Pattern.from_csr(csr_array(vstack([genuine, fake], format="csr")))
    degrees = full.detach().sum(1).clamp_min(1), full.detach().sum(0).clamp_min(1)
    A = full / degrees[0][:, None].sqrt() / degrees[1].sqrt()
    draw = rng(seed, "training")
    start = initial_factors(*pattern.shape, settings.embedding_size, settings.init_std, seed)
    theta = [torch.from_numpy(part).double().requires_grad_() for part in start]
    moments = [[torch.zeros_like(part) for part in theta] for _ in range(2)]

    def propagate(P: torch.Tensor, Q: torch.Tensor) -> list[torch.Tensor]:
        total, now = [P, Q], [P, Q]
        for _ in range(settings.layers):
            now = [A @ now[1], A.T @ now[0]]
            total = [t + n for t, n in zip(total, now, strict=True)]
        return [t / (settings.layers + 1) for t in total]

    grid = np.indices(full.shape)
    for t in range(1, settings.epochs + 1):
        against = torch.from_numpy(
            Negatives.draw(pattern, draw).of(grid[0].ravel(), grid[1].ravel()).reshape(full.shape)
        )
        users, items = propagate(*theta)
        scores = users @ items.T
        loss = (full * torch.nn.functional.softplus(scores.gather(1, against) - scores)).sum()
        counts = full.sum(1), full.sum(0) + pattern.nnz / M
        loss = loss + settings.reg / 2 * sum(
            (c[:, None] * part**2).sum() for c, part in zip(counts, theta, strict=True)
        )
        grads = torch.autograd.grad(loss, theta, create_graph=True)
        if settings.passing:
            pair = theta[0], theta[1]
            slopes = grads[0], grads[1]
            grads = passed(settings.passing, A.detach(), present=full.detach() > 0, theta=pair, grads=slopes)
        moments[0] = [0.9 * m + 0.1 * g for m, g in zip(moments[0], grads, strict=True)]
        moments[1] = [0.999 * v + 0.001 * g * g for v, g in zip(moments[1], grads, strict=True)]
        theta = [
            part - settings.learning_rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            for part, m, v in zip(theta, *moments, strict=True)
        ]
        states.append(propagate(*theta))
    return states


@pytest.mark.parametrize(
    ("layers", "passing"),
    [(0, None), (1, None), (3, None), (0, GradientPassing()), (2, GradientPassing(rounds=1, odd=0.5, even=2.0))],
)
def test_pairwise_gradient_matches_autograd_of_dense_training(data, layers, passing):
    """Every entry, present or absent, up to a constant a row (the penalty of the fake user itself), which no swap sees."""
    genuine, fake = data
    settings = replace(PAIRWISE, layers=layers, passing=passing)
    trained = settings.train(genuine, fake, seed=4)
    direction = attack_direction(trained.embeddings)
    ours = trained.profile_gradient(direction).rows(torch.arange(F))
    X = torch.from_numpy(fake.toarray()).double().requires_grad_()
    users, items = pairwise_by_autograd(X, data, settings, seed=4)[-1]
    torch.testing.assert_close(trained.embeddings.items, items.detach(), rtol=1e-5, atol=1e-7)
    ((users[:N] * direction.users).sum() + (items * direction.items).sum()).backward()
    assert X.grad is not None
    ours, theirs = (part - part.mean(1, keepdim=True) for part in (ours, X.grad))
    assert theirs.abs().max() > 1e-2
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


def test_pairwise_training_loss_is_the_sum_over_its_triples(data):
    genuine, fake = data
    trained = PAIRWISE.train(genuine, fake, seed=4)
    pattern = trained.net.graph.pattern
    rows, columns = pattern.rows.numpy(), pattern.indices.numpy()
    against = trained.tape[-1].negatives.of(rows, columns)
    users, items = torch.cat([trained.embeddings.users, trained.fake_users]), trained.embeddings.items
    margin = (users[rows] * (items[columns] - items[against])).sum(1)
    expected = float(torch.nn.functional.softplus(-margin).sum())
    assert trained.training_loss(trained.embeddings) == pytest.approx(expected)


# --- several states of one training ---


def smooth_hits(users: torch.Tensor, items: torch.Tensor, found, bandwidth: float) -> torch.Tensor:
    """The attack loss on the autograd graph."""
    scores = users[found.users] @ items.T
    edge = scores.gather(1, found.rivals).topk(found.k, dim=1).values[:, -1:]
    return -(found.weights * torch.sigmoid((scores[:, found.targets] - edge) / bandwidth)).sum()


@pytest.mark.parametrize("every", [0, 1, 7])
def test_a_worst_case_at_every_kth_step_matches_autograd_with_the_same_offsets(data, every):
    """RevAdv's own gradient: of the mean over unrolled states of the loss at each state plus its constant offset."""
    genuine, fake = data
    goal, worst = Goal(targets=(3, 8)), SharpnessAware(rho=0.2, every_step=every)
    attack = RevAdv(surrogate=SURROGATE, worst_case=worst, objective=SmoothHits(bandwidth=0.3), k=3, rivals=8)
    seen = attack._look(SURROGATE, None, genuine, fake, goal, None, 6, 0)
    ours = seen.trained.profile_gradient(seen.grad, seen.earlier).rows(torch.arange(F))

    X = torch.from_numpy(fake.toarray()).double().requires_grad_()
    states = states_by_autograd(X, genuine, seed=derive_seed(6, "surrogate", 0))
    final = Embeddings(states[-1][0][:N].detach(), states[-1][1].detach())
    found = scan(final, genuine, goal, k=3, rivals=8)
    losses = []
    for users, items in reversed(states[-1::-every] if every else states[-1:]):
        at = Embeddings(users[:N].detach(), items.detach())
        moved = worst(at, lambda e: attack.objective.value_and_grad(e, found), seed=0)
        losses.append(smooth_hits(users[:N] + moved.users - at.users, items + moved.items - at.items, found, 0.3))
    assert len(losses) == {0: 1, 1: 25, 7: 4}[every]
    loss = torch.stack(losses).mean()
    assert seen.value == pytest.approx(float(loss.detach()))
    (theirs,) = torch.autograd.grad(loss, X)
    assert theirs.abs().max() > 1e-5
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6 * float(theirs.abs().max()))


@pytest.mark.parametrize("layers", [0, 2])
def test_pairwise_gradients_of_several_states_match_autograd(data, layers):
    genuine, fake = data
    settings = replace(PAIRWISE, layers=layers)
    trained = settings.train(genuine, fake, seed=4)
    seen = trained.states(5)
    assert list(seen) == [0, 5, 10]
    X = torch.from_numpy(fake.toarray()).double().requires_grad_()
    states = pairwise_by_autograd(X, data, settings, seed=4)
    direction = attack_direction(trained.embeddings)
    total, grads = torch.zeros((), dtype=torch.float64), {}
    for back, at in seen.items():
        users, items = states[-1 - back][0][:N], states[-1 - back][1]
        torch.testing.assert_close(at.items, items.detach(), rtol=1e-5, atol=1e-7)
        grads[back] = direction.times(1.0 + back)
        total = total + (1.0 + back) * ((users * direction.users).sum() + (items * direction.items).sum())
    ours = trained.profile_gradient(grads[0], {5: grads[5], 10: grads[10]}).rows(torch.arange(F))
    (theirs,) = torch.autograd.grad(total, X)
    ours, theirs = (part - part.mean(1, keepdim=True) for part in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


def test_als_has_no_earlier_states(data):
    trained = ALS.train(*data, seed=3)
    with pytest.raises(ConfigError, match="no training step"):
        trained.states(1)
    direction = attack_direction(trained.embeddings)
    with pytest.raises(ContractError, match="no training step"):
        trained.profile_gradient(direction, {1: direction})
