"""``/t/{token}``: what a visitor's phone is told, by a listener that serves nothing else."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import httpx
from playwright.async_api import Browser, expect

from edged.pages.tickets import FILES, again_s, back_by
from tests.pages.made_hall import TOKEN, MadeHall, at, line, row
from tests.support import host_headers
from tests.support.browsers import grave_findings, shown


async def ticket_state(hall: MadeHall, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the body of the ticket's present state."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{hall.tickets_port}/t/{token}/now")
        return answer.status_code, answer.json()


async def ticket_state_once(hall: MadeHall, state: str) -> dict[str, Any]:
    """The answer once it says ``state``."""
    async with asyncio.timeout(10):
        while (answer := (await ticket_state(hall))[1])["state"] != state:
            await asyncio.sleep(0.05)
    return answer


async def test_a_phone_is_told_how_it_stands_and_nobodys_name(hall: MadeHall) -> None:
    answer = await ticket_state_once(hall, "waiting")
    assert (answer["number"], answer["ahead"], answer["low_s"], answer["high_s"]) == ("A042", 12, 1500, 2700)
    assert answer["area"] == {"zh": "税务综合", "en": "Taxes"}
    assert answer["fresh"]
    assert answer["back_by"] == at(
        "11:00:00"
    )  # five minutes before the earliest moment, on a full five minutes
    assert "1" in answer["windows"]
    assert "5" not in answer["windows"]  # of another area
    for word in ("priority", "clerk", "of", "周凯", "何丽"):
        assert word not in str(answer)
    await hall.publish("line/tax", line(row(state="called", window="w11", calls=2)))
    called = await ticket_state_once(hall, "called")
    assert (called["window"], called["calls"], called["calls_max"], called["ahead"]) == ("11", 2, 3, None)
    assert called["again_s"] == 5


async def test_a_finished_or_never_issued_ticket_is_answered_as_unknown(hall: MadeHall) -> None:
    assert (await ticket_state(hall, secrets.token_hex(16)))[0] == 404
    assert (await ticket_state(hall))[0] == 200
    await hall.publish("line/tax", line())
    assert (await ticket_state_once(hall, "unknown"))["hall"]["zh"] == "示例政务服务大厅"
    await hall.publish("line/tax", line(row()))
    await ticket_state_once(hall, "waiting")
    await hall.publish("line/tax", None)
    await ticket_state_once(hall, "unknown")


async def test_a_malformed_line_message_leaves_the_shown_tickets_as_they_are(hall: MadeHall) -> None:
    await ticket_state_once(hall, "waiting")
    wrong: tuple[dict[str, Any], ...] = (
        {"rows": []},
        {"columns": ["of"], "rows": [["x"]], "calls_max": 3},
        {"columns": 7, "rows": 7},
    )
    for bad in wrong:
        await hall.publish("line/tax", bad)
    await hall.publish("line/biz", line(row("f" * 32)))
    async with asyncio.timeout(10):
        while (await ticket_state(hall, "f" * 32))[0] != 200:
            await asyncio.sleep(0.05)
    assert (await ticket_state(hall))[0] == 200


async def test_a_ticket_is_marked_as_not_fresh_once_the_hall_is_offline(hall: MadeHall) -> None:
    assert (await ticket_state_once(hall, "waiting"))["fresh"]
    await hall.client.publish("hall/demo/status", b'{"state":"offline"}', qos=1, retain=True)
    async with asyncio.timeout(10):
        while (answer := (await ticket_state(hall))[1])["fresh"]:
            await asyncio.sleep(0.05)
    assert (answer["back_by"], answer["number"]) == (None, "A042")


async def test_the_ticket_listener_serves_only_tickets_and_the_staff_listener_none(hall: MadeHall) -> None:
    base = f"http://127.0.0.1:{hall.tickets_port}"
    async with httpx.AsyncClient() as client:
        for path in (
            "/",
            "/board",
            "/duty",
            "/duty/session",
            "/parts",
            "/changes",
            "/healthz",
            "/files/base.js",
        ):
            assert (await client.get(f"{base}{path}")).status_code == 404, path
        for path in (
            "/t/",
            "/t/A042",
            f"/t/{TOKEN.upper()}",
            f"/t/{TOKEN}0",
            "/t/files/duty.js",
            "/t/files/../now",
        ):
            assert (await client.get(f"{base}{path}")).status_code == 404, path
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            for path in (f"/t/{TOKEN}", f"/t/{TOKEN}/now", "/duty/login"):
                assert (await client.request(method, f"{base}{path}")).status_code == 405
        page = await client.get(f"{base}/t/{TOKEN}")
        assert page.status_code == 200
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert page.headers["Referrer-Policy"] == "no-referrer"
        weight = 0
        for name in FILES:
            answer = await client.get(f"{base}/t/files/{name}")
            assert answer.status_code == 200, name
            weight += int(answer.headers["Content-Length"])
        assert weight < 30 * 1024
        assert (await client.get(f"{hall.address}/t/{TOKEN}/now")).status_code == 404
        staff = (await client.get(f"{hall.address}/parts")).text
        public = (await client.get(f"{hall.address}/board/parts")).text
        assert "line/" not in staff + public
    for host in (*host_headers.OURS, "visit.example.org"):
        assert await host_headers.status(hall.tickets_port, f"/t/{TOKEN}", (host,)) == 200, host
    for host in host_headers.NOT_OURS:
        assert await host_headers.status(hall.tickets_port, f"/t/{TOKEN}", (host,)) in (400, 421), host


def test_a_time_to_come_back_is_given_only_for_waits_of_15_minutes_or_more() -> None:
    waiting = {"state": "waiting", "ahead": 4, "low_s": 899}
    assert back_by(at("10:41:20"), waiting) is None
    assert back_by(at("10:41:20"), waiting | {"low_s": 900}) == at("10:50:00")
    assert back_by(at("23:50:00"), waiting | {"low_s": 1800}) == "2026-11-24T00:15:00+08:00"
    assert back_by(None, waiting | {"low_s": 1800}) is None
    assert back_by(at("10:41:20"), {"state": "called", "low_s": None}) is None
    assert [again_s(waiting | {"ahead": ahead}) for ahead in (0, 3, 4, 10, 11)] == [5, 5, 10, 10, 20]
    assert again_s({"state": "served"}) == 60


async def test_a_phone_shows_number_queue_and_time_to_come_back_in_both_languages(
    browser: Browser, hall: MadeHall
) -> None:
    await ticket_state_once(hall, "waiting")
    async with shown(browser, hall.ticket, 390, 844) as page:
        await expect(page.locator("#face h2 b")).to_have_text("A042")
        await expect(page.locator("#face")).to_contain_text("12 人")
        await expect(page.locator("#face")).to_contain_text("25–45 分钟")
        await expect(page.locator(".note b")).to_have_text("请在 11:00 前回到大厅")
        await page.locator("#big").click()
        assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        await page.locator("#lang").click()
        await expect(page.locator(".note b")).to_have_text("Be back in the hall by 11:00")
        await page.locator("#lang").click()
        for theme in ("dark", "light"):
            assert await grave_findings(page) == [], theme
            await page.locator("#theme").click()
        await hall.publish("line/tax", line(row(ahead=2, low_s=120, high_s=360)))
        await ticket_state_once(hall, "waiting")
        await page.reload()
        await expect(page.locator(".note b")).to_have_text("快到您了")
        await hall.publish("line/tax", line(row(state="called", window="w11", calls=1)))
        await expect(page.locator("#face .go b")).to_have_text("11号窗口")
        await expect(page.locator("#spoken")).to_contain_text("A042 轮到您了")
        assert await grave_findings(page) == []
        await hall.publish("line/tax", line(row(state="missed", window="w11", calls=3)))
        await expect(page.locator(".note b")).to_have_text("已过号")
        await hall.publish("line/tax", line(row(state="served")))
        await expect(page.locator(".note b")).to_have_text("已办结")
        assert await grave_findings(page) == []


async def test_a_phone_shows_whether_its_ticket_is_known_and_that_the_network_is_gone(
    browser: Browser, hall: MadeHall
) -> None:
    await ticket_state_once(hall, "waiting")
    page = await browser.new_page(viewport={"width": 390, "height": 844})
    await page.goto(f"http://127.0.0.1:{hall.tickets_port}/t/{'9' * 32}")
    await expect(page.locator(".note b")).to_have_text("正在查询…")
    await expect(page.locator(".note b")).to_have_text("查不到这个号码")
    await page.goto(f"http://127.0.0.1:{hall.tickets_port}/t/{'8' * 32}")
    await expect(page.locator(".note b")).to_have_text("正在查询…")
    await hall.publish("line/biz", line(row("8" * 32, number="C001")))  # taken a moment ago
    await expect(page.locator("#face h2 b")).to_have_text("C001")
    await page.goto(hall.ticket)
    await expect(page.locator("#face h2 b")).to_have_text("A042")
    await page.context.set_offline(True)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#banner")).to_contain_text("请看大厅屏幕")
    assert await page.locator("#face h2 b").inner_text() == "A042"
    await page.close()
