"""The command line: one module per verb, imported when it is used."""

from sharpap.cli.entry import main

__all__ = ["main"]
