"""The practices, one function each, in the order of a day: its docstring names it, an assertion says what failed.

Each leaves the hall so that the next can begin; none looks inside the daemon.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.support.brokers import until
from tests.support.daemons import edged
from tests.walk.hall import OPENS, Walk

Practice = Callable[[Walk], Awaitable[None]]
NEXT, ARRIVED, END = 0x31, 0x32, 0x34  # keys of a Candle panel


async def numbers_and_calls(walk: Walk) -> None:
    """取号、叫号、到窗、办结: a number is printed, called on sign and loudspeaker, arrives, is finished."""
    await walk.press("w1", "login", "wang")
    paper = await walk.take("tax-general")
    assert paper["number"] == "A001"
    mark = len(walk.actions)
    await walk.press("w1", "next")
    await walk.until(lambda: walk.panel("w1").get("number") == "A001", "A001 on the clerk's panel")
    calls = await walk.until(lambda: walk.since(mark, "voice", "say"), "the call on the loudspeaker")
    for words in ("A001", "1号窗口"):
        assert words in calls[0]["text"]
    await walk.until(lambda: "A001" in walk.lines("screen-tax"), "A001 on the area's board")
    await walk.press("w1", "arrive")
    await walk.until(lambda: walk.panel("w1").get("state") == "SERVING", "serving")


async def rating(walk: Walk) -> None:
    """好差评: five levels, one rating a visit, told to the centre; a bad one is looked after."""
    await walk.press("w1", "finish")
    await walk.until(lambda: walk.panel("w1").get("number") is None, "the visit is over")
    await walk.send("stars-w1", "rating", level=5)
    given = await walk.until(lambda: walk.events("rating.given"), "the rating at the centre")
    assert given[-1]["data"]["level"] == 5


async def raw_serial_panel(walk: Walk) -> None:
    """A panel on RS-485 calls, arrives and finishes with four-byte frames."""
    walk.press_bus(NEXT)  # nobody logs in there: the first key opens the window
    number = (await walk.take("biz-open"))["number"]

    def called() -> bool:
        return any(event["subject"] == number for event in walk.events("ticket.called"))

    for _ in range(20):
        if called():
            break
        walk.press_bus(NEXT)
        await asyncio.sleep(0.5)
    await walk.until(called, f"{number} called by the serial panel")
    walk.press_bus(ARRIVED)
    await asyncio.sleep(0.5)
    walk.press_bus(END)
    await walk.until(
        lambda: [e for e in walk.events("ticket.finished") if e["subject"] == number], f"{number} finished"
    )


async def tide_queueing(walk: Walk) -> None:
    """潮汐窗口、窗口+1、人员+1: people wait, a lamp blinks, somebody is paged, and with them the window opens."""
    mark = len(walk.actions)
    await walk.queue("tax-general", 10)
    page = await walk.until(
        lambda: walk.since(mark, "pager-liu", "page") or walk.since(mark, "pager-chen", "page"),
        "a page for the +1 window",
    )
    assert "税务综合" in page[0]["text"], page[0]["text"]
    requested = await walk.until(
        lambda: next((w for w in ("w11", "w12") if walk.panel(w).get("state") == "ACTIVATING"), None),
        "a window asked",
    )
    walk.tide_window = requested
    if requested == "w12":
        await walk.until(
            lambda: walk.shown.get("lamp-w12/lamp", {}).get("state") == "blink", "its lamp blinks"
        )
    await walk.press(requested, "login", "liu")
    await walk.until(lambda: walk.panel(requested).get("state") == "OPEN", "the window is open")
    if requested == "w11":
        await walk.lit(0, True, "the lamp is steady")
        board = walk.lines("board-w11")
        for words in ("税务综合", "潮汐"):
            assert words in board, f"the sign of an opened +1 window: {board!r}"
    await walk.press(requested, "next")
    number = await walk.until(
        lambda: walk.panel(requested).get("number"), "a waiting visitor is called there"
    )
    assert number.startswith("A")


async def explained(walk: Walk) -> None:
    """可解释: why that window opened, in a sentence with names and numbers, Chinese without ids."""
    done = await asyncio.to_thread(_edged, "why", str(walk.files.journal), "--last", "3", "--lang", "zh")
    assert "税务综合" in done, done
    for internal in ("tax-general", "w11", "w12", "liu "):
        assert internal not in done, f"{internal!r} in: {done}"


async def drained(walk: Walk) -> None:
    """收窗: the rest goes, the window finishes its visitor, takes no new one and rests."""
    requested = walk.tide_window
    for window in ("w1", requested):
        for _ in range(12):
            if walk.panel("w1").get("waiting") == 0:
                break
            await walk.press(window, "arrive")
            await walk.press(window, "finish")
            await walk.press(window, "next")
            await asyncio.sleep(0.3)
    await walk.press("w1", "finish")
    await walk.until(lambda: walk.panel("w1").get("waiting") == 0, "nobody waits any more")
    await walk.press(requested, "finish")
    await walk.until(
        lambda: walk.panel(requested).get("state") in ("COOLDOWN", "STANDBY", "CONSULTING"),
        "the +1 window is given back",
        90.0,
    )


async def special_need(walk: Walk) -> None:
    """特殊群体有需求: a wish by key; who does not answer is followed by the next, then by the duty manager."""
    mark = len(walk.actions)
    await walk.press("w5", "login", "zhou")
    await walk.queue("social-general", 2)
    await walk.press("w5", "special-need")
    await walk.until(
        lambda: walk.since(mark, "pager-chen", "page") or walk.since(mark, "pager-liu", "page"),
        "somebody is paged",
    )
    await walk.until(lambda: walk.panel("w5").get("prompt"), "the panel that pressed says how it stands")
    await walk.until(
        lambda: walk.since(mark, "pager-duty", "page"), "nobody answers: the duty manager is paged", 60.0
    )
    await walk.press("w5", "special-need", "back")


async def priority(walk: Walk) -> None:
    """特殊人群优先: who needs it is called first; a made-up booking gives no right."""
    await walk.press("w3", "login", "qian")
    plain = (await walk.take("estate-general"))["number"]
    made_up = (await walk.take("estate-general", appointment="NOBODY-MADE-THIS"))["number"]
    old = (await walk.take("estate-general", priority="elderly"))["number"]
    await walk.press("w3", "next")
    await walk.until(
        lambda: walk.panel("w3").get("number") == old, f"{old} (elderly) first, then {plain}, {made_up}"
    )
    await walk.press("w3", "arrive")
    await walk.press("w3", "finish")
    await walk.press("w3", "next")
    await walk.until(lambda: walk.panel("w3").get("number") == plain, f"{plain} came before {made_up}")


async def transfer_first_owner(walk: Walk) -> None:
    """首问负责制: a transfer keeps the visit; the first owner stands in its trail."""
    number = walk.panel("w3")["number"]
    await walk.press("w3", "arrive")
    await walk.press("w3", "transfer", "fund-general")
    await walk.press("w4", "login", "sun4")
    await walk.press("w4", "next")
    await walk.until(lambda: walk.panel("w4").get("number") == number, f"{number} at window 4, same number")
    await walk.press("w4", "arrive")


async def told_once(walk: Walk) -> None:
    """一次性告知、二次通行: papers are listed on a slip, and whoever comes back needs no new number."""
    number = walk.panel("w4")["number"]
    mark = len(walk.actions)
    await walk.press("w4", "finish", "told-once/id-card")
    await walk.until(lambda: walk.panel("w4").get("number") is None, "the visit pauses")
    slips = await walk.until(
        lambda: [a for a in walk.actions[mark:] if a[1] == "print"], "a slip with the papers", 10.0
    )
    assert slips
    await walk.send("dispenser", "request", service="fund-general", returning=number)
    await walk.press("w4", "next")
    await walk.until(
        lambda: walk.panel("w4").get("number") == number, f"{number} is called again without a new number"
    )
    await walk.press("w4", "arrive")


async def promise(walk: Walk) -> None:
    """容缺受理: accepted with a promise, with its deadline."""
    await walk.press("w4", "finish", "promise/contract")
    await walk.until(
        lambda: [e for e in walk.events("ticket.finished") if e["data"].get("outcome") == "promise"],
        "finished with a promise",
    )


async def commissioner(walk: Walk) -> None:
    """行政专员 / 帮办: a key pages the commissioner; the page is tracked until answered."""
    mark = len(walk.actions)
    await walk.press("w4", "commissioner")
    await walk.until(lambda: walk.since(mark, "pager-sun", "page"), "the commissioner is paged")
    await walk.press("pager-sun", "accept")
    await walk.until(lambda: walk.events("staff.answered"), "the answer is told to the centre")


async def one_matter(walk: Walk) -> None:
    """一件事一次办: stages of one visit, one number."""
    await walk.policy(
        visits={
            "journeys": {
                "shop": {
                    "stages": ["estate-general", "fund-general"],
                    "label": "一件事",
                    "label_en": "One matter",
                }
            }
        }
    )
    number = (await walk.take("shop"))["number"]
    for _ in range(4):
        await walk.press("w3", "finish")
        await walk.press("w3", "next")
        await asyncio.sleep(0.6)
        if walk.panel("w3").get("number") == number:
            break
    await walk.until(lambda: walk.panel("w3").get("number") == number, f"{number} at its first stage")
    await walk.press("w3", "arrive")
    await walk.press("w3", "finish")
    await walk.press("w4", "next")
    await walk.until(
        lambda: walk.panel("w4").get("number") == number, f"{number} at its next stage, same number"
    )
    await walk.press("w4", "arrive")
    await walk.press("w4", "finish")


async def appointment(walk: Walk) -> None:
    """网上预约: made at the centre, checked in at the dispenser, good once."""
    start = (OPENS + timedelta(minutes=30)).isoformat()
    body = {"id": "N-17", "service": "estate-general", "start": start}
    await walk.client.publish("hall/walk/appointments", json.dumps(body), qos=1)
    await asyncio.sleep(1)
    paper = await walk.take("estate-general", appointment="N-17")
    assert paper["number"]


async def case(walk: Walk) -> None:
    """办不成事: opened by a number, answered, closed, rated; the three percentages."""
    await walk.press("w8", "login", "he")
    mark = len(walk.actions)
    await walk.take("unsolved-report")
    await walk.until(lambda: walk.events("case.opened"), "a case is open")
    await walk.until(
        lambda: walk.since(mark, "pager-duty", "page") or walk.panel("w8").get("prompt"), "somebody is told"
    )
    await walk.press("w8", "case", "ack")
    await walk.until(lambda: walk.events("case.acknowledged"), "the case is answered")
    name = walk.events("case.opened")[-1]["subject"]
    await walk.press("w8", "case", f"close {name}")
    await walk.until(lambda: walk.events("case.closed"), "the case is closed")
    await walk.send("stars-w8", "rating", level=5)
    await walk.until(lambda: walk.events("case.rated"), "the case is rated")


async def pause_and_unmanned(walk: Walk) -> None:
    """服务规范: a pause needs a reason and a clock; too long is an alarm that ends with it."""
    await walk.policy(staffing={"pause_alarm_s": 60})
    await walk.press("w5", "pause")
    await walk.until(
        lambda: "原因" in (walk.panel("w5").get("prompt") or ""), "the panel asks for the reason"
    )
    await walk.press("w5", "pause", "用餐")
    await walk.until(lambda: walk.panel("w5").get("state") == "PAUSED", "paused")
    await walk.until(lambda: walk.events("alarm.raised"), "an alarm for the long pause", 60.0)
    await walk.press("w5", "unpause")
    await walk.until(lambda: walk.events("alarm.cleared"), "the alarm ends")


async def override(walk: Walk) -> None:
    """人工干预: an order opens a window at once, by name, for a limited time."""
    answer = await walk.order("open", window="w12", area="fund", for_s=600)
    assert answer["ok"], answer
    await walk.until(
        lambda: walk.panel("w12").get("state") in ("ACTIVATING", "OPEN"), "window 12 is asked or open"
    )
    await walk.press("w12", "login", "chen")
    await walk.until(lambda: walk.panel("w12").get("state") == "OPEN", "window 12 is open")
    await walk.order("close", window="w12", for_s=60)


async def notice(walk: Walk) -> None:
    """通知: a text of the centre stands on the hall's board."""
    answer = await walk.order(
        "notice", id="maintenance", text="系统十二点维护", text_en="Maintenance at noon"
    )
    assert answer["ok"], answer
    await walk.until(lambda: "系统十二点维护" in walk.lines("screen-hall"), "the notice on the board")


async def restart_invisible(walk: Walk) -> None:
    """断电重启: kill -9, and numbers, windows and lamps are back; nothing is called twice."""
    before = (await walk.take("social-general"))["number"]
    walk.daemon.signal(signal.SIGKILL)
    await walk.daemon.ended()
    await walk.daemon.restart()
    after = (await walk.take("social-general"))["number"]
    if after == before:  # nobody knew whether it had been printed: the same number is offered once more
        after = (await walk.take("social-general"))["number"]
    assert int(after[1:]) == int(before[1:]) + 1, (before, after)


async def centre_away(walk: Walk) -> None:
    """断网: the hall serves while nobody at the centre listens; history follows later."""
    walk.centre.acknowledges = False
    number = (await walk.take("social-general"))["number"]
    assert number
    walk.centre.acknowledges = True
    await until(lambda: walk.centre.upto > 0)


async def late_hours(walk: Walk) -> None:
    """延时服务: the duty manager extends today's hours of an area, by name."""
    await walk.policy(hours={"week": [{"days": [1, 2, 3, 4, 5], "opens": "09:00", "closes": "17:00"}]})
    await walk.press("panel-duty", "login", "马主任")
    await walk.press("panel-duty", "extend-hours", "tax 18:00")
    await walk.until(
        lambda: walk.events("hours.flexed") or walk.events("hours.extended"), "the hours of today changed"
    )


async def day_ends(walk: Walk) -> None:
    """当日清零: after closing no more numbers, with the reason on the dispenser; who holds one is served."""
    await walk.policy(hours={"week": [{"days": [1, 2, 3, 4, 5], "opens": "09:00", "closes": "10:01"}]})
    mark = len(walk.actions)
    await walk.send("dispenser", "request", service="estate-general")
    await walk.until(
        lambda: [
            refused
            for refused in walk.since(mark, "dispenser", "refuse")
            if any(words in refused["text"] for words in ("停止取号", "已下班", "已闭厅"))
        ],
        "a refusal that says why",
    )


async def bad_input(walk: Walk) -> None:
    """乱码: garbage on every topic and wire changes nothing and stops nobody."""
    for payload in (
        b"",
        b"{",
        b"[]",
        b'{"seq":1e99,"key":"next"}',
        b"\xff\xfe",
        b'{"seq":1,"key":"\\u0000"}',
    ):
        for device in ("panel-w1", "dispenser", "counter"):
            for kind in ("key", "ticket", "request", "count", "status"):
                await walk.client.publish(f"hall/walk/dev/{device}/up/{kind}", payload, qos=1)
    walk.line.send(bytes(range(256)))
    status, text = await asyncio.to_thread(walk.files.get, "/healthz")
    assert status in (200, 503), text
    assert json.loads(text)["serving"] is True, text


def _edged(*arguments: str) -> str:
    done = edged(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


PRACTICES: tuple[Practice, ...] = (
    numbers_and_calls,
    rating,
    raw_serial_panel,
    tide_queueing,
    explained,
    drained,
    special_need,
    priority,
    transfer_first_owner,
    told_once,
    promise,
    commissioner,
    one_matter,
    appointment,
    case,
    pause_and_unmanned,
    override,
    notice,
    restart_invisible,
    centre_away,
    late_hours,
    bad_input,
    day_ends,
)
