"""``edged centre consume``: stores what halls send through the city's broker in PostgreSQL. Rules of this file:

* A batch is stored first (``ledger.py``), then acknowledged to the broker, then to its halls (``events/ack``). If the
  process is killed in between, everything is sent again and stored once.
* If PostgreSQL is away, the present batch is tried again for ever, and the broker keeps the rest. If the broker is
  away, paho tries again. A message that PostgreSQL refuses is isolated, counted and acknowledged, so that it does not
  stop the others.
* Several processes share the work by a shared subscription (``--share``); the one that holds an advisory lock also
  stores the retained messages and deletes old months.
"""

from __future__ import annotations

import json
import threading
from typing import NamedTuple

import psycopg
import structlog

from edged.central import topics
from edged.centre.broker import CityDelivery, CityLink
from edged.centre.gauges import ConsumerGauges
from edged.centre.hall_messages import (
    HallEvent,
    RetainedMessage,
    UnreadableMessage,
    read_event,
    read_retained,
)
from edged.centre.ledger import CentreLedger, HallEpoch, forget_before, utc_now
from edged.clock import monotonic_s

BATCH_MAX = 500
WAIT_S = 0.25  # for the first message of a batch; the others must have arrived by then
RETRY_S = 1.0  # between attempts while PostgreSQL is away
KEEPER_LOCK = 0x6564_6B70
KEEPER_EVERY_S = 2.0
FORGET_EVERY_S = 6 * 3600.0
# Errors of PostgreSQL that are no message's fault although their class says so: they end when somebody mends the
# database, so messages wait for that.
FAULTS_OF_DATABASE = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedTable,
)
RETAINED = (
    *(topics.STATUS, topics.LINE, topics.POLICY_REPORT, topics.ALARMS_STATE),
    *(topics.AREA_STATE, topics.CASES_STATE),
)

log = structlog.get_logger("edged.centre")


class Share(NamedTuple):
    """How consumers share the work. ``group``: name of the shared subscription, "" for none; ``keep_months``: months of
    events to keep, 0: all.
    """

    group: str = ""
    keep_months: int = 0


class Sorted(NamedTuple):
    """A batch of received messages, with events apart from retained messages."""

    events: list[HallEvent]
    retained: list[RetainedMessage]


class Consumer:
    """Stores the messages of all halls: ``run`` until ``stop`` is set."""

    def __init__(
        self,
        link: CityLink,
        ledger: CentreLedger,
        share: Share,
        gauges: ConsumerGauges,
        stop: threading.Event,
    ) -> None:
        self._link = link
        self._ledger = ledger
        self._share = share
        self._gauges = gauges
        self._stop = stop
        self._keeper = False
        self._outages: set[str] = set()  # why the broker could not be reached since it was last
        self._fault = ""  # why the last transaction failed; "": it did not
        self._asked_s = self._forgot_s = float("-inf")
        self._gaps: set[HallEpoch] = set()

    def run(self) -> None:
        """Take messages, store them and acknowledge them, until stopped."""
        prefix = f"$share/{self._share.group}/" if self._share.group else ""
        self._link.start([prefix + topics.EVENTS.filter], self._changed)
        while not self._stop.is_set():
            deliveries = self._link.take(BATCH_MAX, WAIT_S)
            if deliveries:
                self._take(deliveries)
            try:
                self._keep_house()
            except psycopg.Error as error:
                self._lost(error)
        self._link.stop()
        self._ledger.close()

    def _changed(self, up: bool, why: str) -> None:
        self._gauges.connected.set(up)
        broker = self._link.broker
        if not up and (why in self._outages or self._stop.is_set()):
            return  # one line for each reason of an outage, none for our own end
        self._outages = set() if up else self._outages | {why}
        if up:
            log.info("broker-up", broker=broker)
        else:
            log.warning(
                "broker-down",
                broker=broker,
                detail=why,
                effect="nothing of any hall is stored; halls keep their events and send them later",
                remedy="check the city's broker and the network; it connects again by itself",
            )

    def _take(self, deliveries: list[CityDelivery]) -> None:
        batch = self._sorted(deliveries)
        while not self._stop.is_set():
            try:
                upto = self._keep(batch)
            except psycopg.Error as error:
                self._lost(error)
                continue
            self._well()
            self._link.acknowledge(deliveries)
            for (hall, epoch), number in upto.items():
                body = json.dumps({"epoch": epoch, "upto": number}).encode()
                self._link.publish(topics.events_ack(hall), body)
            return

    def _sorted(self, deliveries: list[CityDelivery]) -> Sorted:
        batch = Sorted([], [])
        for delivery in deliveries:
            try:
                if delivery.topic.endswith("/events"):
                    batch.events.append(read_event(delivery.topic, delivery.payload))
                else:
                    batch.retained.append(read_retained(delivery.topic, delivery.payload))
            except UnreadableMessage as error:
                self._refused(delivery.topic, error.reason)
        return batch

    def _keep(self, batch: Sorted) -> dict[HallEpoch, int]:
        """Store one batch. Returns the last event number before the first gap, for each hall and epoch in the batch.
        Raises ``psycopg.Error`` if it should be tried again.
        """
        began_s = monotonic_s()
        try:
            kept = self._ledger.keep(batch.events, batch.retained)
        except (psycopg.DataError, psycopg.ProgrammingError) as error:
            if isinstance(error, FAULTS_OF_DATABASE):
                raise
            if len(batch.events) + len(batch.retained) == 1:
                topic = batch.retained[0].topic if batch.retained else topics.events(batch.events[0].hall)
                self._refused(topic, "database", str(error))
                return {}
            upto: dict[HallEpoch, int] = {}
            for event in batch.events:
                upto |= self._keep(Sorted([event], []))
            for message in batch.retained:
                self._keep(Sorted([], [message]))
            return upto
        self._gauges.commit_s.observe(monotonic_s() - began_s)
        self._gauges.kept.inc(kept.new)
        self._gauges.doubles.inc(kept.doubles)
        self._gaps = (self._gaps - set(kept.upto)) | kept.gaps
        self._gauges.gaps.set(len(self._gaps))
        now = utc_now()
        for event in batch.events:
            if not event.historical:
                self._gauges.delay_s.observe(max(0.0, (now - event.at).total_seconds()))
        return kept.upto

    def _refused(self, topic: str, reason: str, detail: str = "") -> None:
        self._gauges.refused.labels(reason).inc()
        log.warning(
            "message-refused",
            topic=topic[:80],
            reason=reason,
            detail=detail[:200],
            effect="this message is not stored; if it was an event, its hall's history has a gap there",
            remedy="a fault of this program: send this line to support"
            if reason == "database"
            else "update whichever is older, this centre or the hall named in the topic",
        )

    def _lost(self, error: psycopg.Error) -> None:
        self._gauges.failures.inc()
        why = str(error).strip()[:200]
        if why != self._fault:  # one line for each change, not for each attempt
            self._fault = why
            log.warning(
                "database-failed",
                detail=why,
                effect="nothing is stored or acknowledged; halls keep their events and send them later",
                remedy="check PostgreSQL, its disk, tables and rights, and the DSN; it is tried again every second",
            )
        self._ledger.close()
        self._keeper = False
        self._gauges.keeps_pictures.set(0)
        self._stop.wait(RETRY_S)

    def _well(self) -> None:
        """Record that the database works: it has just carried out a transaction. After a failure that is logged."""
        if self._fault:
            self._fault = ""
            log.info("database-restored")

    def _keep_house(self) -> None:
        """Do the work that only one consumer does, if this one holds or gets the lock for it: subscribe to the halls'
        retained messages, and delete events older than ``keep_months``.
        """
        if not self._keeper and monotonic_s() - self._asked_s >= KEEPER_EVERY_S:
            self._asked_s = monotonic_s()
            connection = self._ledger.connection()
            found = connection.execute("SELECT pg_try_advisory_lock(%s)", (KEEPER_LOCK,)).fetchone()
            connection.commit()
            self._well()
            if found == (True,):
                self._keeper = True
                self._gauges.keeps_pictures.set(1)
                self._link.listen([topic.filter for topic in RETAINED])
                log.info(
                    "retained-messages-stored-here",
                    reason="only one consumer stores them at a time, and no other one does now",
                )
        if self._keeper and self._share.keep_months and monotonic_s() - self._forgot_s >= FORGET_EVERY_S:
            self._forgot_s = monotonic_s()
            gone = forget_before(self._ledger.connection(), self._share.keep_months, utc_now())
            if gone:
                log.info("old-months-deleted", tables=gone)
