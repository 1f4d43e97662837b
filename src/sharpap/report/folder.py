"""A results folder with its page: what was measured is stored first, then drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sharpap import progress
from sharpap.checksums import note_again
from sharpap.files import explained
from sharpap.report.page import write_html

if TYPE_CHECKING:
    from sharpap.assess.results import Results


def save(results: Results, folder: Path, *, overwrite: bool = False) -> Path:
    """Write the results folder (`assess.folder.save`), then report.html in it, and tell who listens.

    Raises:
        ConfigError: the folder holds something else, or results and `overwrite` is off.
        StorageError: the disk is full, the folder cannot be written to, or a file in it is a link.
    """
    from sharpap.assess.folder import save as storing  # here: tables need none of what stores profiles

    storing.save(results, folder, overwrite=overwrite)
    with explained(folder):
        write_html(results, folder / storing.REPORT)
        note_again(folder, storing.REPORT)
    progress.offer("saved", folder)
    return folder
