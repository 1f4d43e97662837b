"""Results to read: terminal tables and one self-contained HTML page."""

from sharpap.report.folder import save
from sharpap.report.markdown import markdown
from sharpap.report.page import html, write_html
from sharpap.report.terminal import show

__all__ = ["html", "markdown", "save", "show", "write_html"]
