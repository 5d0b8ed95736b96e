"""When the page desk publishes what: each change at the next look, everything within a round, and nothing twice."""

from __future__ import annotations

import pytest

from edged.central import page_desk
from edged.central.page_desk import PageDesk
from edged.central.page_lines import LineDesk
from edged.core.engine import Engine
from edged.core.model.commands import Desired, Display, Lamp, Note
from edged.core.model.events import (
    ClockSet,
    DayReset,
    Event,
    KeyPressed,
    SiteLoaded,
    Tick,
    TicketPrinted,
    TicketRequested,
    TicketSecretDrawn,
)
from edged.core.model.point import Point
from edged.core.signage.signs import slot
from edged.observer import Step
from tests.support.core_hall import SiteText, hall_site
from tests.support.page_desks import PublishedBodies, page_sources

OPENS_MS, DAY_MS = 28_800_000, 86_400_000
WALL_MS = 1_795_392_000_000
FIGURES = ("issued", "called", "in_time", "served")


class DeskOfHall:
    """An engine, its desk, and the time of day."""

    def __init__(self) -> None:
        self.engine, self.link, self.at_ms = Engine(), PublishedBodies(), OPENS_MS
        self.start_desk()
        self.happen(SiteLoaded(hall_site()), ClockSet(WALL_MS, 480))
        self.start_desk()

    def start_desk(self) -> None:
        """Start the desk anew, as after a restart of the process."""
        self.desk = PageDesk(self.link, "h", page_sources(lambda: self.engine))
        self.desk.start()

    def happen(self, *events: Event) -> None:
        for event in events:
            commands, notes = self.engine.handle(self.at_ms, event)
            self.desk.step(Step(0, self.at_ms, event, commands, notes), 0.0)

    async def connect(self) -> None:
        self.link.bodies.clear()
        self.link.changed(True, "")
        await self.desk.publish_changes()

    async def published_in_one_round(self) -> list[str]:
        """The windows and areas that are published at one look."""
        self.link.bodies.clear()
        await self.desk.publish_changes()
        return [part for part in self.link.parts if "/" in part]


async def test_what_no_note_shows_is_published_within_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine windows and areas, three at a time: the third step of the round has shown them all, and it begins anew."""
    monkeypatch.setattr(page_desk, "ROUND_PARTS", 3)
    now_s = 100.0
    monkeypatch.setattr(page_desk, "monotonic_s", lambda: now_s)
    hall, site = DeskOfHall(), hall_site()
    parts = [f"area/{area.id}" for area in site.areas] + [f"window/{window.id}" for window in site.windows]
    assert len(parts) == 9
    await hall.connect()
    for turn in range(1, 8):  # more than two rounds
        blind = (turn - 1) // 3 % 2 == 0  # for one round, then not for one
        for area in hall.engine.state.areas.values():
            area.stale = "sensor" if blind else None
        for window in hall.engine.state.windows.values():
            window.stale = blind
        assert await hall.published_in_one_round() == [], "not yet"
        now_s += page_desk.ROUND_S
        first = turn % 3 * 3
        assert await hall.published_in_one_round() == parts[first : first + 3]


async def test_what_a_sign_shows_is_published_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """No note tells of the change, and it does not wait for its turn in the round."""
    monkeypatch.setattr(page_desk, "monotonic_s", lambda: 100.0)
    hall = DeskOfHall()
    await hall.connect()
    for point, value in ((Point("relay/1"), Lamp("blink")), (Point("d1"), Display(("1", "2")))):
        hall.engine.state.shown[slot(point, type(value))] = value
        hall.desk.step(Step(0, hall.at_ms, Tick(), (Desired(point, value),), ()), 0.0)
        assert await hall.published_in_one_round() == ["window/w1"]
    shown = hall.link.parts["window/w1"]
    assert (shown["lamp"], shown["led"]) == ("blink", ["1", "2"])


async def test_a_new_day_begins_without_calls_and_figures() -> None:
    hall = DeskOfHall()
    hall.happen(
        KeyPressed(Point("p1"), "login", "qin"),
        TicketRequested(Point("disp"), "tax-general"),
        KeyPressed(Point("p1"), "next"),
        KeyPressed(Point("p1"), "arrive"),
        KeyPressed(Point("p1"), "finish"),
    )
    await hall.connect()
    assert [hall.link.parts["area/tax"][key] for key in FIGURES] == [1, 1, 1, 1]
    assert [call["number"] for call in hall.link.parts["calls"]["calls"]] == ["A001"]
    today, hall.at_ms = hall.engine.state.day, OPENS_MS + DAY_MS
    hall.happen(KeyPressed(Point("p2"), "login", "mei"), TicketRequested(Point("disp"), "deed"))
    assert hall.engine.state.day == today + 1
    await hall.connect()
    assert [hall.link.parts["area/tax"][key] for key in FIGURES] == [0, 0, 0, 0]
    assert [hall.link.parts["area/house"][key] for key in FIGURES] == [1, 0, 0, 0]
    assert hall.link.parts["calls"]["calls"] == []


@pytest.mark.parametrize("outcome", ["", "told-once/papers"])
async def test_a_visitor_called_twice_counts_once_before_and_after_a_restart(outcome: str) -> None:
    """After a no-show, or sent to fetch papers and back."""
    hall = DeskOfHall()
    leave: tuple[Event, ...] = (KeyPressed(Point("p1"), "no-show"),)
    if outcome:
        leave = (KeyPressed(Point("p1"), "arrive"), KeyPressed(Point("p1"), "finish", outcome))
    call = KeyPressed(Point("p1"), "next")
    hall.happen(KeyPressed(Point("p1"), "login", "qin"), TicketRequested(Point("disp"), "tax-general"), call)
    hall.happen(*leave)
    (ticket,) = hall.engine.state.tickets.values()
    assert ticket.state == ("RETURN_PENDING" if outcome else "NO_SHOW")
    await hall.connect()
    assert [hall.link.parts["area/tax"][key] for key in FIGURES] == [1, 1, 1, 0]
    hall.happen(KeyPressed(Point("p1"), "resume", "A001"), call)
    hall.happen(KeyPressed(Point("p1"), "arrive"), KeyPressed(Point("p1"), "finish"))
    for _ in range(2):
        await hall.connect()
        assert [hall.link.parts["area/tax"][key] for key in FIGURES] == [1, 1, 1, 1]
        hall.start_desk()


async def test_a_number_that_begins_again_after_a_reset_is_another_visitor() -> None:
    hall = DeskOfHall()
    visit = (
        TicketPrinted(Point("disp"), "A001", "tax-general"),
        KeyPressed(Point("p1"), "next"),
        KeyPressed(Point("p1"), "arrive"),
        KeyPressed(Point("p1"), "finish"),
    )
    hall.happen(KeyPressed(Point("p1"), "login", "qin"), *visit, DayReset("wang"))
    hall.happen(KeyPressed(Point("p1"), "login", "qin"), *visit)
    await hall.connect()
    assert [call["number"] for call in hall.link.parts["calls"]["calls"]] == ["A001", "A001"]
    assert [hall.link.parts["area/tax"][key] for key in FIGURES] == [2, 2, 2, 2]


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_a_hall_lost_is_taken_from_the_pages_once(restarted: bool) -> None:
    """Also parts that the process before had published, and also once a broker that was away is back."""
    hall, text = DeskOfHall(), SiteText()
    await hall.connect()
    if restarted:
        hall.start_desk()
    for line in ("without window w9", "without area house", "without service deed", "without window w4"):
        text.change(line)
    hall.happen(SiteLoaded(text.site))
    hall.link.away = True
    await hall.connect()
    assert hall.link.bodies == {}
    hall.link.away = False
    await hall.connect()
    gone = {"window/w9", "window/w4", "area/house"}
    assert {part for part, body in hall.link.parts.items() if body is None} == gone
    await hall.connect()
    assert "window/w8" in hall.link.parts
    assert not gone & set(hall.link.parts)


async def test_an_area_that_no_sign_has_shown_yet_has_nobody_waiting() -> None:
    hall = DeskOfHall()
    hall.engine.state.shown.clear()
    await hall.connect()
    area = hall.link.parts["area/tax"]
    figures = ("waiting", "open_windows", "tidal_windows", "asked_windows")
    assert [area[key] for key in figures] == [0, 0, 0, 0]
    assert (area["oldest_since"], area["wait_s"], area["next"]) == (None, None, [])


async def test_visitors_own_pages_hold_todays_numbers_and_go_with_the_hall_that_has_none() -> None:
    hall, text = DeskOfHall(), SiteText()
    text.change("own-pages https://hall.example")
    hall.happen(SiteLoaded(text.site), TicketSecretDrawn("a" * 64))
    hall.happen(*(TicketRequested(Point("disp"), "tax-general") for _ in range(3)))
    lines = LineDesk(hall.link, "h", page_sources(lambda: hall.engine))
    lines.start()

    async def numbers() -> list[str]:
        hall.link.bodies.clear()
        hall.link.changed(True, "")
        await lines.publish_changes()
        return [row[1] for row in hall.link.parts["line/tax"]["rows"]]

    assert await numbers() == ["A001", "A002", "A003"]
    first, second, _ = hall.engine.state.tickets.values()
    first.direct = True  # served at a window without a number
    second.issued_ms = hall.engine.state.day_start_ms - 1  # yesterday
    assert await numbers() == ["A003"]
    hall.happen(SiteLoaded(hall_site()))
    hall.link.bodies.clear()
    await lines.publish_changes()
    areas = {f"line/{area.id}": None for area in hall_site().areas}
    assert hall.link.parts == areas
    hall.link.bodies.clear()
    await lines.publish_changes()
    assert hall.link.parts == {}


async def test_a_call_of_which_little_is_known_is_shown_with_what_is_known() -> None:
    """In follow mode the queue system calls at windows that the hall does not have, or numbers that nobody knows."""
    hall = DeskOfHall()
    called = Note("ticket.called", "A001", {"window": "w77", "area": "tax", "wait_s": None})
    again = Note("ticket.recalled", "A002", {"window": "w1"})
    hall.desk.step(Step(0, hall.at_ms, Tick(), (), (called, again)), 0.0)
    await hall.connect()
    known = {"at": str(OPENS_MS), "priority": "normal", "wait_s": None, "told_s": None}
    assert hall.link.parts["calls"]["calls"] == [
        known | {"n": 2, "number": "A002", "window": "w1", "area": None, "again": True},
        known | {"n": 1, "number": "A001", "window": "w77", "area": "tax", "again": False},
    ]
    assert [hall.link.parts["area/tax"][key] for key in FIGURES] == [0, 1, 1, 0]
