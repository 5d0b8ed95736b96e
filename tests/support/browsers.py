"""Runs Debian's Chromium for tests of pages, and checks pages for accessibility with axe-core."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.needs import lacking

expect.set_options(timeout=20_000)  # what hangs is found, what is merely busy is not
GRAVE = ("serious", "critical")
LOAD_MS = 20_000


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run Chromium without a window."""
    path = shutil.which("chromium")
    if path is None:
        lacking("chromium is not installed (apt-get install chromium)")
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def shown(browser: Browser, address: str, width: int = 1440, height: int = 900) -> AsyncIterator[Page]:
    """Open ``address`` in a new page of ``width`` x ``height`` pixels. An error on its console, or an uncaught one,
    fails the test at the end of the block.
    """
    page = await browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(LOAD_MS)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    await page.goto(address)
    try:
        yield page
    finally:
        await page.close()
    assert not said, said


async def grave_findings(page: Page) -> list[str]:
    """The accessibility faults that axe-core calls serious or critical: for each the rule and the HTML element."""
    packages = os.environ.get("EDGED_NODE_PEERS")
    script = Path(packages or ".") / "axe-core" / "axe.min.js"
    if not script.exists():
        lacking("EDGED_NODE_PEERS names no folder with axe-core")
    await page.evaluate(script.read_text("utf-8"))
    found: dict[str, Any] = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]
