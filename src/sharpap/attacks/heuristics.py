"""Attacks without a model that draw fillers by what is known of items: the shilling family of Mobasher et al. (2007).

They have no loss to differentiate, so no worst case applies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from sharpap.attacks.poison import Poison
from sharpap.attacks.profiles import IntArray, crafted, draw_items, item_counts, pinned_items
from sharpap.errors import ConfigError
from sharpap.settings import Settings
from sharpap.threat import Allowance, Budget, Goal

FloatArray = np.ndarray[Any, np.dtype[np.floating[Any]]]


@dataclass(frozen=True, kw_only=True)
class RandomAttack:
    """Targets plus fillers drawn uniformly from the catalogue.

    Source: Lam and Riedl 2004 (RandomBot), for binary feedback. When demoting, targets are left out: in binary data a
    fake profile can only compete with them.
    """

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""
        return fill("random", self, train, goal, budget, seed)


@dataclass(frozen=True, kw_only=True)
class AverageAttack:
    """Targets plus fillers drawn by their popularity, as a genuine user's items are.

    Source: Lam and Riedl 2004 (AverageBot); Mobasher et al. 2007. Deviations: there fillers are drawn
    uniformly and rated by each item's mean. Binary feedback has no ratings, and an item's mean over all users is its
    popularity: that is how likely a fake is to have it. Fillers run over to uniform ones where too few items have users.
    """

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""
        return fill("average", self, train, goal, budget, seed, lambda: item_counts(train))


@dataclass(frozen=True, kw_only=True)
class Bandwagon(Settings):
    """Targets plus popular items, so that fakes look like many genuine users; the rest uniform fillers.

    Attributes:
        selected_share: share of the non-target items drawn from the popular ones.
        popular_share: share of the catalogue, by training count, that counts as popular.

    Source: Mobasher et al. 2007, section 3.2, for binary feedback.
    """

    selected_share: float = 0.5
    popular_share: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "selected_share", "popular_share")

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`."""

        def popular() -> FloatArray:
            return best(item_counts(train), self.popular_share)

        return fill("bandwagon", self, train, goal, budget, seed, popular, self.selected_share)


@dataclass(frozen=True, kw_only=True)
class Segment(Settings):
    """Targets plus items of one segment of the catalogue: what the targets' likely audience has.

    Attributes:
        groups: columns of the items of each category, e.g. of each genre (`data.item_groups` makes them). An item is drawn by
            how many categories it shares with targets. Empty: the segment is found by co-occurrence.
        segment_share: share of the catalogue that the segment is without groups: the items nearest to the targets by the
            cosine of their users, summed over targets; where the goal names users, those nearest to these users instead.
            Each is as likely as the others.
        shrinkage: added to that cosine's denominator, against items with hardly a user.

    Source: Mobasher et al. 2007, segment attack. Deviations: fillers outside the segment have the lowest rating there, which in
    binary feedback is none, so all but the targets are of the segment; the rule for data without categories is ours. Where a
    segment is too small the rest are uniform fillers.
    """

    groups: tuple[tuple[int, ...], ...] = ()
    segment_share: float = 0.05
    shrinkage: float = 10.0
    aims_at_users: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "segment_share")

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Raises `ConfigError` where `groups` are of another catalogue, or none has a target."""
        return fill("segment", self, train, goal, budget, seed, lambda: self._weights(train, goal))

    def _weights(self, train: csr_array, goal: Goal) -> FloatArray:
        if goal.users is not None:
            return self._of_users(train, goal)
        return self._shared(goal, train.shape[1]) if self.groups else self._near(train, goal)

    def _of_users(self, train: csr_array, goal: Goal) -> FloatArray:
        """1 for the items whose users are nearest to the goal's, by the same cosine. O(profiles of these users) time."""
        users = goal.audience(train)
        near = item_counts(train[users]) / (np.sqrt(len(users) * item_counts(train)) + self.shrinkage).clip(1e-12)
        near[list(goal.targets)] = 0
        return best(near, self.segment_share)

    def _near(self, train: csr_array, goal: Goal) -> FloatArray:
        """1 for the items nearest to the targets by co-occurrence. O(profiles of the targets' owners) time."""
        counts, targets = item_counts(train), list(goal.targets)
        both = (train[:, targets].T @ train).toarray()
        cosine = both / np.maximum(np.sqrt(np.outer(counts[targets], counts)) + self.shrinkage, 1e-12)
        cosine[:, targets] = 0
        return best(cosine.sum(0), self.segment_share)

    def _shared(self, goal: Goal, num_items: int) -> FloatArray:
        """(num_items,) how many categories an item shares with targets, summed over targets."""
        weight = np.zeros(num_items)
        for group in map(set, self.groups):
            if group and not 0 <= min(group) <= max(group) < num_items:
                raise ConfigError(
                    f"groups: a group's items are not all in 0..{num_items - 1}.",
                    hint="Groups hold columns of the training matrix.",
                )
            weight[list(group)] += len(group.intersection(goal.targets))
        if not weight.any():
            raise ConfigError(
                "groups: no group holds a target.", hint="Leave groups out: the segment is then found by co-occurrence."
            )
        return weight


@dataclass(frozen=True, kw_only=True)
class ReverseBandwagon(Settings):
    """Demotes: fillers among the more popular items, and no targets.

    Attributes:
        disliked_share: share of the catalogue, by training count, that counts as disliked: the least popular.

    Source: Mobasher et al. 2007, nuke attacks: targets and widely disliked items get the lowest rating, fillers others.
    Deviations: in binary feedback the lowest rating is none, and disliked is what few have. What is left of the fillers is
    drawn uniformly; where there are too few of them, from the disliked.
    """

    disliked_share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "disliked_share")

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Demotes only: to promote is a `ConfigError`."""
        _demotes("Reverse bandwagon", goal)

        def liked() -> FloatArray:
            chosen = np.ones(train.shape[1])
            chosen[np.argsort(item_counts(train), kind="stable")[: round(self.disliked_share * len(chosen))]] = 0
            return chosen

        return fill("reverse-bandwagon", self, train, goal, budget, seed, liked)


@dataclass(frozen=True, kw_only=True)
class LoveHate:
    """Demotes: uniform fillers, which are loved, and no targets, which are hated.

    Source: Mobasher et al. 2007, nuke attacks: fillers get the highest rating, targets the lowest. Deviations: in binary
    feedback the lowest rating is none, and any filler has the highest. So it draws from the same distribution as the random
    attack does when demoting; it is here under the name that others give it.
    """

    def poison(self, train: csr_array, goal: Goal, budget: Budget, *, seed: int) -> Poison:
        """See `Attack`. Demotes only: to promote is a `ConfigError`."""
        _demotes("Love/hate", goal)
        return fill("love-hate", self, train, goal, budget, seed)


def fill(
    name: str, attack: Any, train: csr_array, goal: Goal, budget: Budget, seed: int,
    weights: Callable[[], FloatArray | IntArray] | None = None, share: float = 1.0,
) -> Poison:  # fmt: skip
    """Profiles of the pinned items, a share of the rest drawn by `weights`, and uniform fillers.

    `weights` gives (num_items,) once the budget and the goal are known to fit the data; None: all zero. Neither draws targets.
    """

    def rows(allowance: Allowance, generator: np.random.Generator) -> Iterator[IntArray]:
        anything = np.ones(train.shape[1])
        selectable = np.zeros(train.shape[1]) if weights is None else weights().astype(np.float64)
        anything[list(goal.targets)] = selectable[list(goal.targets)] = 0
        pinned = pinned_items(goal)
        free = allowance.profile_size - len(pinned)
        for _ in range(allowance.num_fake):
            selected = draw_items(selectable, round(share * free), generator)
            fillers = draw_items(anything, free - len(selected), generator, without=selected)
            yield np.concatenate([pinned, selected, fillers]).astype(np.int64)

    return crafted(name, attack, train, goal, budget, seed, rows)


def best(values: FloatArray | IntArray, share: float) -> FloatArray:
    """1 for this share of the items, those of the highest values, as far as these are above 0; else 0."""
    chosen = np.argsort(-values, kind="stable")[: round(share * len(values))]
    marked = np.zeros(len(values))
    marked[chosen] = values[chosen] > 0
    return marked


def check_shares(attack: object, *names: str) -> None:
    """Raise `ConfigError` where an option is no share above 0."""
    for name in names:
        value = getattr(attack, name)
        if not 0 < value <= 1:
            raise ConfigError(f"{name}={value} must lie above 0 and at most at 1.")


def _demotes(name: str, goal: Goal) -> None:
    if goal.direction != "demote":
        raise ConfigError(f"{name} can only demote.", hint='Use direction="demote", or random or bandwagon to promote.')
