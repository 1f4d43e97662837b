"""What must hold for any file whatever: an error of ours or a right answer, in time, and nothing that drives a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fuzz_folder
import fuzz_outside
import fuzz_reference
from fuzz_mutate import FOLDERS, OUTSIDE, Case

from sharpap.assess.recipe import experiment_from
from sharpap.attacks.base import check_poison
from sharpap.attacks.poison_io import load_poison
from sharpap.cli import main
from sharpap.cli.profile import lines_of
from sharpap.config.recipes import read_recipe
from sharpap.data import Interactions, read_interactions
from sharpap.data.form.layout import decompressed, detect
from sharpap.data.generated import synthetic
from sharpap.data.inspection.profile import profile
from sharpap.data.reading.columns import meaning_in
from sharpap.data.reading.lazy_table import rows_of
from sharpap.data.reading.stream import read_streamed
from sharpap.errors import SharpAPError
from sharpap.threat import Allowance

SECONDS = 20  # of processors; other work on the machine is no hang
WAITING = 300  # of the clock, for who waits for something that never comes
MEMORY = 1 << 30  # bytes by which the peak of the process may rise in one case
SAFE = {"\n", "\t"}


class Finding(AssertionError):  # noqa: N818
    """Something that must not happen."""


class TimeUp(BaseException):
    """A case that takes too long."""


@contextlib.contextmanager
def limited(seconds: int = SECONDS) -> Iterator[None]:
    """Raise `TimeUp` inside the block after some seconds of work, or after `WAITING`, between two instructions of Python."""

    def ring(*_: Any) -> None:
        raise TimeUp

    before = [(each, signal.signal(each, ring)) for each in (signal.SIGALRM, signal.SIGPROF)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(WAITING)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for each, handler in before:
            signal.signal(each, handler)


def check(kind: str, case: Case, folder: Path, *, deep: bool = True, cli: bool = False) -> str:
    """Write a case and read it; "loaded" or "refused". Raises `Finding`.

    `deep`: also as `sharpap data inspect` and the reader of large files do. `cli`: also through the command line.
    """
    name, files = case
    for path, raw in files.items():
        (folder / path).write_bytes(raw)
    before = _peak()
    try:
        with limited():
            outcome = _LOOKS[kind](folder / name) if kind in _LOOKS else _data(folder / name, deep=deep)
            if cli:
                _command(kind, folder / name)
        if _peak() - before > MEMORY:
            raise Finding(f"{kind}: took {(_peak() - before) >> 20:,} MiB")
    except SharpAPError:
        outcome = "refused"
    except TimeUp:
        raise Finding(f"{kind}: took longer than {SECONDS} s of work, or {WAITING} s") from None
    except Finding:
        raise
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        last = "".join(traceback.format_exception(error)[-6:])
        raise Finding(f"{kind}: {type(error).__name__}: {error}\n{last}") from None
    finally:
        for path in [*files, "report.html"]:
            (folder / path).unlink(missing_ok=True)
    return outcome


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def pairs_of(made: Interactions) -> frozenset[tuple[str, str]]:
    """(user, item) as text."""
    users, items = made.entries()
    return frozenset(zip(map(str, made.user_ids[users].tolist()), map(str, made.item_ids[items].tolist()), strict=True))


def attempt(call: Any, *args: Any, **options: Any) -> Any:
    """What a call returns, or None where it refuses."""
    try:
        return call(*args, **options)
    except SharpAPError:
        return None


def _data(path: Path, *, deep: bool) -> str:
    strict = attempt(read_interactions, path)
    loose = attempt(read_interactions, path, bad_rows="drop")
    found = attempt(profile, path) if deep else None
    if found is not None:
        _safe("\n".join(lines_of(found)), "inspect")
    layout = detect(path)
    if strict is not None:
        if loose is None or pairs_of(loose) != pairs_of(strict):
            raise Finding("bad_rows=drop gives other pairs than refuse, which found no bad row")
        _sound(strict)
    if deep and layout.format not in ("npz", "adjacency"):
        for bad_rows, mine in (("refuse", strict), ("drop", loose)):
            streamed = attempt(read_streamed, path, layout, None, threshold=None, duplicates="merge", bad_rows=bad_rows)
            if mine is not None and streamed is not None and pairs_of(streamed) != pairs_of(mine):
                raise Finding(f"streamed ({bad_rows}): {_difference(pairs_of(streamed), pairs_of(mine))}")
    if not layout.binary:
        _against_reference(path, layout, strict, loose)
    return "refused" if strict is None else "loaded"


def _against_reference(path: Path, layout: Any, strict: Interactions | None, loose: Interactions | None) -> None:
    if strict is None and loose is None:
        return
    raw = decompressed(path)
    if layout.format == "adjacency":
        for made in (strict, loose):
            if made is not None and pairs_of(made) != fuzz_reference.adjacency(raw):
                raise Finding(f"adjacency: {_difference(pairs_of(made), fuzz_reference.adjacency(raw))}")
        return
    with rows_of(path, layout) as rows:
        names = meaning_in(rows.frame, layout, None, path, look=False).roles
    readings = [fuzz_reference.objects(raw, list(layout.names), names)] if layout.format == "jsonl" else [
        fuzz_reference.said(
            raw, separator=layout.separator, quote=layout.quote, skip=layout.skip, width=len(layout.names), whole=whole,
            places={role: layout.names.index(name) for role, name in names.items()},
            integer_ids=layout.format in ("movielens-tab", "movielens-dat"),
        )
        for whole in (False, True)
    ]  # fmt: skip
    if strict is not None:
        fitting = [said for said in readings if not said.bad]
        if not fitting:
            raise Finding(f"loaded without a word, though {readings[0].bad} rows cannot be used")
        if all(pairs_of(strict) != said.pairs for said in fitting):
            raise Finding(f"wrong pairs: {_difference(pairs_of(strict), fitting[0].pairs)}")
    if loose is not None:
        mine = pairs_of(loose)
        if not any(mine == said.pairs if said.sure else mine <= said.pairs for said in readings):
            raise Finding(f"wrong pairs with bad rows dropped: {_difference(mine, readings[0].pairs)}")


def _difference(mine: frozenset[Any], theirs: frozenset[Any]) -> str:
    return f"only here {sorted(mine - theirs)[:4]}, only there {sorted(theirs - mine)[:4]}"


def _sound(made: Interactions) -> None:
    csr = made.matrix
    if not (csr.has_canonical_format and (csr.data == 1).all() and csr.nnz > 0):
        raise Finding("the matrix is not binary and canonical")
    if csr.nnz and (csr.indices.min() < 0 or csr.indices.max() >= csr.shape[1]):
        raise Finding("the matrix points outside")


def _recipe(path: Path) -> str:
    experiment_from(read_recipe(path))
    return "loaded"


_TRAIN = synthetic(20, 9, 60)


def _profiles(path: Path) -> str:
    made = load_poison(path, _TRAIN)
    sizes = Allowance(num_fake=made.num_fake, profile_size=_TRAIN.num_items)
    with contextlib.suppress(SharpAPError):
        check_poison(made, _TRAIN.num_items, sizes)
    if made.profiles.shape[1] != _TRAIN.num_items or not all(0 <= item < 9 for item in made.goal.targets):
        raise Finding("profiles of another catalogue")
    made.inject(_TRAIN.matrix)
    return "loaded"


_LOOKS = {
    "recipe": _recipe, "profiles-npz": _profiles, "profiles-csv": _profiles, "profiles-parquet": _profiles,
    **fuzz_outside.LOOKS, **fuzz_folder.LOOKS,
}  # fmt: skip


def _command(kind: str, path: Path) -> None:
    """The command line on the same file: exit status 0, 1 or 2, no traceback, nothing that drives a terminal."""
    if kind in ("recipe", "records", *OUTSIDE):
        return
    calls = [["data", "inspect", path], ["data", path, "-q"], ["data", "convert", path, path.with_name("out.csv")]]
    if kind in FOLDERS:
        calls = [["report", path.parent], ["report", path.parent, "--json"], ["results", path.parent]]
    if kind.startswith("profiles"):
        shape = ["--set", "data.users=20", "--set", "data.items=9", "--set", "data.interactions=60"]
        calls = [["evaluate", path, "--data", "synthetic", *shape, "--victim", "popularity", "-q"]]
    for call in calls:
        status, text = run(*call)
        path.with_name("out.csv").unlink(missing_ok=True)
        if status not in (0, 1, 2) or "Traceback" in text:
            raise Finding(f"sharpap {call[0]}: status {status}\n{text[-500:]}")
        _safe(text, " ".join(map(str, call[:2])))


def run(*args: object) -> tuple[int, str]:
    """The command line in this process: exit status, and what it printed."""
    out, argv = io.StringIO(), sys.argv
    sys.argv = ["sharpap", *map(str, args)]
    status: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main()
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.argv = argv
    return status, out.getvalue()


def _safe(text: str, where: str) -> None:
    odd = {mark for mark in text if not mark.isprintable() and mark not in SAFE}
    if odd:
        raise Finding(f"{where} prints {odd!r}, which may drive a terminal")


os.environ.setdefault("NO_COLOR", "1")
