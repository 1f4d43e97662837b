"""The report's section on exposure against accuracy: what each victim gives away, and what each defence costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sharpap.report.charts import Mark, Series, legend
from sharpap.report.matrix import CLEAN
from sharpap.report.planes import scatter
from sharpap.report.sections import lengths
from sharpap.report.template import number

if TYPE_CHECKING:
    from sharpap.assess.results import Results

LEAST = 3  # victims that a picture needs
NAMED = 40  # marks of a chart that a browser names one by one


@dataclass(frozen=True, kw_only=True)
class Worst:
    """The attack that put the targets into most lists of one victim, mean over draws with its 95 % interval."""

    attack: str
    hits: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Point:
    """One victim.

    Attributes:
        victim: its name in the tables.
        recommender: registered name of what is trained, also under a defence.
        defended: whether it is trained under one.
        accuracy: NDCG@k without attack.
        worst: under any attack of the run.
        genuine: under those whose profiles look genuine by construction; None without such an attack.
        front: whether no victim is at least as accurate and no more exposed.
    """

    victim: str
    recommender: str
    defended: bool
    accuracy: float
    worst: Worst
    genuine: Worst | None
    front: bool


def points(results: Results, k: int) -> list[Point]:
    """By victim, of those whose accuracy and exposure were measured, the most accurate first."""
    from sharpap.assess.tables.accuracy import standings

    measured = results.transfer_matrix("H", k).drop_nulls("mean").drop_nans("mean").to_dicts()
    accuracy = {victim: found.ndcg for victim, found in standings(results, k).items()}
    imitate = imitating(results)
    found: list[tuple[float, Worst, Worst | None, str]] = []
    for victim in results.victims:
        rows = [
            Worst(attack=row["attack"], hits=row["mean"], low=row["low"], high=row["high"])
            for row in measured
            if row["victim"] == victim and row["attack"] != CLEAN
        ]
        ndcg = accuracy[victim]
        if not rows or ndcg is None:
            continue
        genuine = [each for each in rows if each.attack in imitate]
        most = max(rows, key=lambda each: each.hits)
        found.append((ndcg, most, max(genuine, key=lambda each: each.hits) if genuine else None, victim))
    found.sort(key=lambda each: -each[0])
    return [
        Point(
            victim=victim, **_kind(results, victim), accuracy=ndcg, worst=worst, genuine=genuine,
            front=not any(
                other >= ndcg and less.hits <= worst.hits and (other > ndcg or less.hits < worst.hits)
                for other, less, _, _ in found
            ),
        )
        for ndcg, worst, genuine, victim in found
    ]  # fmt: skip


def imitating(results: Results) -> set[str]:
    """The attacks of a run whose profiles look genuine by construction."""
    from sharpap.config import REGISTRY

    known = {name for name, (made, _) in REGISTRY["attack"].items() if getattr(made, "imitates", False)}
    attacks = results.config.get("attacks", {})
    return {
        name for name in results.attacks if isinstance(attacks.get(name), dict) and attacks[name].get("name") in known
    }


def section(results: Results, ks: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """One entry a list length (None: the main and the longest): charts and the table of the front; empty where too few
    victims were measured.
    """
    found = []
    for k in lengths(results) if ks is None else dict.fromkeys(ks):
        shown = points(results, k)
        if len(shown) < LEAST:
            continue
        kinds = list(dict.fromkeys(_kind(results, victim)["recommender"] for victim in results.victims))
        genuine = [each for each in shown if each.genuine is not None]
        found.append(
            {
                "k": k, "chart": _chart(shown, kinds, k, "the strongest attack"),
                "genuine": _chart(genuine, kinds, k, "the strongest attack that looks genuine", genuine=True),
                "kinds": [(kind, _style(kinds, kind)) for kind in kinds],
                "legend": legend([Series(label=kind, style=_style(kinds, kind), points=[]) for kind in kinds]),
                "front": [_row(each) for each in shown if each.front], "defended": any(each.defended for each in shown),
            }
        )  # fmt: skip
    return found


def _kind(results: Results, victim: str) -> dict[str, Any]:
    """Which recommender it is, and whether under a defence, as far as the recipe says."""
    table = results.config.get("victims", {}).get(victim)
    table = table if isinstance(table, dict) else {}
    defended = table.get("name") == "defended"
    inner = table.get("recommender") if defended else table
    name = inner.get("name") if isinstance(inner, dict) else inner
    return {"recommender": str(name or victim), "defended": defended}


def _chart(shown: list[Point], kinds: list[str], k: int, what: str, *, genuine: bool = False) -> Any:
    worst = [(each, each.genuine if genuine else each.worst) for each in shown]
    marks = [
        Mark(
            label=f"{each.victim}: NDCG@{k} {each.accuracy:.4f}, {100 * most.hits:.2f} % under {most.attack}",
            style=_style(kinds, each.recommender) + (" ring" if each.defended else ""), x=each.accuracy,
            y=100 * most.hits,
        )
        for each, most in worst
        if most is not None
    ]  # fmt: skip
    front = [(each.accuracy, 100 * each.worst.hits) for each in shown if each.front]
    about = "; ".join(mark.label for mark in marks[:NAMED])
    return scatter(
        marks, x_label=f"NDCG@{k} without attack", y_label=f"H@{k}, %", title=f"H@{k} under {what}, by accuracy",
        about=about, lines=() if genuine else (Series(label="not beaten in both", style="genuine", points=front),),
    )  # fmt: skip


def _row(point: Point) -> dict[str, Any]:
    genuine = point.genuine
    return {
        "victim": point.victim, "accuracy": number(point.accuracy), "hits": number(100 * point.worst.hits, 2),
        "interval": "–" if point.worst.low != point.worst.low
        else f"{100 * point.worst.low:.2f} to {100 * point.worst.high:.2f}",
        "attack": point.worst.attack, "genuine": "–" if genuine is None else number(100 * genuine.hits, 2),
    }  # fmt: skip


def _style(kinds: list[str], kind: str) -> str:
    return f"s{kinds.index(kind) % 6}"
