"""Counters over HTTP: each vendor's own documents, real posts and questions, a real broker, and the driver."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.http_counter import reception
from devices.http_counter.codec import Counted, Kind, LineReport, Vendor, decode, describe
from devices.http_counter.driver import HttpCounter, HttpCounterOptions, presence_topic, process_topic
from devices.http_counter.fake import FakeHttpCounter, FakePolledCounter, post
from devices.http_counter.reception import Counter, Reception, counters_of
from edged.core.model.events import CountRead, DeviceBack, DeviceLost, Event, HealthRead
from edged.core.model.losses import OUR_LINK
from edged.core.model.point import Point
from edged.driver import DeviceContext, Garbled, line_name
from edged.links.http.credentials import Credential
from edged.links.http.listener import Listener, bind
from edged.links.http.posts import BODY_BYTES_MAX
from edged.links.mqtt.link import MqttLink
from edged.shapes import Misshapen, read
from tests.support.brokers import Broker, Rejections, real_mosquitto, running, settings_for, until

FRAMES = json.loads((Path(__file__).parents[1] / "vectors" / "http_counter_frames.json").read_text())[
    "frames"
]
DOOR = Point("door")
SECRET = "eleven-o-clock"
KINDS: tuple[tuple[Vendor, Kind], ...] = (
    ("hikvision", "total"),
    ("hikvision", "window"),
    ("dahua", "total"),
    ("xovis", "window"),
    ("xovis", "crossing"),
    ("axis", "window"),
    ("axis", "total"),
    ("terabee", "total"),
)


@pytest.mark.parametrize("frame", FRAMES, ids=[one["id"] for one in FRAMES])
def test_documents_of_each_vendor_decode_to_the_expected_counts(frame: dict[str, Any]) -> None:
    found = decode(frame["vendor"], frame["payload"].encode())
    assert [list(one[:4]) for one in found] == frame["expect"]
    assert any(line.startswith(frame["vendor"]) for line in describe(frame["payload"].encode()))


def test_an_alert_is_read_in_multipart_and_any_namespace_and_refused_with_a_dtd() -> None:
    alert = FakeHttpCounter("hikvision", "total")
    alert.passed(3, 1)
    body = b"--b\r\nContent-Type: application/xml\r\n\r\n" + alert.report() + b"\r\n--b\r\n\xff\xd8\xff--b--"
    assert decode("hikvision", body) == [Counted("total", "1-1", 3, 1)]
    other = body.replace(b"http://www.hikvision.com/ver20/XMLSchema", b"urn:psialliance-org")
    assert decode("hikvision", other) == [Counted("total", "1-1", 3, 1)]
    assert decode("hikvision", body.replace(b"PeopleCounting<", b"videoloss<")) == []
    bomb = b'<!DOCTYPE x [<!ENTITY e "1">]>' + body.replace(b"<enter>3", b"<enter>&e;")
    with pytest.raises(Garbled, match="not_xml"):
        decode("hikvision", bomb)


def test_a_group_crossing_a_line_is_counted_as_its_people() -> None:
    live = json.loads(next(one["payload"] for one in FRAMES if one["id"] == "xovis.live"))
    (frame,) = live["live_data"]["frames"]
    frame["tracked_objects"].append({"track_id": 500, "type": "GROUP"})
    again = json.loads(json.dumps(frame["events"][0]))
    again["attributes"]["track_id"] = 500
    frame["events"].append(again)
    assert len(decode("xovis", json.dumps(live).encode())) == 1


@settings(max_examples=60)
@given(data=st.binary(max_size=200), frame=st.sampled_from(FRAMES), at=st.integers(0, 500))
def test_any_document_of_a_counter_is_read_or_raises_garbled(
    data: bytes, frame: dict[str, Any], at: int
) -> None:
    whole = frame["payload"].encode()
    for body in (data, whole[:at], whole[:at] + data + whole[at:]):
        for vendor, _ in KINDS:
            with suppress(Garbled):
                assert all(one.entered >= 0 for one in decode(vendor, body))
    with suppress(Garbled):
        report = LineReport.of(data)
        assert LineReport.of(report.to_bytes()) == report


@pytest.mark.parametrize(("vendor", "kind"), KINDS)
def test_a_repeated_report_counts_once_and_a_restarted_counter_begins_at_zero(
    vendor: Vendor, kind: Kind
) -> None:
    fake, counter = FakeHttpCounter(vendor, kind), a_counter(vendor=vendor, counts=kind)
    reported: list[Counted] = []

    def receive(body: bytes) -> None:
        for one in counter.new(decode(vendor, body), 0.0):
            counter.acknowledged(one, 0.0)
            reported.append(one)

    for number in range(1, 4):
        fake.passed(number, 1)
        body = fake.report()
        receive(body)
        receive(body)
    if kind == "total":
        assert [one.entered for one in reported] == [1, 3, 6]
        fake.restart()
        receive(fake.report())
        assert reported[-1].entered == 0
    else:
        assert (sum(one.entered for one in reported), sum(one.left for one in reported)) == (6, 3)
        fake.frozen_clock = True
        for _ in range(reception.STILL + 1):
            fake.passed(1 if kind == "window" else 0)
            receive(fake.report())
        assert (counter.fault is not None) == (kind == "window")


def test_reports_of_other_kinds_and_lines_than_configured_are_ignored() -> None:
    window = decode("hikvision", FRAMES[1]["payload"].encode())
    assert a_counter().new(window, 0.0) == [], "totals are taken, windows would count them twice"
    total = decode("hikvision", FRAMES[0]["payload"].encode())
    assert a_counter(lines=("1-2",)).new(total, 0.0) == []
    assert a_counter(lines=("1-1",)).new(total, 0.0) == total
    assert read(HttpCounterOptions, OPTIONS | {"vendor": "axis", "url": "http://10.0.0.9/"}).kind == "total"


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://a:b@c/", "http://x y/", "http://x:99999/"])
def test_a_counter_address_that_cannot_be_polled_is_refused_by_check(url: str) -> None:
    with pytest.raises(Misshapen):
        read(HttpCounterOptions, OPTIONS | {"url": url})


OPTIONS: dict[str, Any] = {"vendor": "hikvision", "secret_file": "/dev/null"}


def a_counter(**more: Any) -> Counter:
    options = read(HttpCounterOptions, OPTIONS | {"every_s": 2.0} | more)
    return Counter("door", options, Credential("door", SECRET))


class Hall:
    """A broker, the daemon's driver, `edged counters` and its HTTP door for posts."""

    def __init__(self, broker: Broker, link: MqttLink, counter: Counter, port: int) -> None:
        self.broker, self.link, self.port = broker, link, port
        self.events: list[Event] = []
        self.rejections = Rejections()
        context = DeviceContext("door", "h", self._emit, self.rejections, asyncio.sleep, lambda: 0.0, link)
        self.driver = HttpCounter(context, counter.options)
        self.reception = Reception("h", [counter], replace(settings_for(broker), client_id="counters"))

    def _emit(self, event: Event, ack: Callable[[], None] | None = None) -> bool:
        self.events.append(event)
        if ack is not None:
            ack()
        return True

    def counted(self) -> list[tuple[int, int]]:
        return [(one.entered, one.left) for one in self.events if isinstance(one, CountRead)]

    async def post(self, body: bytes, path: str = "/door", user: str = "door", secret: str = SECRET) -> int:
        return await asyncio.to_thread(post, self.port, path, body, user, secret)


@asynccontextmanager
async def hall(counter: Counter) -> AsyncIterator[Hall]:
    link_settings: Any = None
    with bind("127.0.0.1", 0) as place:
        async with real_mosquitto() as broker:
            link_settings = settings_for(broker)
            async with running(MqttLink(link_settings, lambda *_: None)) as link:
                made = Hall(broker, link, counter, place.getsockname()[1])
                ready = asyncio.Event()
                listener = Listener(made.reception.door)
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(made.driver.run()),
                        group.create_task(made.reception.run(ready.set)),
                        group.create_task(listener.serve(sockets=[place])),
                    ]
                    try:
                        await until(ready.is_set)
                        await until(lambda: listener.started)
                        yield made
                    finally:
                        listener.should_exit = True
                        for task in tasks[:2]:
                            task.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "RETRY_S", 0.05)
    monkeypatch.setattr(reception, "RETRY_BROKER_S", (0.1,))
    monkeypatch.setattr("edged.links.http.posts.WRONG_S", 0.05)


async def test_a_posted_report_is_stored_before_the_answer_and_reaches_the_core_once() -> None:
    camera = FakeHttpCounter("hikvision", "total")
    async with hall(a_counter()) as made:
        for entered in (2, 3):
            camera.passed(entered, 1)
            body = camera.report()
            assert await made.post(body) == 200
            assert await made.post(body) == 200, "a camera that missed the answer"
        await until(lambda: made.counted() == [(2, 1), (5, 2)])
        first, second = (one for one in made.events if isinstance(one, CountRead))
        assert (first.line, first.boot) == (line_name("1-1"), second.boot)
        assert (first.seq, second.seq) == (1, 2)
        assert DeviceBack(DOOR) in made.events
        assert await made.post(camera.odd()) == 400
        await made.broker.stop()
        camera.passed(1)
        body = camera.report()
        await until_async(lambda: made.post(body), 503)
        await made.broker.start()
        await until_async(lambda: made.post(body), 200)
        await until(lambda: made.counted()[-1:] == [(6, 2)])
        assert OUR_LINK in lost(made) or "no-process" in lost(made)


async def until_async(ask: Callable[[], Any], wanted: int) -> None:
    async with asyncio.timeout(30):
        while await ask() != wanted:
            await asyncio.sleep(0.05)


async def test_a_post_is_accepted_only_with_its_devices_credential_and_up_to_the_size_limit() -> None:
    body = FakeHttpCounter("hikvision", "total").report()
    async with hall(a_counter()) as made:
        base = f"http://127.0.0.1:{made.port}"
        assert await made.post(body, user="door", secret="wrong-secret") == 401
        assert await made.post(body, user="other") == 401
        assert await made.post(body, user="") == 401
        assert await made.post(body, "/nobody") == 404
        assert await made.post(body, f"/door/{SECRET}", user="") == 200
        assert await made.post(body, "/door/wrong", user="") == 401
        assert await made.post(b" " * (BODY_BYTES_MAX + 1)) == 413
        await asyncio.to_thread(post, made.port, "/door", body, "door", SECRET, 40)
        async with httpx.AsyncClient(timeout=30) as client:
            digest = httpx.DigestAuth("door", SECRET)
            for _ in range(2):
                assert (await client.post(f"{base}/door?a=1", content=body, auth=digest)).status_code == 200
            wrong = httpx.DigestAuth("door", "wrong-secret")
            assert (await client.post(f"{base}/door", content=body, auth=wrong)).status_code == 401
            bearer = {"Authorization": f"Bearer {SECRET}"}
            assert (await client.post(f"{base}/door", content=body, headers=bearer)).status_code == 200
            assert (await client.get(f"{base}/door", headers=bearer)).status_code == 405
        done = await asyncio.create_subprocess_exec(
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--digest", "-u", f"door:{SECRET}"),
            *("-H", "Transfer-Encoding: chunked", "--data-binary", "@-", f"{base}/door"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        status, _ = await done.communicate(body)
        assert status == b"200", "another client's Digest, in chunks"


async def test_a_slow_sender_times_out_and_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.links.http.listener.HEAD_S", 0.3)
    async with hall(a_counter()) as made:
        made.reception.door._body_s = 0.3
        slow = [socket.create_connection(("127.0.0.1", made.port)) for _ in range(20)]
        try:
            for number, one in enumerate(slow):
                one.settimeout(20)
                head = f"POST /door/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n"
                one.sendall((head + ("\r\n<" if number % 2 else "")).encode())
            body = FakeHttpCounter("hikvision", "total").report()

            async def posted() -> int:
                try:
                    return await made.post(body)
                except OSError:  # of a machine so busy that ours came too late as well
                    return 0

            await until_async(posted, 200)
            answers = [await asyncio.to_thread(one.recv, 100) for one in slow]
            assert all(one == b"" or b" 408 " in one for one in answers), answers
        finally:
            for one in slow:
                one.close()


async def test_a_polled_counter_is_lost_with_its_reason_and_back_by_itself(tmp_path: Path) -> None:
    camera = FakeHttpCounter("dahua", "total")
    web = FakePolledCounter(camera, "door", SECRET)
    with web.serving() as url:
        counter = a_counter(vendor="dahua", url=url)
        counter.options = replace_every(counter.options)
        async with hall(counter) as made:
            await until(lambda: made.counted() == [(0, 0)])
            camera.passed(4, 2)
            await until(lambda: made.counted()[-1] == (4, 2))
            await until(lambda: web.unchanged > 2)
            assert made.counted() == [(0, 0), (4, 2)], "what did not change is not said again"
            moods: list[tuple[Any, str]] = [("portal", "bad-answer"), ("moved", "bad-answer")]
            for mood, word in moods:
                web.mood = mood
                await until(lambda word=word: lost(made)[-1:] == [word])  # type: ignore[misc]
                web.mood = "well"
                await until(lambda: made.events[-1] == DeviceBack(DOOR))
            web.mood = "locked"
            await until(lambda: lost(made)[-1] == "access-refused")
            tried = web.turned_away
            await asyncio.sleep(4 * reception.RETRY_S)
            assert web.turned_away == tried, "an account is not tried until it is locked"


def lost(made: Hall) -> list[str]:
    """Return the reasons of all losses so far."""
    return [one.reason for one in made.events if isinstance(one, DeviceLost)]


def replace_every(options: HttpCounterOptions) -> HttpCounterOptions:
    from msgspec.structs import replace as replaced

    return replaced(options, every_s=0.05)


async def test_a_stopped_counter_process_and_a_wrong_counter_clock_are_reported() -> None:
    async with hall(a_counter(vendor="axis")) as made:
        camera = FakeHttpCounter("axis", "window")
        camera.passed(1)
        assert await made.post(camera.report()) == 200
        await until(lambda: made.counted() == [(1, 0)])
        camera.frozen_clock = True
        body = camera.report()
        for _ in range(reception.STILL + 1):
            assert await made.post(body) == 200
        still = HealthRead(DOOR, fault="its clock stands still, people are missed")
        await until(lambda: still in made.events)
        made.link.publish(process_topic("h"), b"offline", retain=True)
        made.link.publish(presence_topic("h", "door"), b'{"up":true}')
        await until(lambda: lost(made) == ["no-process"])
        made.link.publish(process_topic("h"), b"online", retain=True)
        await until(lambda: made.events[-1] == DeviceBack(DOOR))
        made.link.publish("hall/h/dev/door/up/people", b'{"seq":-1}')
        await until(lambda: made.rejections.reasons[-1:] == ["invalid"])


def test_an_unusable_counter_secret_is_refused_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("short\n")
    options = read(HttpCounterOptions, OPTIONS | {"secret_file": str(file)})
    with pytest.raises(ValueError, match="door: the first line"):
        counters_of({"door": options})
    file.write_text(SECRET + "\n")
    assert counters_of({"door": options})[0].credential == Credential("door", SECRET)
