"""The verbs, their options, and what becomes of errors. Heavy imports wait until a verb runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sharpap import __version__
from sharpap.cli import environments
from sharpap.cli.data import data_app
from sharpap.errors import ConfigError, SharpAPError

app = typer.Typer(
    help="Stress-test recommender systems against poisoning attacks, offline, on your own interaction data.",
    no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
app.add_typer(environments.app, name="env")

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one option; repeatable.")]
Data = Annotated[
    str | None, typer.Option("--data", metavar="NAME|PATH", help="Catalogue name or file of interactions.")
]
Threshold = Annotated[float | None, typer.Option(help="Ratings at or above it are positives.")]
Targets = Annotated[str | None, typer.Option(help="A pool (unpopular, tail, head, ...) or item ids: ID,ID.")]
Fakes = Annotated[str | None, typer.Option("--fakes", help="Fake users: a share below 1, or a number.")]
Seed = Annotated[int | None, typer.Option(help="Root of all randomness.")]
Victims = Annotated[
    list[str] | None, typer.Option(help="Only these victims; repeatable. module:attribute names your own class.")
]
Commands = Annotated[
    list[str] | None,
    typer.Option("--victim-command", metavar="CMD", help="A victim: 'python train.py {train} {scores}'; repeatable."),
]
Allow = Annotated[
    bool, typer.Option("--allow-commands", help="Let the recipe name commands to run and local servers to call.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")]


@app.command()
def run(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe by name (`sharpap list recipes`) or path; default: demo.")
    ] = None,
    named: Annotated[str | None, typer.Option("--recipe", help="The same as the argument.")] = None,
    data: Data = None,
    threshold: Threshold = None,
    attack: Annotated[list[str] | None, typer.Option(help="Only these attacks; repeatable.")] = None,
    victim: Victims = None,
    victim_command: Commands = None,
    allow_commands: Allow = False,
    targets: Targets = None,
    draws: Annotated[int | None, typer.Option(help="Target draws.")] = None,
    fakes: Fakes = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each victim on each poison.")] = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results folder; default: results/RECIPE.")] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Start anew: replace results and finished work in OUT (never in --store)."),
    ] = False,
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Folder of finished work, which several runs may share; default: OUT/cells."),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, help="Further tries for what fails unexpectedly.")] = 1,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes that work side by side.")] = 1,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Let the recipe import module:attribute.")] = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Craft attacks, retrain victims, write tables and a report."""
    from sharpap.cli.run import run_recipe

    shortcuts = {
        "data.source": data, "data.threshold": threshold, "targets.draws": draws, "seeds": seeds, "seed": seed,
    }  # fmt: skip
    if recipe and named and recipe != named:
        raise ConfigError(f"Which recipe: {recipe} or {named}?", hint="Give one, as the argument or as --recipe.")
    run_recipe(
        recipe or named or "demo", shortcuts, attack, victim, targets, fakes, settings or [], out, overwrite, jobs, quiet,
        as_json, allow_code, victim_command, allow_commands, store, retries,
    )  # fmt: skip


@app.command()
def attack(
    name: Annotated[str, typer.Argument(help="Attack (`sharpap list attacks`).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to: .npz, .parquet, .csv or .inter.")],
    data: Data = None,
    threshold: Threshold = None,
    targets: Targets = None,
    draw: Annotated[int, typer.Option(help="Which target draw.")] = 0,
    fakes: Fakes = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Craft fake profiles and write them with their provenance."""
    from sharpap.cli.craft import craft

    shortcuts = {"data.source": data, "data.threshold": threshold, "seed": seed}
    craft(name, out, shortcuts, targets, draw, fakes, settings or [], overwrite, quiet, as_json)


@app.command()
def evaluate(
    profiles: Annotated[list[Path], typer.Argument(help="Fake profiles: .npz, .parquet, .csv, .tsv or .inter.")],
    data: Data = None,
    threshold: Threshold = None,
    targets: Annotated[
        str | None, typer.Option(help="Target item ids: ID,ID; default: the file's own provenance.")
    ] = None,
    victim: Victims = None,
    victim_command: Commands = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each victim.")] = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Results folder; default: none is written.")] = None,
    overwrite: Overwrite = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Retrain victims on fake profiles from anywhere and measure."""
    from sharpap.cli.run import evaluate_profiles

    shortcuts = {"data.source": data, "data.threshold": threshold, "seeds": seeds, "seed": seed}
    evaluate_profiles(
        profiles, shortcuts, targets, victim, settings or [], out, overwrite, quiet, as_json, victim_command
    )


@app.command()
def audit(
    target: Annotated[str, typer.Argument(help="Victim by name (`sharpap list victims`), or module:attribute.")],
    data: Data = None,
    threshold: Threshold = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; default: results/audit-TARGET.")] = None,
    overwrite: Overwrite = False,
    settings: Set = None,
    seed: Seed = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """How exposed is one recommender: what it takes, who is hit, what it costs, how visible it is, what helps."""
    from sharpap.cli.audit import run_audit

    shortcuts = {"data.source": data, "data.threshold": threshold, "audit.seed": seed}
    run_audit(target, shortcuts, settings or [], out, overwrite, quiet, as_json)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Results folder.")],
    k: Annotated[int, typer.Option(help="List length of the tables.")] = 10,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Tables as Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """Show the tables of a results folder and write its report.html anew."""
    from sharpap.cli.inspect import show_report

    show_report(folder, k, as_markdown, as_json)


@app.command()
def results(
    folders: Annotated[list[Path], typer.Argument(help="Results folders.")],
    attack: Annotated[
        list[str] | None, typer.Option(help="Only these attacks (none: the clean run); repeatable.")
    ] = None,
    victim: Annotated[list[str] | None, typer.Option(help="Only these victims; repeatable.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="H, anyH, N, rank, rank_shift, Recall, NDCG, or all; repeatable. Default: H."),
    ] = None,
    k: Annotated[list[int] | None, typer.Option("--k", help="Only these list lengths; repeatable.")] = None,
    pivot: Annotated[bool, typer.Option("--pivot", help="A column a victim.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="The second folder minus the first, draw by draw.")
    ] = False,
    rows: Annotated[bool, typer.Option("--rows", help="Every measurement instead of means over draws.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write to a .csv, .parquet or .tex instead.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.")] = False,
    as_json: Json = False,
) -> None:
    """Ask results folders: filter, pivot, compare two runs, export."""
    from sharpap.cli.results import Query, show_results

    shapes = [name for name, wanted in (("pivot", pivot), ("compare", compare), ("rows", rows)) if wanted]
    if len(shapes) > 1:
        raise ConfigError(f"--{shapes[0]} and --{shapes[1]} exclude each other.")
    metrics = () if metric == ["all"] else tuple(metric or ["H"])
    query = Query(attacks=tuple(attack or ()), victims=tuple(victim or ()), metrics=metrics, ks=tuple(k or ()))
    show_results(folders, query, shape=(shapes or ["means"])[0], out=out, overwrite=overwrite, as_json=as_json)


app.add_typer(data_app, name="data")


@app.command(name="list")
def list_names(
    what: Annotated[str, typer.Argument(help="datasets, attacks, victims, surrogates, pools, recipes, ...")] = "all",
    as_json: Json = False,
) -> None:
    """What there is to choose from."""
    from sharpap.cli.inspect import show_names

    show_names(what, as_json)


@app.command(name="check-recommender")
def check_recommender(
    target: Annotated[str, typer.Argument(help="Victim by name (`sharpap list victims`), or module:attribute.")],
    data: Data = None,
    threshold: Threshold = None,
    seed: Seed = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Train a recommender a few times and say in plain words what is wrong with it."""
    from sharpap.cli.check import check

    check(target, data, threshold, seed, settings or [], as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check the installation: versions, threads, memory, data, a kernel against its reference."""
    from sharpap.cli.doctor import examine

    examine(as_json)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(f"sharpap {__version__}")
        raise typer.Exit


def _safe(text: str) -> str:
    """An error that quotes a file may hold anything; line breaks stay."""
    from sharpap.cli.console import printable

    return "\n".join(printable(line) for line in text.split("\n"))


def main() -> None:
    """Entry point. Exit status: 0 done, 1 failed, 2 a wrong option or recipe, 130 interrupted."""
    try:
        app()
    except SharpAPError as error:
        if "--json" in sys.argv:
            typer.echo(json.dumps({"error": error.message or str(error), "hint": error.hint}))
        typer.echo(f"error: {_safe(str(error))}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except OSError as error:
        typer.echo(f"error: {error.filename or ''}: {error.strerror or error}", err=True)
        sys.exit(1)
