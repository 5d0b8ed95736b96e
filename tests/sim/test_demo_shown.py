"""What the demo is to show, in a browser, as a visitor of it would do it.

``EDGED_SHOTS=1`` writes README's pictures (``edged/pages/shots``) from a demo whose lamp is blinking.

Steps: take a ticket, a rush, the lamp and its reason, an order with a PIN that ends, a policy that harms and its
return, the other language, a day beside another policy, a phone; and every control of the demo.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from edged.pages import assets
from edged.sim.demo import DUTY_NAME, DUTY_PIN
from tests.sim.test_demo import demo, processes_of
from tests.support.brokers import until
from tests.support.browsers import chromium, grave_findings, shown

SOON_MS, LATER_MS = 60_000, 300_000  # what takes minutes of the hall, at its speed, or an idle processor
ADDRESS = re.compile(r"(pages|things) at (http\S+)")
SHOTS = Path(__file__).parents[2] / "edged" / "pages" / "shots"
PICTURES = [("hall-zh", "?lang=zh&theme=light", 1440, 900), ("hall-en", "?lang=en&theme=dark", 1440, 900)]
PICTURES += [("board", "board", 1280, 720)]
LARGEST_PICTURE = 150 * 1024
FILES = ("touch.html", "touch.css", "touch.js", "touch_words.js")


@asynccontextmanager
async def shown_demo(directory: Path, *words: str) -> AsyncIterator[tuple[int, str, str]]:
    """A demo: its process, where its pages are, and where it can be touched."""
    async with demo(directory, *words) as process:
        assert process.stderr is not None
        found: dict[str, str] = {}
        async with asyncio.timeout(90):
            while len(found) < 2:
                line = (await process.stderr.readline()).decode()
                assert line, "the demo ended"
                found |= dict(ADDRESS.findall(line))
        yield process.pid, found["pages"], found["things"]


async def scene(page: Page, act: str, answer: str) -> None:
    await page.locator(f'[data-act="{act}"]').click()
    await expect(page.locator("#said")).to_contain_text(answer)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_hall_is_touched_and_understood(tmp_path: Path) -> None:
    async with shown_demo(tmp_path, "--hours", "8", "--speed", "30") as (pid, pages, touch):
        async with chromium() as browser, shown(browser, touch, 1280, 900) as hands:
            # what harms goes by itself; the day's own policy was still on trial, so the city pushes it once more
            await expect(hands.locator("#x_policy")).to_have_text("v1", timeout=SOON_MS)
            await scene(hands, "harm", "停用潮汐窗口")
            await expect(hands.locator("#x_policy")).to_have_text("v2", timeout=SOON_MS)
            await expect(hands.locator("#x_policy")).to_have_text("v3", timeout=LATER_MS)
            async with shown(browser, pages) as hall:
                await _a_rush_and_why(browser, hands, hall)
                await _ordered(browser, pages)
                await hall.locator("#lang").click()
                await expect(hall.locator("html")).to_have_attribute("lang", "en")
                await expect(hall.locator("#decisions .why").first).to_contain_text(re.compile("[a-z]{4}"))
            await _replayed(browser, pages)
        assert processes_of(pid)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: processes_of(pid) == {}, 20.0)


async def _a_rush_and_why(browser: Browser, hands: Page, hall: Page) -> None:
    """A number on paper and on a phone; then more people than the windows can serve."""
    await expect(hands.locator("#ticket [name=service] option")).not_to_have_count(0)
    await hands.select_option("#ticket [name=service]", "tax-general")
    await hands.locator("#ticket button").click()
    paper = hands.locator("#papers li").filter(has_text="A0").first
    await expect(paper).to_be_visible(timeout=SOON_MS)
    # both at once: the list grows at its head while other people take numbers
    number, address = await paper.evaluate(
        "one => [one.querySelector('b').innerText, one.querySelector('a').href]"
    )
    async with asyncio.timeout(60):  # the hall tells of it every three seconds
        while (await hands.request.get(f"{address}/now")).status != 200:
            await asyncio.sleep(0.2)
    async with shown(browser, address, 390, 844) as phone:
        await expect(phone.locator("#face h2 b")).to_have_text(number, timeout=SOON_MS)
        assert await grave_findings(phone) == []
        await scene(hands, "coach", "一车 40 人")
        lit = hall.locator(".win .bulb.blink, .win .bulb.on").first
        await expect(lit).to_be_visible(timeout=LATER_MS)
        why = hall.locator("#decisions .why").filter(has_text="税务综合").first
        await expect(why).to_contain_text("启用", timeout=SOON_MS)
        for page in (hall, hands):
            assert await grave_findings(page) == []
        await expect(phone.locator("#face h2 b")).to_have_text(number)


async def _ordered(browser: Browser, pages: str) -> None:
    """Give an order with a PIN in the browser, read the hall's answer, and see the order end."""
    async with shown(browser, f"{pages}duty", 390, 844) as desk:
        await desk.get_by_label("姓名").fill(DUTY_NAME)
        await desk.get_by_label("PIN").fill(DUTY_PIN)
        await desk.get_by_role("button", name="进入").click()
        await desk.get_by_role("button", name="暂停取号").click()
        await desk.get_by_role("radio", name="社保").first.check(force=True)
        await desk.get_by_role("radio", name="演练").check(force=True)
        await desk.locator('input[name="minutes"][value="15"]').check(force=True)
        await desk.get_by_role("button", name="确认执行").click()
        await expect(desk.locator("#standing")).to_contain_text(DUTY_NAME, timeout=SOON_MS)
        await expect(desk.locator("#standing")).to_contain_text("演练")
        await expect(desk.locator("#standing")).not_to_contain_text(
            "演练", timeout=LATER_MS
        )  # after its 15 minutes
        assert await grave_findings(desk) == []


async def _replayed(browser: Browser, pages: str) -> None:
    """Compare today so far with the same day under another policy."""
    async with shown(browser, f"{pages}replay") as page:
        await page.locator("#film svg").first.wait_for()
        await page.select_option("#minutes", "5")
        await page.click("#run")
        await expect(page.locator("#figures tbody tr")).not_to_have_count(0, timeout=LATER_MS)
        await expect(page.locator("#sentence")).to_contain_text("5 分钟")


async def test_every_control_does_what_it_says_and_only_for_its_own_page(tmp_path: Path) -> None:
    async with (
        shown_demo(tmp_path, "--hours", "3", "--speed", "20") as (pid, pages, touch),
        httpx.AsyncClient(timeout=20) as client,
    ):

        async def do(act: str, **fields: Any) -> httpx.Response:
            headers = {"origin": touch.rstrip("/")}
            return await client.post(f"{touch}do", json={"act": act, **fields}, headers=headers)

        async def state() -> dict[str, Any]:
            answer: dict[str, Any] = (await client.get(f"{touch}state")).json()
            return answer

        async def comes(condition: Callable[[dict[str, Any]], object]) -> None:
            async with asyncio.timeout(90):
                while not condition(await state()):
                    await asyncio.sleep(0.2)

        await comes(lambda body: body["policy"] == 1)
        right: list[tuple[str, dict[str, Any]]] = [
            ("ticket", {"service": "tax-general", "priority": "elderly"}),
            ("key", {"window": "3", "key": "special-need"}),
            ("rate", {"window": "1", "level": 5}),
            ("count", {"people": 10}),
            ("duty", {"key": "force-open", "arg": "w12 tax for_s=1200"}),
            ("rush", {}),
            ("silence", {}),
            ("led", {}),
        ]
        for act, fields in right:
            answer = await do(act, **fields)
            assert answer.status_code == 200, (act, answer.text)
            assert answer.json()["zh"]
        await comes(lambda body: body["led_unplugged"] and body["leds"]["led-tax"] == [])
        await comes(lambda body: any(one.get("url", "").startswith("http") for one in body["papers"]))
        page_state = await state()
        assert page_state["names"]["led-tax"]["en"] == "Screen of Taxes"
        assert {one["lamp"] for one in page_state["windows"] if one["tidal"]} <= {"on", "off", "blink"}
        before = page_state["daemon"]
        assert "pid" in before
        assert (await do("daemon")).status_code == 200
        await comes(lambda body: "pid" in body["daemon"] and body["daemon"] != before)
        assert (await do("broker")).status_code == 200
        await comes(lambda body: body["broker"] is False)
        await comes(lambda body: body["broker"] is True)
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("ticket", {"service": "nothing"}),
            ("ticket", {"service": "tax-general", "priority": "king"}),
            ("key", {"window": "99", "key": "next"}),
            ("key", {"window": "1", "key": "explode"}),
            ("rate", {"window": "1", "level": 9}),
            ("count", {"people": 10_000}),
            ("count", {"people": True}),
            ("nothing", {}),
        ]
        for act, fields in wrong:
            assert (await do(act, **fields)).status_code == 409, act
        sent = '{"act": "daemon"}'
        foreign = {"origin": "http://evil.example", "content-type": "application/json"}
        assert (await client.post(f"{touch}do", headers=foreign, content=sent)).status_code == 400
        form = {"origin": touch.rstrip("/"), "content-type": "text/plain"}
        assert (await client.post(f"{touch}do", headers=form, content=sent)).status_code == 400
        assert (await client.get(touch, headers={"host": "evil.example"})).status_code == 421
        for path in ("do", "state", "files/touch.js", "touch"):
            assert (await client.get(f"{pages}{path}")).status_code == 404, path
        assert not set(FILES) & set(assets.load())
        assert processes_of(pid)


@pytest.mark.skipif(os.environ.get("EDGED_SHOTS") != "1", reason="writes the pictures of README")
@pytest.mark.timeout(900)
async def test_pictures_for_readers(tmp_path: Path) -> None:
    SHOTS.mkdir(exist_ok=True)
    async with (
        shown_demo(tmp_path, "--speed", "20", "--hours", "8") as (_, pages, _touch),
        AsyncExitStack() as stack,
    ):
        browser = await stack.enter_async_context(chromium())
        opened = {
            name: await stack.enter_async_context(shown(browser, f"{pages}{path}", width, height))
            for name, path, width, height in PICTURES
        }
        hall = opened["hall-zh"]
        await expect(hall.locator("#clock")).to_have_text(re.compile("^(09:[3-5]|1)"), timeout=LATER_MS * 2)
        await expect(hall.locator(".win .bulb.blink").first).to_be_visible(timeout=LATER_MS * 2)
        pictures = await asyncio.gather(*(page.screenshot() for page in opened.values()))  # of one moment
    for name, png in zip(opened, pictures, strict=True):
        _write_picture(SHOTS / f"{name}.png", png)
    assert max(one.stat().st_size for one in SHOTS.glob("*.png")) < LARGEST_PICTURE


def _write_picture(file: Path, png: bytes) -> None:
    """With 128 colours: a third of the size, and no difference to the eye."""
    from PIL import Image

    small = Image.open(io.BytesIO(png)).convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
    small.save(file, optimize=True)
