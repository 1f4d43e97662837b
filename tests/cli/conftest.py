"""The command line, called in this process."""

from __future__ import annotations

import sys

import pytest

from sharpap.cli import main


@pytest.fixture
def sharpap(monkeypatch, capsys):
    """Run the command line; gives exit status, stdout and stderr."""

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sharpap", *map(str, args)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        out, err = capsys.readouterr()
        return code, out, err

    return call
