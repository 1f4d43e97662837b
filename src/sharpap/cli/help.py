"""How `--help` lists verbs: in groups, by what one wants to do, each with its whole sentence."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup


class Whole(TyperGroup):
    """Verbs with whole sentences; typer itself cuts them at the width of a line.

    Attributes:
        groups: heading to the verbs under it; what no group names stands below them.
    """

    groups: ClassVar[dict[str, tuple[str, ...]]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section a group."""
        named = {name for names in self.groups.values() for name in names}
        rest = tuple(name for name in self.list_commands(ctx) if name not in named)
        for heading, names in {**self.groups, "More" if self.groups else "Commands": rest}.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, _sentence(command.help)) for name, command in commands if command and not command.hidden]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class Verbs(Whole):
    """Those of `sharpap`."""

    groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "Start": ("run", "audit", "list", "doctor"),
        "Measure": ("reach", "certify", "attack", "evaluate", "tune", "detect"),
        "Look at results": ("report", "results"),
        "Your own data and models": ("data", "check-recommender", "env"),
    }


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())
