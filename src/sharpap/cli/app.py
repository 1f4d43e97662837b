"""The verbs and their options. Heavy imports wait until a verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpap import __version__
from sharpap.cli import bounds, environments, looking
from sharpap.cli.data import data_app
from sharpap.cli.help import Verbs
from sharpap.cli.options import (
    Allow,
    AttackName,
    AuditJobs,
    Commands,
    Data,
    Detectors,
    Fakes,
    Jobs,
    Json,
    Missing,
    MoreAttacks,
    MoreDefenses,
    Overwrite,
    Profiles,
    Quiet,
    Seed,
    Set,
    Target,
    Targets,
    Threshold,
    Track,
    Victims,
    Where,
    recipe_there,
)
from sharpap.errors import ConfigError

app = typer.Typer(
    cls=Verbs,
    help="Stress-test recommender systems against poisoning attacks, offline, on your own interaction data.",
    no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
app.add_typer(environments.app, name="env")


@app.command()
def run(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Recipe by name (`sharpap list recipes`) or path; default: demo.", callback=recipe_there),
    ] = None,
    named: Annotated[
        str | None, typer.Option("--recipe", help="The recipe, as the argument names it.", callback=recipe_there)
    ] = None,
    data: Data = None,
    threshold: Threshold = None,
    where: Where = None,
    missing: Missing = None,
    attack: Annotated[
        list[str] | None, typer.Option(help="Only these attacks (`sharpap list attacks`); repeatable.")
    ] = None,
    victim: Victims = None,
    victim_command: Commands = None,
    allow_commands: Allow = False,
    targets: Targets = None,
    draws: Annotated[int | None, typer.Option(help="How many sets of target items are drawn and attacked.")] = None,
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
    retries: Annotated[int, typer.Option(min=0, help="How often what fails unexpectedly is tried again.")] = 1,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Pieces of work at once; default: 1, on Ray as many as fit."),
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="serial, processes or ray; default: processes for several jobs.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT|auto", help="Ray cluster to use; default: one of this machine alone."),
    ] = None,
    cpus_per_job: Annotated[int | None, typer.Option(help="On Ray: processors of a piece of work.")] = None,
    gpus_per_job: Annotated[
        float | None, typer.Option(help="On Ray: CUDA devices of a piece, or a share of one.")
    ] = None,
    memory_per_job: Annotated[float | None, typer.Option(metavar="GIB", help="On Ray: memory of a piece.")] = None,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Let the recipe import module:attribute.")] = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
    track: Track = None,
) -> None:
    """Run a recipe: craft attacks, train victims on them, write tables and a report."""
    from sharpap.cli.plans import of_run, refuse_backend
    from sharpap.cli.rows import rows_taken

    shortcuts = {
        "data.source": data, "data.threshold": threshold, "targets.draws": draws, "seeds": seeds, "seed": seed,
        **rows_taken(where, missing),
    }  # fmt: skip
    if recipe and named and recipe != named:
        raise ConfigError(f"Which recipe: {recipe} or {named}?", hint="Give one, as the argument or as --recipe.")
    name = recipe or named or "demo"
    cluster = {"address": address, "cpus": cpus_per_job, "gpus": gpus_per_job, "memory_gib": memory_per_job}
    refuse_backend(backend, cluster)
    asked, code = of_run(
        name,
        shortcuts,
        attack,
        victim,
        targets,
        fakes,
        settings or [],
        allow_code=allow_code,
        allow_commands=allow_commands,
    )
    from sharpap.cli.run import run_recipe

    run_recipe(
        asked, code, out or Path("results") / name.removesuffix(".toml").lstrip("./"), overwrite, jobs, quiet, as_json,
        victim_command, allow_commands, store, retries, backend, cluster, track,
    )  # fmt: skip


@app.command()
def tune(
    recipe: Annotated[
        str, typer.Argument(help="Recipe by name (`sharpap list recipes`) or path.", callback=recipe_there)
    ] = "demo",
    space: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=RANGE", help="attack.worst_case.rho=0.001:0.5:log or victim.embedding_size=16,32; repeatable."
        ),
    ] = None,
    data: Data = None,
    threshold: Threshold = None,
    attack: Annotated[str | None, typer.Option(help="The attack to tune.")] = None,
    victim: Annotated[list[str] | None, typer.Option(help="The victim to tune, or those that judge an attack.")] = None,
    targets: Targets = None,
    fakes: Fakes = None,
    trials: Annotated[int | None, typer.Option(help="Candidates in all; default: 20.")] = None,
    draws: Annotated[
        int | None, typer.Option(help="Target draws to tune on, none of them reported; default: 3.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each victim; default: 1.")] = None,
    k: Annotated[
        int | None,
        typer.Option(help="List length; default: 10 for H@k, 20 for NDCG@k; where the recipe lacks it, its shortest."),
    ] = None,
    pruner: Annotated[str | None, typer.Option(help="median, halving or none; default: median.")] = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; default: results/tune-RECIPE.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew instead of going on.")] = False,
    jobs: Jobs = 1,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Let the recipe import module:attribute.")] = False,
    allow_commands: Allow = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Search settings of an attack or a victim, on draws and seeds that are not reported."""
    from sharpap.cli.plans import of_tune
    from sharpap.config.space import split_assignment

    shortcuts = {"data.source": data, "data.threshold": threshold, "seed": seed}
    given = {"attack": attack, "trials": trials, "draws": draws, "seeds": seeds, "k": k, "pruner": pruner}
    plan = {key: value for key, value in given.items() if value is not None}
    ranges = dict(split_assignment(entry) for entry in space or [])
    asked, judges, code = of_tune(
        recipe, ranges, shortcuts, plan, victim, targets, fakes, settings or [],
        allow_code=allow_code, allow_commands=allow_commands,
    )  # fmt: skip
    from sharpap.cli.tune import run_tune

    out = out or Path("results") / f"tune-{Path(recipe).stem}"
    run_tune(asked, ranges, plan, judges, code, out, overwrite, jobs, allow_commands, quiet, as_json)


@app.command()
def attack(
    name: AttackName,
    out: Profiles,
    data: Data = None,
    threshold: Threshold = None,
    targets: Targets = None,
    draw: Annotated[int, typer.Option(help="Number of the target draw.")] = 0,
    fakes: Fakes = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Craft fake profiles and write them with their provenance."""
    from sharpap.cli.plans import of_attack

    shortcuts = {"data.source": data, "data.threshold": threshold, "seed": seed}
    recipe = of_attack(name, shortcuts, targets, draw, fakes, settings or [])
    from sharpap.cli.craft import craft

    craft(name, recipe, out, draw, overwrite, quiet, as_json)


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
    from sharpap.cli.plans import of_evaluate

    shortcuts = {"data.source": data, "data.threshold": threshold, "seeds": seeds, "seed": seed}
    recipe, code = of_evaluate(shortcuts, victim, settings or [], commands=bool(victim_command))
    from sharpap.cli.run import evaluate_profiles

    evaluate_profiles(profiles, recipe, code, targets, out, overwrite, quiet, as_json, victim_command)


@app.command()
def audit(
    target: Target,
    data: Data = None,
    threshold: Threshold = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,VALUE",
            help="Also train it with other values of a setting. NAME alone: around its own; none: of no setting. Repeatable.",
        ),
    ] = None,
    attack: MoreAttacks = None,
    defense: MoreDefenses = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; default: results/audit-TARGET.")] = None,
    overwrite: Overwrite = False,
    jobs: AuditJobs = None,
    settings: Set = None,
    seed: Seed = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure how exposed one recommender is: what an attack takes, whom it hits, how visible it is, and what helps."""
    from sharpap.cli.plans import of_audit

    shortcuts = {"data.source": data, "data.threshold": threshold, "audit.seed": seed}
    recipe = of_audit(target, shortcuts, settings or [], vary or [])
    from sharpap.cli.audit import run_audit

    more = {"attacks": attack or [], "defenses": defense or []}
    run_audit(target, recipe, vary or [], more, out, overwrite, jobs, quiet, as_json)


app.command()(bounds.reach)
app.command()(bounds.certify)


@app.command()
def detect(
    folder: Annotated[Path, typer.Argument(help="Results folder of a finished run.")],
    detector: Detectors = None,
    victim: Annotated[
        str | None, typer.Option(help="Train this one without each detector's suspects, and measure what it costs.")
    ] = None,
    seed: Seed = None,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure how visible the fake profiles of a run are to detectors that know nothing of the attack."""
    from sharpap.cli.console import loaded
    from sharpap.cli.plans import of_detect

    found = loaded(folder)
    recipe = of_detect(found.config, detector, settings or [], victim)
    from sharpap.cli.detect import detect_folder

    detect_folder(folder, found, recipe, detector, seed, quiet, as_json, victim)


app.command()(looking.report)
app.command()(looking.results)
app.add_typer(data_app, name="data")


@app.command(name="list")
def list_names(
    what: Annotated[str, typer.Argument(help="datasets, attacks, victims, surrogates, pools, recipes, ...")] = "all",
    as_json: Json = False,
) -> None:
    """List what there is to choose from: datasets, attacks, victims, recipes and more."""
    from sharpap.cli.names import show_names

    show_names(what, as_json)


@app.command(name="check-recommender")
def check_recommender(
    target: Target,
    data: Data = None,
    threshold: Threshold = None,
    seed: Seed = None,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Train a recommender a few times and say in plain words what is wrong with it."""
    from sharpap.cli.plans import of_victim

    recipe = of_victim(target, data, threshold, settings or [])
    from sharpap.cli.check import check

    check(target, recipe, seed, as_json)


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
