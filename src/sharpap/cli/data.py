"""The verbs below `sharpap data`. ``sharpap data NAME`` without a verb describes a dataset, as ``sharpap data show NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sharpap.cli.help import Whole
from sharpap.cli.options import Json, Missing, Quiet, Set, Threshold, Where


class _ShowByDefault(Whole):
    """A group whose first word may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx):
            args = ["show", *args]
        return super().parse_args(ctx, args)


data_app = typer.Typer(
    help="Fetch and describe a dataset (`sharpap data NAME|FILE`), inspect or convert a file.",
    cls=_ShowByDefault, no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip

File = Annotated[Path, typer.Argument(help="A file of interactions, gzip or not.")]
Form = Annotated[
    str | None, typer.Option("--format", help="csv, tsv, parquet, npz, jsonl, wide, recbole, adjacency, movielens-...")
]
Separator = Annotated[str | None, typer.Option(help="Separator of a CSV; \\t is a tab, \\s+ any blanks.")]
Header = Annotated[bool | None, typer.Option("--header/--no-header", help="Whether the first line names the columns.")]
User = Annotated[
    str | None, typer.Option("--user", metavar="COLUMN", help="Column of users, by name or by position from 0.")
]
Item = Annotated[
    str | None, typer.Option("--item", metavar="COLUMN", help="Column of items, by name or by position from 0.")
]
Rating = Annotated[
    str | None, typer.Option("--rating", metavar="COLUMN", help='Column of ratings; "" ignores ratings.')
]
Timestamp = Annotated[
    str | None, typer.Option("--timestamp", metavar="COLUMN", help='Column of times; "" ignores times.')
]


@data_app.command()
def show(
    source: Annotated[str, typer.Argument(help="Catalogue name or file.")],
    threshold: Threshold = None,
    where: Where = None,
    missing: Missing = None,
    settings: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fetch a dataset if needed, check it, and say what is in it."""
    from sharpap.cli.plans import of_data
    from sharpap.cli.rows import rows_taken

    recipe = of_data({"data.source": source, "data.threshold": threshold, **rows_taken(where, missing)}, settings or [])
    from sharpap.cli.inspect import show_data

    show_data(recipe, quiet, as_json)


@data_app.command()
def inspect(
    file: File,
    format: Form = None,
    separator: Separator = None,
    header: Header = None,
    user: User = None,
    item: Item = None,
    rating: Rating = None,
    timestamp: Timestamp = None,
    where: Where = None,
    missing: Missing = None,
    as_json: Json = False,
) -> None:
    """Profile a file of any size: columns, ids, repeats, popularity, suspicious rows, and the options that load it."""
    from sharpap.cli.profile import show_profile

    how = {"format": format, "separator": separator, "header": header, "where": where, "missing": missing}
    show_profile(file, how, {"user": user, "item": item, "rating": rating, "timestamp": timestamp}, as_json)


@data_app.command()
def convert(
    file: File,
    out: Annotated[Path, typer.Argument(help="File to write: .npz, .parquet, .csv, .tsv or .inter.")],
    threshold: Threshold = None,
    k_core: Annotated[
        int, typer.Option(min=0, help="Drop users and items with fewer interactions, until none is left.")
    ] = 0,
    duplicates: Annotated[str, typer.Option(help="Repeated pairs: merge or refuse.")] = "merge",
    bad_rows: Annotated[str, typer.Option(help="Bad rows: refuse the file, or drop them.")] = "refuse",
    format: Form = None,
    separator: Separator = None,
    header: Header = None,
    user: User = None,
    item: Item = None,
    rating: Rating = None,
    timestamp: Timestamp = None,
    where: Where = None,
    missing: Missing = None,
    out_separator: Annotated[str | None, typer.Option(help="Separator of a .csv that is written.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a file of interactions in another form, and say what was dropped and why."""
    from sharpap.cli.convert import convert_file

    how = {
        "format": format, "separator": separator, "header": header, "threshold": threshold, "k_core": k_core,
        "duplicates": duplicates, "bad_rows": bad_rows, "where": where, "missing": missing,
    }  # fmt: skip
    columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    convert_file(file, out, how, columns, out_separator, overwrite, as_json)
