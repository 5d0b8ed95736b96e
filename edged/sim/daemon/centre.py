"""The city's centre in a simulation: acknowledges events, books appointments, and sends policies and orders. Some of
what it sends is invalid.

It checks that an event number never denotes two different events in one epoch (the life of one journal). Whether events
are missing is checked at the end of a day (``days.unsettled``).
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.central import operations, policies, topics
from edged.central.envelope import public_entry, sign
from edged.central.refusals import DocumentRefused
from edged.core.model.policy import Policy
from edged.sim.daemon.broker import Broker

ACK_EVERY_S = 1.0
VALID_DAYS = 400
ORDER_H = 2
CHANGING = ("previous", "historical")  # fields of an event that may differ when it is sent again


class SimulatedCentre:
    """The simulated city. ``wall_ms``: returns the true wall time, even while the hall's clock is wrong. While
    ``silent``, it acknowledges nothing. ``pushed``: the signed policies sent so far; ``wrong``: broken rules, as text.
    """

    def __init__(self, hall: str, broker: Broker, wall_ms: Callable[[], int], rng: Random) -> None:
        self._hall = hall
        self._broker = broker
        self._wall_ms = wall_ms
        self._rng = rng
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(hall.encode()).digest())
        self._stranger = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"stranger").digest())
        self.silent = False
        self.wrong: list[str] = []
        self.acknowledged = 0
        self.epoch = 0
        self.version = 0
        self.orders = 0
        self.pushed: list[bytes] = []
        self._counter = 0
        self._seen: dict[tuple[int, int], bytes] = {}
        broker.listen(topics.events(hall), self._received)

    def write_keys(self, folder: Path) -> Path:
        """Write city.pub.json, the city's public key for the setting ``keys`` of ``[policy]``, into ``folder``; returns
        its path.
        """
        file = folder / "city.pub.json"
        file.write_text(json.dumps({"keys": [public_entry(self._key.public_key(), "city")]}))
        return file

    async def run(self) -> None:
        """Acknowledge the hall's events once a second, up to the first gap in their numbers; until cancelled."""
        sent = (0, 0)
        while True:
            await asyncio.sleep(ACK_EVERY_S)
            while (self.epoch, self.acknowledged + 1) in self._seen:
                self.acknowledged += 1
            if not self.silent and (self.epoch, self.acknowledged) != sent:
                sent = (self.epoch, self.acknowledged)
                self.acknowledge(self.epoch, self.acknowledged)

    def acknowledge(self, epoch: int, upto: int) -> None:
        """Tell the hall that every event of ``epoch`` up to number ``upto`` was received, true or not."""
        self._broker.publish(
            topics.events_ack(self._hall), json.dumps({"epoch": epoch, "upto": upto}).encode()
        )

    def _received(self, _topic: str, payload: bytes, _retain: bool) -> None:
        fields = json.loads(payload)
        epoch, number = int(fields["id"].split("/")[1]), int(fields["sequence"])
        for name in CHANGING:
            del fields[name]
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()
        if self._seen.setdefault((epoch, number), digest) != digest:
            self.wrong.append(f"events: {fields['id']} now says {fields['type']} {fields['subject']}")
        if self.silent:
            return
        if epoch > self.epoch:
            self.epoch, self.acknowledged = epoch, 0

    def book(self, name: str, service: str, start_wall_ms: int) -> None:
        """Send an appointment with the id ``name`` for the time ``start_wall_ms`` (ms since 1970)."""
        start = datetime.fromtimestamp(start_wall_ms // 1000, UTC).isoformat()
        body = {"id": name, "service": service, "start": start}
        self._broker.publish(topics.appointments(self._hall), json.dumps(body).encode())

    def push(self, policy: Policy) -> bool:
        """Push a policy as the next version. Returns False without pushing if the hall would have to refuse it."""
        document = {
            "type": policies.TYPE,
            "halls": [self._hall],
            "version": self.version + 1,
            "not_before": self._moment(timedelta(days=-VALID_DAYS)),
            "expires": self._moment(timedelta(days=VALID_DAYS)),
            "previous_sha256": None,
            "body": _plain(policy),
        }
        payload = json.dumps(document, ensure_ascii=False).encode()
        try:
            policies.inspect(payload, None)
        except DocumentRefused:
            return False
        self.version += 1
        envelope = sign(payload, policies.PAYLOAD_TYPE, self._key)
        self.pushed.append(envelope)
        self._broker.publish(topics.policy_push(self._hall), envelope, retain=True)
        return True

    def mislead(self) -> None:
        """Push a policy that the hall must not accept: one pushed before, one with a flipped bit, or one with a foreign
        signature. Before the first ``push`` do nothing.
        """
        if not self.pushed:
            return
        envelope = self._rng.choice(self.pushed)
        kind = self._rng.randrange(3)
        if kind == 1:
            at = self._rng.randrange(len(envelope))
            envelope = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
        elif kind == 2:
            payload = json.dumps({"type": policies.TYPE, "halls": [self._hall], "version": 10**9}).encode()
            envelope = sign(payload, policies.PAYLOAD_TYPE, self._stranger)
        self._broker.publish(topics.policy_push(self._hall), envelope)

    def order(self, operation: str, body: dict[str, Any], times: int) -> None:
        """Send the same signed order ``times`` times. Each order has another name in its field ``by`` (who gave it), so
        that the checker sees whether one was carried out twice. ``operation``: the kind of order; ``body``: the fields
        of this kind.
        """
        self.orders += 1
        self._counter = max(self._counter + 1, self._wall_ms())
        document = {
            "type": operations.TYPE,
            "halls": [self._hall],
            "operation": operation,
            "id": f"order-{self.orders}",
            "counter": self._counter,
            "not_before": self._moment(timedelta(hours=-ORDER_H)),
            "expires": self._moment(timedelta(hours=ORDER_H)),
            "by": f"order-{self.orders}",
            "body": body,
        }
        envelope = sign(json.dumps(document).encode(), operations.PAYLOAD_TYPE, self._key)
        for _ in range(times):
            self._broker.publish(topics.operation(self._hall, operation), envelope)

    def _moment(self, after: timedelta) -> str:
        return (datetime.fromtimestamp(self._wall_ms() // 1000, UTC) + after).isoformat()


def _plain(policy: Policy) -> dict[str, Any]:
    """Return a policy as JSON values, for the ``body`` of a policy document."""
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(policy), ensure_ascii=False))
    return fields
