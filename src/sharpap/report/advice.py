"""What an audit advises, each line with its price: other settings of the recommender, leaving out suspects, other defences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharpap.assess.tables.accuracy import BEHIND
from sharpap.assess.tables.worth import HALF, VERDICTS
from sharpap.report.markdown import escaped, table
from sharpap.report.shares import change, in_brackets, percent
from sharpap.text import printable

if TYPE_CHECKING:
    from sharpap.assess.audit.audit_report import AuditReport, Path, Remedy, Step, Value
    from sharpap.assess.tables.worth import Worth

REMEDIES = (
    "remedy", "does it help?", "fakes caught", "genuine users lost", "lists with a target", "NDCG without attack",
    "NDCG under attack",
)  # fmt: skip
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
        made.append(f"Tune it first: NDCG@{k} is {found.ndcg:.4f}, and a quick model reaches {best:.4f} on this data.")
    if worst.hits.mean <= worst.before:
        made.append(f"With {worst.fakes:,} fakes there is no exposure to take away.")
    made += [_advised(found, path) for path in found.paths]
    if not found.remedies and not found.failed:
        tried = found.settings["defenses"]
        return [
            *made,
            "Defences: not available for a recommender that gives only lists." if tried else "Defences: none tried.",
        ]
    shown = [each for each in found.remedies if each.worth.verdict != "nothing to take" or each.promised]
    made += [_judged(found, each) for each in sorted(shown, key=lambda each: VERDICTS.index(each.worth.verdict))]
    made += [f"Could not be tried: {name}: {printable(why, 200)}" for name, why in found.failed.items()]
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


def _judged(found: AuditReport, remedy: Remedy) -> str:
    """One remedy: whether it helps, what it takes, its price, and what it promises against any attack."""
    worth, k = remedy.worth, found.settings["k"]
    exposed, halved = worth.draws
    fakes = f"{found.breaking.fakes:,} fakes"
    effect = f" {percent(worth.hits.mean)} of the lists instead of {percent(worth.plain.mean)} with {fakes}"
    effect += f", half of it or more taken in {halved} of {exposed} target sets." if worth.taken >= HALF else "."
    if worth.verdict == "nothing to take":
        opening, effect = "", ""
    else:
        opening = f"This {worth.verdict}: "
    lost = f", {remedy.lost} genuine users left out" if remedy.removed else ""
    return f"{opening}{remedy.name}.{effect} Its price: {price(worth, k)}{lost}.{_certified(found, remedy)}"


def _certified(found: AuditReport, remedy: Remedy) -> str:
    """What a vote promises against any attack, beside what this one left."""
    promised, name, k = remedy.promised, remedy.name, found.settings["k"]
    if promised is None:
        return ""
    most, left = promised.most(name, k), "" if remedy.stayed is None else f" {percent(remedy.stayed)} stayed"
    if not most:
        return f" Nothing is certified against 1 fake; under the attack{left}."
    return (
        f" Certified: {percent(promised.at(name, k, 1)[0])} of a list stays whatever 1 fake does, something of some list up to "
        f"{most:,}; with {found.breaking.fakes:,} fakes of {found.strongest}{left}."
    )


def price(worth: Worth, k: int) -> str:
    """What a defence costs without attack, in words."""
    if worth.price is None:
        return "not known, for want of held-out interactions"
    return f"{100 * worth.price.mean:+.1f} % of NDCG@{k} without attack"


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
    return [["none", "", "", "", in_brackets(worst.hits), "", change(worst.accuracy)]] + [
        [
            each.name, each.worth.verdict, "" if each.caught is None else f"{100 * each.caught:.0f} %",
            "" if each.caught is None else f"{each.lost}", in_brackets(each.worth.hits), change(each.worth.price),
            change(each.accuracy),
        ]
        for each in found.remedies
    ]  # fmt: skip


def caveat(found: AuditReport) -> str:
    """How the verdicts come about, and what removal presumes."""
    said = (
        "A defence helps where it takes half of the exposure or more in every set of targets; it may help where it does so "
        "only in the mean. Changes of NDCG are against the recommender without defence and without attack."
    )
    if not any(each.removed for each in found.remedies):
        return said
    said += (
        " A removal leaves out as many users as the largest budget has fakes, whatever their true number: a platform does not "
        "know it."
    )
    if any("co-visits" in each.name for each in found.remedies):
        size = found.settings["size"]
        said += f" co-visits looks for shared items: here each attack has {size} targets; against one or two it finds little."
    return said
