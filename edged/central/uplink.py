"""Sends the hall's events to the centre: ``hall/{hall}/events`` up, ``…/events/ack`` down. Rules of this file:

* Events are sent at once after their commit. Those that could not be sent then are read from the journal and sent
  later, oldest first, at a limited rate and marked ``historical``. They never delay new events.
* Only the centre's own acknowledgement counts ("I have every event up to this number"), not the broker's. Without one
  for ``RESEND_S``, everything after the last acknowledged event is sent again, at growing intervals.
* Numbers are counted, never stored: the n-th event of an epoch is number n, after every restart.
* An acknowledgement of another epoch is ignored; one of a number that was never sent is ignored and raises an alarm.
* While more than ``THIN_ABOVE`` events wait, only some of the telemetry (people counters) is sent. Nothing is lost: a
  centre that does not acknowledge beyond the gap gets all of it with the next attempt.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from edged import strict_json
from edged.central import cloud_events, topics
from edged.central.cloud_events import TELEMETRY, THINNED_TO_MS, Fact
from edged.central.history import History, Outbox, read_page
from edged.central.policy_desk import BrokerLink, PushMessage
from edged.clock import monotonic_s
from edged.core.model.events import ClockSet
from edged.driver import Reject, Unreachable
from edged.heartbeat import Heartbeat
from edged.observer import Observer, Step
from edged.store.uplink import Cursor

SLICE = 10  # events of history at a time: a millisecond of the loop, ten messages in front of a lamp's
SLICE_EVERY_S = 0.01  # with SLICE: 1,000 a second, 100,000 rows in under two minutes
WINDOW_MAX = (
    200  # history beyond the last acknowledgement: fits into the broker's queue for the centre (1,000)
)
FRESH_MAX = 2_000  # committed steps not sent yet; beyond it they are read from the journal
FRESH_SLICE = 20  # steps sent before others have their turn
FRESH_EVERY_S = 0.001  # with FRESH_SLICE: more steps a second than a hall can have
BUSY_S = 0.1  # until the next attempt after the broker took nothing
RESEND_S = 5.0  # the centre acknowledges at least every second or every 50 events
RESEND_MAX_S = 60.0  # between attempts while the centre says nothing
ASKED_AGAIN_S = (
    1.0  # the same number twice, this long after the last progress: the centre misses what follows
)
KEEP_S = 1.0  # between writes of the acknowledged number; after a kill that much is sent again
MARK_EVENTS = 64  # events between points at which the count is remembered
MARKS_MAX = 100_000  # 6.4 million events; beyond it more is read again when the centre is back
THIN_ABOVE = 10_000  # waiting events: a busy day
COUNT_STEPS = 256  # read and counted in one go after a start: about a millisecond
ACK_BYTES_MAX = 1_024
IDLE_S = 0.5  # between checks of the time
READ_S = 15.0  # for the journal to read a page; the journal has a heartbeat of its own

log = structlog.get_logger("edged.central")


class Uplink(Observer):
    """Sends one hall's events. Call ``start`` once, then ``run`` until cancelled. ``stamp`` converts ms since 1970 UTC
    to RFC 3339.

    ``ahead(why)`` is called when more is acknowledged than was sent, and with ``None`` once that is over.
    """

    def __init__(
        self,
        link: BrokerLink,
        outbox: Outbox,
        hall: str,
        stamp: Callable[[int], str],
        reject: Reject,
        ahead: Callable[[str | None], None],
    ) -> None:
        self._link = link
        self._outbox = outbox
        self._hall = hall
        self._topic = topics.events(hall)
        self._writer = cloud_events.EventWriter(hall, outbox.epoch)
        self._stamp = stamp
        self._reject = reject
        self._report_ahead = ahead
        self.heartbeat = Heartbeat()
        kept = outbox.cursor
        self._acked = self._sent = kept.acked
        self._step, self._number = kept.step, kept.number  # counted so far: events up to this step
        self._marks: deque[tuple[int, int]] = deque(
            [(kept.step, kept.number)]
        )  # (step, number): one for every MARK_EVENTS unacknowledged events
        self._fresh: deque[tuple[Step, int]] = deque()  # (step, wall time minus hall time)
        self._offset_ms = self._first_offset_ms = 0  # wall time less hall time: now, and when we started
        self._behind = True  # the journal has steps that were not counted
        self._counted = False
        self._up = False
        self._history = History(outbox, kept.step, kept.number, 0)
        self._next, self._until = self._acked + 1, self._acked  # numbers still to be sent again
        self._previous = self._acked
        self._thin = True
        self._thinned: dict[str, int] = {}
        self._history_due_s = self._kept_s = 0.0
        self._progress_s = self._tried_s = monotonic_s()
        self._resend_s = RESEND_S
        self._kept = kept.acked
        self._ahead_reported = False
        self._wake = asyncio.Event()

    @property
    def backlog(self) -> int:
        """How many events the centre has not acknowledged."""
        return self._number - self._acked + len(self._fresh)

    @property
    def acknowledged_upto(self) -> int:
        """The number up to which the centre has acknowledged events."""
        return self._acked

    def start(self, offset_ms: int) -> None:
        """Subscribe to acknowledgements. ``offset_ms``: wall time minus hall time in the restored state."""
        self._offset_ms = self._first_offset_ms = offset_ms
        self._history = History(self._outbox, *self._marks[0], offset_ms)
        self._outbox.on_durable(self._durable_changed)
        self._link.on_state(self._link_changed)
        self._link.subscribe(topics.events_ack(self._hall), self.acknowledged)

    async def run(self) -> None:
        """Send events until cancelled."""
        while True:
            self.heartbeat.expect(READ_S)
            await self._count()
            self._send_fresh()
            self._resend_if_silent()
            await self._send_history()
            self._keep()
            await self._pause()

    def stop(self) -> None:
        """Store the centre's last acknowledgement in the journal."""
        if self._kept != self._acked:
            self._keep(now=True)

    # -- callbacks of the journal and the link --

    def committed(self, steps: Sequence[Step]) -> None:
        """As an observer: queue the notes of committed steps for sending."""
        for step in steps:
            if isinstance(step.event, ClockSet):
                self._offset_ms = step.event.wall_ms - step.at_ms
            if step.notes:
                self._fresh.append((step, self._offset_ms))
        if len(self._fresh) > FRESH_MAX:
            self._fresh.clear()
            self._behind = True
        if self._fresh:
            self._wake.set()

    def _durable_changed(self, durable: bool) -> None:
        if durable:  # what was only in memory is in the journal now, and ``_fresh`` may lack some of it
            self._behind = True
            self._wake.set()

    def _link_changed(self, up: bool, _reason: str) -> None:
        self._up = up
        if up:  # what was sent before may not have arrived
            self._resend_s = RESEND_S
            self._rewind(thin=True)

    def acknowledged(self, message: PushMessage) -> None:
        """Handle a message on ``events/ack``: the centre has stored events up to a number."""
        message.ack()
        found = parse_ack(message.payload)
        if found is None:
            self._reject("ack_bad", message.topic)
            return
        epoch, upto = found
        if epoch != self._outbox.epoch:
            self._reject("ack_epoch", f"epoch {epoch}, ours is {self._outbox.epoch}")
        elif not self._counted:
            log.debug(
                "uplink-ack-early",
                upto=upto,
                reason="the events of the journal are not counted yet",
                effect="none: the centre repeats it",
            )
        elif upto > self._sent:
            self._ahead(upto)
        elif upto > self._acked:
            self._progress(upto)
        elif upto == self._acked < self._sent and self._quiet_s() > ASKED_AGAIN_S:
            self._rewind(thin=False)

    def _ahead(self, upto: int) -> None:
        """Raise the alarm that more was acknowledged than sent: another program acknowledges, or this journal is an
        older copy.
        """
        self._reject("ack_ahead", f"{upto} acknowledged, {self._sent} sent")
        if not self._ahead_reported:
            self._ahead_reported = True
            self._report_ahead(f"{upto} acknowledged, {self._sent} sent")
            log.error(
                "uplink-ack-ahead",
                upto=upto,
                sent=self._sent,
                effect="ignored: sending continues, but the centre may drop new events as duplicates",
                remedy="check whether the journal was restored from a copy, and who else publishes to events/ack",
            )

    def _progress(self, upto: int) -> None:
        self._acked = upto
        self._progress_s = monotonic_s()
        if self._ahead_reported:
            self._ahead_reported = False
            self._report_ahead(None)
        self._next = max(self._next, upto + 1)
        while len(self._marks) > 1 and self._marks[1][1] <= upto:
            self._marks.popleft()
        silent, self._resend_s = self._resend_s > RESEND_S, RESEND_S
        if silent and upto < self._sent:  # the centre is back: what was sent meanwhile was lost
            self._rewind(thin=True)
        self._wake.set()

    # -- counting --

    async def _count(self) -> None:
        """Count the events of journal steps that were not counted yet: after a start, or after more steps than are kept
        in memory.
        """
        while self._behind:
            self.heartbeat.expect(READ_S)
            page = await read_page(self._outbox, self._step, COUNT_STEPS)
            for step in page:
                self._advance(step.seq, cloud_events.count_stored(step))
            if len(page) < COUNT_STEPS:
                self._behind = False
                self._until = self._number
                if not self._counted:
                    self._counted = True
                    self._sent = self._number  # an earlier process may have sent all of it
            await asyncio.sleep(0)

    def _advance(self, seq: int, events: int) -> None:
        apart = self._number - self._marks[-1][1]
        if events and apart >= MARK_EVENTS and len(self._marks) < MARKS_MAX:
            self._marks.append((self._step, self._number))
        self._step = seq
        self._number += events

    # -- sending --

    def _send_fresh(self) -> None:
        """Send the events of the newest commits. Those of steps only in memory (full disk) wait, because their numbers
        may change.
        """
        for _ in range(FRESH_SLICE):
            if not self._fresh or self._behind or not self._outbox.durable:
                return
            step, offset_ms = self._fresh.popleft()
            if step.seq <= self._step:
                continue
            for fact in cloud_events.noted(step.notes, step.at_ms, offset_ms, self._number):
                if not self._publish(fact, fact.number - 1, historical=False):
                    if (
                        self._next > self._until
                    ):  # all before it were sent; one that the broker drops is a gap
                        self._next, self._previous = fact.number, fact.number - 1
                    self._until = fact.number
            self._advance(step.seq, cloud_events.count_noted(step.notes))

    async def _send_history(self) -> None:
        """Send the next few events that are to be sent (again) from the journal. No-op before the next slice is due,
        and while the centre has too many unacknowledged events.
        """
        count = min(SLICE, self._until - self._next + 1, self._acked + WINDOW_MAX - self._next + 1)
        if count <= 0 or not self._up or monotonic_s() < self._history_due_s:
            return
        self._history_due_s = monotonic_s() + SLICE_EVERY_S
        history = self._history
        facts = await history.take(self._next - 1, self._until, count)
        if history is not self._history:
            return  # ``_rewind`` was called meanwhile
        for position, fact in enumerate(facts):
            if not (self._thin and self._left_out(fact)):
                if not self._publish(fact, max(self._previous, self._acked), historical=True):
                    history.put_back(facts[position:])
                    self._history_due_s = monotonic_s() + BUSY_S
                    return
                self._previous = fact.number
            self._next = max(self._next, fact.number + 1)
        if not facts:  # should not happen, and must not block later events
            log.error(
                "uplink-events-missing",
                first=self._next,
                last=self._until,
                effect="these event numbers are not sent to the centre: the journal has no such events",
                remedy="a fault of this program or a damaged journal: send `edged diagnose` to support",
            )
            self._next = self._until + 1

    def _publish(self, fact: Fact, previous: int, historical: bool) -> bool:
        if not self._up:
            return False
        message = self._writer.message(fact, self._stamp(fact.wall_ms), previous, historical)
        try:
            self._link.publish(self._topic, message)
        except Unreachable:
            return False
        if self._sent == self._acked:
            self._progress_s = monotonic_s()  # from now on there is something to acknowledge
        self._sent = max(self._sent, fact.number)
        return True

    def _left_out(self, fact: Fact) -> bool:
        if fact.kind not in TELEMETRY or self.backlog < THIN_ABOVE:
            return False
        span = fact.at_ms // THINNED_TO_MS
        if self._thinned.get(fact.subject) != span:
            self._thinned[fact.subject] = span
            return False
        return True

    def _resend_if_silent(self) -> None:
        """Begin again with the first unacknowledged event if the centre has acknowledged nothing for ``_resend_s``
        seconds.
        """
        if self._up and self._acked < self._sent and self._quiet_s() > self._resend_s:
            self._resend_s = min(2 * self._resend_s, RESEND_MAX_S)
            self._rewind(thin=False)

    def _quiet_s(self) -> float:
        return monotonic_s() - max(self._progress_s, self._tried_s)

    def _rewind(self, thin: bool) -> None:
        self._tried_s = monotonic_s()
        self._thin = thin
        self._thinned.clear()
        self._history = History(self._outbox, *self._marks[0], self._first_offset_ms)
        self._previous = self._acked
        self._next, self._until = self._acked + 1, self._number
        self._wake.set()

    # -- storing the acknowledged number --

    def _keep(self, now: bool = False) -> None:
        if self._kept == self._acked or not (now or monotonic_s() - self._kept_s >= KEEP_S):
            return
        self._kept_s = monotonic_s()
        self._kept = self._acked
        self._outbox.keep_cursor(Cursor(self._acked, *self._marks[0]))

    async def _pause(self) -> None:
        if self._behind or (self._fresh and self._outbox.durable):
            await asyncio.sleep(FRESH_EVERY_S)
            return
        sending = self._up and self._next <= min(self._until, self._acked + WINDOW_MAX)
        delay_s = max(0.0, self._history_due_s - monotonic_s()) if sending else IDLE_S
        self._wake.clear()
        await self.heartbeat.wait(self._wake, delay_s)


def parse_ack(payload: bytes) -> tuple[int, int] | None:
    """The epoch and number in an acknowledgement; None if it is invalid."""
    try:
        fields: dict[str, Any] = strict_json.parse_document(payload, ACK_BYTES_MAX)
    except strict_json.NotStrictJson:
        return None
    epoch, upto = fields.get("epoch"), fields.get("upto")
    if set(fields) != {"epoch", "upto"} or not (type(epoch) is type(upto) is int):
        return None
    return (epoch, upto) if epoch >= 0 and upto >= 0 else None
