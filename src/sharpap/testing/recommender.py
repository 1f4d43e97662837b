"""The checks a recommender passes to be a victim. Each returns what it saw, or raises what is wrong."""

from __future__ import annotations

import inspect
import pickle
import time
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import rankdata

from sharpap.errors import ContractError
from sharpap.kernels import block_rows
from sharpap.recommenders.base import FloatArray
from sharpap.testing.finding import Doubt, Report, examine
from sharpap.testing.trial import FAKES, Trial, same_entries

AUDIT_TRAININGS = 54  # `sharpap audit` with its defaults and no other values of settings
TIMED_USERS = 2000
GATES = frozenset({"signature", "training", "scores"})


def signature(trial: Trial) -> str:
    """`fit(train, *, seed)`."""
    fit = getattr(trial.recommender, "fit", None)
    wanted = "fit(train, *, seed), where train is a users x items CSR matrix"
    if not callable(fit):
        raise ContractError(f"{type(trial.recommender).__name__} has no fit method.", hint=f"Write {wanted}.")
    try:
        shown = inspect.signature(fit)
    except (TypeError, ValueError):
        return "fit does not tell its parameters"
    try:
        shown.bind(trial.train, seed=0)
    except TypeError as problem:
        raise ContractError(
            f"fit{shown} cannot be called as fit(train, seed=0): {problem}.",
            hint=f"Write {wanted}, or wrap it with sharpap.adapters.adapt.",
        ) from None
    return f"fit({', '.join(shown.parameters)})"


def training(trial: Trial) -> str:
    """`fit` runs, and what it gives can score."""
    first = trial.first
    shape = f"{trial.train.shape[0]} users and {trial.train.shape[1]} items"
    return f"trains on {shape}" + (", in place (fit returned nothing)" if first.returned_nothing else "")


def scores(trial: Trial) -> str:
    """(len(users), num_items) numbers, without NaN or +inf."""
    (n, m), users = trial.train.shape, trial.users[: len(trial.users) - 3]
    found = np.asarray(trial.raw(trial.first, users))
    wanted = (len(users), m)
    if found.shape != wanted:
        reasons = {
            wanted[::-1]: "Its axes are swapped: one row a user, one column an item.",
            (len(users), n): "It has a column for each user: users and items are swapped in training.",
            (n, m): "It scored all users: return only the rows of the users asked for.",
            (len(users),): "It gave one number a user: a row of scores for all items is needed.",
            (m,): "It scored one user: a row for each user asked for is needed.",
        }
        missing = "Items without interactions need their column, too: -inf where they cannot be scored."
        fallback = missing if found.ndim == 2 and len(found) == len(users) and found.shape[1] < m else ""
        raise ContractError(
            f"score gave shape {found.shape} for {len(users)} users and {m} items; {wanted} is needed.",
            hint=reasons.get(found.shape, fallback) or "One row a user, in their order, and one column an item.",
        )
    if not (np.issubdtype(found.dtype, np.floating) or np.issubdtype(found.dtype, np.integer)):
        raise ContractError(f"score gave {found.dtype}, not numbers.", hint="Return a float32 or float64 array.")
    if np.isnan(found).any():
        rows, columns = np.nonzero(np.isnan(found))
        raise ContractError(
            f"score gave NaN, {len(rows)} times; the first for user {users[rows[0]]}, item {columns[0]}.",
            hint="Use -inf for what cannot be scored.",
        )
    if np.isposinf(found).any():
        raise ContractError("score gave +inf.", hint="Scores must be finite, or -inf for what cannot be scored.")
    return f"{found.shape[0]} x {found.shape[1]} {found.dtype}, no NaN"


def same_seed(trial: Trial) -> str:
    """Two trainings with one seed agree."""
    first, again = trial.scores(trial.first), trial.scores(trial.again)
    if np.array_equal(first, again):
        return "two trainings give the same scores, to the last bit"
    hint = "Seed everything from the seed argument; train on one thread (num_threads=1) where threads change results."
    gap, spread = _gap(first, again)
    if gap > 1e-3 * spread:
        raise ContractError(
            f"Two trainings with the same seed differ by up to {gap:.2g} (scores spread by {spread:.2g}).",
            hint=hint + " Otherwise chance is taken for the attack's effect.",
        )
    raise Doubt(f"Two trainings with the same seed differ slightly, by up to {gap:.1g}.", hint=hint)


def other_seed(trial: Trial) -> str:
    """Another seed may change the model."""
    same = np.array_equal(trial.scores(trial.first), trial.scores(trial.other))
    return "another seed gives the same model; nothing is random" if same else "another seed gives another model"


def order_of_users(trial: Trial) -> str:
    """Rows come in the order asked for."""
    straight, turned = trial.scores(trial.first), trial.scores(trial.first, trial.users[::-1])
    if not _close(turned, straight[::-1]):
        raise ContractError(
            "score gives other rows when users are asked in another order.",
            hint="Row r must belong to users[r]; index by the user numbers, not by position.",
        )
    return "rows follow the users asked for"


def subset_of_users(trial: Trial) -> str:
    """A user's scores do not depend on who else is asked."""
    everyone = trial.scores(trial.first)
    for row in {0, len(trial.users) // 3, len(trial.users) - 1}:
        alone = trial.scores(trial.first, trial.users[row : row + 1])
        if not _close(alone, everyone[row : row + 1]):
            raise ContractError(
                f"User {trial.users[row]} alone has other scores than among others.",
                hint="Score each user independently of the batch (module.eval(), no normalisation over the batch).",
            )
    return "one user alone scores as among all"


def learns(trial: Trial) -> str:
    """Users' own items rank above others, and above what other users' rows give them."""
    users = np.array([user for user in trial.users if np.diff(trial.train.indptr)[user] > 0])
    found = trial.scores(trial.first, users)
    own = trial.train[users].toarray() > 0
    mine = _auc(found, own)
    others = np.mean([_auc(np.roll(found, shift, axis=0), own) for shift in (1, 2, 3, 5, 8)], axis=0)
    figures = f"own items rank above {mine.mean():.0%} of the others"
    hint = "Either the model hardly learns here, or ids are mixed up: libraries renumber users and items by first appearance."
    if mine.mean() < 0.55:
        raise Doubt(f"A user's {figures}; chance gives 50%.", hint=hint)
    personal = not np.allclose(found[0], found[-1])
    gain = mine - others
    if personal and gain.mean() < 3 * gain.std() / len(gain) ** 0.5:
        raise Doubt(f"A user's {figures}, and another user's scores would do as well ({others.mean():.0%}).", hint=hint)
    return figures


def own_lists(trial: Trial) -> str:
    """Users get lists of their own; one list for all is popularity's alone, and that must be its name."""
    found = trial.scores(trial.first)
    order = np.argsort(-found[np.isfinite(found).sum(1).argmax()], kind="stable")
    ordered = found[:, order]
    steps = [row[np.isfinite(row)] for row in ordered]  # a recommender may leave out what a user has
    if not all(len(row) > 1 and (np.diff(row) <= 0).all() for row in steps):
        return "users get different lists"
    made = trial.recommender
    names = [type(made).__name__, *(_name(getattr(made, part, None)) for part in ("model", "function"))]
    if any("pop" in name.lower() for name in names):
        return "every user gets the same list, as of a ranking by popularity"
    raise Doubt(
        "Every user gets the same list: only the order of the items is learnt, not who likes them.",
        hint="If that is meant, as in a ranking by popularity, say so in the name (Popularity, TopPop). Else score ignores "
        "`users`, or user ids are mapped to one.",
    )


def cold_items(trial: Trial) -> str:
    """An item without interactions keeps its column."""
    column = trial.scores(trial.first)[:, trial.cold_item(trial.train)]
    low, high = (f"{each:.3g}" for each in (column.min(), column.max()))
    shown = low if low == high else f"{low} to {high}"
    if np.isnan(column).any():
        raise ContractError("An item without interactions scores NaN.", hint="Give it -inf, or any finite score.")
    return f"an item without interactions scores {shown}"


def users_without_interactions(trial: Trial) -> str:
    """A user without interactions can be asked for."""
    row = trial.scores(trial.first, np.array([trial.empty_user(trial.train)]))
    if np.isnan(row).any():
        raise ContractError("A user without interactions has NaN scores.", hint="Any row without NaN will do.")
    return "a user without interactions has scores"


def training_data_untouched(trial: Trial) -> str:
    """`fit` and `score` leave the matrix as it is."""
    first = trial.first
    trial.scores(first)
    if not same_entries(first.given, first.before):
        raise Doubt(
            "Training changed the matrix it was given.",
            hint="SharpAP passes copies, so its results stand. Other programs may not: work on train.copy().",
        )
    return "the training matrix is not changed"


def fake_users(trial: Trial) -> str:
    """More rows than genuine users are accepted, and genuine rows stay in place."""
    users = trial.users
    found = trial.scores(trial.poisoned, users)
    if np.isnan(found).any():
        raise ContractError(f"With {FAKES} more users in training score gives NaN.")
    try:
        trial.scores(trial.poisoned, np.array([trial.train.shape[0]]))
    except ContractError as problem:
        raise ContractError(
            f"Trained with {FAKES} more users, it does not know the first of them: {problem.message}",
            hint="Take the number of users from the matrix given to fit.",
        ) from None
    active = users[np.diff(trial.train.indptr)[users] > 0]
    own = trial.train[active].toarray() > 0
    before, after = (_auc(trial.scores(model, active), own).mean() for model in (trial.first, trial.poisoned))
    if after < before - 0.1:
        raise Doubt(
            f"With {FAKES} fake users added, genuine users' own items rank above {after:.0%} of the others, not {before:.0%}.",
            hint="Rows may have moved: genuine users come first and keep their numbers.",
        )
    return f"{FAKES} fake users added at the end are accepted"


def other_processes(trial: Trial) -> str:
    """`--jobs` needs pickling."""
    try:
        pickle.dumps(trial.recommender)
    except Exception as problem:  # pickle raises TypeError, AttributeError, PicklingError and what reducers raise
        raise Doubt(
            f"It cannot be sent to other processes ({type(problem).__name__}: {problem}).",
            hint="Define it at the top level of a module to use --jobs; one process works.",
        ) from None
    return "can be sent to other processes (--jobs)"


def speed(trial: Trial) -> str:
    """Time of a training, of scoring, and of an audit."""
    count, num_items = trial.train.shape
    users = np.arange(min(count, TIMED_USERS))
    step = block_rows(num_items)
    start = time.perf_counter()
    for first in range(0, len(users), step):
        trial.scores(trial.first, users[first : first + step])
    per_user = (time.perf_counter() - start) / len(users)
    fit = min(trained.seconds for trained in (trial.first, trial.again))
    audit = AUDIT_TRAININGS * (fit + count * per_user)
    trial.seconds.update(fit=fit, score_user=per_user, audit=audit)
    return (
        f"{fit:.2g} s a training, {1000 * per_user:.2g} ms a user; an audit of {AUDIT_TRAININGS} trainings takes "
        f"{_duration(audit)} on this data, beside crafting"
    )


CHECKS = (
    signature, training, scores, same_seed, other_seed, order_of_users, subset_of_users, own_lists, learns, cold_items,
    users_without_interactions, training_data_untouched, fake_users, other_processes, speed,
)  # fmt: skip


def check_recommender(recommender: Any, data: csr_array | None = None, *, seed: int = 0) -> Report:
    """Train a recommender four times on small data and say what is wrong with it.

    Args:
        recommender: the object; nothing is adapted here.
        data: (num_users, num_items) training matrix; None: 150 users x 100 items made up.
        seed: of the first training.
    """
    trial = Trial(recommender, data, seed)
    return Report(findings=tuple(examine(CHECKS, GATES, trial)), seconds=trial.seconds)


def _name(made: Any) -> str:
    return getattr(made, "__name__", None) or type(made).__name__


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "under a second"
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"about {seconds / size:.0f} {unit}"
    return f"about {seconds:.0f} s"


def _gap(one: FloatArray, other: FloatArray) -> tuple[float, float]:
    """Largest difference of two score blocks, and their spread; inf where only one is -inf."""
    finite = np.isfinite(one) & np.isfinite(other)
    if (np.isneginf(one) != np.isneginf(other)).any():
        return float("inf"), 1.0
    if not finite.any():
        return 0.0, 1.0
    return float(np.abs(one[finite] - other[finite]).max()), float(one[finite].std()) or 1.0


def _close(one: FloatArray, other: FloatArray) -> bool:
    gap, spread = _gap(one, other)
    return gap <= 1e-4 * spread


def _auc(found: FloatArray, own: np.ndarray[Any, np.dtype[np.bool_]]) -> FloatArray:
    """Share of each user's other items that its own items outrank, for users who have both."""
    ranks = rankdata(found, axis=1)
    mine = own.sum(1)
    rest = own.shape[1] - mine
    usable = (mine > 0) & (rest > 0)
    above = (np.where(own, ranks, 0).sum(1) - mine * (mine + 1) / 2)[usable]
    return above / (mine * rest)[usable]
