"""Results to read: terminal tables and one self-contained HTML page."""

from sharpap.report.page import html, write_html
from sharpap.report.terminal import show

__all__ = ["html", "show", "write_html"]
