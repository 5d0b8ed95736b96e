"""The whole core under whatever hypothesis can think of: every event at any moment, in any order, with any argument.

``Engine.check`` and the promises of ``edged/sim/worlds/promises.py`` are looked at after every step. At the end the
day is lived again from its events alone, once straight and once over a restart in the middle: same commands, same
notes, same state. A failing day is printed by hypothesis as a program and kept in its database; thousands of shorter
ones are in ``test_random_days.py``, which keeps what failed in a file.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edged.core.engine import Engine
from edged.core.model import events as ev
from edged.core.model.point import Point
from edged.core.model.state import State
from edged.sim.worlds.promises import Facts, Promises
from edged.sim.worlds.wild import Wild
from edged.store.codec import dump_state, load_state
from tests.support.core_days import PRIORITIES, START_MS, Chance, Feeder, Outcome

WALL_MS = 1_763_852_400_000
PANELS = tuple(f"p{n}" for n in (1, 2, 3, 4, 8, 9, 7))
POINTS = (*PANELS, "pager-li", "pager-wang", "disp")
KEYS: tuple[ev.Key, ...] = get_args(ev.Key)
NUMBERS = tuple(f"T{n}" for n in range(1, 13))
SERVICES = ("tax-general", "tax-invoice", "social-card", "deed", "newborn", "nothing")
ARGS = (
    *(
        None,
        None,
        None,
        "li",
        "wang",
        "stranger",
        "meal",
        "5",
        "soon",
        "tax",
        "w1",
        "w2",
        "w8",
        "deed",
        "mars",
    ),
    *(
        "told-once/photo",
        "told-once",
        "promise/contract",
        "transferred/w4",
        "served",
        "papers",
        "by=chen for_s=60",
    ),
)
ABOUT: tuple[ev.Key, ...] = ("resume", "resume", "cancel", "priority", "reprint", "priority-insert")
ENDS: tuple[ev.Key, ...] = ("finish", "finish", "park", "transfer")
ASIDE = ("PARKED", "RETURN_PENDING", "NO_SHOW", "BOOKED", "ISSUE_FAILED")
OUTCOMES = (None, "told-once/photo", "promise/contract", "transferred/deed", "transferred/w2", "5", "social")
numbers = st.sampled_from((*NUMBERS, "A001", "A002", "S001", "T0"))
arguments = st.one_of(
    st.sampled_from(ARGS),
    st.builds(
        "{}{}".format, numbers, st.sampled_from(("", "", "/by-visitor", "/elderly", "/military/card-shown"))
    ),
)
seqs = st.one_of(st.none(), st.integers(0, 40))
priorities = st.sampled_from(PRIORITIES)
appointments = st.sampled_from((None, None, "b1", "b2"))


class Hall(RuleBasedStateMachine):
    """A hall that anything may happen to."""

    def __init__(self) -> None:
        super().__init__()
        self.at_ms = START_MS
        self.feeder = Feeder(Engine())
        self.day: list[tuple[int, ev.Event]] = []
        self.lived: list[Outcome] = []
        self.chance = Chance(0)
        self.promises = Promises(self.chance.sites[0])
        self.number = 0
        self.seq = 1000  # of messages that surely were not sent before

    @initialize()
    def open(self) -> None:
        self.happen(ev.ClockSet(WALL_MS + self.at_ms, 480))
        self.happen(ev.SiteLoaded(self.chance.sites[0]))
        for panel in PANELS[:4]:
            self.happen(ev.KeyPressed(Point(panel), "login", f"clerk-{panel}"))

    def happen(self, event: ev.Event) -> None:
        if isinstance(event, ev.Resumed):
            self.at_ms = self.feeder.engine.state.at_ms
        self.day.append((self.at_ms, event))
        for outcome in self.feeder.feed([(self.at_ms, event)]):
            self.lived.append(outcome)
            self.promises.step(Facts.of(self.feeder.engine.state), *outcome[1:])
        if isinstance(event, ev.Resumed):
            self.at_ms += event.gap_ms

    @rule(seconds=st.sampled_from((0, 1, 5, 20, 60, 61, 300, 901, 3600, 30_000)))
    def time_passes(self, seconds: int) -> None:
        self.at_ms += seconds * 1000

    @rule(
        number=numbers, service=st.sampled_from(SERVICES), priority=priorities, seq=seqs, booked=appointments
    )
    def print_ticket(
        self, number: str, service: str, priority: ev.Priority, seq: int | None, booked: str | None
    ) -> None:
        self.happen(ev.TicketPrinted(Point("disp"), number, service, priority, seq, booked))

    @rule(
        service=st.sampled_from(SERVICES),
        priority=priorities,
        back=st.one_of(st.none(), numbers),
        why=appointments,
    )
    def request_ticket(self, service: str, priority: ev.Priority, back: str | None, why: str | None) -> None:
        self.happen(
            ev.TicketRequested(Point("disp"), service, priority, None, why, why and "card-shown", back)
        )

    @rule(panel=st.sampled_from(PANELS))
    def call(self, panel: str) -> None:
        self.at_ms += 1000
        self.happen(ev.KeyPressed(Point(panel), "next"))

    @rule(point=st.sampled_from(POINTS), key=st.sampled_from(KEYS), arg=arguments, seq=seqs)
    def press(self, point: str, key: ev.Key, arg: str | None, seq: int | None) -> None:
        self.happen(ev.KeyPressed(Point(point), key, arg, seq))

    @rule(panel=st.sampled_from(PANELS[:4]), key=st.sampled_from(ENDS), arg=st.sampled_from(OUTCOMES))
    def serve(self, panel: str, key: ev.Key, arg: str | None) -> None:
        """Somebody comes, is called, and something is done with them."""
        self.number += 1
        self.happen(ev.TicketPrinted(Point("disp"), f"V{self.number}", SERVICES[self.number % 5]))
        self.happen(ev.KeyPressed(Point(panel), "next"))
        self.at_ms += 40_000
        self.happen(ev.KeyPressed(Point(panel), key, arg))

    @rule(panel=st.sampled_from(PANELS[:4]), nth=st.integers(0, 12), key=st.sampled_from(ABOUT))
    def about_a_number(self, panel: str, nth: int, key: ev.Key) -> None:
        """Of the visits that are known, those that wait for something first."""
        tickets = sorted(self.feeder.engine.state.tickets.values(), key=lambda t: t.state not in ASIDE)
        if tickets:
            self.happen(ev.KeyPressed(Point(panel), key, tickets[nth % len(tickets)].number))

    @rule(
        name=st.sampled_from(("b1", "b2")), service=st.sampled_from(SERVICES), in_s=st.integers(-9000, 9000)
    )
    def book(self, name: str, service: str, in_s: int) -> None:
        self.happen(ev.AppointmentMade(name, service, WALL_MS + self.at_ms + in_s * 1000))

    @rule(name=st.sampled_from(("b1", "b2")))
    def call_off(self, name: str) -> None:
        self.happen(ev.AppointmentCancelled(name))

    @rule(seed=st.integers(0, 10_000))
    def anything_else(self, seed: int) -> None:
        """A policy, a configuration, a device, the clock, an override, an absence: as the seeded days draw them."""
        self.chance.random.seed(seed)
        self.chance.at_ms, self.chance.engine = self.at_ms, self.feeder.engine
        draw = self.chance.random.choice((self.chance._device, self.chance._hall, self.chance._override))
        self.happen(draw())

    @rule(seed=st.integers(0, 10_000))
    def illegal(self, seed: int) -> None:
        """Any event with any content."""
        wild = Wild(self.chance.sites[0], Random(seed))
        self.happen(wild.event([ticket.number for ticket in self.feeder.engine.state.tickets.values()]))

    @rule(panel=st.sampled_from(PANELS), key=st.sampled_from(KEYS), arg=arguments, late=st.booleans())
    def twice(self, panel: str, key: ev.Key, arg: str | None, late: bool) -> None:
        """The broker delivers a message again, at once or after another one: once is enough."""
        self.seq += 2
        event = ev.KeyPressed(Point(panel), key, arg, self.seq)
        self.happen(event)
        if late:
            self.happen(ev.KeyPressed(Point(panel), "next", None, self.seq + 1))
        self.happen(
            replace(event, again=True)
        )  # without DUP, a first number again is a device that starts anew
        _, _, commands, notes = self.lived[-1]
        self.promises.changed_nothing(event, commands, notes)

    @rule(panel=st.sampled_from(PANELS), key=st.sampled_from(KEYS), arg=arguments)
    def late(self, panel: str, key: ev.Key, arg: str | None) -> None:
        """A message that was overtaken by the next one of its device."""
        self.seq += 2
        overtaken = ev.KeyPressed(Point(panel), key, arg, self.seq - 1)
        self.happen(replace(overtaken, seq=self.seq))
        self.at_ms += 40_000
        self.happen(overtaken)

    @rule(seed=st.integers(0, 10_000))
    def again(self, seed: int) -> None:
        """A redelivery of something that happened."""
        events = [event for _, event in self.day if not isinstance(event, ev.Resumed)]
        if events:
            self.happen(events[seed % len(events)])

    @invariant()
    def nobody_is_in_two_places(self) -> None:
        """Said here once more, in words of its own: ``Engine.check`` asserts far more."""
        held = [w.ticket for w in self.feeder.engine.state.windows.values() if w.ticket is not None]
        assert len(held) == len(set(held))

    def teardown(self) -> None:
        again = Feeder(Engine())
        assert list(again.feed(self.day)) == self.lived
        last = dump_state(self.feeder.engine.state)
        assert dump_state(again.engine.state) == last
        half = len(self.day) // 2
        cut = Feeder(Engine())
        list(cut.feed(self.day[:half]))
        cut.engine = Engine(load_state(dump_state(cut.engine.state), State))
        list(cut.feed(self.day[half:]))
        assert dump_state(cut.engine.state) == last


def _examples(count: int) -> settings:
    return settings(
        max_examples=count,
        stateful_step_count=80,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TestHall = Hall.TestCase
TestHall.settings = _examples(8)


@pytest.mark.long
class TestManyHalls(Hall.TestCase):  # type: ignore[misc, valid-type]
    """The same, for longer."""

    settings = _examples(40)


def test_an_area_that_closes_may_mark_another_for_evaluation_during_the_evaluation() -> None:
    """Found by the machine above: the areas to look at grew while they were gone through, and the daemon ended."""
    hall = Hall()
    hall.open()
    hall.serve(panel="p1", key="finish", arg=None)
    hall.anything_else(seed=2722)  # a policy with hours that are over
    hall.call(panel="p2")
    hall.call(panel="p2")
    assert {own.phase for own in hall.feeder.engine.state.hours.values()} == {"closed"}
    hall.teardown()
