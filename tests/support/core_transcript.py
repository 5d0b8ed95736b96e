"""Readable transcripts of the core: events in; commands and notes out.

A line that starts in column 0 is input. The indented lines below it are its outcome; they are written anew by
``TRANSCRIPTS_UPDATE=1 pytest tests/core/test_transcripts.py``::

    -- prose, for the reader
    show notes lamps                          what to print (default: notes lamps actions)
    08:30:00 ticket A001 tax-general          an event at a time of day; 1d08:30:00 is the next morning
    08:30:10 tickets A002-A009 tax-general 5  the same every 5 s (their own notes are left out)
    08:31:00 p1 next                          a key: point, key, argument, seq=N
    08:31:30 state w1 A001 li tax             no event: print the state of these window, ticket, staff, area
    08:29:00 policy tidal.rule=pw             changes the last policy; at first the tidal rule is the band
    08:29:00 policy hours.week=1-5@09:00-17:00,6@09:00-12:00@assisted@tax+house    days, times, mode, areas
    16:00:00 flex hall - 18:00 zhao           hours of today: area or hall, opens, closes, by whom
    16:00:00 reset zhao force                 begin a new day, by order of zhao
    08:30:00 called A001 w1                   reported by the queue system (follow mode)
    08:35:00 ended w1 A001                    the same; also: queued SERVICE A002 …
    08:30:00 policy back=1                    one version back; "policy pushed": a pushed policy, on trial
    08:40:00 resumed restart                  the hall was away since the last event; "restart": state stored and loaded

Below an input, ``@hh:mm:ss`` begins the outcome of a tick, or of a later event of the same line; ``>`` is a command,
``#`` a note, ``=`` a state. Three checks run after every step: ``Engine.check``; whether all lamps, displays and panels
show what the core would command if it worked out every one anew; whether the cached load of each area is right as long
as it is said to be valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from typing import Any, get_type_hints

import msgspec

from edged.core.calendar import day_spans
from edged.core.engine import Engine
from edged.core.model import events as ev
from edged.core.model.commands import Action, Command, Desired, Issuing, Note, Page, Print, Refuse, Say
from edged.core.model.point import Point
from edged.core.model.policy import Peak, Policy, Session, Special
from edged.core.model.state import State
from edged.store.codec import dump_state, load_state
from tests.support.core_hall import SiteText
from tests.support.core_loads import outdated
from tests.support.core_reports import reported, sent
from tests.support.core_signs import left_behind

START_MS = 8 * 3_600_000  # the hall is loaded at 08:00:00
MIDNIGHT = datetime.fromisoformat("2026-11-23T00:00:00+08:00")
PRIORITIES = (*ev.CLASSES[1:], "enterprise")
GROUPS = (
    "notes",
    "lamps",
    "actions",
    "signs",
    "areas",
    "panels",
    "pagers",
    "evaluators",
    "centre",
    "duty",
    "hall",
    "issuing",
    "serve",
)
LEARNT = (
    "learnt",
    "quoted_s",
    "queued_ms",
    "sources",
    "looked_ms",
    "last_request_ms",
    "hint_while",
)  # see test_forecast.py
NAMED = (
    r"(line|seq|from|for_s|code|area|service|ticket|special|level|back|version|appointment|reason|returning|outcome"
    r"|detail|today|said|next|unsure|cases|order|skips)="
)


def rerun(text: str) -> str:
    """Run the transcript ``text`` again and return it with the outcomes that the core gives now."""
    run = _Run()
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            continue
        lines.append(line)
        if line.strip() and not line.startswith("--"):
            try:
                lines += run.line(line)
            except (ValueError, KeyError, IndexError) as error:
                raise ValueError(f"{line!r}: {error} (the language stands above, in this file)") from error
    return "\n".join(lines) + "\n"


class _Run:
    """The run of one transcript: a hall, its engine, and what is to be printed."""

    def __init__(self) -> None:
        self.hall = SiteText()
        self.versions = {0: {"tidal.rule": "band"}}  # it counts people: nothing here hangs on arithmetic
        self.engine = Engine()
        self.groups: set[str] = {"notes", "lamps", "actions"}
        clock = ev.ClockSet(int(MIDNIGHT.timestamp() * 1000) + START_MS, 480)
        self.engine.state.policy = policy_of(self.versions[0])
        self.engine.handle(START_MS, clock)
        self.engine.handle(START_MS, ev.SiteLoaded(self.hall.site))

    def line(self, line: str) -> list[str]:
        first, *words = line.split()
        if first == "show":
            self.groups = set(words)
            assert self.groups <= set(GROUPS), f"show one of {GROUPS}"
            return []
        at_ms = parse_ms(first)
        match words:
            case ["tickets", span, service, every_s]:
                return list(self._many(at_ms, span, service, float(every_s)))
            case ["state", *names]:
                out = list(self._ticks(at_ms))
                return out + [f"    = {self._state(name)}" for name in names]
        if words[0] == "resumed":  # the time away is not lived: no tick of it comes first
            return self._resume(at_ms, "restart" in words)
        out = list(self._ticks(at_ms))
        said, how = sent(words)
        return out + self._step(at_ms, replace(self._event(said), **how) if how else self._event(said))

    def _resume(self, at_ms: int, restart: bool) -> list[str]:
        """Let the hall be away from the last event until ``at_ms``. The event ``Resumed`` has the time of the last
        event, as the inbox sends it. ``restart``: the state is stored and loaded as by a restart.
        """
        if restart:
            self.engine = Engine(load_state(dump_state(self.engine.state), State))
        last_ms = self.engine.state.at_ms
        return [*self._ticks(last_ms), *self._step(last_ms, ev.Resumed(at_ms - last_ms, restart))]

    def _many(self, at_ms: int, span: str, service: str, every_s: float) -> Iterator[str]:
        first, last = span.split("-")
        for step, number in enumerate(range(int(first[1:]), int(last[1:]) + 1)):
            stamp = at_ms + int(step * every_s * 1000)
            yield from self._ticks(stamp)
            ticket = ev.TicketPrinted(Point("disp"), f"{first[0]}{number:03d}", service)
            out = [text for text in self._step(stamp, ticket) if not text.startswith("    # ticket.issued")]
            if out:
                yield f"  @{clock_text(stamp)} {ticket.number}"
                yield from out

    def _ticks(self, at_ms: int) -> Iterator[str]:
        while (due_ms := self.engine.next_due_ms) is not None and due_ms <= at_ms:
            out = self._step(due_ms, ev.Tick())
            assert self.engine.next_due_ms is None or self.engine.next_due_ms > due_ms, (
                "a tick asks for itself"
            )
            if out:
                yield f"  @{clock_text(due_ms)}"
                yield from out

    def _step(self, at_ms: int, event: ev.Event) -> list[str]:
        commands, notes = self.engine.handle(at_ms, event)
        self.engine.check()
        assert not (stale := left_behind(self.engine)), stale
        assert not (old := outdated(self.engine, at_ms)), old
        out = [f"    > {_command(c)}" for c in commands if _group(c) in self.groups]
        if "notes" in self.groups:
            out += [f"    # {_note(note)}" for note in notes]
        return out

    def _event(self, words: list[str]) -> ev.Event:
        order = next((word for word in words if word.startswith("order=")), None)
        if order is None:
            return self._plain(words)
        asked: Any = self._plain([word for word in words if word != order])
        return replace(asked, order=order.partition("=")[2])  # type: ignore[no-any-return]

    def _plain(self, words: list[str]) -> ev.Event:
        plain = [word for word in words if not re.match(NAMED, word)]
        named = dict(word.split("=", 1) for word in words if word not in plain)
        seq = int(named["seq"]) if "seq" in named else None
        if (told := reported(plain, named, seq)) is not None:
            return told
        match plain:
            case ["ticket" | "request" | "appointment", *_]:
                return _visitor(plain, named, seq)
            case ["rate", panel, level]:
                return ev.RatingGiven(Point(panel), int(level), seq)
            case ["count", counter, entered]:
                return ev.CountRead(Point(counter), "total", int(entered), seq=seq, line=named.get("line"))
            case ["present", counter, occupancy]:
                return ev.CountRead(Point(counter), "occupancy", occupancy=int(occupancy), seq=seq)
            case ["ask", area, by, *back]:
                return ev.WindowAsked(area, by, withdraw="withdraw" in back, everybody="all" in back)
            case ["override", kind, target, by, *area]:
                for_s = int(named["for_s"]) if "for_s" in named else None
                where, said = area[0] if area else None, named.get("said")
                return ev.OverrideSet(kind, target, by, for_s, where, said)  # type: ignore[arg-type]
            case ["correct", rating, level, by]:
                return ev.RatingCorrected(rating, int(level), by)
            case ["answer", rating, by, *code]:
                return ev.RatingAnswered(rating, by, code[0] if code else None)
            case ["tell", word, by, *about]:
                return _case_told(word, by, about[0] if about else None, named)
            case ["take-alarm", kind, subject, by]:
                return ev.AlarmAccepted(kind, subject, by)
            case ["lift", kind, target, by]:
                return ev.OverrideLifted(kind, target, by, named.get("said"))  # type: ignore[arg-type]
            case ["health", device, paper, *fault]:
                return ev.HealthRead(device, paper, " ".join(fault) or None, seq)  # type: ignore[arg-type]
            case ["announce", by, text, *areas]:
                return ev.Announced(text, "Announcement", tuple(areas), by)
            case ["notice", name, by, until, text, *areas]:
                until_ms = None if until == "-" else int(datetime.fromisoformat(until).timestamp() * 1000)
                return ev.NoticePosted(name, text, f"Notice {name}", tuple(areas), until_ms, by)
            case ["withdraw", name, by]:
                return ev.NoticeWithdrawn(name, by)
            case ["done", action]:
                return ev.CommandDone(action)
            case ["failed", action, *error]:
                return ev.CommandFailed(action, " ".join(error))
            case ["lost", device, *reason]:
                return ev.DeviceLost(Point(device), " ".join(reason))
            case ["back", device]:
                return ev.DeviceBack(Point(device))
            case ["clock", wall]:
                return ev.ClockSet(int(datetime.fromisoformat(wall).timestamp() * 1000), 480)
            case ["policy", *settings]:
                old = self.engine.state.policy_version
                version = int(named.get("version", old - int(named.get("back", -1))))
                if version > old:
                    changes = dict(one.split("=", 1) for one in settings if "=" in one)
                    self.versions[version] = self.versions[old] | changes
                policy = policy_of(self.versions[version])
                return ev.PolicyApplied(version, f"{version:08x}", policy, "pushed" in settings)
            case ["flex", area, opens, closes, by]:
                return ev.HoursFlexed(None if area == "hall" else area, _minute(opens), _minute(closes), by)
            case ["reset", by, *force]:
                return ev.DayReset("" if by == "nobody" else by, force == ["force"])
            case ["site", *change]:
                for part in " ".join(change).split(";"):
                    self.hall.change(part.strip()) if part.strip() else None
                return ev.SiteLoaded(self.hall.site)
            case [panel, key, *_]:
                arg = " ".join(word for word in words[2:] if not word.startswith("seq="))
                return ev.KeyPressed(panel, key, arg or None, seq)  # type: ignore[arg-type]
        raise AssertionError(f"what is {' '.join(words)}?")

    def _state(self, name: str) -> str:
        state = self.engine.state
        if name == "alarms":
            return "alarms " + " ".join(state.alarms)
        for kind in (state.windows, state.areas, state.staff, state.cases, state.ratings):
            if name in kind:
                return f"{name} {_differences(kind[name])}"
        ticket = next((t for t in reversed(state.tickets.values()) if t.number == name), None)
        assert ticket is not None, f"who is {name}?"
        return f"{name} {_differences(ticket)}"


def parse_ms(text: str) -> int:
    """Parse a time of day, ``hh:mm:ss`` or ``hh:mm:ss.mmm``, into ms after midnight of the first day; ``Nd`` before it
    adds N days.
    """
    match = re.fullmatch(r"(?:(\d+)d)?(\d\d):(\d\d):(\d\d)(?:\.(\d\d\d))?", text)
    assert match, f"{text!r} is not a time of day"
    day, hours, minutes, seconds, ms = (int(group or 0) for group in match.groups())
    return (((day * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 + ms


def clock_text(at_ms: int) -> str:
    """Format a time in ms after midnight of the first day, as ``parse_ms`` reads it."""
    seconds, ms = divmod(at_ms, 1000)
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return (f"{days}d" if days else "") + clock + (f".{ms:03d}" if ms else "")


def policy_of(settings: dict[str, str]) -> Policy:
    """The default policy changed by ``settings``, such as ``tidal.band.open_above=3``. An entry of a mapping cannot be
    set alone: ``tidal.areas.tax.pool`` is no path.
    """
    policy: Any = Policy()
    for path, value in settings.items():
        policy = _with(policy, path.split("."), value)
    assert isinstance(policy, Policy)
    return policy


def _with(part: Any, path: list[str], value: str) -> Any:
    name, *rest = path
    before = getattr(part, name)
    if rest:
        return replace(part, **{name: _with(before, rest, value)})
    if value[0] in "{[" and not isinstance(before, str):  # JSON of the whole field, without spaces
        kind = get_type_hints(type(part), include_extras=True)[name]
        return replace(part, **{name: msgspec.json.decode(value, type=kind)})
    if isinstance(before, bool | int):
        return replace(part, **{name: type(before)(int(value))})
    if name in ("week", "special"):
        entry = _session if name == "week" else _special
        return replace(part, **{name: tuple(map(entry, filter(None, value.split(","))))})
    if isinstance(before, tuple) and name != "peaks":
        return replace(part, **{name: tuple(filter(None, value.split(",")))})
    if name == "peaks":  # windows@start-end in minutes after midnight, comma between two
        return replace(part, peaks=tuple(map(_peak, value.split(","))))
    return replace(part, **{name: value})


def _peak(text: str) -> Peak:
    windows, start, end = map(int, re.split("[@-]", text))
    return Peak(windows, start_min=start, end_min=end)


def _visitor(plain: list[str], named: dict[str, str], seq: int | None) -> ev.Event:
    """The event of a line about a visitor, who takes a number or has an appointment."""
    point = named.get("from", "disp")
    booking, reason, returning = (named.get(name) for name in ("appointment", "reason", "returning"))
    match plain:
        case ["ticket", number, service, *priority]:
            return ev.TicketPrinted(Point(point), number, service, _priority(priority), seq, booking, reason)
        case ["request", service, *priority]:
            return ev.TicketRequested(
                Point(point), service, _priority(priority), seq, booking, reason, returning
            )
        case ["appointment", name, "cancelled"]:
            return ev.AppointmentCancelled(name)
        case ["appointment", name, service, at, *priority]:
            start_ms = int(MIDNIGHT.timestamp() * 1000) + parse_ms(at)
            return ev.AppointmentMade(name, service, start_ms, _priority(priority))
    raise AssertionError(f"what is {' '.join(plain)}?")


def _case_told(told: Any, by: str, case: str | None, named: dict[str, str]) -> ev.CaseTold:
    words: dict[str, Any] = {key: named.get(key) for key in ("code", "area", "service", "ticket")}
    level = int(named["level"]) if "level" in named else None
    return ev.CaseTold(told, by, case, **words, special="special" in named, level=level)


def _session(text: str) -> Session:
    days, opens, closes, mode, areas = _hours(text)
    first, _, last = days.partition("-")
    return Session(tuple(range(int(first), int(last or first) + 1)), opens, closes, areas, mode)


def _special(text: str) -> Special:
    date, opens, closes, mode, areas = _hours(text)
    return Special(date, opens, closes, areas, mode)


def _hours(text: str) -> tuple[str, str, str, Any, tuple[str, ...]]:
    """Parse opening hours ``days@opens-closes[@mode[@area+area]]`` into (days, opens, closes, mode, areas)."""
    days, span, mode, areas, *_ = [*text.split("@"), "", ""]
    opens, closes = span.split("-")
    return days, opens, closes, mode or "full", tuple(filter(None, areas.split("+")))


def _minute(text: str) -> int | None:
    return None if text == "-" else day_spans.minutes(text)


def _priority(words: list[str]) -> Any:
    assert not words or words[0] in PRIORITIES, f"{words} is not a priority"
    return words[0] if words else "normal"


def _group(command: Command) -> str:
    if isinstance(command, Action):
        return "actions"
    kind = command.value.kind
    if kind == "serve":
        return kind
    if kind == "lamp":
        return "lamps"
    if kind == "issuing":
        return kind
    if kind in ("panel", "pager", "evaluator"):
        return f"{kind}s"
    if kind == "display":
        if command.point == "duty-led":
            return "duty"
        if command.point == "hall-led":
            return "hall"
        return "areas" if command.point.startswith("led-") else "signs"
    return "centre"


def _command(command: Command) -> str:
    if isinstance(command, Desired) and isinstance(command.value, Issuing):
        stopped = [f"{one.service} {one.reason}" for one in command.value.stopped]
        return f"issuing {command.point} stopped={','.join(stopped) or None}"
    if isinstance(command, Desired):
        return f"{command.value.kind} {command.point} {_differences(command.value)}"
    match command.body:
        case Say(text, _, _, slow):
            return f"say {command.id} {command.point} {text}" + (" slow" if slow else "")
        case Print(number, service, ahead, low_s, _, high_s, about, _, lines, _, seq, boot):
            told = "" if high_s is None else f" wait={low_s}-{high_s}"
            said = "" if not lines else f" {' | '.join(lines)}"
            if about != "ticket":
                return f"print {command.id} {command.point} {about}{said}"
            asked = "" if boot is None else f" answers={boot}/{seq}"
            url = "" if command.body.url is None else f" {command.body.url}"
            return (
                f"print {command.id} {command.point} {number} {service} ahead={ahead}{told}{said}{asked}{url}"
            )
        case Refuse(service, reason, text, text_en):
            return f"refuse {command.id} {command.point} {service} {reason}: {text} | {text_en}"
        case Page(staff, _, _, text, _):
            return f"page {command.id} {command.point} {staff} {text}"


def _note(note: Note) -> str:
    return " ".join([note.kind, note.subject, *(f"{k}={_value(v)}" for k, v in note.data.items())])


def _differences(part: Any) -> str:
    """Format the fields of ``part`` that are not None, 0, empty or an internal id."""
    assert is_dataclass(part)
    hidden = ("id", "number" if hasattr(part, "place_ms") else "", "source", "print_action", *LEARNT)
    said = [
        f"{field.name}={_value(getattr(part, field.name), field.name)}"
        for field in fields(part)
        if field.name not in hidden
        and getattr(part, field.name) not in (None, 0, False, [], "")
        and (field.name, getattr(part, field.name)) != ("lost", ())
    ]
    return " ".join(said)


def _value(value: Any, name: str = "") -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_ms") and isinstance(value, int):
        return clock_text(value)
    if isinstance(value, tuple):
        return " | ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and value and is_dataclass(value[0]):
        return ",".join("/".join(_value(getattr(v, f.name), f.name) for f in fields(v)) for v in value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    text = str(value)
    return f'"{text}"' if " " in text else text
