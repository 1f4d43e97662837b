"""What the attacker sees, and what a victim in the ball around the surrogate sees: the pictures of docs/min-max-min.md.

    sharpap run beyond/ml-1m --fakes 0.01 --draws 4 --out results/beyond-ml-1m-1
    python benchmarks/ball.py results/beyond-ml-1m-1 --base revadv-paper --attack sharpap-paper

For each draw of both attacks: their surrogate is trained on genuine and fake rows from a seed that no attack has seen, and
moved within balls of several sizes, in the direction that is worst for the attacker and in a random one. Hits are H@k, with
the attacks' own k. Printed: a table.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from sharpap.assess import Results
from sharpap.assess.folder.save import poison_files
from sharpap.assess.recipe import dataset_from
from sharpap.attacks import Poison, RandomDirection, RevAdv, SharpnessAware
from sharpap.attacks.objective import margins
from sharpap.attacks.poison_io import load_poison
from sharpap.attacks.scan import Scan, scan
from sharpap.config import build
from sharpap.metrics import interval
from sharpap.report.charts import Bar, Series, intervals, text
from sharpap.report.picture import Picture, standalone
from sharpap.report.planes import curves, heat_map
from sharpap.surrogates.base import Embeddings

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
SEED = 990
RIVALS = 100
RADII = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1)
BALL = 0.05  # of which the plane and the bars are: the radius of sharpap-paper
SIDE = np.linspace(-BALL, BALL, 11)


@dataclass(frozen=True, kw_only=True)
class Around:
    """One poison's surrogate; all hits in percent of the lists.

    Attributes:
        worst, chance: hits by radius, in the worst and in a random direction.
        fit: the recommendation loss at the worst places, as multiples of that of the trained surrogate.
        plane: hits over steps along a random (rows) and the worst direction (columns), where it was asked for.
    """

    worst: tuple[float, ...]
    chance: tuple[float, ...]
    fit: tuple[float, ...]
    plane: tuple[tuple[float, ...], ...] = ()


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="results folder with the profiles of both attacks")
    parser.add_argument("--base", default="revadv", help="an attack without a worst case")
    parser.add_argument("--attack", default="sharpap", help="the same attack with one")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder for ball-*.svg")
    args = parser.parse_args()
    results = Results.load(args.folder)
    names = (args.base, args.attack)
    found = {name: measured(results, args.folder, name) for name in names}
    print(table(found))
    for name, made in {"hits": lines(found), "seen": bars(found, results), "plane": planes(found)}.items():
        print(made.save(args.pictures / f"ball-{name}.svg"))


def measured(results: Results, folder: Path, name: str) -> list[Around]:
    """Around the surrogates of all draws of an attack."""
    train = dataset_from(results.config["data"])[0].train
    settings = results.config["attacks"][name]
    attack = RevAdv(
        surrogate=replace(build("surrogate", settings["surrogate"]), unrolled_epochs=0),  # never differentiated through
        objective=build("objective", settings["objective"]),
        k=settings["k"],
    )
    return [
        around(attack, load_poison(path, train), train.matrix, draw)
        for draw, path in poison_files(folder, name).items()
    ]


def around(attack: RevAdv, poison: Poison, train, draw: int) -> Around:
    """Moved along the gradient of the attack's own loss, as the worst case is taken."""
    trained = attack.surrogate.train(train, poison.profiles, seed=SEED + draw)
    centre = trained.embeddings
    seen = scan(centre, train, poison.goal, k=attack.k, rivals=RIVALS)
    loss = partial(attack.objective.value_and_grad, scan=seen)

    def moved(kind: type[SharpnessAware] | type[RandomDirection], radius: float) -> Embeddings:
        return kind(rho=radius)(centre, loss, seed=SEED)

    worst = [moved(SharpnessAware, radius) for radius in RADII]
    fit = trained.training_loss(centre)
    there, aside = moved(SharpnessAware, BALL), moved(RandomDirection, BALL)
    steps = [(a / BALL, b / BALL) for a in SIDE for b in SIDE] if draw == 0 else []
    plane = np.array([hits(between(centre, aside, a, there, b), seen) for a, b in steps]).reshape(-1, len(SIDE))
    return Around(
        worst=tuple(hits(at, seen) for at in worst),
        chance=tuple(hits(moved(RandomDirection, radius), seen) for radius in RADII),
        fit=tuple(trained.training_loss(at) / fit for at in worst),
        plane=tuple(map(tuple, plane.tolist())),
    )


def hits(at: Embeddings, seen: Scan) -> float:
    """H@k in percent, with the rivals of nearby embeddings."""
    ((margin, _),) = margins(at, seen, [seen.k])
    return 100 * float((seen.weights * (margin > 0)).sum())


def between(centre: Embeddings, first: Embeddings, a: float, second: Embeddings, b: float) -> Embeddings:
    """The centre, moved by shares of the ways to two other places."""
    users, items = (
        here + a * (one - here) + b * (two - here)
        for here, one, two in (
            (centre.users, first.users, second.users),
            (centre.items, first.items, second.items),
        )
    )
    return Embeddings(users, items)


def table(found: dict[str, list[Around]]) -> str:
    """Means over the draws, with the 95 % intervals of the worst."""
    rows = [
        "| attack | size, % | H@10, worst, % | H@10, random, % | recommendation loss, worst |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, draws in found.items():
        for place, radius in enumerate(RADII):
            worst = interval(np.array([each.worst[place] for each in draws]))
            chance = np.mean([each.chance[place] for each in draws])
            fit = 100 * (np.mean([each.fit[place] for each in draws]) - 1)
            rows.append(
                f"| {name} | {100 * radius:.0f} | {worst.mean:.2f} ({worst.low:.2f} to {worst.high:.2f}) | {chance:.2f} | "
                f"{fit:+.1f} % |"
            )
    return "\n".join(rows)


def lines(found: dict[str, list[Around]]) -> Picture:
    """Hits by the size of the ball."""
    series = []
    for place, (name, draws) in enumerate(found.items()):
        for words, way, style in (("worst", "worst", f"s{place}"), ("random", "chance", f"s{place} dashed")):
            means = np.mean([getattr(each, way) for each in draws], axis=0).tolist()
            points = [(100 * radius, mean) for radius, mean in zip(RADII, means, strict=True)]
            series.append(Series(label=f"{name}, {words}", style=style, points=points))
    chart = curves(
        series, x_label="size of the ball, % of each row's length", y_label="H@10, %", title="Hits by the size of the ball",
        about="Solid: the worst model in the ball. Dashed: a random one of the same distance.",
    )  # fmt: skip
    return standalone(chart, [(name, f"s{place}") for place, name in enumerate(found)])


def bars(found: dict[str, list[Around]], results: Results) -> Picture:
    """Hits on the surrogate, in the ball, and on the victims of the run."""
    place, names = RADII.index(BALL), list(found)

    def group(title: str, values: Callable[[str], Sequence[float]]) -> tuple[str, list[Bar]]:
        means = [interval(np.array(values(name))) for name in names]
        return title, [
            Bar(label=name, style=f"s{number}", mean=mean.mean, low=mean.low, high=mean.high)
            for number, (name, mean) in enumerate(zip(names, means, strict=True))
        ]

    groups = [
        group("a surrogate", lambda name: [each.worst[0] for each in found[name]]),
        group("a random model in the ball", lambda name: [each.chance[place] for each in found[name]]),
        group("the worst model in the ball", lambda name: [each.worst[place] for each in found[name]]),
    ]
    for victim in results.victims:
        rows = results.frame.filter(victim=victim, metric="H", k=10, target=-1)
        groups.append(
            group(f"victim {victim}", lambda name, rows=rows: 100 * rows.filter(attack=name)["value"].to_numpy())
        )
    return standalone(intervals(groups, x_label="H@10, %"), [])


def planes(found: dict[str, list[Around]]) -> Picture:
    """The share of the hits that is lost, around each attack's surrogate of the first draw, side by side."""
    parts, steps = [], (100 * SIDE).tolist()
    width = height = 0
    for place, (name, draws) in enumerate(found.items()):
        lost = 100 * (1 - np.array(draws[0].plane) / draws[0].worst[0])
        chart = heat_map(
            lost.tolist(), steps, steps, low=0, high=100, x_label="along the worst direction, %",
            y_label="along a random direction, %", title=name,
            about="Strong colour: no hit is lost. The ring is the surrogate itself.",
        )  # fmt: skip
        width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', chart)[0])
        words = text(width / 2 + 29, -6, name, "middle") + text(width / 2 + 29, height - 6, "hits lost, %", "middle")
        inner = chart[chart.index(">") + 1 : chart.index("</svg>")]
        parts.append(f'<g transform="translate({place * width} 24)">{words}{inner}</g>')
    return standalone(f'<svg viewBox="0 0 {len(found) * width} {height + 24}">{"".join(parts)}</svg>', [])


if __name__ == "__main__":
    main()
