"""A made-up hall for the pages: all that a daemon publishes below ``hall/{hall}/page/``, on a Monday at 10:41."""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import httpx

from edged.central.page_lines import COLUMNS, name_of
from edged.pages.day_recorder import DayRecorder, minute_of
from edged.sim.broker import free_port
from tests.support import host_headers
from tests.support.brokers import Mosquitto, plain_client, real_mosquitto

HALL = "demo"
NOW = "2026-11-23T10:41:20+08:00"
AREAS = [
    ("tax", "税务综合", "Taxes"),
    ("biz", "企业开办", "Business start-up"),
    ("estate", "不动产登记", "Real estate"),
    ("fund", "公积金", "Housing fund"),
    ("social", "社保", "Social insurance"),
    ("help", "办不成事反映", "Unresolved matters"),
]
REGULAR = [
    ("1", "tax"),
    ("2", "tax"),
    ("3", "tax"),
    ("4", "biz"),
    ("5", "biz"),
    ("6", "estate"),
    ("7", "estate"),
]
REGULAR += [("8", "fund"), ("9", "social"), ("10", "social"), ("15", "help")]
TIDAL = [
    ("11", ["tax", "biz"]),
    ("12", ["tax", "estate"]),
    ("13", ["social", "fund"]),
    ("14", ["biz", "estate"]),
]
STAFF = [
    ("chen", "陈敏"),
    ("liu", "刘洋"),
    ("zhao", "赵静"),
    ("sun", "孙磊"),
    ("wu", "吴倩"),
    ("zhou", "周凯"),
]
CLERKS = dict(
    zip(
        [number for number, _ in REGULAR],
        ["何丽", "郭涛", "林芳", "高宁", "罗佳", "梁伟", "宋洁", "郑峰", "谢敏", "韩雪", "唐红"],
        strict=True,
    )
)
Parts = dict[str, dict[str, Any]]


def at(clock: str) -> str:
    """A time of that Monday."""
    return f"2026-11-23T{clock}+08:00"


def both(zh: str, en: str) -> dict[str, str]:
    """A text in both languages."""
    return {"zh": zh, "en": en}


def names() -> dict[str, Any]:
    """Return the page part ``page/names``."""
    windows = [
        {"id": f"w{number}", "number": number, "tidal": False, "areas": [area], "position": None}
        for number, area in REGULAR
    ]
    windows += [
        {"id": f"w{number}", "number": number, "tidal": True, "areas": areas, "position": None}
        for number, areas in TIDAL
    ]
    windows.sort(key=lambda one: int(str(one["number"])))
    for one in windows:
        one |= {"lamp": one["tidal"], "led": True, "led_device": None, "panel_device": f"panel-{one['id']}"}
    return {
        "hall": {"name": "示例政务服务大厅", "name_en": "Example Service Hall", "timezone": "Asia/Shanghai"},
        "areas": [{"id": one, "name": zh, "name_en": en} for one, zh, en in AREAS],
        "services": [],
        "windows": windows,
        "staff": [
            {"id": one, "name": name, "areas": ["tax", "biz"], "roles": ["standby"]} for one, name in STAFF
        ],
        "devices": [
            {"id": "led-biz", **both("企业开办 LED 屏", "LED of Business start-up")},
            {"id": "panel-w9", **both("9号窗口呼叫器", "panel of window 9")},
        ],
        "public_url": None,
    }


def window(number: str, state: str, **more: Any) -> dict[str, Any]:
    """``page/window/…``."""
    body: dict[str, Any] = {
        "state": state,
        "since": at("10:34:00"),
        "ticket": None,
        "clerk": CLERKS.get(number),
        "helpers": [],
        "area": None,
        "reason": None,
        "pause": None,
        "paged": None,
        "lent_to": None,
        "lent_until": None,
        "lamp": None,
        "led": [f"{number}号窗口", ""],
        "stale": False,
    }
    return body | more


def windows() -> Parts:
    """Every window: most serve, 5 is paused, 11 and 14 are being staffed, 9's panel is lost."""
    found: Parts = {}
    for position, (number, _) in enumerate(REGULAR):
        ticket = f"{'AABDDFEGHJU'[position]}0{20 + position}"
        led = [f"{number}号窗口", f"{ticket}号办理中"]
        found[f"window/w{number}"] = window(number, "SERVING", ticket=ticket, led=led)
    found["window/w5"] |= {"state": "PAUSED", "ticket": None, "since": at("10:28:00")}
    found["window/w5"] |= {"pause": both("内部流转", "errand"), "led": ["5号窗口", "暂停服务"]}
    found["window/w9"] |= {"stale": True}
    found["window/w10"] |= {"state": "CALLING", "since": at("10:41:05")}
    found["window/w15"] |= {"state": "OPEN", "ticket": None, "led": ["15号窗口", "请取号等候"]}
    why = both("现在来预计等35分钟，超过9分钟启用线", "newcomers would wait 35 min, above the limit of 9")
    coming: dict[str, Any] = {"clerk": None, "lamp": "blink", "led": ["11号窗口", "即将开放"], "reason": why}
    found["window/w11"] = window("11", "ACTIVATING", area="tax", since=at("10:41:00"), **coming)
    found["window/w11"]["paged"] = {"who": "周凯", "until": at("10:42:00"), "answered": False}
    found["window/w14"] = window("14", "ACTIVATING", area="estate", since=at("10:40:30"), **coming)
    found["window/w14"]["paged"] = {"who": "刘洋", "until": at("10:41:30"), "answered": True}
    serving: dict[str, Any] = {"lamp": "on", "since": at("10:36:10"), "reason": why}
    found["window/w12"] = window("12", "SERVING", area="estate", ticket="E013", clerk="孙磊", **serving)
    found["window/w13"] = window("13", "SERVING", area="social", ticket="H027", clerk="吴倩", **serving)
    return found


def area(waiting: int, low: int | None, high: int | None, **more: Any) -> dict[str, Any]:
    """``page/area/…``; waits in minutes."""
    body: dict[str, Any] = {
        "waiting": waiting,
        "oldest_since": at("10:14:49") if waiting else None,
        "wait_low_s": None if low is None else low * 60,
        "wait_s": None if low is None or high is None else (low + high) * 30,
        "wait_high_s": None if high is None else high * 60,
        "open_windows": 2,
        "tidal_windows": 0,
        "asked_windows": 0,
        "coming": [],
        "next": [f"A0{24 + n}" for n in range(min(waiting, 3))],
        "issued": 57,
        "called": 44,
        "served": 41,
        "in_time": 40,
        "service_level": 0.91,
        "target_s": 900,
        "limit": both("预计等候满9分钟启用", "opens at a predicted wait of 9 min"),
        "limit_s": 540,
        "hours": "open",
        "mode": "full",
        "closes": at("17:00:00"),
        "opens": None,
        "issuing_paused": False,
        "stale": False,
    }
    return body | more


def areas() -> Parts:
    """Every area: the tide is in at taxes and real estate."""
    return {
        "area/tax": area(15, 17, 34, open_windows=3, asked_windows=1, coming=["w11"], service_level=0.66),
        "area/biz": area(0, 3, 10, open_windows=1),
        "area/estate": area(
            6, 15, 30, open_windows=3, tidal_windows=1, asked_windows=1, coming=["w14"], service_level=0.8
        ),
        "area/fund": area(1, 7, 16, open_windows=1, service_level=1.0),
        "area/social": area(3, 4, 10, open_windows=3, tidal_windows=1, service_level=0.97),
        "area/help": area(0, None, None, open_windows=1, limit=None, limit_s=None, served=1),
    }


def calls() -> list[dict[str, Any]]:
    """The last calls, newest first."""
    rows = [("H029", "w10", "social"), ("D010", "w4", "biz"), ("B018", "w3", "tax"), ("G014", "w8", "fund")]
    rows += [("H028", "w9", "social"), ("E014", "w7", "estate"), ("H027", "w13", "social")]
    return [
        {
            "n": 100 - position,
            "number": number,
            "window": place,
            "area": where,
            "at": at(f"10:{41 - position:02d}:05"),
            "again": position == 2,
            "priority": "elderly" if number == "G014" else "normal",
            "wait_s": 412,
            "told_s": [300, 420, 660],
        }
        for position, (number, place, where) in enumerate(rows)
    ]


def decisions() -> list[dict[str, Any]]:
    """Why 11 was asked for, and why nobody went to the housing fund."""
    ask = both(
        "税务综合：现在来预计等35分钟，超过9分钟启用线，启用11号窗口，呼叫周凯",
        "Taxes: newcomers would wait 35 min, above the limit of 9: window 11 asked, 周凯 paged",
    )
    refuse = both(
        "公积金：现在来预计等11分钟，超过9分钟启用线，但没有空闲的潮汐窗口",
        "Housing fund: newcomers would wait 11 min, above the limit of 9, but no +1 window is free",
    )
    considered = [
        {"kind": "window", "name": "11", **both("空闲，今日已启用2次", "idle, twice today"), "chosen": True},
        {"kind": "window", "name": "12", **both("正在服务不动产登记", "serves Real estate"), "chosen": False},
        {
            "kind": "staff",
            "name": "陈敏",
            **both("待命，今日2次，未轮到", "standby, not yet"),
            "chosen": False,
        },
        {"kind": "staff", "name": "周凯", **both("待命，今日2次", "standby, twice today"), "chosen": True},
    ]
    inputs = {
        "waiting": 15,
        "oldest_wait_s": 1591,
        "predicted_wait_s": 2100,
        "with_one_more_s": 1560,
        "windows": 3,
    }
    rows: list[dict[str, Any]] = [
        {"n": 33, "at": at("10:41:00"), "decision": "ask", "area": "tax", "window": "w11", **ask},
        {"n": 32, "at": at("10:37:00"), "decision": "refuse", "area": "fund", "window": None, **refuse},
    ]
    outcome = {
        **both("周凯应在10:42前应答；到岗后才开放", "周凯 answers by 10:42; it opens when somebody is there")
    }
    for one in rows:
        one |= {"rule": "predicted-wait", "inputs": inputs, "limits": {"limit_s": 540}}
        one |= {"alternatives": considered if one["n"] == 33 else [], "outcome": None}
    rows[0]["outcome"] = outcome | {"at": at("10:41:02")}
    return rows


def alarms() -> list[dict[str, Any]]:
    """Two wait for somebody, one is in hand."""
    return [
        {
            "key": "case-overdue/u002",
            "kind": "case-overdue",
            "subject": both("U002", "U002"),
            **both(
                "办不成事 U002 已12分钟无人响应（限10分钟）", "U002 waited 12 min for an answer (limit 10)"
            ),
            "todo": both(
                "请唐红在15号窗口按“响应”，或由您接手", "Have 唐红 answer at window 15, or take it over"
            ),
            "since": at("10:39:00"),
            "accepted": None,
        },
        {
            "key": "pause-too-long/w5",
            "kind": "pause-too-long",
            "subject": both("5号窗口", "Window 5"),
            **both(
                "5号窗口暂停13分钟（内部流转，限10分钟）", "Window 5 paused for 13 min (errand, limit 10)"
            ),
            "todo": both("请罗佳回岗；回不来就关闭5号窗口", "Call 罗佳 back, or close window 5"),
            "since": at("10:38:00"),
            "accepted": None,
        },
        {
            "key": "paper/dispenser-2",
            "kind": "device-fault",
            "subject": both("2号取号机", "Ticket machine 2"),
            **both("缺纸", "no paper"),
            "todo": both("请导办换纸；1号机照常取号", "Change its paper; machine 1 works"),
            "since": at("10:31:00"),
            "accepted": {"by": "马兰", "at": at("10:33:00")},
        },
    ]


def cases(*entries: tuple[str, str, str]) -> dict[str, Any]:
    """``state/cases``: each open case's number, state and time."""
    rows = [
        {
            "case": f"2026-11-23-{number}",
            "state": state,
            "area": "tax",
            "service": None,
            "code": "refused",
            "opened": opened,
            "due": "2026-11-30",
            "special": False,
            "overdue": False,
        }
        for number, state, opened in entries
    ]
    waiting = sum(state == "OPEN" for _, state, _ in entries)
    ratios = dict.fromkeys(("response_ratio", "on_time_ratio", "explained_ratio", "satisfied_ratio"))
    return {"waiting": waiting, "in_hand": len(rows) - waiting, "overdue": 0, "cases": rows} | ratios


def house() -> Parts:
    """Return the page parts that concern the whole hall: overrides, staff, policy, links."""
    staff = [
        {"id": one, "state": "standby", "window": None, "turns": 1 + position % 3, "answer_by": None}
        for position, (one, _) in enumerate(STAFF)
    ]
    staff[5] |= {"state": "paged", "window": "w11", "answer_by": at("10:42:00")}
    staff[4] |= {"state": "bound", "window": "w13"}
    trial = {"left_min": 14, "waited_s": 320, "limit_s": 900, "worse_min": 2, "worse_limit_min": 10}
    devices = names()["devices"]
    return {
        "overrides": {
            "overrides": [
                {"kind": "hold", "target": "w12", "area": None, "by": "何静", "since": at("10:20:00")}
                | {"until": at("11:00:00"), "reason": "预计还有人来"}
            ]
        },
        "staff": {"duty": "何静", "staff": staff},
        "policy": {
            "version": 12,
            "rule": "pw",
            "pool": 4,
            "open_now": 2,
            "safe_mode": False,
            "since": at("08:20:00"),
        }
        | both("预计等候超过9分钟启用潮汐窗口", "a +1 window opens at a predicted wait of 9 min")
        | {"trial": trial | {"harmful": False, "back_to": 11}},
        "links": {
            "centre": {"backlog": 264},
            "disk": True,
            "clock": True,
            "devices": [
                one | {"up": False, "since": at("10:31:00"), "reason": "no answer"} for one in devices
            ],
            "people": {"present": 47},
        },
    }


TOKEN = "0123456789abcdef" * 2


def row(token: str = TOKEN, state: str = "waiting", **changed: Any) -> list[Any]:
    """A visit as ``page/line/tax`` tells it: A042, twelve people before it."""
    fields: dict[str, Any] = {
        "of": name_of(token),
        "number": "A042",
        "service": "tax-general",
        "state": state,
        "ahead": 12 if state == "waiting" else None,
        "low_s": 1500 if state == "waiting" else None,
        "high_s": 2700 if state == "waiting" else None,
        "window": None,
        "calls": 0,
        "issued": at("10:20:00"),
        "told": [1800, 3000],
    }
    fields |= changed
    return [fields[column] for column in COLUMNS]


def line(*rows: list[Any]) -> dict[str, Any]:
    """``page/line/tax``."""
    return {"columns": COLUMNS, "rows": rows, "calls_max": 3}


def scene() -> Parts:
    """All parts."""
    return {
        "names": names(),
        **windows(),
        **areas(),
        "calls": {"calls": calls()},
        "decisions": {"decisions": decisions()},
        "alarms": {"alarms": alarms()},
        **house(),
        "line/tax": line(row()),
    }


def recorded_day(date: str = "2026-11-23", until: str = "10:41:00", seed: int = 7) -> dict[str, Any]:
    """A day of that hall as it would have been recorded: visitors come in a wave, two "+1" windows help."""
    chance = random.Random(seed)
    recorder = DayRecorder(date)
    recorder.record("names", names(), f"{date}T08:20:00+08:00")
    recorder.record("policy", house()["policy"], f"{date}T08:20:00+08:00")
    end = minute_of(f"{date}T{until}")
    for minute in range(8 * 60 + 20, int(end) + 1):
        when = f"{date}T{minute // 60:02d}:{minute % 60:02d}:00+08:00"
        rush = math.exp(-(((minute - 640) / 60) ** 2)) + 0.6 * math.exp(-(((minute - 900) / 50) ** 2))
        for position, (which, _, _) in enumerate(AREAS[:5]):
            waiting = max(0, round(rush * (16 - 3 * position) + chance.uniform(-1, 1)))
            low = waiting * 60 * (4 - position // 2) // 3
            plus = int(which == "tax" and 600 <= minute < 700)
            lanes = {
                "wait_s": low + 120,
                "wait_low_s": low,
                "wait_high_s": low + 400,
                "tidal_windows": plus,
                "open_windows": 2 + plus,
            }
            recorder.record(f"area/{which}", area(waiting, 0, 1) | lanes, when)
            if minute > 510 and chance.random() < 0.25 + rush / 3:
                wait = max(0, low + chance.randint(-100, 500))
                one = {"number": f"{which}{minute}", "at": when, "window": f"w{position + 1}", "area": which}
                recorder.record(
                    "calls", {"calls": [one | {"wait_s": wait, "told_s": [low, low + 200, low + 400]}]}, when
                )
                recorder.record(
                    f"window/w{position + 1}", window("1", "SERVING", ticket=f"{which}{minute}"), when
                )
        for at_minute, state in ((598, "ACTIVATING"), (600, "SERVING"), (700, "STANDBY")):
            if minute == at_minute:
                place = None if state == "STANDBY" else "tax"
                why = both(
                    "现在来预计等12分钟，超过9分钟启用线", "newcomers would wait 12 min, above the limit of 9"
                )
                recorder.record("window/w11", window("11", state, area=place, clerk="周凯", reason=why), when)
        if minute in (628, 641):
            paused = window("5", "PAUSED" if minute == 628 else "OPEN", pause=both("内部流转", "errand"))
            recorder.record("window/w5", paused, when)
            recorder.record("alarms", {"alarms": alarms()[1:] if minute == 628 else []}, when)
        brought = f"{date}T09:40:00+08:00", f"{date}T10:29:00+08:00"
        if minute in (580, 592, 629, 640):
            first = [("1", "OPEN" if minute < 592 else "ACKNOWLEDGED", brought[0])] if minute < 640 else []
            second = [("2", "OPEN", brought[1])] if minute >= 629 else []
            recorder.record("cases", cases(*first, *second), when)
        recorder.minute(when)
    recorder.record("decisions", {"decisions": decisions()}, f"{date}T10:41:00+08:00")
    return recorder.as_json()


class MadeHall:
    """A broker with the scene, and ``edged web`` on it. ``say`` changes a part."""

    def __init__(self, broker: Mosquitto, client: aiomqtt.Client, directory: Path) -> None:
        self.broker, self.client, self.directory = broker, client, directory
        self.web_port, self.tickets_port = free_port(), free_port()
        self._began_s = time.time()
        self.beating = True
        self.pid = 0  # of edged web, once it runs

    @property
    def warp(self) -> str:
        """The hall's clock: 10:41:20 when it began, and as fast as ours."""
        return f"1@{int(self._began_s * 1000)}@{int(datetime.fromisoformat(NOW).timestamp() * 1000)}"

    @property
    def now(self) -> str:
        """What the hall's clock says."""
        return (datetime.fromisoformat(NOW) + timedelta(seconds=int(time.time() - self._began_s))).isoformat()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def ticket(self) -> str:
        """Return the address of the visitor's page of ``TOKEN``."""
        return f"http://127.0.0.1:{self.tickets_port}/t/{TOKEN}"

    async def publish(self, name: str, body: dict[str, Any] | None) -> None:
        payload = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        await self.client.publish(f"hall/{HALL}/page/{name}", payload, qos=1, retain=True)

    async def beat(self) -> None:
        while True:
            if self.beating:
                await self.publish("beat", {"at": self.now})
            await asyncio.sleep(1)

    async def shown(self) -> None:
        """Wait until the pages show the whole scene."""
        async with httpx.AsyncClient() as client, asyncio.timeout(20):
            while True:
                parts = (await client.get(f"{self.address}/parts")).json()["parts"]
                expected = {name for name in scene() if not name.startswith("line/")} | {"beat", "status"}
                if expected <= parts.keys() and parts["link"]["up"]:
                    return
                await asyncio.sleep(0.05)

    def write(self) -> Path:
        """Its hall.toml: the demo's, with this broker and this port."""
        text = (Path(__file__).parents[2] / "configs" / "hall-demo.toml").read_text()
        text = text.replace("port = 1883", f"port = {self.broker.port}").replace('"3.1.1"', '"5"')
        file = self.directory / "hall.toml"
        named = f"port = {self.web_port}\nnames = {json.dumps(host_headers.NAMES)}"
        named += f'\ntickets_port = {self.tickets_port}\npublic_url = "https://visit.example.org/hall"'
        file.write_text(text.replace("port = 9465", named))
        days = self.directory / "days"
        days.mkdir(exist_ok=True)
        for date, until in (("2026-11-20", "17:10:00"), ("2026-11-23", "10:41:00")):
            (days / f"{date}.json").write_text(json.dumps(recorded_day(date, until), ensure_ascii=False))
        (self.directory / "city.pub.json").write_text('{"keys": []}')
        return file


@asynccontextmanager
async def made_hall(directory: Path) -> AsyncIterator[MadeHall]:
    """The scene, shown by the real ``edged web`` over a real mosquitto."""
    async with real_mosquitto() as broker, plain_client(broker) as client:
        hall = MadeHall(broker, client, directory)
        for name, body in scene().items():
            await hall.publish(name, body)
        await client.publish(f"hall/{HALL}/status", b'{"state":"online"}', qos=1, retain=True)
        beating = asyncio.ensure_future(hall.beat())
        command = [sys.executable, "-m", "edged", "web", "--config", str(hall.write()), "--warp", hall.warp]
        process = await asyncio.create_subprocess_exec(
            *command, "--child", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        hall.pid = process.pid
        try:
            assert process.stdout is not None
            assert await process.stdout.readline() == f"edged web: {hall.address}/\n".encode()
            await hall.shown()
            yield hall
        finally:
            beating.cancel()
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
