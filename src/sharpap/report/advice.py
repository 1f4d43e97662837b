"""What an audit advises, each line with its price: other settings of the recommender, leaving out suspects, other defences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharpap.assess.tables.accuracy import BEHIND
from sharpap.report.markdown import escaped, table
from sharpap.report.shares import change, in_brackets, percent
from sharpap.text import printable

if TYPE_CHECKING:
    from sharpap.assess.audit.audit_report import AuditReport, Path, Remedy, Step, Value

REMEDIES = ("remedy", "fakes caught", "genuine users lost", "lists with a target", "change of NDCG")
UNTRIED = "No other setting of the recommender was tried: --vary NAME=VALUE,VALUE trains it with other values of one."


def markdown(found: AuditReport) -> list[str]:
    """The section's parts."""
    parts = ["\n".join(f"- {escaped(line)}" for line in lines(found))]
    for path, head, rows in paths(found):
        parts += [f"The recommender with other values of {escaped(path.setting)}:", table(head, rows)]
        parts += [escaped(line) for line in failures(path)]
    parts.append(same_profiles(found))
    if found.remedies:
        parts += [table(list(REMEDIES), remedy_rows(found)), caveat(found)]
    return parts


def lines(found: AuditReport) -> list[str]:
    """What to do, and what it takes."""
    worst, k = found.breaking, found.settings["k"]
    made = []
    if found.ndcg is not None and found.yardstick is not None and found.ndcg < (1 - BEHIND) * found.yardstick[1]:
        best = found.yardstick[1]
        made.append(f"Tune it first: NDCG@{k} is {found.ndcg:.4f}, and {best:.4f} is to be had on this data.")
    if worst.hits.mean <= worst.before:
        made.append(f"With {worst.fakes:,} fakes there is no exposure to take away.")
    made += [_advised(found, path) for path in found.paths]
    if not found.remedies:
        tried = found.settings["best"] or found.settings["defenses"]
        return [
            *made,
            "Defences: not available for a recommender that gives only lists." if tried else "Defences: none tried.",
        ]
    if worst.hits.mean > worst.before:
        removals = [each for each in found.remedies if each.removed]
        made += [_removal(found, removals)] if removals else []
        made += [_defence(found, each) for each in found.remedies if not each.removed]
    return made


def _advised(found: AuditReport, path: Path) -> str:
    """The best value of one setting."""
    best, own = path.advised, path.current
    within = f"within {100 * path.WITHIN:g} % of the most accurate value, {value_of(path.most_accurate.value)}"
    if best.current or best.hits is None or own.hits is None:
        return f"{path.setting}: of the values {within}, none leaves the attack fewer lists than the audited one."
    lists = f"{percent(best.hits.mean)} of the lists instead of {percent(own.hits.mean)} with {found.breaking.fakes:,} fakes"
    fewer = best.hits.mean < own.hits.mean
    clear = not fewer or (best.more is not None and best.more.high < 0)
    return (
        f"{path.setting} {value_of(best.value)} instead of {value_of(own.value)}: {lists}; {_price(found, best, own)}. "
        f"The attack hits it least of the values {within}.{'' if clear else ' With so few target sets this is not certain.'}"
    )


def _price(found: AuditReport, step: Step, own: Step) -> str:
    if step.ndcg is None or own.ndcg is None:
        return "what it costs is not known, for want of held-out interactions"
    return f"NDCG@{found.settings['k']} {step.ndcg:.4f} instead of {own.ndcg:.4f}{_against(step.ndcg, own.ndcg)}"


def _against(value: float, own: float) -> str:
    return f" ({100 * (value / own - 1):+.1f} %)" if own > 0 else ""


def _removal(found: AuditReport, removals: list[Remedy]) -> str:
    """Of those that take away more than half of the exposure the one that costs least, else the one that takes most."""
    half = [each for each in removals if _taken(found, each) > 0.5]
    if not half:
        best = max(removals, key=lambda each: _taken(found, each))
        if _taken(found, best) <= 0:
            return "Leaving out suspects takes nothing of the exposure away."
        return f"Leaving out suspects does not take away half of the exposure; the most: {best.name}, {_effect(found, best)}."
    best = max(half, key=lambda each: (each.accuracy.mean if each.accuracy else 0.0, -each.lost))
    return f"{best.name}: {_effect(found, best)}, {best.lost} genuine users left out."


def _defence(found: AuditReport, remedy: Remedy) -> str:
    if _taken(found, remedy) <= 0:
        return f"{remedy.name} takes nothing of the exposure away."
    return f"{remedy.name}: {_effect(found, remedy)}."


def _taken(found: AuditReport, remedy: Remedy) -> float:
    worst = found.breaking
    return (worst.hits.mean - remedy.hits.mean) / (worst.hits.mean - worst.before)


def _effect(found: AuditReport, remedy: Remedy) -> str:
    worst = found.breaking
    price = "" if remedy.accuracy is None else f"; NDCG changes by {100 * remedy.accuracy.mean:+.1f} %"
    return f"{percent(remedy.hits.mean)} of the lists instead of {percent(worst.hits.mean)} with {worst.fakes:,} fakes{price}"


def paths(found: AuditReport) -> list[tuple[Path, list[str], list[list[str]]]]:
    """Each path with the head and the rows of its table."""
    k = found.settings["k"]
    head = [
        f"NDCG@{k}, validation",
        f"NDCG@{k}, test",
        f"lists with a target, {found.breaking.fakes:,} fakes",
        "at most, any attack",
    ]
    return [(path, [path.setting, *head], [_row(each, path.current) for each in path.steps]) for path in found.paths]


def failures(path: Path) -> list[str]:
    """Why values could not be trained."""
    return [
        f"{path.setting} {value_of(each.value)} failed: {printable(each.error, 200)}"
        for each in path.steps
        if each.error
    ]


def _row(step: Step, own: Step) -> list[str]:
    name = f"{value_of(step.value)} (audited)" if step.current and step.value is not None else value_of(step.value)
    if step.error:
        return [name, "failed", "", "", ""]
    test = "n/a" if step.ndcg is None else f"{step.ndcg:.4f}"
    against = "" if step.current or step.ndcg is None or not own.ndcg else _against(step.ndcg, own.ndcg)
    return [
        name, "n/a" if step.valid is None else f"{step.valid:.4f}", test + against,
        "" if step.hits is None else in_brackets(step.hits), "not known" if step.reach is None else f"{100 * step.reach:.1f} %",
    ]  # fmt: skip


def value_of(value: Value) -> str:
    """A value as a user writes it."""
    if value is None:
        return "as audited"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else printable(value, 40)
    )


def same_profiles(found: AuditReport) -> str:
    """What the figures of the paths are of."""
    if not found.paths:
        return UNTRIED
    return (
        f"Each value: trained anew without attack, and on the same fakes of {found.strongest} as above. The attacks do not "
        "look at the recommender; one that knows its settings may reach more, up to the bound where one is known. Change in "
        "brackets: against the audited value."
    )


def remedy_rows(found: AuditReport) -> list[list[str]]:
    """Columns are `REMEDIES`; the first row is no remedy."""
    worst = found.breaking
    return [["none", "", "", in_brackets(worst.hits), change(worst.accuracy)]] + [
        [
            each.name, "" if each.caught is None else f"{100 * each.caught:.0f} %",
            "" if each.caught is None else f"{each.lost}", in_brackets(each.hits), change(each.accuracy),
        ]
        for each in found.remedies
    ]  # fmt: skip


def caveat(found: AuditReport) -> str:
    """Why a platform cannot choose as was done here."""
    if not any(each.removed for each in found.remedies):
        return ""
    return "The detectors used are those that were best on these very fakes, which a platform cannot know beforehand."
