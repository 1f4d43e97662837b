"""The entry point, and what becomes of errors."""

from __future__ import annotations

import json
import signal
import sys

import typer

from sharpap.cli.app import app
from sharpap.errors import ConfigError, Interrupted, SharpAPError


def _safe(text: str) -> str:
    """An error that quotes a file may hold anything; line breaks stay."""
    from sharpap.text import printable

    return "\n".join(printable(line) for line in text.split("\n"))


def main() -> None:
    """Entry point. Exit status: 0 done, 1 failed, 2 a wrong option or recipe, 130 interrupted.

    SIGTERM, which batch systems send before they kill, ends a run as Ctrl-C does.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except SharpAPError as error:
        if "--json" in sys.argv:
            typer.echo(json.dumps({"error": error.message or str(error), "hint": error.hint}))
        typer.echo(f"error: {_safe(str(error))}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except Interrupted as stopped:
        typer.echo(f"interrupted: {_safe(str(stopped))}", err=True)
        sys.exit(130)
    except SystemExit as end:
        if end.code == 130:  # typer makes this of Ctrl-C
            from sharpap.cli.stops import AGAIN

            typer.echo(f"interrupted: {AGAIN}", err=True)
        raise
    except OSError as error:
        typer.echo(_safe(f"error: {error.filename or ''}: {error.strerror or error}"), err=True)
        sys.exit(1)
