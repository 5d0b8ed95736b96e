"""Simulated halls without a daemon: only the messages that a hall exchanges with the city, over MQTT. The halls number
their events, keep the unacknowledged ones, and send these again.

They follow the protocol of ``central/uplink.py`` and nothing else of a hall. Fresh events are sent immediately. If no
acknowledgement comes, the events after the last acknowledged one are sent again in order, at most ``SLICE`` at a time,
marked historical. The city's database is compared with a hall's own count (``made``).
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import socket
from collections import deque
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import aiomqtt

from edged.central import topics
from edged.central.policies import claimed
from edged.clock import monotonic_s, wall_ms

RESEND_S = 1.0  # a real hall waits five; shorter to save time
RETRY_S = 0.2  # between connections
SLICE = 200
ANSWER_S = 10.0  # aiomqtt waits for ever for a broker that disconnects before it answers
REFUSED = 0x80  # return code of SUBACK (MQTT 3.1.1 §3.9.3)
PENDING_MAX = (
    1_000  # publications under way, above which the library warns: a slice, and what many halls say now
)
NODELAY = (
    socket.IPPROTO_TCP,
    socket.TCP_NODELAY,
    1,
)  # otherwise each message waits for the delayed ACK of the one before
PUBLISH_S = 5.0  # for the broker to accept an event; a lost one is sent again
LINE_MAX = 3  # visitors that wait before one is called
SERVICES = (("tax", "tax-general", "w1"), ("estate", "estate-general", "w2"))


class WireHall:
    """One simulated hall without a daemon. ``made``: how many events it has made; ``upto``: the number up to which the
    city has acknowledged them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.made = 0
        self.upto = 0
        self.policy: dict[str, Any] = {"version": 0, "sha256": ""}
        self.progress_s = monotonic_s()
        self._events: dict[int, dict[str, Any]] = {}
        self._day = 0
        self._line: deque[tuple[str, str, str, str]] = deque(maxlen=LINE_MAX + 1)
        self._numbers = 0

    def happen(self, kind: str = "ticket.called", subject: str = "", **data: Any) -> bytes:
        """Make one event of the type ``edged.KIND``; returns the message about it for the city. ``subject`` "": a
        ticket number is made up.
        """
        self.made += 1
        number = self.made
        self._events[number] = {
            **{"specversion": "1.0", "id": f"{self.name}/1/{number}", "source": f"/halls/{self.name}"},
            **{"type": f"edged.{kind}", "subject": subject or f"A{number:03d}", "data": data},
            **{"time": now_text(), "sequence": number, "previous": number - 1},
        }
        if self.made == self.upto + 1:
            self.progress_s = monotonic_s()
        return self.message(number, historical=False)

    def was_away(self, events: int) -> None:
        """Pretend that ``events`` events, one a second, happened until now while the city could not be reached. Must be
        called before the hall makes any other event.
        """
        assert self.made == 0
        self._day = self.made = events
        self._day_ended_s = wall_ms() / 1000

    def message(self, number: int, historical: bool) -> bytes:
        """Return the message for event ``number``, which the city has not acknowledged yet. ``historical``: mark it as
        sent later than it happened.
        """
        event = self._event_while_away(number) if number <= self._day else self._events[number]
        return json.dumps(event | {"historical": historical}).encode()

    def historical_messages(self, first: int, last: int) -> list[bytes]:
        """Return the messages for events ``first`` to ``last`` (inclusive), marked historical."""
        return [self.message(number, historical=True) for number in range(first, last + 1)]

    def _event_while_away(self, number: int) -> dict[str, Any]:
        """Compute event ``number`` of the time before ``was_away`` was called. These events are not stored: those of a
        hundred halls would take a gigabyte.
        """
        at = datetime.fromtimestamp(self._day_ended_s - self._day + number, UTC)
        data = {"area": "tax", "service": "tax-general", "window": "w1", "priority": "regular", "wait_s": 300}
        return {
            **{"specversion": "1.0", "id": f"{self.name}/1/{number}", "source": f"/halls/{self.name}"},
            **{"type": "edged.ticket.called", "subject": f"B{number:05d}", "data": data},
            **{"time": at.isoformat(), "sequence": number, "previous": number - 1},
        }

    def acknowledged(self, payload: bytes) -> None:
        """Handle the city's acknowledgement, which covers all events up to the number in it: forget them."""
        fields = json.loads(payload)
        assert fields["upto"] <= self.made, (self.name, fields, self.made)
        for number in range(self.upto + 1, fields["upto"] + 1):
            self._events.pop(number, None)
        if fields["upto"] > self.upto:
            self.upto = fields["upto"]
            self.progress_s = monotonic_s()

    def visit(self, chance: random.Random) -> list[bytes]:
        """Let a visitor take a number. If more than ``LINE_MAX`` wait then, the first of them is called and served.
        Returns the messages of these events.
        """
        area, service, window = chance.choice(SERVICES)
        self._numbers += 1
        number = f"A{self._numbers:04d}"
        events = [self.happen("ticket.issued", number, area=area, service=service, priority="regular")]
        self._line.append((number, area, service, window))
        if len(self._line) > LINE_MAX:
            number, area, service, window = self._line.popleft()
            at = {"area": area, "service": service, "window": window}
            wait_s = round(chance.expovariate(1 / 420), 1)
            events.append(self.happen("ticket.called", number, priority="regular", wait_s=wait_s, **at))
            spent_s = round(chance.uniform(120, 900), 1)
            events.append(self.happen("ticket.finished", number, outcome="done", service_s=spent_s, **at))
        return events


class WireCity:
    """Several simulated halls on one broker connection, which is made again whenever it is lost.

    While a hall's name is in ``away``, it sends nothing; halls in ``refuse`` refuse every policy. ``group``: the group
    of halls to which they belong; with None they publish no status and receive no policies.
    """

    def __init__(self, port: int, names: Iterable[str], group: str | None = None, **address: Any) -> None:
        self.halls = {name: WireHall(name) for name in names}
        self.away: set[str] = set()
        self.refuse: set[str] = set()
        self.connected = asyncio.Event()
        self._group = group
        self._port = port
        self._address = address
        self._client: aiomqtt.Client | None = None

    async def happen(self, name: str, kind: str = "ticket.called", subject: str = "", **data: Any) -> None:
        """Make one event in hall ``name`` (see ``WireHall.happen``). It is sent at once, unless the hall is ``away`` or
        the connection is lost.
        """
        await self._publish_event(name, self.halls[name].happen(kind, subject, **data))

    async def live(self, visitors_per_s: float, chance: random.Random) -> None:
        """Let visitors come to random halls until cancelled, ``visitors_per_s`` a second on average in all of them
        together.
        """
        names = sorted(self.halls)
        due_s = monotonic_s()
        while True:
            due_s += chance.expovariate(visitors_per_s)
            await asyncio.sleep(max(0.0, due_s - monotonic_s()))
            name = chance.choice(names)
            for payload in self.halls[name].visit(chance):
                await self._publish_event(name, payload)

    @property
    def all_acknowledged(self) -> bool:
        """Whether the city has acknowledged every event."""
        return all(hall.upto == hall.made for hall in self.halls.values())

    async def publish(self, topic: str, payload: bytes, retain: bool = True) -> None:
        """Publish a message to the city's broker. Call it only while connected."""
        assert self._client is not None
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def run(self) -> None:
        """Stay connected to the city's broker, and send it each hall's events that the city has not acknowledged; until
        cancelled.
        """
        while True:
            try:
                await self._connected_once()
            except* (aiomqtt.MqttError, OSError, TimeoutError):
                pass
            finally:
                self._client = None
                self.connected.clear()
            await asyncio.sleep(RETRY_S)

    async def _connected_once(self) -> None:
        client = aiomqtt.Client(
            "127.0.0.1",
            self._port,
            protocol=aiomqtt.ProtocolVersion.V311,
            timeout=math.inf,
            socket_options=[NODELAY],
            **self._address,
        )
        async with AsyncExitStack() as connection:
            async with asyncio.timeout(ANSWER_S):
                await connection.enter_async_context(client)
                await self._subscribe(client)
            tasks = await connection.enter_async_context(asyncio.TaskGroup())
            self._client = client
            if self._group is not None:
                await self._introduce(client)
            tasks.create_task(self._resend(client))
            self.connected.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                await self._received(client, str(message.topic), message.payload)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        client.pending_calls_threshold = PENDING_MAX
        wanted = [topics.EVENTS_ACK.filter]
        if self._group is not None:
            wanted += [topics.POLICY_PUSH.filter, topics.group_policy_push(self._group)]
        for code in await client.subscribe([(one, 1) for one in wanted]):
            if (code if isinstance(code, int) else code.value) >= REFUSED:
                raise aiomqtt.MqttError("a subscription is refused")

    async def _introduce(self, client: aiomqtt.Client) -> None:
        for hall in self.halls.values():
            status = {"state": "online", "since": now_text(), "group": self._group, "epoch": 1}
            await client.publish(topics.status(hall.name), json.dumps(status).encode(), qos=1, retain=True)
            await self._report(client, hall, "applied", hall.policy)

    async def _received(self, client: aiomqtt.Client, topic: str, payload: bytes) -> None:
        kind, name, *_ = topic.split("/")
        if topic.endswith("/events/ack"):
            if name in self.halls:
                self.halls[name].acknowledged(payload)
            return
        policy = claimed(payload)
        for hall in (
            self.halls.values() if kind == "city" else [self.halls[name]] if name in self.halls else []
        ):
            if policy is None or hall.name in self.refuse:
                await self._report(client, hall, "rejected", policy)
            else:
                hall.policy = policy
                await self._report(client, hall, "applied", policy)

    async def _report(
        self, client: aiomqtt.Client, hall: WireHall, state: str, policy: dict[str, Any] | None
    ) -> None:
        body: dict[str, Any] = {"desired": policy, "applied": hall.policy, "state": state, "at": now_text()}
        if state == "rejected":
            why = {"message": "refused on purpose", "message_zh": "有意拒绝"}
            body["reason"] = {"code": "out-of-bounds", "path": "body"} | why
        await client.publish(topics.policy_report(hall.name), json.dumps(body).encode(), qos=1, retain=True)

    async def _publish_event(self, name: str, payload: bytes) -> None:
        if self._client is not None and name not in self.away:
            with suppress(aiomqtt.MqttError, TimeoutError):
                async with asyncio.timeout(PUBLISH_S):  # waits for ever on a connection that has just ended
                    await self._client.publish(topics.events(name), payload, qos=1)

    async def _resend(self, client: aiomqtt.Client) -> None:
        while True:
            await asyncio.sleep(RESEND_S / 2)
            for hall in self.halls.values():
                if (
                    hall.name in self.away
                    or hall.upto == hall.made
                    or monotonic_s() - hall.progress_s < RESEND_S
                ):
                    continue
                hall.progress_s = monotonic_s()
                messages = hall.historical_messages(hall.upto + 1, min(hall.made, hall.upto + SLICE))
                topic = topics.events(hall.name)
                await asyncio.gather(*(client.publish(topic, one, qos=1) for one in messages))


def now_text() -> str:
    """The machine's wall clock as RFC 3339 text."""
    return datetime.fromtimestamp(wall_ms() / 1000, UTC).isoformat()
