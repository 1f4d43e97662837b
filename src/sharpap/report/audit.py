"""An audit on one page: Markdown for terminal and files, HTML for readers."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from markupsafe import Markup

from sharpap.assess.tables.accuracy import BEHIND
from sharpap.report import advice
from sharpap.report.charts import Bar, Mark, Series, intervals, lines
from sharpap.report.markdown import escaped, table
from sharpap.report.shares import change, in_brackets, percent, share_of
from sharpap.report.template import render

if TYPE_CHECKING:
    from sharpap.assess.audit.audit_report import AuditReport, Exposure
    from sharpap.metrics import Interval


DETECTOR_COLUMNS = ("detector", "AUC", "precision", "precision of guessing")
LIMITS = (
    "Stronger attacks may exist: the figures are lower bounds of the exposure. Profiles are sets of items; "
    "timing, ratings, text and account signals, on which real defences rely, are not modelled."
)


def audit_html(found: AuditReport) -> str:
    """The same answers as one self-contained HTML page."""
    middle, k = strongest(found), found.settings["k"]
    share = {"x_label": f"% of users with a target in their best {k}"}
    curve = intervals(
        [
            (
                "fake users",
                [_bar(each, f"{each.fakes:,} ({share_of(each.fakes, found.users)})", "s0") for each in found.curve],
            )
        ],
        **share,
    )
    attacks = intervals(
        [("attack", [_bar(each, each.attack, "s3" if each is middle else "genuine") for each in found.screening])],
        **share,
    )
    return render(
        "audit.html.j2", title=f"How exposed is {found.recommender}?", found=found, middle=middle, k=k,
        levels=[(100 * level, *found.needed(level), needed(found, level)) for level in found.LEVELS], curve=curve,
        attacks=attacks, data=data(found), origin=found.origin, reading=reading(found),
        verdict=verdict(found).replace("**", ""),
        opening=opening(found), standing=standing(found), bound=bound(found), cliff=cliff(found), at_most=at_most,
        breaking=found.breaking,
        cost=cost(found), visibility=visibility(found), auc=auc, detector_columns=DETECTOR_COLUMNS,
        detector_rows=detector_rows(found), limits=LIMITS, advice=advice.lines(found), failures=advice.failures,
        paths=advice.paths(found), same=advice.same_profiles(found),
        remedy_columns=advice.REMEDIES, remedies=advice.remedy_rows(found), caveat=advice.caveat(found),
        percent=percent, share_of=share_of, in_brackets=in_brackets, lists=lists, change=change,
    )  # fmt: skip


def _bar(point: Exposure, label: str, style: str) -> Bar:
    hits = point.hits
    mean, low, high = (100 * value for value in (hits.mean, max(hits.low, 0), min(hits.high, 1)))
    return Bar(label=label, style=style, mean=mean, low=low, high=high)


def audit_page(found: AuditReport) -> str:
    """The answers of an audit in Markdown, numbers first."""
    settings = found.settings
    first, middle = settings["pools"][0], strongest(found)
    parts = [
        f"# How exposed is {escaped(found.recommender)}?",
        f"**{escaped(opening(found))}** {escaped(standing(found))} {bound(found)}",
        f"{escaped(data(found))} {escaped(found.origin)} {reading(found)}",
        "## How many fake users does it take?",
        "\n".join(f"- **{100 * level:g} % of lists**: {needed(found, level)}." for level in found.LEVELS),
        _table(found),
        "## Which attack does it?",
        f"{middle.fakes} fake users of {middle.profile_size} items each, pushing items of the pool {first!r}:",
        _attacks(found.screening),
        verdict(found),
        "## Who is hit?",
        f"Genuine users by their number of interactions, under {found.breaking.fakes} fakes of the strongest attack:",
        table(
            ["interactions", "users", "lists with a target"],
            [[f"{group.low} to {group.high}", f"{group.users:,}", percent(group.hits)] for group in found.groups],
        ),
        "Target items by popularity, under as many:",
        table(
            ["targets", "without attack", "with it"],
            [[each.pool, percent(each.before), lists(each)] for each in found.pools],
        ),
        "## What does it cost genuine users?",
        cost(found),
        "## How visible are the fakes?",
        visibility(found),
        _detectors(found),
        "## What would help?",
        *advice.markdown(found),
        "## What this does not say",
        LIMITS,
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def opening(found: AuditReport) -> str:
    """The verdict in a sentence: up to which number of fakes it holds, and where it gives way."""
    level = found.LEVELS[0]
    missed, reached = found.needed(level)
    lists = f"{100 * level:g} % of the lists"
    if reached == 0:
        return f"The targets stand in {percent(found.curve[0].before)} of the lists without any attack."
    if reached is None:
        return (
            f"It holds: with up to {missed:,} fake users ({_of(missed, found.users)}) no attack tried reaches {lists}."
        )
    at = next(each for each in found.curve if each.fakes == reached)
    gives = f"{reached:,} ({share_of(reached, found.users)}), where {percent(at.hits.mean)} of the lists hold a target"
    if missed is None:
        return f"It gives way with the fewest fake users tried, {gives}."
    return f"It holds to {missed:,} fake users ({share_of(missed, found.users)}) and gives way at {gives}."


def standing(found: AuditReport) -> str:
    """How accurate it is beside a quick model on the same data, and what that does to the figures."""
    k = found.settings["k"]
    if found.ndcg is None or found.yardstick is None:
        return "Its accuracy is not known: the data has no held-out interactions."
    name, best = found.yardstick
    mine = f"Its NDCG@{k} is {found.ndcg:.4f}; this project's {name} with its defaults has {best:.4f} on the same data."
    if found.ndcg >= (1 - BEHIND) * best:
        return mine
    return (
        f"{mine} It lies {100 * (1 - found.ndcg / best):.0f} % behind, so it is not tuned: its exposure says little. "
        "Tune it on validation data first."
    )


def bound(found: AuditReport) -> str:
    """What any attack could do."""
    known = [each for each in found.curve if each.reach is not None]
    if not known:
        return "For this kind of model no bound is known on what any attack could do."
    shares = ", ".join(f"{100 * (each.reach or 0):.1f} % with {each.fakes:,}" for each in known)
    above = [
        each for each in found.screening + found.curve if each.hits.mean > (1 if each.reach is None else each.reach)
    ]
    what = (
        "The measured hits lie above it: the fakes lower those scores, too."
        if above
        else "No attack tried got above it."
    )
    return f"No fakes can be in more lists than this, as long as the other items keep their scores: {shares}. {what}"


def cliff(found: AuditReport) -> Markup:
    """The bound by number of fakes, and the strongest attack's hits at each budget; nothing where no bound is known."""
    if found.cliff is None:
        return Markup("")
    tried = [each for each in found.curve if each.tried]
    bounds = found.cliff.curve(found.recommender, found.settings["k"])
    series = [
        Series(
            label="bound, any attack", style="genuine", points=[(0.0, nan), *((f, 100 * share) for f, share in bounds)]
        ),
        Series(label=found.strongest, style="s0", points=[(each.fakes, 100 * each.hits.mean) for each in tried]),
    ]
    dots = [
        Mark(label=f"{each.fakes:,} fakes: {percent(each.hits.mean)}", style="s0", x=each.fakes, y=100 * each.hits.mean)
        for each in tried
    ]
    return lines(series, x_label="fake users", y_label="% of lists", y_max=100, dots=dots)


def lists(each: Exposure) -> str:
    """The share of lists with a target, or that nothing had to be tried."""
    return in_brackets(each.hits) if each.tried else f"at most {percent(each.hits.mean)}, not tried"


def at_most(each: Exposure) -> str:
    """The bound of a budget."""
    return "not known" if each.reach is None else f"{100 * each.reach:.1f} %"


def strongest(found: AuditReport) -> Exposure:
    """The strongest attack as it was screened: with about 1 % fakes, or with the most."""
    return next(each for each in found.screening if each.attack == found.strongest)


def data(found: AuditReport) -> str:
    """What it was measured on."""
    return (
        f"{found.dataset}: {found.users:,} users, {found.items:,} items, {found.interactions:,} training interactions."
    )


def reading(found: AuditReport) -> str:
    """How to read every figure."""
    settings = found.settings
    return (
        f"Every figure is a mean over {settings['draws']} sets of {settings['size']} target items, each with its own training; "
        f'in brackets the 95 % interval over those sets. An item "in a list" is among a genuine user\'s best {settings["k"]} '
        "that the user does not have."
    )


def visibility(found: AuditReport) -> str:
    """How to read the figures of the detectors."""
    return (
        f"Detectors that know neither the attack nor its targets, on {found.breaking.fakes} fakes. AUC is the chance that "
        "one ranks a fake user above a genuine one (0.50: guessing; below, it takes genuine users for fakes); precision, "
        "the share of fakes among as many suspects as there are fakes."
    )


def needed(found: AuditReport, level: float) -> str:
    """Between which numbers of fake users a level lies."""
    missed, reached = found.needed(level)
    if reached == 0:
        return f"none, {percent(found.curve[0].before)} of lists hold a target without any attack"
    if reached is None:
        return f"not reached with {missed:,} fake users ({_of(missed, found.users)})"
    if missed is None:
        return f"{reached:,} fake users or fewer ({_of(reached, found.users)})"
    return f"between {missed:,} and {reached:,} fake users (up to {_of(reached, found.users)})"


def _of(count: int | None, users: int) -> str:
    return f"{share_of(count or 0, users)} of the genuine users"


def _table(found: AuditReport) -> str:
    rows = [
        [
            f"{each.fakes:,}", share_of(each.fakes, found.users), lists(each), at_most(each),
            change(each.accuracy),
        ]
        for each in found.curve
    ]  # fmt: skip
    head = ["fake users", "of genuine users", "lists with a target", "at most, any attack", "change of NDCG"]
    return table(head, rows)


def _attacks(points: list[Exposure]) -> str:
    rows = [
        [each.attack, percent(each.before), in_brackets(each.hits), change(each.accuracy), auc(each)] for each in points
    ]
    return table(["attack", "without it", "lists with a target", "change of NDCG", "best detector's AUC"], rows)


def verdict(found: AuditReport) -> str:
    """Which attack it is, and how clearly."""
    best = strongest(found)
    gain = best.hits.mean - best.before
    if gain <= 0:
        return (
            "**None of them**: with this budget no attack puts the targets into more lists than they are in anyway. "
            f"Everywhere else on this page the attack is {found.strongest}, which came nearest."
        )
    others = [each for each in found.screening if each.attack != found.strongest]
    close = [each.attack for each in others if each.hits.high >= best.hits.low]
    if close:
        return f"**{found.strongest}** leads; with so few target sets, {', '.join(close)} may be as strong."
    return f"**{found.strongest}**, clearly."


def cost(found: AuditReport) -> str:
    """The accuracy that genuine users lose."""
    worst = found.breaking
    if found.ndcg is None or worst.accuracy is None:
        return "Not known: the data has no held-out interactions."
    k = found.settings["k"]
    return (
        f"NDCG@{k} is {found.ndcg:.4f} without attack and changes by {change(worst.accuracy)} with {worst.fakes} fakes of "
        f"{found.strongest}."
    )


def _detectors(found: AuditReport) -> str:
    return table(list(DETECTOR_COLUMNS), detector_rows(found))


def detector_rows(found: AuditReport) -> list[list[str]]:
    """What each detector sees of the strongest attack, the best first; columns are `DETECTOR_COLUMNS`."""
    mine = [each for each in found.detections if each.attack == found.strongest]
    return [
        [each.detector, _bounded(each.auc, 2), _bounded(each.precision, 2), f"{each.guessing:.2f}"]
        for each in sorted(mine, key=lambda each: -each.auc.mean)
    ]


def _bounded(found: Interval, digits: int) -> str:
    return f"{found.mean:.{digits}f} ({max(found.low, 0):.{digits}f} to {min(found.high, 1):.{digits}f})"


def auc(each: Exposure) -> str:
    """Of the best detector."""
    return "n/a" if each.visibility is None else f"{each.visibility:.2f}"
