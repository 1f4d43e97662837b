"""Write all pages of the site: those of docs/, the documents beside it, and those that are made from the program.

python website/pages.py build/pages      # `make docs` does it, and builds the site from there
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

import reference

ROOT = Path(__file__).parent.parent
# Documents of the repository that are pages of the site.
BESIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md"}


def main() -> None:
    """Write the folder anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of pages; what is in it is removed")
    out = parser.parse_args().out
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(ROOT / "docs", out)
    for page in out.glob("**/*.md"):
        page.write_text(linked(page.read_text("utf-8"), page.relative_to(out)), "utf-8")
    for name, page in BESIDE.items():
        text = (ROOT / name).read_text("utf-8").replace("](docs/", "](").replace("](examples/", "](../examples/")
        for other, target in BESIDE.items():
            text = text.replace(f"]({other}", f"]({target}")
        (out / page).write_text(linked(text, Path(page)), "utf-8")
    for notebook in (ROOT / "examples" / "tutorials").glob("*.ipynb"):
        shutil.copy(notebook, out / "tutorials")
    for page, text in reference.pages(ROOT / "examples").items():
        (out / page).parent.mkdir(exist_ok=True)
        (out / page).write_text(text, "utf-8")


def linked(text: str, page: Path) -> str:
    """Links of a page to files beside docs/ lead to their pages. What has none is left, and fails the strict build."""
    up = "../" * (len(page.parts) - 1)
    for name, target in BESIDE.items():
        text = text.replace(f"]({up}../{name}", f"]({up}{target}")
    text = re.sub(rf"\]\({re.escape(up)}\.\./examples/(tutorials/\w+\.ipynb)\)", rf"]({up}\1)", text)
    return re.sub(
        rf"\]\({re.escape(up)}\.\./examples/([\w/.]+)\)",
        lambda found: f"]({up}examples.md#{reference.anchor(found[1])})",
        text,
    )


if __name__ == "__main__":
    main()
