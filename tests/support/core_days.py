"""Generates days of a hall from a seed: sensible events and wrong ones; and feeds days to an engine.

``Chance.live`` makes a day event by event while an engine lives it: it presses keys where the state makes them useful,
and where it does not. The day that it returns can be fed again without any randomness. A day holds no ticks: ``Feeder``
adds each when the engine's ``next_due_ms`` is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import Any, get_args

from edged.core.engine import Engine
from edged.core.model import events as ev
from edged.core.model.commands import Action, Command, Note
from edged.core.model.point import Point
from edged.core.model.policy import (
    Arbiter,
    Band,
    Calling,
    CallRule,
    Cutoff,
    Hours,
    Journey,
    Noon,
    Peak,
    Policy,
    PriorityClass,
    Pw,
    Rule,
    Session,
    Tidal,
    Triggers,
    Visits,
)
from edged.sim.worlds.promises import Facts, Promises
from edged.sim.worlds.wild import Wild
from tests.support.core_sites import sites

Day = list[tuple[int, ev.Event]]
Outcome = tuple[int, ev.Event, tuple[Command, ...], tuple[Note, ...]]

START_MS = 7 * 3_600_000
PRIORITIES: tuple[ev.Priority, ...] = ev.CLASSES
RULES: tuple[Rule, ...] = ("pw", "pw", *get_args(Rule))
KEYS: tuple[ev.Key, ...] = get_args(ev.Key)
SERVICES = ("tax-general",) * 4 + ("newborn", "tax-invoice", "social-card", "deed", "nothing", "unsolved")
ARGS: dict[ev.Key, tuple[str | None, ...]] = {
    "pause": ("meal", "meal", None, "用餐", "lunch"),
    "park": (None, None, "5", "soon"),
    "prepare": (None, None, None, "back"),
    "finish": (
        None,
        None,
        "told-once/photo",
        "told-once",
        "promise/contract",
        "served",
        "transferred/deed",
        "?",
    ),
    "walk-direct": (None, "tax-general", "social-card", "mars"),
    "green-lane": (None, "tax-invoice", "deed/pregnant", "military/card-shown", "mars"),
}


class Feeder:
    """Feeds a day to an engine: before each event the ticks due by then, each at its own time. ``after`` is called with
    the engine after every step, and returns the engine to go on with: the same, or one restored from its state.
    """

    def __init__(self, engine: Engine, after: Callable[[Engine], Engine] | None = None) -> None:
        self.engine = engine
        self._after = after

    def feed(self, day: Iterable[tuple[int, ev.Event]]) -> Iterator[Outcome]:
        """Feed a day; yields the outcome of every step, ticks included."""
        for at_ms, event in day:
            yield from self.ticks(at_ms)
            yield self._step(at_ms, event)

    def ticks(self, until_ms: int) -> Iterator[Outcome]:
        """Feed every tick due until ``until_ms``. Fails if a tick does not move the engine's next due time on, because
        such a day would never end.
        """
        while (due_ms := self.engine.next_due_ms) is not None and due_ms <= until_ms:
            yield self._step(due_ms, ev.Tick())
            after_ms = self.engine.next_due_ms
            assert after_ms is None or after_ms > due_ms, f"at {due_ms} the engine asks for {after_ms} again"

    def _step(self, at_ms: int, event: ev.Event) -> Outcome:
        commands, notes = self.engine.handle(at_ms, event)
        self.engine.check()
        if self._after is not None:
            self.engine = self._after(self.engine)
        return at_ms, event, commands, notes


class Chance:
    """Draws a random day, event by event. ``pace_s``: mean pause between events in seconds; ``small``: a hall of one
    area.

    After every step the engine's invariants and the promises (what must always hold in a hall) are checked; a message
    that comes twice must change nothing.
    """

    def __init__(self, seed: int, pace_s: float = 15.0, small: bool = False) -> None:
        self.random = Random(seed)
        self.engine = Engine()
        self.at_ms = START_MS
        self.pace_s = pace_s
        self.small = small
        self.sites = sites(small)
        self.promises = Promises(self.sites[0])
        self.wild = Wild(self.sites[0], self.random)
        self.day: Day = []
        self.seq = 0
        self.number = 0
        self.actions: list[str] = []

    def live(self, steps: int) -> Day:
        """Make a day of ``steps`` events while ``self.engine`` handles them; returns the day."""
        self._happen(ev.ClockSet(1_763_852_400_000 + self.at_ms, 480))
        self._happen(ev.SiteLoaded(self.random.choice(self.sites) if self.small else self.sites[0]))
        for panel in ("p1", "p2", "p3", "p4"):
            self._happen(ev.KeyPressed(Point(panel), "login"))
        for _ in range(steps):
            self._pass_time()
            event = self._draw()
            self._happen(event)
            if isinstance(event, ev.DeviceEvent) and event.seq is not None and self.random.random() < 0.1:
                self._come_twice(event)
            elif isinstance(event, ev.KeyPressed) and self.random.random() < 0.03:
                self.at_ms += 100
                self._happen(replace(event, seq=None))
        return self.day

    def _come_twice(self, event: ev.DeviceEvent) -> None:
        self.day.append((self.at_ms, event))
        for _, lived, commands, notes in Feeder(self.engine).feed([(self.at_ms, event)]):
            if lived is event:
                self.promises.changed_nothing(event, commands, notes)
            else:  # a tick that was due
                self.promises.step(Facts.of(self.engine.state), lived, commands, notes)

    def _pass_time(self) -> None:
        kind = self.random.random()
        if kind < 0.10:
            return  # at the same stamp as the last event
        if kind < 0.15 and self.engine.next_due_ms is not None:
            self.at_ms = max(self.at_ms, self.engine.next_due_ms)  # exactly when a tick is due
        elif kind < 0.16:
            self.at_ms += self.random.randrange(3_600_000)
        else:
            self.at_ms += int(self.random.expovariate(1 / (self.pace_s * 1000)))

    def _happen(self, event: ev.Event) -> None:
        if isinstance(event, ev.Resumed):  # stamped with the last moment that was lived, as the inbox does
            self.at_ms = self.engine.state.at_ms
        self.day.append((self.at_ms, event))
        for _, lived, commands, notes in Feeder(self.engine).feed([(self.at_ms, event)]):
            self.actions += [command.id for command in commands if isinstance(command, Action)]
            self.promises.step(Facts.of(self.engine.state), lived, commands, notes)
        if isinstance(event, ev.Resumed):
            self.at_ms += event.gap_ms

    def _draw(self) -> ev.Event:
        draw = self.random.choices(
            (self._ticket, self._key, self._pager, self._again, self._device, self._hall, self._anything),
            (30, 45, 8, 4, 8, 3, 2),
        )[0]
        return draw()

    def _seq(self) -> int | None:
        self.seq += 1
        return self.random.choice((None, self.seq, self.seq % 7))

    def _ticket(self) -> ev.Event:
        service = self.random.choice(SERVICES)
        priority = self.random.choice(("normal",) * 4 + PRIORITIES)
        booked = self.random.choice((None,) * 6 + ("b1", "b2", "b3"))
        reason = self.random.choice((None, "card-shown"))
        if self.random.random() < 0.3:
            back = self.random.choice((None, None, self._away()))
            return ev.TicketRequested(Point("disp"), service, priority, self._seq(), booked, reason, back)
        self.number += self.random.random() < 0.95
        return ev.TicketPrinted(
            Point("disp"), f"T{self.number:03d}", service, priority, self._seq(), booked, reason
        )

    def _key(self) -> ev.Event:
        panel = f"p{self.random.choice((1, 2, 3, 8, 9) if self.small else (1, 2, 3, 4, 8, 8, 9, 9, 7))}"
        likely: tuple[ev.Key, ...] = ("next", "next", "next", "next-or-recall", "finish", "login", "arrive")
        key = self.random.choice(likely * 4 + KEYS)
        return ev.KeyPressed(Point(panel), key, self._arg(key), self._seq())

    def _arg(self, key: ev.Key) -> str | None:
        if key in ("login", "logout", "accept"):
            return self.random.choice((None, "li", "wang", "stranger"))
        if key == "transfer":
            return self.random.choice((None, "tax-invoice", "social-card", "deed", "w1", "w8", "w9", "mars"))
        if key == "resume":
            return self._away()
        if key == "case":
            case = self.random.choice([*self.engine.state.cases, ""])
            return self.random.choice(
                (None, "special papers", "ack", f"close {case}", f"reopen {case}", f"extend {case}")
            )
        if key in ("cancel", "priority", "reprint"):
            live = [t.number for t in self.engine.state.tickets.values() if t.ended_ms is None]
            about = self.random.choice(
                ("", "", "/by-visitor", "/elderly", "/military/card-shown", "/normal", "/x")
            )
            return self.random.choice([*(number + about for number in live[-9:]), None])
        return self.random.choice(ARGS.get(key, (None,)))

    def _away(self) -> str | None:
        states = ("PARKED", "NO_SHOW", "RETURN_PENDING")
        away = [t.number for t in self.engine.state.tickets.values() if t.state in states]
        return self.random.choice([*away, "T999", None])

    def _pager(self) -> ev.Event:
        return ev.KeyPressed(
            Point(self.random.choice(("pager-li", "pager-wang", "pager-sun", "pager-duty"))),
            self.random.choice(("accept", "accept", "decline", "next")),
            seq=self._seq(),
        )

    def _again(self) -> ev.Event:
        """Draw an earlier event unchanged, as a broker delivers a message again."""
        return self.random.choice([event for _, event in self.day if not isinstance(event, ev.Resumed)])

    def _anything(self) -> ev.Event:
        """Draw an event of any kind but ``ClockSet``, with any content."""
        while True:
            event = self.wild.event([f"T{number:03d}" for number in range(1, self.number + 1)])
            if not isinstance(event, ev.ClockSet):  # the clock has steps of its own
                return event

    def _device(self) -> ev.Event:
        action = self.random.choice([*self.actions[-5:], "a0"])
        return self.random.choice(
            (
                ev.RatingGiven(
                    Point(f"p{self.random.randrange(1, 10)}"), self.random.randrange(1, 6), self._seq()
                ),
                ev.CommandDone(action),
                ev.CommandFailed(action, "paper jam"),
                ev.CountRead(Point("door"), "total", entered=self.seq),
                ev.CountRead(Point("door"), "occupancy", occupancy=self.seq % 20),
                ev.HealthRead(Point("disp"), self.random.choice(("ok", "out")), None, self._seq()),
                ev.DeviceLost(Point("disp"), "silent"),
                ev.DeviceBack(Point("disp")),
            )
        )

    def _hall(self) -> ev.Event:
        kind = self.random.random()
        if self.random.random() < 0.6:
            return self.random.choice((self._override, self._case, self._rating))()
        if kind < 0.3:
            return ev.Resumed(self.random.randrange(1, 1_800_000), self.random.random() < 0.7)
        if kind < 0.5:
            return self._policy()
        if kind < 0.7:
            wall_ms = (
                1_763_852_400_000 + self.at_ms + self.random.choice((0, 0, 5_000, 86_400_000, -86_400_000))
            )
            return ev.ClockSet(wall_ms, 480)
        if kind < 0.75:
            return self._by_hand()
        if kind < 0.85:
            start_ms = 1_763_852_400_000 + self.at_ms + self.random.randrange(-3_600_000, 7_200_000)
            name, service = (
                self.random.choice(("b1", "b2", "b3")),
                self.random.choice(("deed", "tax-general")),
            )
            if self.random.random() < 0.1:
                return ev.AppointmentCancelled(name)
            return ev.AppointmentMade(name, service, start_ms, self.random.choice(PRIORITIES))
        return ev.SiteLoaded(self.random.choice(self.sites))

    def _override(self) -> ev.Event:
        pick = self.random.choice
        kind = pick(get_args(ev.OverrideKind))
        target = pick(("w1", "w2", "w8", "w9", "tax", "hall", f"T{self.number:03d}", "mars"))
        if self.random.random() < 0.2:
            return ev.OverrideLifted(kind, target, "chen")
        return ev.OverrideSet(
            kind, target, "chen", pick((None, 60, 900, 0)), pick((None, None, "tax", "social"))
        )

    def _case(self) -> ev.Event:
        pick = self.random.choice
        case = pick([*self.engine.state.cases, None])
        words: dict[str, Any] = {
            "code": pick((None, "papers", "solved", "nonsense")),
            "area": pick((None, "tax", "mars")),
        }
        return ev.CaseTold(
            pick(get_args(ev.CaseWord)),
            "centre",
            case,
            **words,
            ticket=pick((None, f"T{self.number:03d}")),
            special=pick((True, False)),
            level=pick((None, 1, 5)),
        )

    def _rating(self) -> ev.Event:
        pick = self.random.choice
        rating = pick([*self.engine.state.ratings, "v0"])
        if pick((True, False)):
            return ev.RatingAnswered(rating, "chen", pick((None, "visited", "nonsense")))
        return ev.RatingCorrected(rating, pick(range(7)), "centre")

    def _by_hand(self) -> ev.Event:
        pick = self.random.choice
        if self.random.random() < 0.3:
            return ev.DayReset(pick(("", "zhao", "zhao")), pick((False, True)))
        opens = pick((None, 400, 430, 440))
        return ev.HoursFlexed(
            pick((None, "tax", "house", "mars")), opens, pick((None, 435, 450, 480)), "zhao"
        )

    def _hours(self) -> Hours:
        """Draw opening hours around the morning in which these days take place. Half of the policies have none."""
        pick = self.random.choice
        week = tuple(range(1, 9))
        sessions = (
            Session(week, pick(("07:00", "07:20")), pick(("07:40", "08:10"))),
            Session(
                week,
                pick(("07:20", "07:50")),
                "08:30",
                ("tax",),
                pick(("assisted", "closed", "self-service")),
            ),
        )
        noon = Noon("07:25", pick(("07:25", "07:35")), pick(((), ("w1", "w3"))), pick((True, False)))
        cutoff = Cutoff(pick((True, True, False)), pick((0, 1800)), pick((60, 600)), pick((0, 300)))
        return pick((Hours(), Hours(sessions[: pick((1, 2))], noon=noon, cutoff=cutoff)))

    def _visits(self) -> Visits:
        pick = self.random.choice
        return Visits(
            reoffer_s=pick((0, 30, 300)),
            park_s=pick((0, 60, 1800)),
            return_within_s=pick((0, 300, 14400)),
            return_to_owner=pick((False, True)),
            queue_unprinted=pick((True, False)),
            callable_early_s=pick((0, 300)),
            journeys=pick(({}, {"newborn": Journey(("social-card", "tax-general", "deed"))})),
        )

    def _calling(self) -> Calling:
        pick = self.random.choice
        late = CallRule("late", min_wait_s=600)
        deeds = CallRule("deeds", ("w4",), services=("deed",), priorities=("normal", "elderly"))
        return Calling(
            priority_streak=pick((1, 3)),
            infer_arrival_s=pick((0, 20)),
            max_calls=pick((1, 3)),
            classes=pick(({}, {"military": PriorityClass(3600, 1, True), "elderly": PriorityClass(0)})),
            rules=pick(((), (), (late, deeds), (CallRule("cards", areas=("social",)),))),
        )

    def _pw(self) -> Pw:
        pick = self.random.choice
        return Pw(
            open_wait_s=pick((60, 540)),
            close_wait_s=pick((0, 90, 600)),
            min_open_s=pick((60, 600)),
            rest_s=pick((0, 60)),
            typed=pick((True, False)),
            forecast=pick((True, False)),
            lost_finish_means=pick((0, 1)),
            profile=pick(({}, {"tax": (5.0, 20.0, 3.0)})),
        )

    def _policy(self) -> ev.Event:
        pick = self.random.choice
        band = Band(
            open_above=pick((1, 3, 8)),
            open_step=pick((0, 4)),
            open_oldest_wait_s=pick((60, 1800)),
            open_sustain_s=pick((0, 60)),
            close_at=pick((0, 2)),
            close_sustain_s=pick((0, 180)),
            min_open_s=pick((300, 900)),
            max_windows=pick((1, 4)),
        )
        tidal = Tidal(pick((True, True, False)), band, {}, pick((1, 8)), pick((15, 60)), pick((30, 300)))
        tidal = replace(
            tidal, rule=pick(RULES), pw=self._pw(), peaks=pick(((), (Peak(), Peak(2, end_min=700))))
        )
        triggers = Triggers(pick((0, 3)), pick((0, 2)), pick((0, 120)), pick((0, 60)), pick((0, 9)))
        tidal = replace(tidal, triggers=triggers, arbiter=Arbiter(release_after_s=pick((0, 480))))
        return ev.PolicyApplied(
            self.seq,
            "f" * 8,
            Policy(tidal, self._calling(), visits=self._visits(), hours=self._hours()),
            pushed=True,
        )
