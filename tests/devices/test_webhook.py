"""Group robots: bodies and signatures as documented, answers judged, few messages a minute, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.webhook import sender, vendors
from devices.webhook.driver import Webhook, WebhookOptions
from devices.webhook.fake import FakeVendor
from devices.webhook.lines import LineReader
from devices.webhook.sender import Robot, serve
from devices.webhook.vendors import joined, judged, request
from edged.core.model.commands import Action, Lamp, Page, Pager, Say
from edged.core.model.events import DeviceBack, DeviceLost, Event
from edged.core.model.point import Point
from edged.driver import DeviceContext, Refused, Unreachable
from edged.shapes import read
from tests.support.brokers import Rejections, until

ROBOT = Point("robot")
ALL: tuple[vendors.Vendor, ...] = ("wecom", "dingtalk", "feishu")


def test_request_bodies_and_signatures_are_those_of_the_vendors_documentation() -> None:
    wecom = request("wecom", "https://x/send?key=1", None, "请到3号窗口", ("13800000000",), 0)
    assert json.loads(wecom.body) == {
        "msgtype": "text",
        "text": {"content": "请到3号窗口", "mentioned_mobile_list": ["13800000000"]},
    }
    ding = request(
        "dingtalk", "https://x/send?access_token=1", "this is secret", "t", ("138",), 1700000000123
    )
    assert json.loads(ding.body)["at"] == {"atMobiles": ["138"]}
    query = parse_qs(urlsplit(ding.url).query)
    assert query["timestamp"] == ["1700000000123"]
    assert query["sign"] == ["W2RNhLVXZurCuMiewxzjoEaGqxhR/FQAkLiAHZh+PWY="], "HMAC by openssl"
    feishu = json.loads(request("feishu", "https://x/hook/1", "demo", "t", ("ou_1",), 1599360473000).body)
    assert (feishu["timestamp"], feishu["sign"]) == (
        "1599360473",
        "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=",
    )
    assert feishu["content"] == {"text": 't<at user_id="ou_1"></at>'}


@pytest.mark.parametrize(
    ("vendor", "status", "answer", "verdict"),
    [
        ("wecom", 200, {"errcode": 0, "errmsg": "ok"}, "sent"),
        ("wecom", 200, {"errcode": 93000, "errmsg": "invalid webhook url"}, "refused"),
        ("wecom", 200, {"errcode": 45009, "errmsg": "api freq out of limit"}, "later"),
        ("dingtalk", 200, {"errcode": 310000, "errmsg": "sign not match"}, "refused"),
        ("dingtalk", 200, {"errcode": 130101, "errmsg": "send too fast"}, "later"),
        ("feishu", 200, {"code": 0, "msg": "success"}, "sent"),
        ("feishu", 200, {"StatusCode": 0, "StatusMessage": "success"}, "sent"),
        ("feishu", 200, {"code": 19021, "msg": "sign match fail"}, "refused"),
        ("feishu", 200, {"code": 9499, "msg": "too many request"}, "later"),
        ("wecom", 404, {}, "refused"),
        ("wecom", 503, {}, "later"),
        ("wecom", 302, {}, "later"),
        ("wecom", 200, {"hello": 1}, "later"),
        ("wecom", 200, {"errcode": False}, "later"),
    ],
)
def test_an_error_code_in_an_http_200_answer_is_a_failure(
    vendor: Any, status: int, answer: Any, verdict: str
) -> None:
    assert judged(vendor, status, json.dumps(answer).encode())[0] == verdict


@given(
    body=st.binary(max_size=80),
    status=st.sampled_from([200, 204, 301, 400, 500]),
    vendor=st.sampled_from(ALL),
)
def test_only_an_answer_with_the_vendors_code_zero_counts_as_sent(
    body: bytes, status: int, vendor: Any
) -> None:
    verdict, detail = judged(vendor, status, body)
    assert verdict != "sent"
    assert len(detail) < 200


@pytest.mark.parametrize("body", [b"[" * 16_000, b'{"errcode":' * 1_000, b'{"errcode":0,"errcode":93000}'])
def test_an_answer_that_is_no_json_object_is_tried_again_later(body: bytes) -> None:
    assert judged("wecom", 200, body) == ("later", vendors.NOBODY)


@given(texts=st.lists(st.text(max_size=900), min_size=1, max_size=8))
def test_waiting_texts_are_joined_in_order_up_to_the_message_limit(texts: list[str]) -> None:
    text, count = joined(texts)
    assert 1 <= count <= len(texts)
    assert len(text.encode()) <= vendors.TEXT_BYTES_MAX


@given(data=st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_on_the_helper_socket_are_read_as_lines_or_dropped(data: list[bytes]) -> None:
    reader = LineReader()
    for piece in data:
        assert all(isinstance(found, dict) for found in reader.feed(piece))


class WebhookBench:
    """A driver, `edged pager` and a fake server of the vendor."""

    def __init__(self, folder: Path, vendor: vendors.Vendor, secret: str | None) -> None:
        self.events: list[Event] = []
        self.vendor = FakeVendor(vendor, secret)
        self.vendor.start()
        (folder / "url").write_text(self.vendor.url + "\n")
        (folder / "secret").write_text(f"{secret}\n")
        fields: dict[str, Any] = {
            "vendor": vendor,
            "url_file": str(folder / "url"),
            "sockets": str(folder),
            "sign": "大厅：",
        }
        fields |= {"people": {"chen": "13800000000"}} | (
            {"secret_file": str(folder / "secret")} if secret else {}
        )
        self.options = read(WebhookOptions, fields)
        self.robot = Robot("robot", self.options, refill_s=0.2)
        context = DeviceContext("robot", "h", self._emit, Rejections(), asyncio.sleep, lambda: 0.0, None)
        self.driver = Webhook(context, self.options)

    def _emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.events.append(event)
        return True

    async def page(self, number: int = 1, point: str = "robot/chen") -> None:
        body = Page("chen", "tax", "w3", f"请到3号窗口 {number}", f"Window 3 {number}")
        await self.driver.act(Action(str(number), Point(point), body))


@asynccontextmanager
async def webhook_bench(
    folder: Path, vendor: vendors.Vendor = "wecom", secret: str | None = None
) -> AsyncIterator[WebhookBench]:
    made = WebhookBench(folder, vendor, secret)
    async with asyncio.TaskGroup() as group:
        process = group.create_task(serve([(made.robot, made.options.socket("robot"))]))
        life = group.create_task(made.driver.run())
        try:
            await until(lambda: DeviceBack(ROBOT) in made.events)
            yield made
        finally:
            process.cancel()
            life.cancel()
            made.vendor.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "TRY_S", 1.5)
    monkeypatch.setattr(sender, "BACKOFF_S", (0.05, 0.1))
    monkeypatch.setattr(sender, "PROBE_S", (0.1,))


@pytest.mark.parametrize(("vendor", "secret"), [("wecom", None), ("dingtalk", "s 1"), ("feishu", "s 1")])
async def test_a_page_is_delivered_when_the_vendor_says_so(
    vendor: vendors.Vendor, secret: str | None, tmp_path: Path
) -> None:
    async with webhook_bench(tmp_path, vendor, secret) as made:
        await made.page()
        assert made.vendor.texts[0].startswith("大厅：请到3号窗口 1")
        assert made.vendor.at == [["13800000000"]] or "13800000000" in made.vendor.texts[0]
        assert made.vendor.wrong_signatures == 0
        await made.driver.show(ROBOT, Pager(1))
        with pytest.raises(Refused):
            await made.driver.show(ROBOT, Lamp("on"))
        with pytest.raises(Refused):
            await made.driver.act(Action("2", ROBOT, Say("x", "x", "")))


async def test_thirty_pages_at_once_are_all_delivered_in_few_messages(tmp_path: Path) -> None:
    async with webhook_bench(tmp_path) as made:
        async with asyncio.TaskGroup() as group:
            for number in range(30):
                group.create_task(made.page(number))
        delivered = [line for text in made.vendor.texts for line in text.splitlines()]
        assert sorted(delivered) == sorted(f"大厅：请到3号窗口 {number}" for number in range(30))
        assert len(made.vendor.texts) <= sender.BURST + 3


@pytest.mark.parametrize("mood", ["busy", "broken", "portal", "moved"])
async def test_a_page_the_vendor_does_not_accept_is_tried_again_and_then_undelivered(
    mood: Any, tmp_path: Path
) -> None:
    async with webhook_bench(tmp_path) as made:
        made.vendor.mood = mood
        with pytest.raises(Unreachable, match=r"^undelivered"):
            await made.page()
        assert made.vendor.asked > 2
        made.vendor.mood = "well"
        await until(lambda: made.events[-1] == DeviceBack(ROBOT))
        await made.page(2)
        assert made.vendor.texts == ["大厅：请到3号窗口 2"], "the first is not told when it is too late"


async def test_a_refusal_of_the_vendor_is_reported_at_once_with_its_code(tmp_path: Path) -> None:
    async with webhook_bench(tmp_path) as made:
        made.vendor.mood = "refuses"
        with pytest.raises(Refused, match="93000"):
            await made.page()
        assert made.vendor.asked == 1


async def test_an_unreachable_vendor_loses_the_robot_and_its_return_brings_it_back(tmp_path: Path) -> None:
    async with webhook_bench(tmp_path) as made:
        made.vendor.stop()
        with pytest.raises(Unreachable, match=r"^undelivered"):
            await made.page()
        await until(lambda: isinstance(made.events[-1], DeviceLost))
        assert made.events[-1].reason == "connection-refused"  # type: ignore[union-attr]
        with pytest.raises(Unreachable, match=r"^undelivered"):
            await made.page(2)
        made.vendor.start()
        async with asyncio.timeout(3):
            await until(lambda: made.events[-1] == DeviceBack(ROBOT))
        await made.page(3)


async def test_without_the_process_the_robot_is_lost(tmp_path: Path) -> None:
    made = WebhookBench(tmp_path, "wecom", None)
    life = asyncio.create_task(made.driver.run())
    try:
        await until(lambda: made.events != [])
        assert made.events[0] == DeviceLost(ROBOT, "no-process", "No such file or directory")
        with pytest.raises(Unreachable, match=r"^undelivered"):
            await made.page()
    finally:
        life.cancel()
        made.vendor.stop()


def test_an_address_file_without_an_https_address_is_refused_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("ftp://key-123\n")
    with pytest.raises(ValueError, match="https") as refused:
        sender.address(str(tmp_path / "url"))
    assert "key-123" not in str(refused.value)


def test_a_server_that_does_not_speak_http_is_a_connection_error() -> None:
    """Its first line is no status line: Python's client raises what is no OSError."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            wire, _ = server.accept()
            with wire:
                wire.recv(4096)
                wire.sendall(b"hello\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(OSError, match="no HTTP answer: BadStatusLine"):
            sender.post(vendors.RobotPost(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}"))
        thread.join()


async def test_after_a_burst_messages_leave_at_the_vendors_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, left_s = [100.0], list[float]()

    async def wait(s: float) -> None:
        now_s[0] += s

    monkeypatch.setattr(sender, "monotonic_s", lambda: now_s[0])
    monkeypatch.setattr(asyncio, "sleep", wait)
    (tmp_path / "url").write_text("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k")
    (tmp_path / "url").chmod(0o600)
    options = read(WebhookOptions, {"vendor": "wecom", "url_file": str(tmp_path / "url"), "people": {}})
    robot = Robot("robot", options)
    for _ in range(sender.BURST + 3):
        await robot._token()
        left_s.append(now_s[0] - 100.0)
    assert left_s == pytest.approx([0.0] * sender.BURST + [sender.REFILL_S * n for n in (1, 2, 3)])
