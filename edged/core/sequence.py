"""A device's message numbers: the same number again is a redelivery, and a missing number is a lost input. That holds
within the device's *epoch*, the time in which it counts on without starting again from 1.

A new epoch begins with a number lower than the last, with other content under a known number, with another ``boot`` (an
id that some devices give themselves at each start), and with a new day. Within the epoch, the same number and content
is a redelivery

* at any age, if the broker marks it as delivered before, or if it is the device's newest number (a device that starts
  again does not start there);
* within ``RESEND_MS``, for the few messages before that: after a short loss a device repeats what was not acknowledged.
  The first number of an epoch is a redelivery only within ``ECHO_MS`` or if our own connection was down since;
  otherwise the device has started again.

Times are counted only while the device could be received, not while our connection or process was down; so a message
that an old broker stored meanwhile without marking it is recognised, too.

A broker silently drops what exceeds its queue (mosquitto: ``max_queued_messages``, 1000 per client); a message refused
as invalid has a number too. The messages of one device come in order, so a skipped number is a lost input: it is noted,
counted, and raises an alarm until nothing was missing for ``WHOLE_MS``. The queue recovers when the input comes in
another way: the next key of a window infers what it skipped, and a ticket that was printed but never reported is called
by number.

Two devices with one id are recognised because each continues its own series of numbers, or because every message comes
twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, Literal
from zlib import crc32

from edged.core.calendar import wall
from edged.core.model.events import DeviceEvent
from edged.core.model.point import Point
from edged.core.model.state import Sender
from edged.core.model.turn import Turn
from edged.core.people import alarms

# Contents remembered, to tell a repetition from another message: 32 messages are in flight. A broker without such a
# limit (MQTT 3.1.1) may repeat a thousand; an older number that is marked as a repetition is one.
SEEN_PER_POINT = 256
RESEND_MS = 30_000  # after a radio loss a device is back by then and repeats what was not acknowledged
FRESH_MAX = SEEN_PER_POINT  # enough even for a key that sticks
HOLE_MAX = 1_000  # the most numbers a broker's queue loses; a wider jump is a counter that was set
WHOLE_MS = 3_600_000  # an hour without a missing number: the trouble is over
ALARM = "inputs-missed"
TIMER = "missed"
TWINS_TIMER = "twice"
TURNS = 2  # changes back and forth that cannot be chance
ECHO_MS = 250  # no device restarts that fast: a message then is a radio's repetition
AT_ONCE_MS = 1_000  # a radio repeats at once, people at two machines do not
ECHOES = 4  # numbers in a row that all came twice, which no radio causes
NOT_CONTENT = frozenset({"again", "boot", "line"})  # how it came, or only in reports without a number
Judged = Literal["repeated", "later", "late", "restarted"]


def is_redelivery(turn: Turn, event: DeviceEvent) -> bool:
    """Whether the hall already has this message. A known number with other content is a new message."""
    if event.seq is None:
        return False
    kind: Any = type(event)
    shape, read = _written(kind)
    digest = crc32((shape % read(event)).encode())
    seen = turn.state.seen.setdefault(event.point, {})
    known = seen.get(event.seq)
    sender = _sender(turn, event)
    judged = _judge(turn, sender, event, None if known is None else known == digest)
    if judged == "repeated":
        if not event.again:
            _echo(turn, event.point, sender)
        return True
    if judged == "restarted":
        seen.clear()
        _restart(turn, event, sender)
    elif known is not None:
        del seen[event.seq]
    seen[event.seq] = digest
    if len(seen) > SEEN_PER_POINT:
        del seen[next(iter(seen))]
    last = turn.state.last_seq.get(event.point)
    jumped = judged == "later" and last is not None and event.seq != last + 1
    if jumped and not _is_a_twin(turn, event, sender):
        _report_missed_inputs(turn, event.point, event.seq)
    if judged != "late":
        turn.state.last_seq[event.point] = event.seq
    _remember(turn, event, sender)
    if sender.twice >= ECHOES:
        _report_twins(turn, event.point, sender)
    return False


@cache
def _written(kind: type[DeviceEvent]) -> tuple[str, Callable[[object], Any]]:
    """The parts of an event's ``repr``, as a format string and a getter of its fields: formatting these takes a third
    of the time of ``repr``.

    Digests of the text are stored in state dumps, so its format must never change.
    """
    names = [field.name for field in fields(kind) if field.name not in NOT_CONTENT]
    return f"{kind.__qualname__}({', '.join(f'{name}=%r' for name in names)})", attrgetter(*names)


def holes_over(turn: Turn, point: Point) -> None:
    """Timer: no message was missing for ``WHOLE_MS``. Clear the alarm ``inputs-missed``."""
    alarms.clear(turn, ALARM, point)


def twins_over(turn: Turn, point: Point) -> None:
    """Timer: no sign of a second device with this id for ``WHOLE_MS``. Clear the alarm ``device-twice``."""
    alarms.clear(turn, alarms.TWINS, point)


def link_down(turn: Turn, point: Point) -> None:
    """Record that our connection is down, so that the device cannot be received. The ages of its message numbers do not
    grow meanwhile.
    """
    sender = turn.state.senders.get(point)
    if sender is not None and sender.deaf_ms is None:
        sender.deaf_ms = turn.at_ms


def link_up(turn: Turn, point: Point) -> None:
    """Record that our connection is back: the device can be received again."""
    sender = turn.state.senders.get(point)
    if sender is not None and sender.deaf_ms is not None:
        _skip(sender, turn.at_ms - sender.deaf_ms)
        sender.deaf_ms = None


def after_gap(turn: Turn, gap_ms: int) -> None:
    """Leave the ``gap_ms`` in which the process did not run out of the ages of all devices' message numbers."""
    for sender in turn.state.senders.values():
        _skip(sender, gap_ms)
        if sender.deaf_ms is not None:
            sender.deaf_ms += gap_ms


def _skip(sender: Sender, away_ms: int) -> None:
    sender.cut = True
    for seq in sender.fresh:
        sender.fresh[seq] += away_ms


def _sender(turn: Turn, event: DeviceEvent) -> Sender:
    """The record of the device that sent an event; created if it is new."""
    assert event.seq is not None
    sender = turn.state.senders.get(event.point)
    if sender is not None:
        if sender.deaf_ms is not None:
            link_up(turn, event.point)
    else:
        first = min(turn.state.seen[event.point], default=event.seq)
        sender = turn.state.senders[event.point] = Sender(first, turn.at_ms, boot=event.boot)
    return sender


def _judge(turn: Turn, sender: Sender, event: DeviceEvent, same: bool | None) -> Judged:
    """Classify a message number: "later" (higher than all before), "late" (new, but lower than the newest), "repeated"
    (a redelivery) or "restarted" (the device counts from the beginning: a new epoch).

    ``same``: whether the known message with this number has the same content; None if the number is unknown.
    """
    seq, last = event.seq, turn.state.last_seq.get(event.point)
    assert seq is not None
    if event.again and same:
        return "repeated"
    if event.boot is not None and sender.boot is not None and event.boot != sender.boot:
        return "restarted"
    if last is None or seq > last:
        return "later"
    if event.again:
        # the broker stored it for us: it belongs to the epoch in which it was sent
        return "repeated" if same is None and _is_forgotten(turn, sender, event.point, seq) else "late"
    if same and seq == last != sender.first:
        return "repeated"
    lately = not _other_day(turn, sender)
    if same:
        heard_ms = sender.fresh.get(seq)
        lately = lately and heard_ms is not None and turn.at_ms - heard_ms <= RESEND_MS
        echo = heard_ms is not None and turn.at_ms - heard_ms <= ECHO_MS
        known = seq > sender.first or seq == last or sender.cut or echo
        return "repeated" if lately and known else "restarted"
    newest_ms = sender.fresh.get(last)
    lately = lately and newest_ms is not None and turn.at_ms - newest_ms <= RESEND_MS
    seen = turn.state.seen[event.point]
    # A number missing between two known ones belongs to this epoch, even if the last epoch ended just before it.
    missing = seq - 1 in seen and seq + 1 in seen
    late = same is None and lately and seq > sender.first and (missing or not _goes_on(sender, seq))
    return "late" if late else "restarted"


def _is_forgotten(turn: Turn, sender: Sender, point: Point, seq: int) -> bool:
    """Whether a number was received in this epoch so long ago that its content is no longer stored: many higher ones
    came after it, and a broker delivers in order.
    """
    full = len(turn.state.seen[point]) >= SEEN_PER_POINT
    return full and sender.first <= seq <= turn.state.last_seq[point] - SEEN_PER_POINT // 2


def _other_day(turn: Turn, sender: Sender) -> bool:
    """Whether the device's last message came on another day, and more than ``RESEND_MS`` ago (not just before
    midnight).
    """
    day = _day(turn)
    return None not in (day, sender.day) and day != sender.day and turn.at_ms - sender.heard_ms > RESEND_MS


def _day(turn: Turn) -> int | None:
    local_ms = wall.local_ms(turn)
    return None if local_ms is None else wall.day(local_ms)


def _restart(turn: Turn, event: DeviceEvent, sender: Sender) -> None:
    """Begin a new epoch: the device counts from the beginning, and earlier numbers no longer count."""
    assert event.seq is not None
    other = event.boot is not None and event.boot == sender.before_boot
    if other or _goes_on(sender, event.seq):
        # no device continues an earlier epoch
        _suspect(turn, event.point, sender, ECHOES if other else ECHOES // TURNS)
    sender.before, sender.before_boot = turn.state.last_seq.get(event.point), sender.boot
    sender.first, sender.boot = event.seq, event.boot
    sender.fresh.clear()


def _is_a_twin(turn: Turn, event: DeviceEvent, sender: Sender) -> bool:
    """Whether a number is the one that follows the last of the device's previous epoch. No single device goes back to
    earlier numbers, so that is a sign of a second device with the same id.
    """
    assert event.seq is not None
    if not _goes_on(sender, event.seq):
        return False
    sender.before = turn.state.last_seq[event.point]
    _suspect(turn, event.point, sender, ECHOES // TURNS)
    return True


def _goes_on(sender: Sender, seq: int) -> bool:
    return sender.before is not None and seq == sender.before + 1


def _echo(turn: Turn, point: Point, sender: Sender) -> None:
    """Record that the device's newest message came again although no connection was down. Once, that is a resend by
    radio; if every message comes twice, a second device has the same id.

    The alarm is raised with the next new number, because a redelivery changes nothing.
    """
    seq = turn.state.last_seq.get(point)
    seen_ms = None if seq is None else sender.fresh.get(seq)
    if seen_ms is None or turn.at_ms - seen_ms < AT_ONCE_MS or sender.cut or sender.echoed == seq:
        return
    sender.twice = sender.twice + 1 if sender.echoed is not None and seq == sender.echoed + 1 else 1
    sender.echoed, sender.sign_ms = seq, turn.at_ms


def _suspect(turn: Turn, point: Point, sender: Sender, sign: int) -> None:
    """Add ``sign`` (``ECHOES`` suffice for the alarm) to the evidence of a second device with this id. Evidence older
    than ``WHOLE_MS`` is dropped.
    """
    sender.twice = sign + (0 if turn.at_ms - sender.sign_ms > WHOLE_MS else sender.twice)
    sender.sign_ms = turn.at_ms


def _report_twins(turn: Turn, point: Point, sender: Sender) -> None:
    if turn.at_ms - sender.sign_ms <= RESEND_MS:
        alarms.sound(turn, alarms.TWINS, point)
        turn.set_timer(f"{TWINS_TIMER}/{point}", turn.at_ms + WHOLE_MS)


def _remember(turn: Turn, event: DeviceEvent, sender: Sender) -> None:
    """Record a device's message as seen for the first time, so that it is recognised if it is sent again."""
    assert event.seq is not None
    sender.boot = event.boot if event.boot is not None else sender.boot
    sender.heard_ms, sender.day = turn.at_ms, _day(turn)
    sender.cut = sender.cut and event.again
    fresh = sender.fresh
    fresh.pop(event.seq, None)
    fresh[event.seq] = turn.at_ms
    while turn.at_ms - fresh[oldest := next(iter(fresh))] > RESEND_MS or len(fresh) > FRESH_MAX:
        del fresh[oldest]


def _report_missed_inputs(turn: Turn, point: Point, seq: int) -> None:
    last = turn.state.last_seq[point]
    missed = seq - last - 1
    if missed > HOLE_MAX:
        return
    turn.note("device.fault", point, fault="inputs missed", missed=missed, after_seq=last)
    alarms.sound(turn, ALARM, point, missed=missed)
    turn.set_timer(f"{TIMER}/{point}", turn.at_ms + WHOLE_MS)
