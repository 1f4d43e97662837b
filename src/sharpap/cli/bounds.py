"""The verbs that say what no attack can do: `reach` and `certify`. Heavy imports wait until one runs."""

from __future__ import annotations

from typing import Annotated

import typer

from sharpap.cli.options import Data, Json, OneAttack, Quiet, Seed, Set, Target, Threshold

Confidence = Annotated[float, typer.Option(help="Probability that all that is said of one number of fakes is true.")]


def reach(
    target: Target,
    data: Data = None,
    threshold: Threshold = None,
    draws: Annotated[int, typer.Option(min=1, help="How many sets of target items are drawn.")] = 3,
    seed: Seed = None,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show how far any attack could get, by number of fakes, where a bound is known. Nothing is attacked."""
    from sharpap.cli.plans import of_victim

    recipe = of_victim(target, data, threshold, settings or [])
    from sharpap.cli.reach import show_reach

    show_reach(target, recipe, draws, seed, quiet, as_json)


def certify(
    target: Target,
    data: Data = None,
    threshold: Threshold = None,
    fakes: Annotated[str, typer.Option(metavar="N,N", help="Numbers of fake users.")] = "1,5,9",
    models: Annotated[int, typer.Option(help="Trainings, each on a few users.")] = 1000,
    sample: Annotated[int, typer.Option(help="Users of each model.")] = 60,
    listed: Annotated[int, typer.Option(help="Items each model votes for, for each of its users.")] = 3,
    k: Annotated[int, typer.Option("--k", help="List length.")] = 10,
    confidence: Confidence = 0.999,
    attack: OneAttack = None,
    seed: Seed = None,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show how many of a user's list stay whatever any fakes do, if many small models of one recommender vote."""
    from sharpap.cli.plans import of_certify, of_victim

    recipe = of_victim(target, data, threshold, settings or [])
    vote = {"models": models, "users": sample, "listed": listed}
    numbers = of_certify(fakes, vote)
    from sharpap.cli.certify import show_certificate

    show_certificate(target, recipe, numbers, vote, k, confidence, attack, seed, quiet, as_json)
