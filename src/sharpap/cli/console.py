"""Progress on the terminal and in log.jsonl."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from sharpap import progress
from sharpap.files import appending, explained
from sharpap.text import printable

if TYPE_CHECKING:
    from sharpap.assess import Results


def stdout() -> Console:
    """Where results go; at least 100 columns where it is no terminal, so that tables in logs are whole."""
    return safe(Console() if sys.stdout.isatty() else Console(width=110))


def finite(value: Any) -> Any:
    """A row, or a nest of tables and lists, for JSON, which knows no NaN: it becomes null."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and value != value else value


class Escaped(RenderHook):
    """What a console is asked to print, with control and format characters of its text as escapes.

    Titles, ids, file names and errors may hold anything; rich escapes markup, but lets an escape sequence through.
    """

    class _Shown:
        def __init__(self, inner: ConsoleRenderable) -> None:
            self.inner = inner

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for segment in console.render(self.inner, options):
                text = "\n".join(printable(line) for line in segment.text.split("\n"))
                yield segment if segment.control else Segment(text, segment.style)

        def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
            return Measurement.get(console, options, self.inner)

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """See `rich.console.RenderHook`."""
        return [self._Shown(each) for each in renderables]


def safe(console: Console) -> Console:
    """The same console; what it prints cannot drive the terminal."""
    console.push_render_hook(Escaped())
    return console


class Handle:
    """One open task, on the terminal or not."""

    def __init__(self, owner: Reporter, task: TaskID | None) -> None:
        self.owner, self.task = owner, task

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        """See `progress.Task`."""
        if self.owner.bars is not None and self.task is not None:
            if note is not None:
                self.owner.bars.update(self.task, note=escape(note))
            self.owner.bars.advance(self.task, steps)


class Reporter:
    """Bars on a terminal, one line an event elsewhere, and a JSON line an event in the log.

    Args:
        quiet: neither bars nor lines but warnings.
        log: open log file, or None.
    """

    def __init__(self, *, quiet: bool, log: IO[str] | None) -> None:
        self.log, self.quiet, self.start_time = log, quiet, time.perf_counter()
        self.console = safe(Console(stderr=True))
        self.bars: Progress | None = None
        if not quiet and self.console.is_terminal:
            self.bars = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}", style="dim"),
                console=self.console, transient=True,
            )  # fmt: skip

    def start(self, description: str, total: int | None) -> Handle:
        """See `progress.Reporter`."""
        bar = None if self.bars is None else self.bars.add_task(escape(description), total=total, note="")
        return Handle(self, bar)

    def finish(self, task: progress.Task) -> None:
        """See `progress.Reporter`."""
        if self.bars is not None and isinstance(task, Handle) and task.task is not None:
            self.bars.remove_task(task.task)

    def event(self, kind: str, **fields: object) -> None:
        """See `progress.Reporter`."""
        if self.log is not None:
            record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind, **fields}
            self._write(json.dumps(record, default=str) + "\n")
        if self.quiet and kind != "warning":
            return
        shown = " ".join(f"{key}={printable(value)}" for key, value in fields.items() if value not in ("", None))
        if self.bars is None:
            print(f"[{time.perf_counter() - self.start_time:7.1f} s] {kind} {shown}", file=sys.stderr, flush=True)
        elif kind == "so far":
            self.bars.console.print(f"So far: {printable(fields.get('message'))}", markup=False, highlight=False)
        elif kind in ("warning", "duplicates") or fields.get("error"):
            self.bars.console.print(f"{kind} {shown}", markup=False, style="yellow")

    def _write(self, line: str) -> None:
        """A log that cannot be written, on a full disk, is no reason to end a run."""
        if self.log is None:
            return
        try:
            self.log.write(line)
            self.log.flush()
        except OSError as error:
            self.log = None
            self.event("warning", message=f"The log ends here: {error.strerror}.")


@contextmanager
def reporting(*, quiet: bool, log: Path | None = None, append: bool = False) -> Iterator[None]:
    """Show and log progress inside the block.

    Raises:
        StorageError: the log cannot be opened.
    """
    with ExitStack() as stack:
        file = None
        if log is not None:
            with explained(log.parent):
                log.parent.mkdir(parents=True, exist_ok=True)
                file = appending(log, anew=not append)
            stack.callback(_close, file)
            before = log.read_bytes()
            if before and not before.endswith(b"\n"):  # a run was killed while it wrote
                file.write("\n")
        reporter = Reporter(quiet=quiet, log=file)
        if reporter.bars is not None:
            stack.enter_context(reporter.bars)
        stack.enter_context(progress.reporting(reporter))
        yield


def loaded(folder: Path) -> Results:
    """A results folder; what there is to say of it goes to stderr."""
    from sharpap.assess import Results

    with reporting(quiet=True):
        return Results.load(folder)


def _close(file: IO[str]) -> None:
    with suppress(OSError):  # what a full disk did not take
        file.close()
