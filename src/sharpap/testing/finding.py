"""What a check found, in plain words."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sharpap.errors import ContractError, SharpAPError

Status = Literal["ok", "doubt", "failed", "skipped"]


class Doubt(ContractError):  # noqa: N818 - it is none
    """Something that works but makes results worse or harder to read."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check.

    Attributes:
        check: its name.
        status: failed means that assessments would fail or mislead; doubt, that they work but suffer.
        message: what was seen.
        hint: what to do about it, or "".
    """

    check: str
    status: Status
    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings, and measured times.

    Attributes:
        findings: in the order of the checks.
        seconds: "fit" a training, "score_user" scoring one user, "audit" an estimate for a full audit on this data; empty when
            nothing could be trained.
    """

    findings: tuple[Finding, ...]
    seconds: dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(finding.status in ("ok", "doubt") for finding in self.findings)

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ok": self.ok, "checks": [asdict(finding) for finding in self.findings], "seconds": self.seconds}


def examine(checks: Iterable[Callable[[Any], str]], gates: frozenset[str], subject: Any) -> Iterator[Finding]:
    """Run checks in order; after a failed gate the rest is skipped, since it would fail for the same reason."""
    closed = ""
    for check in checks:
        name = title(check)
        if closed:
            yield Finding(check=name, status="skipped", message=f"not looked at: {closed} failed")
            continue
        try:
            yield Finding(check=name, status="ok", message=check(subject))
        except SharpAPError as problem:
            status = "doubt" if isinstance(problem, Doubt) else "failed"
            yield Finding(check=name, status=status, message=problem.message, hint=problem.hint or "")
            closed = name if status == "failed" and check.__name__ in gates else ""


def title(check: Callable[..., Any]) -> str:
    """``same_seed`` as "same seed"."""
    return check.__name__.replace("_", " ")


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """Turn whatever foreign code raises inside into a `ContractError` that says where."""
    try:
        yield
    except SharpAPError as problem:
        raise ContractError(f"{what} failed: {problem.message}", hint=problem.hint) from problem
    except Exception as problem:
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{Path(frame.filename).name}, line {frame.lineno}"
        raise ContractError(f"{what} raised {type(problem).__name__}: {problem} ({where}).") from problem
