"""The hall's page and the public board on a wall: nothing is cut or runs over, and everything can be read from where
people stand.

The rule of the board: what must be read is at least 3.2/67.5 of the short side, the distance divided by 250 (32 mm on
55 inches, 8 m); headings, units, the date and English at least 2/67.5. The rule of the hall's page: 12 px of a screen
of 1080 lines, 11 px at the axes; a larger screen shows the same, larger.
"""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.pages.made_hall import MadeHall, calls, scene
from tests.support.browsers import shown

SCREENS = [(3840, 2160), (2560, 1440), (1920, 1080), (1080, 1920), (2160, 3840)]
SHORTENED = ".win .foot, .ledtext"  # their whole text stands in the window's own story
LESS = "h2, small, #date, [lang=en]"  # on the board

# Of each element with text of its own: what it says, its size in px on the screen, and what is wrong with its place.
LOOK = """([shortened, less, fixed]) => {
  const found = [], root = document.documentElement;
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility() || one.closest(".sr, .skip, dialog, option")) continue;
    const style = getComputedStyle(one), box = one.getBoundingClientRect(), tick = one.closest("svg") !== null;
    const zoom = tick ? one.getScreenCTM().a : one.currentCSSZoom ?? 1, wrong = [];
    const wide = style.display !== "inline" && !tick && one.scrollWidth > one.clientWidth + 1;
    if (wide && !one.matches(shortened)) wrong.push("cut");
    if (box.left < -1 || box.right > innerWidth + 1) wrong.push("beside the screen");
    if (fixed && (box.top < -1 || box.bottom > innerHeight + 1)) wrong.push("below the screen");
    for (let each = one.parentElement; each; each = each.parentElement) {
      const outer = each.getBoundingClientRect(), hides = getComputedStyle(each).overflowY === "hidden";
      if (hides && (box.bottom > outer.bottom + 1 || box.top < outer.top - 1)) wrong.push("clipped");
    }
    const px = parseFloat(style.fontSize) * zoom, text = one.textContent.trim().slice(0, 40);
    found.push({ text, px, tick, less: one.closest(less) !== null, wrong });
  }
  return [root.scrollWidth - innerWidth, root.scrollHeight - innerHeight, found];
}"""


async def looked(page: Page, width: int, height: int, fixed: bool) -> tuple[int, int, list[dict[str, Any]]]:
    """How far it runs over to the right and below, and its texts; after the page has drawn itself anew."""
    await page.set_viewport_size({"width": width, "height": height})
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    right, below, texts = await page.evaluate(LOOK, [SHORTENED, LESS, fixed])
    assert len(texts) > 10, "the page is empty"
    wrong = [(one["text"], one["wrong"]) for one in texts if one["wrong"]]
    assert not wrong, (width, height, wrong)
    return right, below, texts


async def test_the_hall_on_a_wall_in_both_languages(browser: Browser, hall: MadeHall) -> None:
    for language in ("zh", "en"):
        async with shown(browser, f"{hall.address}/?lang={language}", *SCREENS[0]) as page:
            await page.locator(".win").first.wait_for()
            await page.locator("#chart svg").wait_for()
            for width, height in [*SCREENS, (1440, 900)]:
                right, below, texts = await looked(page, width, height, fixed=False)
                where = (language, width, height)
                assert right <= 0, where
                assert below <= (0 if min(width, height) >= 1080 else height), where
                wall = 2.0 if min(width, height) == 2160 else 1.0
                small = [one for one in texts if one["px"] < (11 if one["tick"] else 12) * wall * 0.97]
                assert not small, (where, small)


@pytest.mark.parametrize("number", ["H029", "TA1088"])
async def test_the_board_on_a_wall_with_the_longest_words(
    browser: Browser, hall: MadeHall, number: str
) -> None:
    newest = calls()[0] | {"n": 200, "number": number, "window": "w14", "again": True, "area": "tax"}
    await hall.publish("calls", {"calls": [newest, *calls()]})
    for area, low in (("tax", 95), ("estate", 105)):
        waits = {"waiting": 128, "wait_low_s": low * 60, "wait_high_s": (low + 40) * 60}
        await hall.publish(f"area/{area}", scene()[f"area/{area}"] | waits)
    for path in ("/board", "/board/tax")[: 1 if number == "H029" else 2]:
        async with shown(browser, f"{hall.address}{path}", *SCREENS[0]) as page:
            await expect(page.locator(".where").first).to_contain_text("128")
            for width, height in [*SCREENS, (1280, 720)]:
                right, below, texts = await looked(page, width, height, fixed=True)
                assert (right, below) == (0, 0), (path, width, height)
                rem = min(width, height) / 67.5
                small = [one for one in texts if one["px"] < (2.0 if one["less"] else 3.2) * rem - 0.1]
                assert not small, (path, width, height, small)
