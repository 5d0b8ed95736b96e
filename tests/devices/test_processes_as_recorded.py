"""What `edged pager` and `edged counters` send, answer and log in scripted days, as recorded in ``dialogues/``.

Vendors that are busy, refuse or are away; a modem that hangs; counters that repeat themselves; a broker that goes.

Record anew, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/devices/test_processes_as_recorded.py``.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from devices.http_counter import reception
from devices.http_counter.codec import decode
from devices.http_counter.driver import HttpCounterOptions
from devices.http_counter.reception import Counter, Reception
from devices.webhook import sender, spool
from devices.webhook.driver import WebhookOptions
from devices.webhook.sender import TRY_S, Outlet, Robot, Wanted
from devices.webhook.sms import SmsOptions
from devices.webhook.spool import Spool
from devices.webhook.vendors import RobotPost
from edged.clock import monotonic_s
from edged.driver import DeviceError, Garbled, Unreachable
from edged.links.http.credentials import Credential
from edged.links.http.questions import HttpQuestion
from edged.links.mqtt.settings import MqttSettings
from edged.shapes import read
from tests.support.dialogues import Stage, logged, played

RECORDED = Path(__file__).parent / "dialogues"
PORT = 20_000
Scene = Callable[[Stage, Path, pytest.MonkeyPatch], Coroutine[Any, Any, None]]


def page(stage: Stage, outlet: Outlet, name: str, at: str = "", text: str = "") -> None:
    def answered(error: str | None) -> None:
        stage.note("=", f"page {name}: {error or 'delivered'}")

    stage.note("-", f"page {name}")
    outlet.want(Wanted(text or f"请到{name}号窗口", at, monotonic_s() + TRY_S, answered))


async def robot(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = folder / "url"
    url.write_text(f"http://h:{PORT}/key\n")
    answers: list[tuple[int, bytes] | OSError] = []
    good = (200, b'{"errcode":0}')

    def post(outgoing: RobotPost) -> tuple[int, bytes]:
        body = json.loads(outgoing.body)
        stage.note(
            ">",
            f"{len(outgoing.body)} bytes {body['text']['content'][:40]!r} {body['text'].get('mentioned_mobile_list')}",
        )
        answer = answers.pop(0) if answers else good
        if isinstance(answer, OSError):
            raise answer
        return answer

    options = read(WebhookOptions, {"vendor": "wecom", "url_file": str(url), "people": {"li": "138"}})
    outlet = Robot("robot", options, post)
    end = outlet.watch(lambda: stage.note("!", f"up {outlet.up} {outlet.loss}"))
    running = asyncio.ensure_future(outlet.run())
    await asyncio.sleep(20)
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "h", PORT)
    await asyncio.sleep(30)
    stage.note("-", "a burst")
    for number in range(9):
        page(stage, outlet, str(number), "138" if number % 2 else "139")
        await asyncio.sleep(0.01)
    await asyncio.sleep(20)
    stage.note("-", "more than one message holds")
    for number in range(4):
        page(stage, outlet, str(number), text="长" * 300)
    await asyncio.sleep(40)
    cases: dict[str, list[tuple[int, bytes] | OSError]] = {
        "refused": [(200, b'{"errcode":93000,"errmsg":"bad key"}')],
        "busy once": [(200, b'{"errcode":45009}')],
        "away, then well": [OSError(111, "Connection refused"), OSError(113, "No route")],
        "no vendor": [(200, b"<html>")] * 9,
        "away": [OSError(111, "Connection refused")] * 9,
        "broken": [(503, b"")] * 9,
    }
    for name, some in cases.items():
        answers[:] = some
        page(stage, outlet, name)
        await asyncio.sleep(25)
    answers.clear()
    server.close()
    stage.note("-", "too many")
    answers[:] = [OSError(111, "Connection refused")] * 9
    for number in range(sender.QUEUE_MAX + 2):
        page(stage, outlet, str(number)) if number >= sender.QUEUE_MAX - 1 else outlet.want(
            Wanted("x", "", monotonic_s() + 1.0, lambda _error: None)
        )
    await asyncio.sleep(60)
    end()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    stage.note("-", f"{outlet.sent} sent")


async def modem(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("out", "sent", "failed"):
        (folder / name).mkdir()
    config = folder / "smsdrc"
    paths = "".join(
        f"{key} = {folder / name}\n"
        for key, name in (("outboxpath", "out"), ("sentsmspath", "sent"), ("errorsmspath", "failed"))
    )
    config.write_text(f"[smsd]\nservice = files\ncommtimeout = 1\n{paths}")
    state: dict[str, Any] = {"runs": True, "count": 0, "error": None}

    def inject(_config: str, number: str, text: str) -> str:
        stage.note(">", f"{number} {text}")
        if state["error"] is not None:
            raise state["error"]
        state["count"] += 1
        (folder / "out" / f"m{state['count']}").write_text(text)
        return f"m{state['count']}"

    monkeypatch.setattr(spool, "inject", inject)
    monkeypatch.setattr(spool, "running", lambda _file: state["runs"])
    outlet = Spool("sms", read(SmsOptions, {"people": {"li": "138"}, "config": str(config)}))
    outlet.watch(lambda: stage.note("!", f"up {outlet.up} {outlet.loss}"))
    running = asyncio.ensure_future(outlet.run())
    await asyncio.sleep(0.1)
    for name, where, after_s in (
        ("well", "sent", 1.0),
        ("fails", "failed", 1.0),
        ("late", "sent", 10.9),
        ("too late", "sent", 11.3),
    ):
        page(stage, outlet, name, "138")
        await asyncio.sleep(after_s)
        with suppress(FileNotFoundError):
            (folder / "out" / f"m{state['count']}").rename(folder / where / f"m{state['count']}")
        await asyncio.sleep(13 - after_s)
    page(stage, outlet, "while it hangs")
    await asyncio.sleep(70)
    state["error"] = OSError("gammu-smsd-inject names no message")
    page(stage, outlet, "not taken")
    state["error"] = None
    await asyncio.sleep(1)
    for number in range(spool.QUEUE_MAX + 1):
        page(stage, outlet, f"many {number}")
    await asyncio.sleep(12)
    state["runs"] = False
    await asyncio.sleep(6)
    page(stage, outlet, "without the program")
    await asyncio.sleep(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    stage.note("-", f"{outlet.sent} sent, {len(list((folder / 'out').iterdir()))} left")


class Client:
    """The broker, as `edged counters` uses it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.slow = False
        self.away = False
        self.ended = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        text = payload.decode()
        with suppress(ValueError, AttributeError):
            known = json.loads(text)
            text = json.dumps({key: value for key, value in known.items() if key != "boot"})
        self.stage.note(">", f"{topic} {text} {qos} {'retained' * retain}")
        if self.slow:
            await asyncio.sleep(100)

    @property
    async def messages(self) -> AsyncIterator[None]:
        await self.ended.wait()
        self.ended.clear()
        raise aiomqtt.MqttError("lost")
        yield


def opening(stage: Stage, client: Client) -> Callable[[MqttSettings], Any]:
    @asynccontextmanager
    async def opened(settings: MqttSettings) -> AsyncIterator[Client]:
        stage.note("-", f"connects, will {settings.will_topic} {settings.will_payload!r}")
        if client.away:
            raise OSError(111, "Connection refused")
        yield client

    return opened


def asking(stage: Stage, answers: list[bytes | DeviceError | None]) -> Callable[[HttpQuestion], bytes | None]:
    def ask(question: HttpQuestion) -> bytes | None:
        stage.note(">", "asks")
        found = answers.pop(0) if answers else b'{"count_in":5,"count_out":6}'
        question.wait_s = 0.0
        if isinstance(found, DeviceError):
            question.wait_s = 40.0 if found.word == "access-refused" else 0.0
            raise found
        return found

    return ask


def window(line: str, number: int, entered: int) -> bytes:
    counts = [{"name": "fw", "value": entered}, {"name": "bw", "value": 1}]
    record = {"from": f"{number}", "to": f"{number + 1}", "counts": counts}
    return json.dumps({"logics_data": {"logics": [{"id": line, "records": [record]}]}}).encode()


async def counters(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(stage)

    answers: list[bytes | DeviceError | None] = []

    monkeypatch.setattr(reception, "publisher", opening(stage, client))
    monkeypatch.setattr(HttpQuestion, "ask", asking(stage, answers))
    made = [
        Counter(
            name, read(HttpCounterOptions, {"secret_file": "/s", **more}), Credential(name, "secret-secret")
        )
        for name, more in (
            ("posts", {"vendor": "xovis", "lines": ["1"]}),
            ("totals", {"vendor": "terabee"}),
            ("polled", {"vendor": "terabee", "url": "http://h", "every_s": 30.0}),
        )
    ]
    door = Reception("h", made, MqttSettings("c"))
    running = asyncio.ensure_future(door.run(lambda: stage.note("!", "ready")))
    await asyncio.sleep(0.1)

    async def post(device: str, body: bytes) -> None:
        stage.note("<", f"{device} {body.decode()[:60]}")
        stage.note("=", await door.take(device, body))

    await post("posts", window("1", 1, 3))
    for _ in range(4):
        await post("posts", window("1", 1, 3))
    await post("posts", window("1", 2, 4))
    await post("posts", window("2", 3, 4))
    await post("posts", b"x")
    total = b'{"count_in":7,"count_out":8}'
    await post("totals", total)
    await post("totals", total)
    await asyncio.sleep(59)
    await post("totals", total)
    await asyncio.sleep(1.1)
    await post("totals", total)
    stage.note("-", "the broker does not acknowledge")
    client.slow = True
    await post("totals", b'{"count_in":9,"count_out":8}')
    client.slow = False
    await post("totals", b'{"count_in":9,"count_out":8}')
    for odd in (
        None,
        Unreachable("refused", "connection-refused"),
        Garbled("HTTP 500"),
        b"x",
        Unreachable("who", "access-refused"),
    ):
        answers += [odd]
    await asyncio.sleep(160)
    stage.note("-", "the broker goes")
    client.away = True
    client.ended.set()
    await asyncio.sleep(1)
    await post("posts", window("1", 9, 9))
    await asyncio.sleep(6)
    client.away = False
    await asyncio.sleep(3)
    await post("posts", window("1", 9, 9))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    for count in range(reception.MARKS_MAX + 2):
        made[0].acknowledged(decode("xovis", window("1", count, 1))[0], 0.0)
    stage.note("-", f"{len(made[0].marks)} {next(iter(made[0].marks))!r}")


@pytest.mark.parametrize(
    ("secret", "fits"), [("1234567", False), ("12345678", True), ("  12345678 \nx", True), ("", False)]
)
def test_a_counter_secret_needs_at_least_eight_characters(secret: str, fits: bool, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(secret)
    options = {"cam": read(HttpCounterOptions, {"vendor": "xovis", "secret_file": str(file)})}
    if fits:
        assert reception.counters_of(options)[0].credential == Credential("cam", "12345678")
    else:
        with pytest.raises(ValueError, match="8 characters"):
            reception.counters_of(options)


SCENES: dict[str, Scene] = {"edged-pager": robot, "edged-pager-sms": modem, "edged-counters": counters}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_of_a_device_process_is_as_recorded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = RECORDED / f"{name}.txt"

    async def scene(stage: Stage) -> None:
        with logged(stage):
            await SCENES[name](stage, tmp_path, monkeypatch)

    found = played(scene).replace(str(tmp_path), "/tmp")
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
