"""People counters: how many people came in, how many are present, and whether the figures are plausible.

A counter reports totals; only the increase since its last total (the base) counts. A total that wrapped (16 or 32
bits) continues; one that starts again from 0 counts from there; one that goes back, or jumps further than people can
walk, is *suspect*: it becomes the new base and adds nobody.
Each line of a counter (a camera has several, a topic several cameras) has a base of its own, stored here because
drivers forget theirs at a restart. Many people without tickets mean a fault of the dispensers (an alarm), never a "+1"
window.
"""

from __future__ import annotations

from edged.core.calendar.opening import quiet
from edged.core.model.events import CountRead
from edged.core.model.forecast import arrivals_since
from edged.core.model.point import Point, device_of
from edged.core.model.state import CounterLine, PeopleCounter
from edged.core.model.turn import Turn
from edged.core.people import alarms, pages

SUSPECT = "counter-suspect"
MISSING = "tickets-missing"
WRAPS = (1 << 16, 1 << 32)
TRUSTED_AFTER = 3  # plausible reports in a row until a counter is trusted again
LINES_MAX = 64  # of one counter; a further one replaces the one that has been silent longest
BIN_MS = 60_000
CHECK_MS = 60_000


def read(turn: Turn, event: CountRead) -> None:
    """Handle a counter's report: use its figures if they are plausible, otherwise mark the counter as suspect."""
    counter = turn.state.counters.setdefault(event.point, PeopleCounter())
    limit = _limit(turn, counter.heard_ms)
    if event.occupancy is not None:
        came, reason = _present(counter, event, limit)
    elif event.line is not None:
        came, reason = _crossed(turn, counter, event, event.line)
    else:
        came, reason = _came(counter, event, limit, _anew(turn, event.point, counter.heard_ms))
    counter.heard_ms = turn.at_ms
    if reason is not None:
        _doubt(turn, event.point, counter, reason)
        return
    _trust(turn, event.point, counter)
    if came:
        number = turn.at_ms // BIN_MS
        counter.came[number] = counter.came.get(number, 0) + came
        _forget_old(turn, counter)
    if event.occupancy is not None:
        turn.state.present[event.point] = event.occupancy
        if turn.state.policy.tidal.triggers.people_above:
            for area in turn.lookup.areas:
                turn.touch_area(area)
    turn.note(
        "people.counted",
        event.point,
        semantics=event.semantics,
        entered=came,
        left=event.left if event.semantics == "window" else None,
        occupancy=event.occupancy,
    )
    _compare(turn)


def check_missing_tickets(turn: Turn, _key: str) -> None:
    """Timer: check whether the alarm ``tickets-missing`` is over."""
    _compare(turn)


def came_lately(turn: Turn) -> int:
    """How many people came in within the policy's ``window_s``, over all counters."""
    since = (turn.at_ms - turn.state.policy.counting.window_s * 1000) // BIN_MS
    return sum(
        came
        for counter in turn.state.counters.values()
        for number, came in counter.came.items()
        if number > since
    )


def _limit(turn: Turn, heard_ms: int | None) -> int:
    """The most people who can have passed a counter since its last report (at ``heard_ms``; None: there was none, and a
    minute is assumed).
    """
    minutes = 1.0 if heard_ms is None else max(1.0, (turn.at_ms - heard_ms) / BIN_MS)
    return round(turn.state.policy.counting.people_per_minute * minutes)


def _anew(turn: Turn, point: Point, heard_ms: int | None) -> int:
    """Return how many people a counter that started again from 0 can have counted since its last report (at
    ``heard_ms``); if it was lost since then, only since it came back.
    """
    device = turn.state.devices.get(device_of(point))
    if heard_ms is None or device is None or not device.up:
        return _limit(turn, heard_ms)
    return _limit(turn, max(heard_ms, device.since_ms))


def _came(counter: PeopleCounter, event: CountRead, limit: int, anew: int) -> tuple[int, str | None]:
    """How many people came in since the last report, and why that figure is doubted (None: it is not)."""
    if event.semantics == "window":
        return (event.entered, None) if max(event.entered, event.left) <= limit else (0, "jump")
    last, counter.total = counter.total, event.entered
    if last is None:
        return 0, None  # the first total is only a base
    return _since(last, event.entered, limit, anew)


def _crossed(turn: Turn, counter: PeopleCounter, event: CountRead, name: str) -> tuple[int, str | None]:
    """How many people crossed one line of the counter, and why that is doubted (None: it is not). The first report of a
    line adds nobody.
    """
    line = counter.lines.pop(name, None)
    counter.lines[name] = CounterLine(event.entered, turn.at_ms)  # the newest report is last
    if len(counter.lines) > LINES_MAX:
        del counter.lines[next(iter(counter.lines))]
    if line is None:
        return 0, None
    anew = _anew(turn, event.point, line.heard_ms)
    return _since(line.total, event.entered, _limit(turn, line.heard_ms), anew)


def _since(last: int, total: int, limit: int, anew: int) -> tuple[int, str | None]:
    """Return the increase from total ``last`` to ``total``, and why it is doubted ("jump", "backwards"; None: it is
    not). A smaller total has wrapped at 16 or 32 bits, or the counter started again from 0.

    ``limit``: how many people can have passed since the last report; ``anew``: the same since a start from 0. A smaller
    total above ``anew`` is doubted: the counter may have loaded an old one.
    """
    if total >= last:
        return (total - last, None) if total - last <= limit else (0, "jump")
    for wrap in WRAPS:
        if last < wrap and (total - last) % wrap <= limit:
            return (total - last) % wrap, None
    return (total, None) if total <= anew else (0, "backwards")


def _present(counter: PeopleCounter, event: CountRead, limit: int) -> tuple[int, str | None]:
    """Store the number of people present. It adds no arrivals, which other counters report. Returns 0, and why the
    figure is doubted (None: it is not).
    """
    assert event.occupancy is not None
    last, counter.total = counter.total, event.occupancy
    if event.occupancy < 0:
        counter.total = last
        return 0, "negative"
    if last is None:
        return 0, None
    return 0, None if abs(event.occupancy - last) <= limit else "jump"


def _doubt(turn: Turn, point: Point, counter: PeopleCounter, reason: str) -> None:
    counter.suspect = TRUSTED_AFTER
    turn.state.present.pop(point, None)
    turn.note("people.suspect", point, reason=reason)
    alarms.sound(turn, SUSPECT, point, reason=reason)


def _trust(turn: Turn, point: Point, counter: PeopleCounter) -> None:
    if counter.suspect:
        counter.suspect -= 1
        if not counter.suspect:
            alarms.clear(turn, SUSPECT, point)


def _compare(turn: Turn) -> None:
    """Raise or clear the alarm about people who come in and take no number."""
    policy, hall = turn.state.policy.counting, turn.lookup.site.hall
    people = came_lately(turn)
    minutes = policy.window_s / 60
    issued = sum(arrivals_since(area.learnt, turn.at_ms, minutes) for area in turn.state.areas.values())
    missing = 0 < policy.missing_people <= people and people > policy.people_per_ticket * issued
    if not missing or quiet(turn):
        if alarms.clear(turn, MISSING, hall, people=people, tickets=issued):
            pages.close(turn, MISSING, hall)
        return
    turn.set_timer(f"people/{hall}", turn.at_ms + CHECK_MS)
    if alarms.sound(turn, MISSING, hall, people=people, tickets=issued):
        pages.call_duty(turn, MISSING, hall, turn.lookup.site.name, hall)


def _forget_old(turn: Turn, counter: PeopleCounter) -> None:
    oldest = (turn.at_ms - turn.state.policy.counting.window_s * 1000) // BIN_MS
    for number in [number for number in counter.came if number <= oldest]:
        del counter.came[number]
