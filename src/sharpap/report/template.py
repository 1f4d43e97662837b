"""Pages that load nothing: style and scripts stand in the page, under a policy that allows these and no others."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from math import isnan
from typing import Any

from markupsafe import Markup
from markupsafe import escape as _escape

from sharpap.text import printable


def render(page: str, scripts: Sequence[str] = (), **context: Any) -> str:
    """A page of `templates/` with `style.css`, `theme.js` and, where it has one, its own scripts put in.

    All text from the context is escaped by the template engine. The Content-Security-Policy names the hashes of the three,
    and nothing else may run, be loaded or be sent.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here: tables on the terminal need none of it

    environment = Environment(
        loader=PackageLoader("sharpap.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_plain,
    )  # fmt: skip
    environment.filters |= {"number": number, "hundredfold": hundredfold, "percent": signed_percent, "chance": chance}
    style, theme = _file("style.css"), _file("theme.js")
    own = "\n".join(map(_file, scripts))
    hashes = " ".join(_hash(text) for text in (theme, own) if text)
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {hashes}; base-uri 'none'; form-action 'none'"
    return environment.get_template(page).render(
        policy=policy, style=Markup(style), theme=Markup(theme), script=Markup(own), **context  # noqa: S704 - our own files
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Text of a page without control and format characters but line breaks and the space that does not break; markup is ours,
    and stays as it is.
    """
    return printable(value, keep="\n\u00a0") if type(value) is str else value


def _plainly(data: Any) -> Any:
    if isinstance(data, dict):
        return {_plain(key): _plainly(each) for key, each in data.items()}
    return [_plainly(each) for each in data] if isinstance(data, (list, tuple)) else _plain(data)


def island(data: Any) -> Markup:
    """JSON that may stand in a script element whatever its strings hold: no tag, comment or line separator is left in it."""
    text = json.dumps(_plainly(data), separators=(",", ":"), allow_nan=False)  # ASCII: U+2028 is escaped
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - holds no <, > or &


def escape(words: str) -> Markup:
    """Text from data in markup of ours: no markup of its own, no control or format characters."""
    return _escape(_plain(words))


def number(value: float | None, digits: int = 4) -> str:
    """Fixed digits; a dash for what was not measured (NaN), n/a for what the victim cannot tell (None)."""
    return "n/a" if value is None else "–" if isnan(value) else f"{value:.{digits}f}"


def hundredfold(value: float | None) -> float | None:
    """A share in percent; None stays None."""
    return None if value is None else 100 * value


def signed_percent(value: float | None) -> str:
    """A relative change in percent."""
    return number(value) if value is None or isnan(value) else f"{100 * value:+.1f} %"


def chance(p: float) -> str:
    """A p-value in two digits."""
    return number(p) if isnan(p) else "< 0.001" if p < 0.001 else f"{p:.2g}"


def _file(name: str) -> str:
    return resources.files("sharpap.report").joinpath("templates", name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
