"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sharpap.cli import names
from sharpap.cli.settings import command_words
from sharpap.errors import ConfigError, suggest

TARGET_METRICS = ("H", "N", "anyH", "segmentH", "segmentN")
PROFILES = (".npz", ".parquet", ".csv", ".inter")  # `attacks.poison_io` writes them


def recipe_there(source: str | None) -> str | None:
    """A recipe's name, or its file; a wrong one is told before anything heavy is imported, and so are the names below."""
    if source is not None:
        names.check_recipe(source)
    return source


def _victim(name: str) -> str:
    names.check("victim", name)
    return name


def _attack(name: str | None) -> str | None:
    if name is not None:
        names.check("attack", name)
    return name


def _all(kind: str) -> Callable[[list[str] | None], list[str] | None]:
    def checked(chosen: list[str] | None) -> list[str] | None:
        for name in chosen or []:
            names.check(kind, name)
        return chosen

    return checked


def _commands(texts: list[str] | None) -> list[str] | None:
    for text in texts or []:
        command_words(text)
    return texts


def _trackers(texts: list[str] | None) -> list[str] | None:
    for text in texts or []:
        names.check("tracker", text.partition(":")[0])
    return texts


def _profiles(out: Path) -> Path:
    if out.suffix not in PROFILES:
        raise ConfigError(f"--out {out} has no known suffix.", hint=f"Choose one of {', '.join(PROFILES)}.")
    return out


def _metric(name: str) -> str:
    if name not in TARGET_METRICS:
        raise ConfigError(f"--metric {name}: there is no such metric of targets.", hint=suggest(name, TARGET_METRICS))
    return name


def environment_there(name: str) -> str:
    """The name of an environment."""
    names.check("environment", name)
    return name


Profiles = Annotated[
    Path, typer.Option("--out", "-o", help="Where to: .npz, .parquet, .csv or .inter.", callback=_profiles)
]
Metric = Annotated[
    str, typer.Option(help="Of the targets: H, N, anyH; segmentH, segmentN where users are named.", callback=_metric)
]
Target = Annotated[
    str,
    typer.Argument(help="Victim by name (`sharpap list victims`), or module:attribute.", callback=_victim),
]
OneAttack = Annotated[
    str | None, typer.Option("--attack", help="Craft this attack too, and show what it leaves.", callback=_attack)
]
MoreAttacks = Annotated[
    list[str] | None,
    typer.Option("--attack", help="Try this attack beside the suite; repeatable.", callback=_all("attack")),
]
MoreDefenses = Annotated[
    list[str] | None,
    typer.Option(
        "--defense", help="Try this defence beside those that are worth it; repeatable.", callback=_all("defense")
    ),
]
AttackName = Annotated[str, typer.Argument(help="Attack (`sharpap list attacks`).", callback=_attack)]
Detectors = Annotated[
    list[str] | None,
    typer.Option("--detector", help="Only these (`sharpap list detectors`); repeatable.", callback=_all("detector")),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only warnings and the result.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Set one option of the recipe, of an attack or of a victim; repeatable."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="NAME|PATH", help="Dataset by name (`sharpap list datasets`), or a file of interactions."
    ),
]
Threshold = Annotated[float | None, typer.Option(help="Ratings from this value on count as interactions.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="COLUMN=VALUE", help="Only rows with this value; repeat it for more values of a column."
    ),
]
Missing = Annotated[
    list[float] | None, typer.Option("--missing", metavar="NUMBER", help='A rating that means "no rating"; repeatable.')
]
Targets = Annotated[
    str | None, typer.Option(help="Which items are attacked: a pool (`sharpap list pools`), or item ids: ID,ID.")
]
Fakes = Annotated[
    str | None,
    typer.Option("--fakes", help="How many fake users: a share of the genuine ones (0.01), or a number (9)."),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed of everything random: the same seed gives the same results.")
]
Victims = Annotated[
    list[str] | None, typer.Option(help="Only these victims; repeatable. module:attribute names your own class.")
]
Commands = Annotated[
    list[str] | None,
    typer.Option(
        "--victim-command",
        metavar="CMD",
        help="A victim that is a command: 'python train.py {train} {scores}'; repeatable.",
        callback=_commands,
    ),
]
Allow = Annotated[
    bool, typer.Option("--allow-commands", help="Let the recipe name commands to run and local servers to call.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")]
AuditJobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=1, help="Processes that work side by side; default: two where two processors are free."
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes that work side by side.")]
Track = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND[:DIR]",
        help="Log to tensorboard or mlflow, in DIR (default: beside the results folder).",
        callback=_trackers,
    ),
]
