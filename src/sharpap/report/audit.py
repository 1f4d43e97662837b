"""An audit on one page: Markdown for terminal and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharpap.report.markdown import table

if TYPE_CHECKING:
    from sharpap.assess.exposure import AuditReport, Exposure
    from sharpap.metrics import Interval


def audit_page(found: AuditReport) -> str:
    """The answers of an audit in Markdown, numbers first."""
    settings = found.settings
    k, draws, size, first = settings["k"], settings["draws"], settings["size"], settings["pools"][0]
    middle = next(each for each in found.screening if each.attack == found.strongest)
    parts = [
        f"# How exposed is {found.recommender}?",
        f"{found.dataset}: {found.users:,} users, {found.items:,} items, {found.interactions:,} training interactions. "
        f"Every figure is a mean over {draws} sets of {size} target items, each with its own training; in brackets the 95 % "
        f"interval over those sets. An item \"in a list\" is among a genuine user's best {k} that the user does not have.",
        "## How many fake users does it take?",
        "\n".join(f"- {_needed(found, level)}" for level in found.LEVELS),
        _table(found.curve, first=True),
        "## Which attack does it?",
        f"{middle.fakes} fake users of {middle.profile_size} items each, pushing items of the pool {first!r}:",
        _attacks(found.screening),
        _strongest(found),
        "## Who is hit?",
        "Genuine users by their number of interactions, under the strongest attack:",
        table(
            ["interactions", "users", "lists with a target"],
            [[f"{group.low} to {group.high}", f"{group.users:,}", _percent(group.hits)] for group in found.groups],
        ),
        f"Target items by popularity ({middle.fakes} fakes):",
        table(
            ["targets", "without attack", "with it"],
            [[each.pool, _percent(each.before), _interval(each.hits)] for each in found.pools],
        ),
        "## What does it cost genuine users?",
        _cost(found, middle),
        "## How visible are the fakes?",
        f"Detectors that know neither the attack nor its targets, on {middle.fakes} fakes. AUC is the chance that one ranks a "
        "fake user above a genuine one (0.50: guessing; below, it takes genuine users for fakes); precision, the share of "
        "fakes among as many suspects as there are fakes.",
        _detectors(found),
        "## What would help?",
        _remedies(found, middle),
        "## What this does not say",
        "The attacks tried are not all there are: the figures are lower bounds of the exposure. Profiles are sets of items; "
        "timing, ratings, text and account signals, on which real defences rely, are not modelled.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _needed(found: AuditReport, level: float) -> str:
    missed, reached = found.needed(level)
    what = f"{100 * level:g} % of lists"
    if reached is None:
        return f"**{what}**: not reached with {missed:,} fake users ({_of(missed, found.users)})."
    if missed is None:
        return f"**{what}**: {reached:,} fake users or fewer ({_of(reached, found.users)})."
    return f"**{what}**: between {missed:,} and {reached:,} fake users (up to {_of(reached, found.users)})."


def _of(count: int | None, users: int) -> str:
    return f"{100 * (count or 0) / users:.2g} % of the genuine users"


def _table(points: list[Exposure], *, first: bool) -> str:
    rows = [
        [f"{each.fakes:,}", f"{100 * each.share:.2g} %", _interval(each.hits), _change(each.accuracy)]
        for each in points
    ]
    return table(["fake users", "of genuine users", "lists with a target", "change of NDCG"], rows)


def _attacks(points: list[Exposure]) -> str:
    rows = [
        [each.attack, _percent(each.before), _interval(each.hits), _change(each.accuracy), _auc(each)]
        for each in points
    ]
    return table(["attack", "without it", "lists with a target", "change of NDCG", "best detector's AUC"], rows)


def _strongest(found: AuditReport) -> str:
    best = next(each for each in found.screening if each.attack == found.strongest)
    gain = best.hits.mean - best.before
    if gain <= 0:
        return "**None of them**: no attack puts the targets into more lists than they are in anyway."
    others = [each for each in found.screening if each.attack != found.strongest]
    close = [each.attack for each in others if each.hits.high >= best.hits.low]
    if close:
        return (
            f"**{found.strongest}** in the mean; with these few target sets not clearly more than {', '.join(close)}."
        )
    return f"**{found.strongest}**, clearly."


def _cost(found: AuditReport, middle: Exposure) -> str:
    if found.ndcg is None or middle.accuracy is None:
        return "Not known: the data has no held-out interactions."
    k = found.settings["k"]
    return (
        f"NDCG@{k} is {found.ndcg:.4f} without attack and changes by {_change(middle.accuracy)} with {middle.fakes} fakes of "
        f"{found.strongest}."
    )


def _remedies(found: AuditReport, middle: Exposure) -> str:
    if not found.remedies:
        return "Not available for a recommender that gives only lists."
    rows = [["none", "", "", _interval(middle.hits), _change(middle.accuracy)]] + [
        [
            each.name, "" if each.caught is None else f"{100 * each.caught:.0f} %",
            "" if each.caught is None else f"{each.lost}", _interval(each.hits), _change(each.accuracy),
        ]
        for each in found.remedies
    ]  # fmt: skip
    text = table(["remedy", "fakes caught", "genuine users lost", "lists with a target", "change of NDCG"], rows)
    best = min(found.remedies, key=lambda each: each.hits.mean)
    much = best.hits.mean < middle.hits.mean / 2
    verdict = f"Best: {best.name}; it takes away more than half of the exposure." if much else (
        "None of them takes away half of the exposure."
    )  # fmt: skip
    caveat = "The detectors used are those that were best on these very fakes, which a platform cannot know beforehand."
    return f"{text}\n\n{verdict} {caveat}"


def _detectors(found: AuditReport) -> str:
    mine = [each for each in found.detections if each.attack == found.strongest]
    best = sorted(mine, key=lambda each: -each.auc.mean)
    rows = [
        [each.detector, _bounded(each.auc, 2), f"{_bounded(each.precision, 2)}", f"{each.guessing:.2f}"]
        for each in best
    ]
    return table(["detector", "AUC", "precision", "precision of guessing"], rows)


def _bounded(found: Interval, digits: int) -> str:
    return f"{found.mean:.{digits}f} ({max(found.low, 0):.{digits}f} to {min(found.high, 1):.{digits}f})"


def _auc(each: Exposure) -> str:
    return "n/a" if each.visibility is None else f"{each.visibility:.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _interval(found: Interval) -> str:
    return f"{100 * found.mean:.2f} % ({100 * max(found.low, 0):.2f} to {100 * found.high:.2f})"


def _change(found: Interval | None) -> str:
    return "n/a" if found is None else f"{100 * found.mean:+.1f} % ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
