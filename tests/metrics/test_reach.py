"""Reach against brute force: fakes of any kind, retrained exactly, never lift a target above either bound."""

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from sharpap.data import synthetic
from sharpap.metrics import evaluate
from sharpap.metrics.limits import Cosines, by_items
from sharpap.metrics.reach import reach
from sharpap.recommenders import BPRMF, EASE, WRMF, FactorModel, ItemKNN
from sharpap.recommenders.calls import fit


@pytest.fixture(scope="module")
def train() -> csr_array:
    return synthetic(users=120, items=60, interactions=1500, clusters=4, seed=3).matrix


def solved(P: np.ndarray, has: np.ndarray, w: float, w0: float, reg: float) -> np.ndarray:
    """The exact weights of one item for users' features P, by a dense solve."""
    A = w0 * P.T @ P + (w - w0) * P[has].T @ P[has] + reg * np.eye(P.shape[1])
    return np.linalg.solve(A, w * P[has].sum(0))


def exact(P: np.ndarray, train: csr_array, w: float, w0: float, reg: float) -> FactorModel:
    """Users as given, every item at its optimum."""
    columns = train.toarray().T > 0
    Q = np.stack([solved(P, has, w, w0, reg) for has in columns])
    return FactorModel(user_factors=P, item_factors=Q, log={})


@pytest.mark.parametrize(("w", "w0", "reg"), [(20.0, 1.0, 5.0), (2.0, 1.0, 20.0), (3.0, 0.5, 1.0)])
def test_no_fakes_of_a_factor_model_lift_a_target_above_either_bound(train, w, w0, reg):
    settings = WRMF(positive_weight=w, negative_weight=w0, reg=reg, embedding_size=8, epochs=8)
    P = np.asarray(settings.fit(train, seed=0).user_factors, np.float64)
    model = exact(P, train, w, w0, reg)
    counts = np.bincount(train.indices, minlength=60)
    targets = np.argsort(counts, kind="stable")[[0, 3, 10]]
    found = evaluate(model, train, targets=targets, ks=(5,))
    fakes = (1, 4, 12)
    bound = reach(settings, model, train, found.ranks, targets, fakes=fakes, ks=(5,))
    assert bound is not None
    edge = np.sort(np.where(train.toarray() > 0, -np.inf, P @ model.item_factors.T), 1)[:, -5]
    rng = np.random.default_rng(0)
    tightest = 0.0
    for t, target in enumerate(targets):
        has = train[:, [target]].toarray().ravel() > 0
        for column, number in enumerate(fakes):
            for scale in np.geomspace(0.01, 30, 12):
                # fakes that all point at one user, the worst there is for that user, and fakes of any direction
                aim = P[rng.integers(len(P))] if scale < 3 else rng.standard_normal(8)
                same = np.tile(aim / np.linalg.norm(aim) * scale, (number, 1))
                for Z in (same, same + rng.standard_normal((number, 8)) * scale):
                    q = solved(np.vstack([P, Z]), np.concatenate([has, np.ones(number, bool)]), w, w0, reg)
                    scores = P @ q
                    spent = w0 * np.square(scores[~has]).sum() / (w * (has.sum() + number) / 4)
                    tightest = max(tightest, spent)
                    assert spent <= 1 + 1e-9
                    won = (scores[~has] >= edge[~has]).mean()
                    assert won <= bound.most[0, column, t] + 1e-9
                    assert won <= bound.together[0, column, t] + 1e-9
    assert tightest > 0.2  # the bound is of the right size: such fakes spend a good part of it
    assert (np.diff(bound.most, axis=1) >= 0).all()


def test_the_bound_of_one_user_is_reached_by_fakes_that_point_at_it():
    """No owners: score = sqrt(w F l) / 2 exactly, with all fakes along G^-1 p of the right length."""
    rng = np.random.default_rng(1)
    P, w, reg, number = rng.standard_normal((40, 6)), 7.0, 3.0, 5
    G = P.T @ P + reg * np.eye(6)
    way = P[0] / np.sqrt(P[0] @ np.linalg.solve(G, P[0]))
    Z = np.tile(way / np.sqrt(w * number), (number, 1))
    q = np.linalg.solve(G + w * Z.T @ Z, w * Z.sum(0))
    assert P[0] @ q == pytest.approx(np.sqrt(w * number * (P[0] @ np.linalg.solve(G, P[0]))) / 2)


def test_retrained_ease_stays_below_its_bound(train):
    """Real profiles, EASE trained anew: its features do not move, so that only the edge is assumed."""
    settings = EASE(reg=20.0)
    model = settings.fit(train, seed=0)
    counts = np.bincount(train.indices, minlength=60)
    targets = np.argsort(counts, kind="stable")[[0, 5]]
    found = evaluate(model, train, targets=targets, ks=(5,))
    bound = reach(settings, model, train, found.ranks, targets, fakes=(2, 6, 20), ks=(5,))
    assert bound is not None
    clean = np.where(train.toarray() > 0, -np.inf, model.score(np.arange(120)))
    edge = np.sort(clean, 1)[:, -5]
    rng = np.random.default_rng(2)
    for column, number in enumerate(bound.fakes):
        for size in (1, 3, 10, 30):
            same = rng.choice(60, size, replace=False)
            for rows in ([same] * number, [rng.choice(60, size, replace=False) for _ in range(number)]):
                Z = np.zeros((number, 60), np.float32)
                for row, items in zip(Z, rows, strict=True):
                    row[items] = 1
                Z[:, targets] = 1
                again = settings.fit(csr_array(vstack([train, csr_array(Z)], format="csr")), seed=0)
                scores = again.score(np.arange(120))
                for t, target in enumerate(targets):
                    free = found.ranks[:, t] >= 0
                    won = (scores[free, target] >= edge[free]).mean()
                    assert won <= bound.most[0, column, t] + 1e-9
                    held = counts[target] + number
                    # together, both targets are each other's fillers; each sum is bounded all the same
                    assert np.square(scores[free, target]).sum() <= held / 4 + 1e-4


def test_the_leverage_of_ease_needs_no_second_inverse(train):
    """From the weights alone, against the dense Gram matrix without the target."""
    settings, target = EASE(reg=20.0), 7
    model = settings.fit(train, seed=0)
    users = np.arange(120)
    held = np.flatnonzero(train[:, [target]].toarray())
    found = by_items(settings.reg, model, train, np.array([target]), [held], users)
    X = np.delete(train.toarray().astype(np.float64), target, axis=1)
    rows = np.linalg.solve(X.T @ X + 20 * np.eye(59), X.T).T
    leverage, score = (rows * X).sum(1), rows @ X[held].sum(0)
    pull, free = X[held].sum(0) @ rows[held].sum(0), np.setdiff1d(users, held)
    assert found.leverage[free, 0] == pytest.approx(leverage[free], abs=1e-5)
    assert found.base[free, 0] == pytest.approx(((score + np.sqrt(leverage * pull)) / 2)[free], abs=1e-5)


def test_fakes_that_lower_the_edges_themselves_get_above_the_bound(train):
    """Why the assumption is one: copies of a user's profile bring its scores under EASE down to about s / (1 + F l)."""
    settings, target, number = EASE(reg=20.0), 0, 5
    rows = train.toarray()
    rows[:, target] = 0
    without = csr_array(rows)
    model = settings.fit(without, seed=0)
    clean = np.where(rows > 0, -np.inf, model.score(np.arange(120)))
    owners = [np.flatnonzero(column) for column in rows.T]
    limits = by_items(settings.reg, model, without, np.arange(60), owners, np.arange(120))
    limit = limits.highest(0, np.array([number]))[:, 0]
    safe = np.flatnonzero(limit < clean.max(1))
    won = 0
    for user in safe[:20]:
        copies = np.repeat(rows[[user]], number, axis=0)
        copies[:, target] = 1
        again = settings.fit(csr_array(vstack([without, csr_array(copies)], format="csr")), seed=0)
        after = np.where(rows[user] > 0, -np.inf, again.score(np.array([user]))[0])
        extra = 1 + number / settings.reg  # the target is an item of the copies that the user does not have
        shrunk = clean[user] * extra / (extra + number * limits.leverage[user])
        assert after[1:] == pytest.approx(shrunk[1:], abs=1e-4)
        assert after[target] <= limit[user] + 1e-5  # its own score keeps to the bound
        won += int(after.argmax() == target)
    assert won > 10


@pytest.mark.parametrize("settings", [ItemKNN(), ItemKNN(neighbours=6), ItemKNN(neighbours=12, shrinkage=5.0)])
def test_retrained_item_knn_stays_below_its_bound(settings, train):
    model = settings.fit(train, seed=0)
    counts = np.bincount(train.indices, minlength=60)
    targets = np.argsort(counts, kind="stable")[[0, 5]]
    found = evaluate(model, train, targets=targets, ks=(5, 10))
    bound = reach(settings, model, train, found.ranks, targets, fakes=(1, 3, 10, 40), ks=(5, 10))
    assert bound is not None
    clean = np.sort(np.where(train.toarray() > 0, -np.inf, model.score(np.arange(120))), 1)
    rng = np.random.default_rng(2)
    owned, most, compared = train.toarray() > 0, 0.0, 0
    for column, number in enumerate(bound.fakes):
        for size in (1, 3, 6, 12, 30, 58):
            popular = np.argsort(-counts)[:size]
            rows = [rng.choice(60, size, replace=False) for _ in range(number)]
            copies = [np.flatnonzero(owned[rng.integers(120)])] * number
            for lists in ([popular] * number, [rows[0]] * number, rows, copies):
                Z = np.zeros((number, 60), np.float32)
                for row, items in zip(Z, lists, strict=True):
                    row[items] = 1
                Z[:, targets] = 1
                again = settings.fit(csr_array(vstack([train, csr_array(Z)], format="csr")), seed=0)
                scores = again.score(np.arange(120))
                for t, target in enumerate(targets):
                    free = found.ranks[:, t] >= 0
                    for row, k in enumerate((5, 10)):
                        share = bound.most[row, column, t]
                        won = (scores[free, target] >= clean[free, -k]).mean()
                        assert won <= share + 1e-9
                        most, compared = max(most, won / share if 0 < share < 1 else 0), compared + (share < 1)
    assert most > 0.3  # of the right size
    assert compared > 50


def test_the_bound_of_one_user_of_item_knn_is_reached_by_copies_of_its_profile(train):
    """All fakes hold the user's items and the target: each similarity is the highest that there can be."""
    settings, user = ItemKNN(neighbours=100, shrinkage=2.0), 11
    target = int(np.argmin(np.bincount(train.indices, minlength=60)))
    held = np.flatnonzero(train[:, [target]].toarray())
    assert user not in held
    copies = np.repeat(train[[user]].toarray(), 4, axis=0)
    copies[:, target] = 1
    again = settings.fit(csr_array(vstack([train, csr_array(copies)], format="csr")), seed=0)
    limits = Cosines.of(settings, train, np.array([target]), [held], np.arange(120))
    highest = limits.highest(0, np.array([4]))
    assert again.score(np.array([user]))[0, target] == pytest.approx(highest[user, 0], rel=1e-4)


def test_the_sum_of_squares_holds_for_the_trained_model_itself(train):
    """Whatever the users' factors became: an item's scores, squared, sum to at most w owners / (4 w0) over all others."""
    w = 10.0
    model = WRMF(positive_weight=w, reg=10.0, embedding_size=16, epochs=30, cg_steps=16).fit(train, seed=0)
    scores = np.square(model.score(np.arange(120)))
    owned = train.toarray() > 0
    assert ((scores * ~owned).sum(0) <= w * owned.sum(0) / 4 + 1e-3).all()


def test_where_no_bound_is_known_there_is_none(train):
    targets = np.array([1, 2])
    model = fit(BPRMF(epochs=2), train, seed=0)
    found = evaluate(model, train, targets=targets, ks=(5,))
    assert reach(BPRMF(epochs=2), model, train, found.ranks, targets, fakes=(5,), ks=(5,)) is None


def test_a_number_between_two_takes_the_larger_one(train):
    settings = WRMF(embedding_size=8, epochs=4)
    model = settings.fit(train, seed=0)
    targets = np.array([1, 2])
    found = evaluate(model, train, targets=targets, ks=(5, 10))
    bound = reach(settings, model, train, found.ranks, targets, fakes=(1, 5), ks=(5, 10))
    assert bound is not None
    assert (bound.share(3, 10) == bound.most[1, 1]).all()
    with pytest.raises(ValueError, match="more than the bound"):
        bound.share(6, 10)
