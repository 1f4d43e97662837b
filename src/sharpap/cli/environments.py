"""`sharpap env`: environments for libraries that cannot live beside SharpAP."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sharpap.cli.help import Whole
from sharpap.cli.options import Json, Quiet, environment_there

app = typer.Typer(
    help="Make environments for RecBole and RecTools, apart from SharpAP's own.", cls=Whole, no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip
Name = Annotated[str, typer.Argument(help="recbole or rectools.", callback=environment_there)]


@app.command(name="list")
def show(as_json: Json = False) -> None:
    """List the environments, and whether they are made."""
    from rich.table import Table
    from rich.text import Text

    from sharpap.adapters.environment import NAMES, Environment
    from sharpap.cli.console import stdout

    found = [Environment(name) for name in NAMES]
    if as_json:
        print(json.dumps({each.name: {"state": each.state, "folder": str(each.folder)} for each in found}, indent=2))
        return
    table = Table("environment", "state", "folder", box=None, padding=(0, 2), header_style="bold")
    for each in found:
        table.add_row(each.name, each.state, Text(str(each.folder), overflow="fold"))
    stdout().print(table)


@app.command()
def create(
    name: Name,
    python: Annotated[str | None, typer.Option(help="Interpreter to make it from; default: SharpAP's own.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace one that is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make an environment from the pinned requirements that ship with SharpAP (minutes, a GB or two)."""
    from sharpap.adapters.environment import Environment
    from sharpap.cli.console import reporting

    with reporting(quiet=quiet):
        folder = Environment(name).create(python=python, overwrite=overwrite)
    typer.echo(f"Environment {name} in {folder}")


@app.command()
def remove(name: Name) -> None:
    """Delete an environment."""
    from sharpap.adapters.environment import Environment

    Environment(name).remove()
    typer.echo(f"Environment {name} removed")
