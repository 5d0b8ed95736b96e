"""The pages in a browser: the real daemon's tide as a duty manager sees it, and a made-up Monday on every screen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from edged.sim.broker import free_port
from tests.pages.made_hall import MadeHall, calls, decisions, scene
from tests.support.brokers import real_mosquitto, until
from tests.support.browsers import grave_findings, shown
from tests.support.daemons import Machines, small_hall

FACES = {
    "/": [(1440, 900), (390, 844), (1920, 1080)],
    "/board": [(1920, 1080)],
    "/board/tax": [(1080, 1920)],
    "/replay": [(1440, 900), (390, 844)],
    "/report": [(1000, 1200), (390, 844)],
}
IDLE_MS = 120_000  # what a process of idle priority works out, on a busy machine


@asynccontextmanager
async def tide(tmp_path: Path) -> AsyncIterator[tuple[Machines, str]]:
    """A real daemon with its devices, and ``edged web`` beside it."""
    async with real_mosquitto() as broker, small_hall(tmp_path, broker) as (hall, daemon, machines):
        port = free_port()
        hall.file.write_text(f"{hall.file.read_text()}\n[pages]\nport = {port}\n")
        await daemon.start()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edged", "web", "--config", str(hall.file), "--child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            yield machines, (await process.stdout.readline()).decode().split()[-1]
        finally:
            process.kill()
            await process.wait()


async def test_a_rush_is_seen_with_its_lamp_and_its_reason_and_opens_when_somebody_comes(
    browser: Browser, tmp_path: Path
) -> None:
    async with tide(tmp_path) as (machines, address), shown(browser, address) as page:
        await expect(page.locator("#name")).to_have_text("东区大厅")
        await expect(page.locator("#verdict")).to_contain_text("没有事要您处理")
        machines.tickets(1)
        await expect(page.locator(".area .big b").first).to_have_text("1")
        machines.tickets(11, first=2)
        await expect(page.locator(".win.ACTIVATING .bulb.blink").first).to_be_visible()
        await expect(page.locator("#verdict")).to_contain_text("到岗中")
        why = page.locator("#decisions .why").filter(has_text="税务").first
        await expect(why).to_contain_text("陈敏")
        number = await page.locator(".win.ACTIVATING .no").first.inner_text()
        await page.locator(".win.ACTIVATING .tap").first.click()
        await expect(page.locator("#story-name")).to_have_text(f"{number}号窗口")
        await expect(page.locator("#story-body .why").first).to_contain_text("税务")
        await page.keyboard.press("Escape")
        await until(lambda: bool(machines.ids(machines.pager, "page")))
        if number == "2":
            machines.tidal_panel.press("login", "chen")
            await expect(page.locator('.win[data-key="w2"] .bulb.on')).to_be_visible()
            await expect(page.locator('.win[data-key="w2"]')).to_contain_text("陈敏")


async def test_one_language_at_a_time_and_both_whole(browser: Browser, hall: MadeHall) -> None:
    async with shown(browser, f"{hall.address}/?theme=dark") as page:
        await expect(page.locator("#verdict")).to_contain_text("涨潮：税务综合、不动产登记")
        await page.click("#lang")
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await expect(page.locator("#verdict")).to_contain_text("Rising tide: Taxes, Real estate")
        await expect(page.locator("#alarms li").first).to_contain_text("U002 waited 12 min")
        assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
        await page.click("#theme")
        assert await page.evaluate("document.documentElement.dataset.theme") == "light"


async def test_news_change_the_page_and_not_what_somebody_holds(browser: Browser, hall: MadeHall) -> None:
    async with shown(browser, hall.address) as page:
        details = page.locator("#decisions details").nth(1)
        await details.locator("summary").click()
        await page.locator('[data-story="window/w3"]').focus()
        await hall.publish("area/tax", scene()["area/tax"] | {"waiting": 21})
        await expect(page.locator('.area[data-key="tax"] .big b')).to_have_text("21")
        assert await page.evaluate("document.activeElement.dataset.story") == "window/w3"
        await expect(details).to_have_attribute("open", "")
        await hall.publish("window/w3", scene()["window/w3"] | {"state": "PAUSED", "ticket": None})
        await expect(page.locator('.win[data-key="w3"]')).to_have_class("win PAUSED")
        assert await page.evaluate("document.activeElement.dataset.story") == "window/w3"


async def test_the_policy_says_since_when_and_what_became_of_the_last_push(
    browser: Browser, hall: MadeHall
) -> None:
    why = {"zh": "签名密钥不认识", "en": "the signing key is not known"}
    pushed = {"version": 13, "state": "rejected", "why": why, "at": "2026-11-22T17:02:00+08:00"}
    async with shown(browser, hall.address) as page:
        await expect(page.locator("#policy")).to_contain_text("08:20 起")
        assert "最近下发" not in await page.locator("#policy").inner_text()
        await hall.publish("policy", scene()["policy"] | {"pushed": pushed})
        await expect(page.locator("#policy")).to_contain_text(
            "最近下发：v13 11月22日周日 17:02 被拒绝：签名密钥不认识"
        )
        await page.click("#lang")
        await expect(page.locator("#policy")).to_contain_text("refused at Sun 22 Nov 17:02: the signing key")


async def test_a_decision_without_figures_shows_no_number_of_them(browser: Browser, hall: MadeHall) -> None:
    bare = {"n": 90, "at": decisions()[0]["at"], "decision": "override", "area": None, "window": "w1"}
    words = {"zh": "王芳人工干预1号窗口", "en": "王芳 ordered window 1"}
    async with shown(browser, hall.address) as page:
        await hall.publish("decisions", {"decisions": [bare | words | {"alternatives": [], "inputs": {}}]})
        row = page.locator('#decisions [data-key="d90"]')
        await expect(row).to_contain_text("王芳人工干预1号窗口")
        assert (await row.inner_text()).endswith("1号窗口")


@pytest.mark.parametrize("width", [390, 1440])
async def test_how_many_wait_at_this_time_of_other_days(browser: Browser, hall: MadeHall, width: int) -> None:
    usual = {"slot_min": 30, "areas": {one: [None] * 21 + [12.4] + [None] * 26 for one in ("tax", "biz")}}
    page = await browser.new_page(viewport={"width": width, "height": 900})
    await page.route("**/usual", lambda route: route.fulfill(json=usual))
    await page.goto(f"{hall.address}/?lang=en")
    await page.locator('[data-story="area/fund"]').click()
    await expect(page.locator("#story-body")).to_contain_text("If you come now")
    assert "Usual now" not in await page.locator("#story-body").inner_text()
    await page.keyboard.press("Escape")
    await page.locator('[data-story="area/tax"]').click()
    await expect(page.locator("#story-body .facts")).to_contain_text("Usual now")
    assert "12 waiting" in await page.locator("#story-body .facts").inner_text()
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    await page.close()


async def test_what_is_not_fresh_says_so(browser: Browser, hall: MadeHall) -> None:
    async with shown(browser, hall.address) as duty, shown(browser, f"{hall.address}/board") as board:
        await expect(board.locator(".call .n").first).to_have_text("H029")
        await expect(duty.locator("#banner")).to_be_hidden()
        hall.beating = False
        await expect(board.locator("#rest b")).to_have_text("请看窗口屏")
        assert await board.locator(".call").count() == 0
        await expect(duty.locator("#banner")).to_contain_text("没有更新")
        hall.beating = True
        await expect(board.locator(".call .n").first).to_have_text("H029")
        await expect(duty.locator("#banner")).to_be_hidden()
        await hall.client.publish("hall/demo/status", b'{"state":"offline"}', qos=1, retain=True)
        await expect(duty.locator("#banner")).to_contain_text("控制器失联")
        await expect(board.locator("#rest b")).to_have_text("请看窗口屏")


async def test_the_board_calls_and_knows_when_nobody_serves(browser: Browser, hall: MadeHall) -> None:
    async with shown(browser, f"{hall.address}/board", 1920, 1080) as page:
        await expect(page.locator(".call").first).to_contain_text("H029")
        newest = calls()[0] | {"n": 200, "number": "A099", "window": "w1", "at": "2026-11-23T10:42:00+08:00"}
        await hall.publish("calls", {"calls": [newest, *calls()]})
        await expect(page.locator(".call.fresh .n")).to_have_text("A099")
        await expect(page.locator("#spoken")).to_have_text("请 A099 号到 1 号窗口")
        await expect(page.locator("#notice")).to_contain_text("5号窗口暂停服务")
        for name, body in scene().items():
            if name.startswith("area/"):
                shut = {"hours": "closed", "waiting": 0, "opens": "2026-11-24T08:30:00+08:00"}
                await hall.publish(name, body | shut)
        await expect(page.locator("#rest b")).to_have_text("今日已下班")
        await expect(page.locator("#rest")).to_contain_text("明日 08:30 开门")
        assert await page.locator(".call").count() == 0


async def test_a_recorded_day_is_played_and_worked_out_under_another_policy(
    browser: Browser, hall: MadeHall
) -> None:
    async with shown(browser, f"{hall.address}/replay?day=2026-11-20") as page:
        await expect(page.locator("#what")).to_contain_text("示例政务服务大厅")
        assert await page.locator(".c-case").count() == 2
        await expect(page.locator(".c-case title").first).to_contain_text(
            "09:40 提出 · 09:52 响应 · 10:40 办结"
        )
        before = await page.locator("#time").inner_text()
        await page.click("#play")
        await expect(page.locator("#time")).not_to_have_text(before)
        await page.click("#play")
        await page.locator("#scrub").fill("610")
        await expect(page.locator("#time")).to_have_text("10:10")
        await expect(page.locator('.tile[data-key="w11"]')).to_have_class("tile SERVING tidal")
        await page.select_option("#minutes", "5")
        await page.click("#run")
        await expect(page.locator("#sentence")).to_contain_text("超过 5 分钟就启用潮汐窗口", timeout=IDLE_MS)
        assert await page.locator("#figures tbody tr").count() == 6
        await page.click("#lang")
        await expect(page.locator("#sentence")).to_contain_text("Had +1 windows opened at 5 minutes")


async def test_the_report_of_a_day_says_of_what_each_thing_was(browser: Browser, hall: MadeHall) -> None:
    async with shown(browser, f"{hall.address}/report?day=2026-11-20", 1000, 1200) as page:
        await expect(page.locator("#title")).to_contain_text("2026年11月20日")
        await expect(page.locator("#paper")).to_contain_text("周凯")
        await expect(page.locator("#paper")).to_contain_text("不予受理")
        await expect(page.locator("#paper")).to_contain_text("2号取号机：缺纸")
        assert len(await page.pdf(format="A4")) > 10_000


async def test_no_face_of_any_page_has_a_grave_fault(browser: Browser, hall: MadeHall) -> None:
    for path, sizes in FACES.items():
        async with shown(browser, f"{hall.address}{path}?theme=light", *sizes[0]) as page:
            await _drawn(page, path)
            for width, height in sizes:
                await page.set_viewport_size({"width": width, "height": height})
                for theme in ("light", "dark"):
                    await page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
                    assert await grave_findings(page) == [], (path, width, theme)
                    wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                    assert wide <= 0, (path, width, theme, wide)
    async with shown(browser, hall.address) as page:
        await page.locator('[data-story="window/w11"]').click()
        assert await grave_findings(page) == []


async def _drawn(page: Page, path: str) -> None:
    whole = {"/": ".win", "/board": ".call", "/replay": "#film svg", "/report": "#paper svg"}
    await page.locator(whole["/board" if path.startswith("/board") else path]).first.wait_for()
