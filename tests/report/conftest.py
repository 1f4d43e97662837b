"""A headless Chromium; tests skip themselves only where none is on the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    binary = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not binary:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser) -> Iterator:
    """`opened(path, hash, **options)`: the page of a file in a fresh context; an error on it fails the test."""
    contexts, errors = [], []

    def go(path: Path, fragment: str = "", **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: errors.append(request.url) if not request.url.startswith("file:") else None)
        page.goto(path.as_uri() + fragment)
        return page

    yield go
    for context in contexts:
        context.close()
    assert errors == []
