"""The process `edged counters`: receives the counters' posts or polls them, and publishes their counts at the hall's
broker.

Rules:

1. A post is answered with 200 once the broker has acknowledged all its counts, otherwise with 503 (send it again). A
   total that did not change is published again only after ``SAME_S``.
2. A window or crossing that is among the counter's last ``MARKS_MAX`` is a repetition and not published. ``STILL``
   reports in a row with nothing else mean that the counter's clock stands still, which is reported as its fault. A
   count that the broker has not acknowledged is sent again with the same ``seq``, so that the daemon counts it once.
3. If this process dies, the broker publishes its MQTT will, "offline", on `counters/status`. If a counter does not
   answer a poll, its state and the reason are published. It is polled again soon, but later if its answer names a time
   (Retry-After) or refuses our password.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import aiomqtt
import structlog

from devices.http_counter.codec import Counted, LineReport, decode
from devices.http_counter.driver import HttpCounterOptions, people_topic, presence_topic, process_topic
from edged.clock import monotonic_s
from edged.core.model.losses import LOSSES, known
from edged.driver import DeviceError, Garbled
from edged.links.http.credentials import Credential
from edged.links.http.posts import Outcome, PostDoor
from edged.links.http.questions import HttpQuestion
from edged.links.mqtt.publisher import ConnectionLog, publisher
from edged.links.mqtt.settings import MqttSettings, first_line

MARKS_MAX = 500  # windows of a counter that are known: eight hours of minutes
SAME_S = 60.0  # real seconds
STILL = 3
SEND_S = 5.0  # real seconds for the broker's acknowledgement: a camera gives up after ten
GOODBYE_S = 1.0
RETRY_BROKER_S = (0.5, 1.0, 2.0)  # real seconds
RETRY_S = 3.0  # real seconds until the next poll of a counter that did not answer
log = structlog.get_logger("edged.counters")


@dataclass(slots=True)
class Counter:
    """One counter, and which of its counts were published already. ``fault``: what is wrong with it; None without a
    fault.
    """

    device: str
    options: HttpCounterOptions
    credential: Credential
    marks: OrderedDict[str, None] = field(default_factory=OrderedDict)
    totals: dict[str, tuple[Counted, float]] = field(default_factory=dict)  # by line; when it was said
    numbers: dict[Counted, int] = field(default_factory=dict)  # given, not acknowledged
    still: int = 0
    fault: str | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def new(self, readings: list[Counted], now_s: float) -> list[Counted]:
        """Return the counts in a report that have to be published: of the configured kind and lines, and not published
        yet. ``now_s``: real seconds, monotonic. Also sets ``fault`` if the counter's clock stands still, and clears it
        otherwise.
        """
        wanted = [one for one in readings if one.kind == self.options.kind and self._is_mine(one)]
        found = [one for one in dict.fromkeys(wanted) if self._is_new(one, now_s)]
        if wanted and self.options.kind != "total":
            self.still = 0 if found else self.still + 1
        self.fault = "its clock stands still, people are missed" if self.still >= STILL else None
        return found

    def acknowledged(self, one: Counted, now_s: float) -> None:
        """Record that the broker has acknowledged a count, at ``now_s`` real seconds."""
        self.numbers.pop(one, None)
        if one.kind == "total":
            self.totals[one.line] = (one, now_s)
            return
        self.marks[one.mark] = None
        if len(self.marks) > MARKS_MAX:
            self.marks.popitem(last=False)

    def _is_mine(self, one: Counted) -> bool:
        return not self.options.lines or one.line in self.options.lines

    def _is_new(self, one: Counted, now_s: float) -> bool:
        if one.kind != "total":
            return one.mark not in self.marks
        last = self.totals.get(one.line)
        return last is None or last[0] != one or now_s - last[1] >= SAME_S


def counters_of(devices: Mapping[str, HttpCounterOptions]) -> list[Counter]:
    """Make a ``Counter`` for each device id and its options. Raises ``OSError`` if a secret file cannot be read,
    ``ValueError`` if the secret is shorter than 8 characters.
    """
    made = []
    for device, options in devices.items():
        secret = first_line(options.secret_file).strip()
        if len(secret) < 8:
            raise ValueError(
                f"{device}: the first line of {options.secret_file} is no secret: 8 characters at least"
            )
        made.append(Counter(device, options, Credential(options.username or device, secret)))
    return made


class Reception:
    """All HTTP counters of a hall. ``door`` is the ASGI application that receives the counters' posts; ``run`` must run
    at the same time.
    """

    def __init__(self, hall: str, counters: list[Counter], mqtt: MqttSettings) -> None:
        self._hall = hall
        self._counters = {one.device: one for one in counters}
        self._mqtt = replace(mqtt, will_topic=process_topic(hall), will_payload=b"offline")
        self._boot = secrets.token_hex(8)
        self._seq = 0
        self._client: aiomqtt.Client | None = None
        self._presence: dict[str, dict[str, Any]] = {}
        posting = {one.device: one.credential for one in counters if one.options.url is None}
        self.door = PostDoor(posting, self.take)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Stay connected to the broker, and poll the counters that have a ``url``, until cancelled. ``ready`` is called
        after every connect.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_broker(ready))
            for counter in self._counters.values():
                if counter.options.url is not None:
                    group.create_task(
                        self._ask(counter, HttpQuestion(counter.options.url, counter.credential))
                    )

    async def take(self, device: str, body: bytes) -> Outcome:
        """Publish the new counts of a report with this ``body``. Returns "kept" once the broker has acknowledged them,
        "later" if it does not, so that the report has to be sent again, and "unreadable" for a report that cannot be
        decoded.
        """
        counter = self._counters[device]
        try:
            readings = decode(counter.options.vendor, body)
        except Garbled as error:
            log.warning(
                "report-unreadable",
                device=device,
                error=str(error),
                effect="the people counted in this report are missing",
                remedy=f"check that the counter is a {counter.options.vendor}, as in hall.toml, and sends counts",
            )
            return "unreadable"
        async with counter.turn:
            try:
                for one in counter.new(readings, monotonic_s()):
                    await self._publish_count(counter, one)
                if counter.options.url is None:  # of one that is polled, the poll publishes more
                    await self._publish_presence(counter, {})
            except (aiomqtt.MqttError, TimeoutError, ConnectionError):
                return "later"
        return "kept"

    async def _publish_count(self, counter: Counter, one: Counted) -> None:
        if one not in counter.numbers:
            self._seq += 1
            counter.numbers[one] = self._seq
        kind = "total" if one.kind == "total" else "window"
        report = LineReport(counter.numbers[one], self._boot, kind, one.entered, one.left, one.line)  # type: ignore[arg-type]
        await self._publish(people_topic(self._hall, counter.device), report.to_bytes())
        counter.acknowledged(one, monotonic_s())

    async def _publish_presence(self, counter: Counter, state: dict[str, Any]) -> None:
        """Publish ``state`` together with the counter's fault, if one of them changed since it was last published, and
        log the change. ``state`` {}: nothing is known yet, or no more than that a report came.
        """
        presence = state | ({"fault": counter.fault} if counter.fault else {})
        before = self._presence.get(counter.device)  # None: the broker has just been connected
        if before == presence:
            return
        payload = json.dumps(presence).encode()
        await self._publish(presence_topic(self._hall, counter.device), payload, retain=True)
        self._presence[counter.device] = presence
        if state.get("up", True) and not counter.fault:
            if presence or before:
                log.info("counter-answers", device=counter.device, **presence)
            return
        effect = "the hall does not count people who pass it until it answers again"
        remedy = LOSSES[known(state.get("word", ""))].do_en
        if state.get("up", True):
            effect = (
                "people who pass it are missing: with one time in all its reports they look like repetitions"
            )
            remedy = "switch on time synchronisation (NTP) in the counter, then restart it"
        log.warning(
            "counter-silent-or-faulty", device=counter.device, effect=effect, remedy=remedy, **presence
        )

    async def _publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Publish at QoS 1 and wait for the PUBACK. Raises ``ConnectionError`` without a connection to the broker,
        ``TimeoutError`` if no PUBACK comes within ``SEND_S``, and ``MqttError`` if the connection is lost meanwhile.
        """
        if self._client is None:
            raise ConnectionError("no broker")
        async with asyncio.timeout(SEND_S):
            await self._client.publish(topic, payload, qos=1, retain=retain)

    async def _keep_broker(self, ready: Callable[[], None]) -> None:
        effect = "counts do not reach the hall; counters are asked to send them again later"
        outage, tries = ConnectionLog("edged.counters", effect), 0
        while True:
            try:
                async with publisher(self._mqtt) as client:
                    self._client = client
                    self._presence.clear()
                    await self._publish(process_topic(self._hall), b"online", retain=True)
                    for counter in self._counters.values():
                        await self._publish_presence(counter, {})
                    outage.connected()
                    tries = 0
                    ready()
                    try:
                        async for _ in client.messages:  # none: it ends with the connection
                            pass
                    finally:
                        with suppress(aiomqtt.MqttError, TimeoutError):
                            async with asyncio.timeout(GOODBYE_S):
                                await client.publish(process_topic(self._hall), b"offline", 1, True)
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                outage.failed(error)
            finally:
                self._client = None
            await asyncio.sleep(RETRY_BROKER_S[min(tries, len(RETRY_BROKER_S) - 1)])
            tries += 1

    async def _ask(self, counter: Counter, question: HttpQuestion) -> None:
        body = b""
        while True:
            presence: dict[str, Any] = {"up": True}
            try:
                answer = await asyncio.to_thread(question.ask)
                body = body if answer is None else answer
                if await self.take(counter.device, body) == "unreadable":
                    raise Garbled("its answer is none of a " + counter.options.vendor)
            except DeviceError as error:
                presence = {"up": False, "word": error.loss.word, "detail": error.loss.detail}
            with suppress(aiomqtt.MqttError, TimeoutError, ConnectionError):
                await self._publish_presence(counter, presence)
            usual_s = counter.options.every_s if presence["up"] else min(RETRY_S, counter.options.every_s)
            await asyncio.sleep(max(usual_s, question.wait_s))
