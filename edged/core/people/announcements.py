"""What loudspeakers say: each plays one announcement at a time and has a queue.

The next announcement is played when two conditions hold. The device has reported the end of the last one (or has not
within ``PATIENCE_MS``), and the policy's interval between two is over.

A call is played only while its visitor is still called to that window. One that has waited too long is dropped, because
boards show it anyway. A recall replaces the earlier call of the same visitor in the queue, never another visitor's.
After a restart nobody knows whether the last announcement was played, and it is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable

from edged.core.model.commands import Say
from edged.core.model.events import Announced
from edged.core.model.point import Point
from edged.core.model.policy.signage import fill
from edged.core.model.state import Spoken, Ticket, Voice
from edged.core.model.turn import Turn

PATIENCE_MS = 20_000  # outputs give up on an action after 15 s; no report comes later
PLAIN_WITHIN_MS = 600_000  # an announcement is not about one visitor: it may wait longer than a call


def call(turn: Turn, ticket: Ticket, window: str) -> None:
    """Queue the announcement that calls a visitor to a window, on the loudspeaker of the visitor's area. No-op if the
    area has none.
    """
    area = turn.lookup.areas[turn.lookup.area_of(ticket.service)]
    if area.voice is None:
        return
    signage = turn.state.policy.signage
    service = turn.lookup.services[ticket.service]
    words = {"number": ticket.number, "window": turn.lookup.windows[window].number}
    slow = is_slow(turn, ticket)
    spoken = Spoken(
        fill(signage.templates.call, area=area.name, service=service.name, **words),
        fill(signage.templates.call_en, area=area.name_en, service=service.name_en, **words),
        turn.at_ms,
        number=ticket.number,
        ticket=ticket.id,
        window=window,
        slow=slow,
        times=signage.slow_times if slow else signage.times,
    )
    _put(turn, area.voice, spoken)


def is_slow(turn: Turn, ticket: Ticket) -> bool:
    """Whether this visitor, by priority class, is called more slowly, in larger letters and more often than others."""
    return ticket.priority in turn.state.policy.signage.slow_for


def announce(turn: Turn, event: Announced) -> None:
    """Announce an operator's text once on each loudspeaker of the areas that the event names (none: of all areas).
    Refused, with a note, if an area is unknown or there is no loudspeaker.
    """
    unknown = [area for area in event.areas if area not in turn.lookup.areas]
    areas = event.areas or tuple(turn.lookup.areas)
    voices = dict.fromkeys(
        voice
        for area in areas
        if area in turn.lookup.areas and (voice := turn.lookup.areas[area].voice) is not None
    )
    if unknown:
        turn.ignore(unknown[0], "unknown_area", by=event.by)
    elif not voices:
        turn.ignore(turn.lookup.site.hall, "no_loudspeaker", by=event.by)
    else:
        turn.note("announcement.accepted", turn.lookup.site.hall, by=event.by, loudspeakers=len(voices))
        for voice in voices:
            _put(turn, voice, Spoken(event.text, event.text_en, turn.at_ms))


def ended(turn: Turn, action: str) -> None:
    """Play the next announcement, because the device reported the outcome of ``action``."""
    for point, voice in turn.state.voices.items():
        if voice.doing == action:
            voice.doing = None
            _go_on(turn, point, voice)


def go_on(turn: Turn, point: Point) -> None:
    """Timer: the pause after an announcement is over, or the loudspeaker has not reported its end in time. Play the
    next one.
    """
    voice = turn.state.voices.get(point)
    if voice is not None:
        _go_on(turn, point, voice)


def after_restart(turn: Turn) -> None:
    """After a restart, treat the announcement that was being played as finished."""
    for point, voice in turn.state.voices.items():
        voice.doing = None
        _go_on(turn, point, voice)


def end_day(turn: Turn) -> None:
    """Drop the announcements of the day before."""
    for voice in turn.state.voices.values():
        voice.waiting.clear()


def reconcile(turn: Turn, points: Iterable[Point | None]) -> None:
    """Drop the queues of loudspeakers that are no longer in the configuration."""
    kept = set(points)
    for point in [point for point in turn.state.voices if point not in kept]:
        del turn.state.voices[point]
        turn.drop_timer(f"voice/{point}")


def _put(turn: Turn, point: Point, spoken: Spoken) -> None:
    voice = turn.state.voices.setdefault(point, Voice())
    if spoken.ticket is not None:
        for position, other in enumerate(voice.waiting):
            if (other.ticket, other.window) == (spoken.ticket, spoken.window):
                voice.waiting[position] = spoken  # a recall before the first call was played
                return
    voice.waiting.append(spoken)
    _go_on(turn, point, voice)
    while len(voice.waiting) > turn.state.policy.signage.queue:
        _drop(turn, point, voice.waiting.pop(0), "queue_full")


def _go_on(turn: Turn, point: Point, voice: Voice) -> None:
    """If the loudspeaker is free, play the next announcement that is still wanted. Otherwise set a timer for the time
    when it will be free.
    """
    if voice.doing is not None and turn.at_ms >= voice.since_ms + PATIENCE_MS:
        voice.doing = None
    while voice.waiting and voice.doing is None and turn.at_ms >= voice.free_ms:
        spoken = voice.waiting.pop(0)
        reason = _why_not(turn, spoken)
        if reason is not None:
            _drop(turn, point, spoken, reason)
            continue
        _say(turn, point, voice, spoken)
    if voice.waiting:
        due_ms = voice.free_ms if voice.doing is None else max(voice.free_ms, voice.since_ms + PATIENCE_MS)
        turn.set_timer(f"voice/{point}", due_ms)
    else:
        turn.drop_timer(f"voice/{point}")


def _say(turn: Turn, point: Point, voice: Voice, spoken: Spoken) -> None:
    signage = turn.state.policy.signage
    voice.doing = turn.act(point, Say(spoken.text, spoken.text_en, spoken.number, spoken.slow))
    voice.since_ms = turn.at_ms
    voice.free_ms = turn.at_ms + (signage.slow_dwell_s if spoken.slow else signage.dwell_s) * 1000
    spoken.times -= 1
    spoken.said = True
    if spoken.times > 0:
        voice.waiting.insert(0, spoken)


def _why_not(turn: Turn, spoken: Spoken) -> str | None:
    if spoken.ticket is not None and not _still_called(turn, spoken):
        return "over"
    within_ms = turn.state.policy.signage.say_within_s * 1000 if spoken.number else PLAIN_WITHIN_MS
    return "too_late" if turn.at_ms - spoken.since_ms > within_ms else None


def _still_called(turn: Turn, spoken: Spoken) -> bool:
    """Whether an announcement should still be played: its visitor is still called to that window. An arrival that was
    only assumed, because time had passed, does not count if the call was never played.
    """
    ticket = None if spoken.ticket is None else turn.state.tickets.get(spoken.ticket)
    window = None if spoken.window is None else turn.lookup.windows.get(spoken.window)
    if ticket is None or window is None or turn.window(window.id).ticket != ticket.id:
        return False
    return ticket.state == "CALLED" or not (spoken.said or window.confirms_arrival)


def _drop(turn: Turn, point: Point, spoken: Spoken, reason: str) -> None:
    turn.note("announcement.dropped", spoken.number or point, reason=reason, point=point)
