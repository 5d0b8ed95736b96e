"""What a browser pays: hours of the public board in a slow Chromium, and how soon each page shows something.

``EDGED_BOARD_HOURS=8 pytest -m full -s tests/pages/test_board_hours.py`` lives so many hours of a hall, a minute of it
at a time, and prints what it found; without it, a quarter of an hour.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, CDPSession, Page, expect

from tests.pages.made_hall import TOKEN, MadeHall, calls, scene, window
from tests.support.browsers import shown

HOURS = float(os.environ.get("EDGED_BOARD_HOURS", "0.25"))
SLOW = 6  # times slower than this machine: a board's old PC
WARM_MIN = 10  # minutes of the hall until a board has shown everything once
MINUTE_S = 0.15  # of ours
NODES_MORE_MAX = 60
HEAP_MORE_MAX_MIB = 1.0
WEB_MORE_MAX_MIB = 4.0  # of edged web, which keeps the day for /replay: its lists have caps
PAGES = ("/", "/board", "/duty", "/replay", "/report")
PAINT_MAX_MS = 1_000
PAINTED = """() => new Promise((done) => new PerformanceObserver((list) => {
  const one = list.getEntries().find((each) => each.name === "first-contentful-paint"); if (one) done(one.startTime);
}).observe({ type: "paint", buffered: true }))"""


async def slowed(page: Page) -> CDPSession:
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOW})
    await devtools.send("Performance.enable")
    return devtools


async def weighed(devtools: CDPSession) -> dict[str, float]:
    """Memory and nodes after the browser has thrown away what it can."""
    for _ in range(3):
        await devtools.send("HeapProfiler.collectGarbage")
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    found = {one["name"]: float(one["value"]) for one in metrics}
    return {
        "mib": found["JSHeapUsedSize"] / 1048576,
        "nodes": found["Nodes"],
        "told": found["JSEventListeners"],
    }


def web_mib(hall: MadeHall) -> float:
    """Memory of ``edged web``, as the system counts it (VmRSS)."""
    lines = Path(f"/proc/{hall.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def minute(hall: MadeHall, number: int) -> None:
    """One minute of a hall: a call, its window, what waits."""
    clock = f"2026-11-23T{9 + number // 60 % 8:02d}:{number % 60:02d}:00+08:00"
    newest = [
        one | {"n": number - back, "number": f"A{(number - back) % 1000:03d}", "at": clock, "window": "w1"}
        for back, one in enumerate(calls())
    ]
    await hall.publish("calls", {"calls": newest})
    await hall.publish("window/w1", window("1", "CALLING", ticket=f"A{number % 1000:03d}"))
    for place, (name, body) in enumerate(scene().items()):
        if name.startswith("area/"):
            await hall.publish(name, body | {"waiting": (number * 7 + place) % 30})


@pytest.mark.full
@pytest.mark.timeout(3600)
async def test_a_board_does_not_grow_with_the_hours(browser: Browser, hall: MadeHall) -> None:
    async with shown(browser, f"{hall.address}/board", 1920, 1080) as page:
        await expect(page.locator(".call").first).to_be_visible()
        devtools = await slowed(page)
        minutes = WARM_MIN + round(HOURS * 60)
        found: list[dict[str, float]] = []
        for number in range(1, minutes + 1):
            await minute(hall, number)
            await asyncio.sleep(MINUTE_S)
            if number in (WARM_MIN, minutes):
                await expect(page.locator(".call .n").first).to_have_text(f"A{number % 1000:03d}")
                found.append(await weighed(devtools) | {"web_mib": web_mib(hall)})
        print(f"{HOURS:g} hours of /board, {SLOW} times slower: {found[0]} -> {found[-1]}")  # noqa: T201
        assert found[-1]["nodes"] - found[0]["nodes"] <= NODES_MORE_MAX
        assert found[-1]["mib"] - found[0]["mib"] <= HEAP_MORE_MAX_MIB
        assert found[-1]["told"] == found[0]["told"]
        assert found[-1]["web_mib"] - found[0]["web_mib"] <= WEB_MORE_MAX_MIB


@pytest.mark.full
async def test_every_page_shows_something_within_a_second(browser: Browser, hall: MadeHall) -> None:
    found: dict[str, int] = {}
    for address in (*(f"{hall.address}{path}" for path in PAGES), hall.ticket):
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(address)
        found[address.removeprefix(hall.address).replace(TOKEN, "…")] = round(await page.evaluate(PAINTED))
        await page.close()
    print(f"first paint, ms: {found}")  # noqa: T201
    assert max(found.values()) < PAINT_MAX_MS, found
