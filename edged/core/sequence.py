"""A device's own numbers: the same one again is a redelivery, and a hole is an input that nobody will send any more.

A number means something within its sender's *epoch* only: a device that was switched off counts from 1 again. A new
epoch begins with a number that falls back, with other content under a known number, with another ``boot``, and with a
new day. Until then the same number and content is a repetition

* however old, where the broker says that it sent us this before, or where it is the device's newest number (a device
  that starts again does not start there);
* for ``RESEND_MS``, of the few messages before that: a device repeats after a short loss what nobody acknowledged. Its
  very first number is one of them only within ``ECHO_MS``, or where our own link was cut since; else that is a device
  that starts again.

Time counts while the device could be heard: the hours in which our link was down, or we were, are none. What an old
broker kept without its marks is told by that.

A broker drops silently what exceeds its queue (mosquitto: ``max_queued_messages``, 1000 per client), and a message that
was refused at the border has a number, too. Messages of one device come in order, so a number that was jumped over is
lost: it is said, counted, and stands as an alarm until the device was whole for ``WHOLE_MS``. The queue itself heals
where the lost input comes again in another way: the next key of a window infers what it skipped, and a ticket that was
printed but never heard of is called by number.

Two devices under one id take turns: one goes on where the other's numbers were before, or everything comes twice.
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

SEEN_PER_POINT = (
    256  # redelivery is limited to messages in flight (32) plus a short outage; more would only cost memory
)
RESEND_MS = 30_000  # a device that lost its radio is back by then, and repeats what nobody acknowledged
FRESH_MAX = SEEN_PER_POINT  # numbers with their time: those of a key that hangs, too
HOLE_MAX = 1_000  # numbers missing at once: a broker's queue; a wider jump is a counter that was set
WHOLE_MS = 3_600_000  # an hour without a hole: whatever choked has passed
ALARM = "inputs-missed"
TIMER = "missed"
TWINS_TIMER = "twice"
TURNS = 2  # changes back and forth that are no chance any more
ECHO_MS = 250  # nothing starts again so soon: what comes then is a radio's double
AT_ONCE_MS = 1_000  # a radio says a thing twice at once, two people at two machines do not
ECHOES = 4  # numbers in a row that all came twice: no radio does that
NOT_CONTENT = frozenset({"again", "boot", "line"})  # how it came, or of reports that have no number
Judged = Literal["repeated", "later", "late", "restarted"]


def is_redelivery(turn: Turn, event: DeviceEvent) -> bool:
    """Whether the hall already has this message. A number reused with other content is another message."""
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
    if judged == "later" and not _is_a_twin(turn, event, sender):
        _look_for_a_hole(turn, event.point, event.seq)
    if judged != "late":
        turn.state.last_seq[event.point] = event.seq
    _hear(turn, event, sender)
    _tell_twins(turn, event.point, sender)
    return False


@cache
def _written(kind: type[DeviceEvent]) -> tuple[str, Callable[[object], Any]]:
    """``repr`` of an event in two halves, made in a third of the time; digests of it are kept in state dumps, so it
    never changes.
    """
    names = [field.name for field in fields(kind) if field.name not in NOT_CONTENT]
    return f"{kind.__qualname__}({', '.join(f'{name}=%r' for name in names)})", attrgetter(*names)


def whole_again(turn: Turn, point: Point) -> None:
    """Timer: no message was missing for a while, and the alarm about holes ends."""
    alarms.clear(turn, ALARM, point)


def one_again(turn: Turn, point: Point) -> None:
    """Timer: no sign of a second device with this id for a while, and the alarm ends."""
    alarms.clear(turn, alarms.TWINS, point)


def deaf(turn: Turn, point: Point) -> None:
    """Our link is down: from now on the device cannot be heard, and no time passes for its numbers."""
    sender = turn.state.senders.get(point)
    if sender is not None and sender.deaf_ms is None:
        sender.deaf_ms = turn.at_ms


def hearing(turn: Turn, point: Point) -> None:
    """Our link is back: the device can be heard again."""
    sender = turn.state.senders.get(point)
    if sender is not None and sender.deaf_ms is not None:
        _skip(sender, turn.at_ms - sender.deaf_ms)
        sender.deaf_ms = None


def after_gap(turn: Turn, gap_ms: int) -> None:
    """The process was away: no time passes for devices' numbers."""
    for sender in turn.state.senders.values():
        _skip(sender, gap_ms)
        if sender.deaf_ms is not None:
            sender.deaf_ms += gap_ms


def _skip(sender: Sender, away_ms: int) -> None:
    sender.cut = True
    for seq in sender.fresh:
        sender.fresh[seq] += away_ms


def _sender(turn: Turn, event: DeviceEvent) -> Sender:
    """The sender that an event came from; made if it is new."""
    assert event.seq is not None
    hearing(turn, event.point)
    sender = turn.state.senders.get(event.point)
    if sender is None:
        first = min(turn.state.seen[event.point], default=event.seq)
        sender = turn.state.senders[event.point] = Sender(first, turn.at_ms, boot=event.boot)
    return sender


def _judge(turn: Turn, sender: Sender, event: DeviceEvent, same: bool | None) -> Judged:
    """Whether a number is new, a redelivery, or the start of a new epoch. ``same``: whether its content is the one
    known under it; None if the number is not known.
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
        return "late"  # the broker kept it for us: it is of the epoch it was sent in
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
    # A number missing between two is this life's, even if an earlier life ended just before it.
    missing = seq - 1 in seen and seq + 1 in seen
    late = same is None and lately and seq > sender.first and (missing or not _goes_on(sender, seq))
    return "late" if late else "restarted"


def _other_day(turn: Turn, sender: Sender) -> bool:
    """Whether the device was heard last on another day (and not just before midnight)."""
    day = _day(turn)
    return None not in (day, sender.day) and day != sender.day and turn.at_ms - sender.heard_ms > RESEND_MS


def _day(turn: Turn) -> int | None:
    local_ms = wall.local_ms(turn)
    return None if local_ms is None else wall.day(local_ms)


def _restart(turn: Turn, event: DeviceEvent, sender: Sender) -> None:
    """A device counts from the beginning: what it says next is compared with nothing it said before."""
    assert event.seq is not None
    other = event.boot is not None and event.boot == sender.before_boot
    if other or _goes_on(sender, event.seq):
        # no device takes an earlier life up again
        _suspect(turn, event.point, sender, ECHOES if other else ECHOES // TURNS)
    sender.before, sender.before_boot = turn.state.last_seq.get(event.point), sender.boot
    sender.first, sender.boot = event.seq, event.boot
    sender.fresh.clear()


def _is_a_twin(turn: Turn, event: DeviceEvent, sender: Sender) -> bool:
    """A jump to where the epoch before would have gone on."""
    assert event.seq is not None
    last = turn.state.last_seq.get(event.point)
    if last is None or event.seq == last + 1 or not _goes_on(sender, event.seq):
        return False
    sender.before = last
    _suspect(turn, event.point, sender, ECHOES // TURNS)
    return True


def _goes_on(sender: Sender, seq: int) -> bool:
    return sender.before is not None and seq == sender.before + 1


def _echo(turn: Turn, point: Point, sender: Sender) -> None:
    """The newest number came again though no link was cut: once is a radio's resend; for every number it is a second
    device.

    Told with the next new number: what comes twice changes nothing.
    """
    seq = turn.state.last_seq.get(point)
    said_ms = None if seq is None else sender.fresh.get(seq)
    if said_ms is None or turn.at_ms - said_ms < AT_ONCE_MS or sender.cut or sender.echoed == seq:
        return
    sender.twice = sender.twice + 1 if sender.echoed is not None and seq == sender.echoed + 1 else 1
    sender.echoed, sender.sign_ms = seq, turn.at_ms


def _suspect(turn: Turn, point: Point, sender: Sender, sign: int) -> None:
    """Note one sign of a second sender with this id; old signs are forgotten."""
    sender.twice = sign + (0 if turn.at_ms - sender.sign_ms > WHOLE_MS else sender.twice)
    sender.sign_ms = turn.at_ms


def _tell_twins(turn: Turn, point: Point, sender: Sender) -> None:
    if sender.twice >= ECHOES and turn.at_ms - sender.sign_ms <= RESEND_MS:
        alarms.sound(turn, alarms.TWINS, point)
        turn.set_timer(f"{TWINS_TIMER}/{point}", turn.at_ms + WHOLE_MS)


def _hear(turn: Turn, event: DeviceEvent, sender: Sender) -> None:
    """Record a message as new."""
    assert event.seq is not None
    sender.first = min(sender.first, event.seq)
    sender.boot = event.boot if event.boot is not None else sender.boot
    sender.heard_ms, sender.day = turn.at_ms, _day(turn)
    sender.cut = sender.cut and event.again
    fresh = sender.fresh
    fresh.pop(event.seq, None)
    fresh[event.seq] = turn.at_ms
    while turn.at_ms - fresh[oldest := next(iter(fresh))] > RESEND_MS or len(fresh) > FRESH_MAX:
        del fresh[oldest]


def _look_for_a_hole(turn: Turn, point: Point, seq: int) -> None:
    last = turn.state.last_seq.get(point)
    missed = 0 if last is None else seq - last - 1
    if not 0 < missed <= HOLE_MAX:
        return
    turn.note("device.fault", point, fault="inputs missed", missed=missed, after_seq=last)
    alarms.sound(turn, ALARM, point, missed=missed)
    turn.set_timer(f"{TIMER}/{point}", turn.at_ms + WHOLE_MS)
