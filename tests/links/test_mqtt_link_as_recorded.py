"""What the link to the broker does in scripted days, well and ill, as recorded in ``recorded/``.

Subscriptions, self-pings, pauses before the next connection, acknowledgements, and what callbacks and the log are told
stand there with their second. The connection is a stand-in; the real one has its own tests beside a real broker.

Record anew, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/links/test_mqtt_link_as_recorded.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from edged import clock
from edged.driver import DeviceError, Refused, Unreachable
from edged.links.mqtt import link as mqtt_link
from edged.links.mqtt.backoff import Backoff, ConnectionOutcome
from edged.links.mqtt.link import Message, MqttLink, MqttSettings
from edged.links.mqtt.packets import Publish
from edged.links.mqtt.talk import Ack, ConnectionLoss, LossKind, Outbound
from tests.support.dialogues import Stage, logged, played

RECORDED = Path(__file__).parent / "recorded"
PING = "hall/h/edged/ping"


class Broker:
    """The far end, in the hand of the scene."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.opens: Exception | None = None  # or why no connection can be made
        self.reached = True  # then: whether TCP got through
        self.refuses: set[str] = set()
        self.session = False
        self.echoes = True
        self.subscribes: Exception | None = None
        self.talk: ScriptedTalk | None = None
        self.window = 20

    def connect(
        self,
        settings: MqttSettings,
        on_message: Callable[[Publish, Ack | None], None],
        on_refused: Callable[[str, str], None],
        unwanted: Set[str],
        on_reading: Callable[[bool], None],
    ) -> ScriptedTalk:
        self.talk = ScriptedTalk(self, on_message, on_refused)
        return self.talk

    def send(self, topic: str | bytes, payload: bytes = b"x", mid: int = 0, **more: Any) -> None:
        assert self.talk is not None
        name = topic if isinstance(topic, bytes) else topic.encode()
        self.stage.note("<", f"{topic!r} {payload!r} {mid} {more}")
        ack = None
        if mid:
            ack = Ack(self.talk, mid)
            self.talk.acks.append(ack)
        message = Publish(
            name, payload, int(mid > 0), bool(more.get("retain")), mid, again=bool(more.get("again"))
        )
        self.talk.on_message(message, ack)


class ScriptedTalk:
    """A connection (``Talk``) that does what its broker says."""

    def __init__(
        self,
        broker: Broker,
        on_message: Callable[[Publish, Ack | None], None],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._broker = broker
        self.on_message, self.on_refused = on_message, on_refused
        self.lost: asyncio.Future[ConnectionLoss] = asyncio.get_running_loop().create_future()
        self.opened_s = 0.0
        self.receive_maximum = broker.window
        self.session_present = broker.session
        self._reached = False
        self.acks: list[Ack] = []

    @property
    def reached(self) -> bool:
        return self._reached

    @property
    def unacked(self) -> int:
        return len(self.acks)

    def release(self) -> None:
        while self.acks and self.acks[0].left <= 0:
            self._broker.stage.note(">", f"PUBACK {self.acks.pop(0).mid}")

    async def open(self) -> None:
        self._broker.stage.note(">", "CONNECT")
        if self._broker.opens is not None:
            self._reached = self._broker.reached
            raise self._broker.opens
        self._reached = True
        self.opened_s = clock.monotonic_s()

    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> list[str]:
        asked = list(filters)
        self._broker.stage.note(">", f"SUBSCRIBE {asked}")
        if self._broker.subscribes is not None:
            raise self._broker.subscribes
        await asyncio.sleep(0.01)
        return [topic for topic, _ in asked if topic in self._broker.refuses]

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        self._broker.stage.note(">", f"UNSUBSCRIBE {list(filters)}")

    def publish(self, message: Outbound, qos: int = 1, retain: bool = False, urgent: bool = False) -> None:
        payload = b"(signature)" if message.topic == PING else message.payload
        flags = f"{' retained' * retain}{' urgent' * urgent}"
        self._broker.stage.note(
            ">", f"PUBLISH {message.topic} {payload!r} {message.properties.hex()} {qos}{flags}"
        )
        if message.topic == PING and self._broker.echoes:
            echo = Publish(PING.encode(), message.payload, 0, False, 0)
            asyncio.get_running_loop().call_later(0.01, self.on_message, echo, None)

    def misc(self) -> None:
        """No-op."""

    def fail(self, kind: LossKind, reason: str) -> None:
        if not self.lost.done():
            self._broker.stage.note(">", f"end: {kind} {reason}")
            self.lost.set_result(ConnectionLoss(kind, reason))

    def close(self) -> None:
        self.fail("closed", "closed here")

    def end(self, kind: LossKind, reason: str) -> None:
        """The broker's side ends it."""
        self._broker.stage.note("<", f"end: {kind} {reason}")
        self.lost.set_result(ConnectionLoss(kind, reason))


class Hall:
    """A link and its broker."""

    def __init__(self, stage: Stage, keepalive_s: int = 10) -> None:
        self.stage = stage
        self.broker = Broker(stage)
        settings = MqttSettings(client_id="edged-h", ping_topic=PING, keepalive_s=keepalive_s)
        self.link = MqttLink(
            settings, lambda reason, detail="": stage.note("?", f"{reason} {detail}"), self.broker.connect
        )
        self.link.on_state(lambda up, reason: stage.note("!", f"{'up' if up else 'down'} {reason}"))
        self.link.on_refused(lambda topic, why: stage.note("!", f"refused {topic}: {why!r}"))
        self._running: asyncio.Task[None] | None = None

    def recorder(self, name: str, holds: list[Message] | None = None) -> Callable[[Message], None]:
        """Return a handler that records messages under ``name``, and acknowledges them or puts them into ``holds``."""

        def record(message: Message) -> None:
            flags = f"{' retained' * message.retain}{' again' * message.again}"
            self.stage.note("=", f"{name} hears {message.topic} {message.payload!r}{flags}")
            if holds is None:
                message.ack()
            else:
                holds.append(message)

        return record

    async def __aenter__(self) -> Hall:
        self._running = asyncio.ensure_future(self.link.run())
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    def tries(self, name: str, call: Callable[[], object]) -> None:
        try:
            self.stage.note("=", f"{name}: {call()}")
        except DeviceError as error:
            self.stage.note("=", f"{name}: {type(error).__name__}: {error}")


async def receiving(stage: Stage) -> None:
    hall = Hall(stage)
    held: list[Message] = []
    hall.link.subscribe("dev/+/up", hall.recorder("all"))
    hall.link.subscribe("dev/a/up", hall.recorder("a", held))
    hall.link.subscribe("dev/#/up", hall.recorder("nobody"))

    def poisonous(_message: Message) -> None:
        raise KeyError("x")

    hall.link.subscribe("bad", poisonous)
    hall.link.subscribe_rest("dev/#", hall.recorder("rest"))
    hall.tries("publish before", lambda: hall.link.publish("t", b"p"))
    async with hall:
        send = hall.broker.send
        send("dev/a/up", b"1", 1)
        send("dev/b/up", b"2", 2)
        send("dev/b/down", b"3", 3)
        send("other", b"4", 4)
        send(b"\xff", b"5", 5)
        send("bad", b"6", 6)
        send("dev/b/up", b"7", retain=True, again=True)
        stage.note("-", "a's is on disk")
        for message in held:
            message.ack()
        stage.note("-", "unsubscribed")
        recorder = hall.recorder("late")
        hall.link.subscribe("more/x", recorder)
        hall.link.subscribe("dev/c/up", recorder)
        await asyncio.sleep(0.1)
        send("more/x", b"8", 8)
        hall.link.unsubscribe("more/x", recorder)
        hall.link.unsubscribe("more/x", recorder)
        send("more/x", b"9", 9)
        hall.tries("publish", lambda: hall.link.publish("t", b"p"))
        hall.tries("publish all", lambda: hall.link.publish("t", b"p", retain=True, expiry_s=5, urgent=True))
        asked = Message("t", b"", False, lambda: None, "answers/x", b"\x01\x02")
        hall.tries("respond", lambda: hall.link.respond(asked, b"p"))
        hall.tries("respond", lambda: hall.link.respond(asked._replace(correlation=None), b"p"))
        hall.tries("respond", lambda: hall.link.respond(asked._replace(response_topic=None), b"p"))
        assert hall.broker.talk is not None
        for why in ("not authorized", "not authorized", "", "quota exceeded"):
            hall.broker.talk.on_refused("t", why)
        hall.broker.talk.end("closed", "broker said: bye")
        await asyncio.sleep(3)
        hall.tries("down", lambda: (hall.link.connected, hall.link.reason))
    hall.tries("publish after", lambda: hall.link.publish("t", b"p"))


async def refused_filters(stage: Stage) -> None:
    hall = Hall(stage)
    hall.link.subscribe("dev/a/up", hall.recorder("a"))
    hall.link.subscribe("dev/b/up", hall.recorder("b"))
    hall.link.subscribe("own", hall.recorder("own"))
    hall.link.subscribe_rest("dev/#", hall.recorder("rest"))
    hall.broker.refuses = {"dev/#", "dev/b/up", "own"}
    async with hall:
        hall.broker.refuses = {"own"}
        hall.broker.session = True
        for _ in range(2):
            assert hall.broker.talk is not None
            hall.broker.talk.end("closed", "bye")
            await asyncio.sleep(3)
        stage.note("-", "refused later")
        hall.broker.refuses = {"dev/#", "dev/c/up"}
        hall.link.subscribe("dev/c/up", hall.recorder("c"))
        await asyncio.sleep(1)
        hall.broker.subscribes = Unreachable("no SUBACK")
        hall.link.subscribe("dev/d/up", hall.recorder("d"))
        await asyncio.sleep(3)
        hall.broker.subscribes = None
        await asyncio.sleep(9)


async def frozen(stage: Stage) -> None:
    """No echo of our ping: the connection is frozen; three lives without any, and pings are given up."""
    hall = Hall(stage)
    async with hall:
        await asyncio.sleep(15)
        hall.broker.echoes = False
        await asyncio.sleep(150)
    stage.note("-", "the same with a keepalive of two seconds")
    hall = Hall(stage, 2)
    async with hall:
        await asyncio.sleep(4)
        hall.broker.echoes = False
        await asyncio.sleep(6)


async def rivals(stage: Stage) -> None:
    """A retained ping that is not ours, and a broker that says that our id was taken."""
    hall = Hall(stage)
    async with hall:
        hall.broker.send(PING, b"before us", retain=True)
        for _ in range(2):
            assert hall.broker.talk is not None
            hall.broker.talk.end("closed", "bye")
            await asyncio.sleep(30)
            hall.broker.send(PING, b"another", retain=True)
        assert hall.broker.talk is not None
        hall.broker.talk.end("closed", "bye")
        await asyncio.sleep(40)
        hall.tries("taken", lambda: hall.link.taken)
        assert hall.broker.talk is not None
        hall.broker.talk.end("taken", "session taken over")
        await asyncio.sleep(40)
        hall.broker.talk.end("closed", "bye")
        await asyncio.sleep(3)
        hall.tries("taken", lambda: hall.link.taken)


async def full_window(stage: Stage) -> None:
    """Inputs that are not kept on disk for thirty seconds: the broker is asked for them again."""
    hall = Hall(stage)
    hall.broker.window = 2
    hall.link.subscribe("a", hall.recorder("a", []))
    async with hall:
        hall.broker.send("a", b"1", 1)
        await asyncio.sleep(31)
        hall.broker.send("a", b"2", 2)
        await asyncio.sleep(29)
        assert hall.broker.talk is not None
        hall.broker.talk.acks.pop()
        await asyncio.sleep(2)
        hall.broker.send("a", b"3", 3)
        await asyncio.sleep(34)


async def absent(stage: Stage) -> None:
    hall = Hall(stage)
    hall.broker.opens, hall.broker.reached = Unreachable("[Errno 111] Connection refused"), False
    async with hall:
        await asyncio.sleep(2)
        hall.broker.opens = Unreachable("[Errno 113] No route to host")
        await asyncio.sleep(2)
        stage.note("-", "it refuses us")
        hall.broker.opens, hall.broker.reached = Refused("broker refused: not authorized"), True
        await asyncio.sleep(20)
        hall.broker.opens = None
        await asyncio.sleep(20)


async def pauses(stage: Stage) -> None:
    """The pause after each kind of end, for brokers that are away, flap, or are taken by another."""
    for jitter in (0.0, 0.5, 1.0):
        backoff = Backoff(lambda jitter=jitter: jitter)  # type: ignore[misc]
        for now_s, kind, lived_s in (
            (0, "absent", 0), (1, "absent", 0), (59.9, "absent", 0), (60, "absent", 0), (120, "absent", 0),
            (600, "absent", 0), (601, "broken", 0), (602, "absent", 0), (662, "absent", 0), (700, "taken", 9),
            *((800, "broken", 1.99) for _ in range(10)), (900, "broken", 2.0), (901, "broken", 0), (902, "broken", 0),
            (903, "taken", 0), (904, "broken", 0), (905, "absent", 0), (906, "broken", 0),
        ):  # fmt: skip
            pause_s = backoff.delay_s(ConnectionOutcome(kind, lived_s), now_s)  # type: ignore[arg-type]
            stage.note("-", f"jitter {jitter}, at {now_s} {kind} after {lived_s}: {pause_s:.4f}")


SCENES: dict[str, Callable[[Stage], Coroutine[Any, Any, None]]] = {
    "receiving": receiving,
    "refused-filters": refused_filters,
    "frozen": frozen,
    "rivals": rivals,
    "full-window": full_window,
    "absent": absent,
    "pauses": pauses,
}


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_of_the_mqtt_link_is_as_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RECORDED / f"mqtt-{name}.txt"
    monkeypatch.setattr(mqtt_link, "ROUTES_MAX", 3)

    async def scene(stage: Stage) -> None:
        with logged(stage):
            await SCENES[name](stage)

    found = played(scene)
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        file.write_text(found, "utf-8")
    assert found.splitlines() == file.read_text("utf-8").splitlines()
