"""What the pages are told of a hall, from its state: no broker, every value as a manager would read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edged.central import page_desk
from edged.central.page_desk import PageDesk
from edged.central.page_lines import OVER_MS, LineDesk
from edged.central.page_words import devices_in_words
from edged.core.engine import Engine
from edged.core.model.commands import AreaSummary, Desired
from edged.core.model.events import (
    ClockSet,
    Event,
    KeyPressed,
    OverrideSet,
    PolicyApplied,
    SiteLoaded,
    Tick,
    TicketPrinted,
    TicketRequested,
)
from edged.core.model.point import Point, point_of
from edged.core.model.policy import Policy
from edged.core.signage.signs import CENTRE, slot
from edged.observer import Step
from tests.support.core_hall import SiteText, hall_site
from tests.support.page_desks import PublishedBodies, page_sources

OPENS_MS = 28_800_000
WALL_MS = 1_795_392_000_000


class DeskOfHall:
    """An engine, its desk, and the time of day."""

    def __init__(self) -> None:
        self.engine, self.link, self.at_ms = Engine(), PublishedBodies(), OPENS_MS
        self.pushed: dict[str, Any] | None = None
        sources = page_sources(lambda: self.engine, pushed=lambda: self.pushed)
        self.desk = PageDesk(self.link, "h", sources)
        self.happen(SiteLoaded(hall_site()), ClockSet(WALL_MS, 480))
        self.desk.start()

    def happen(self, *events: Event) -> None:
        for event in events:
            commands, notes = self.engine.handle(self.at_ms, event)
            self.desk.step(Step(0, self.at_ms, event, commands, notes), 0.0)

    async def published(self) -> dict[str, Any]:
        self.link.changed(True, "")
        await self.desk.publish_changes()
        return self.link.parts


async def test_nothing_is_published_before_the_link_is_up() -> None:
    hall = DeskOfHall()
    await hall.desk.publish_changes()
    assert hall.link.parts == {}
    parts = await hall.published()
    site = hall_site()
    expected = {f"area/{area.id}" for area in site.areas} | {f"window/{window.id}" for window in site.windows}
    assert expected | {"names", "alarms", "overrides", "staff", "policy", "links", "calls"} <= set(parts)


async def test_a_window_that_serves_and_one_that_comes() -> None:
    hall = DeskOfHall()
    hall.happen(
        KeyPressed(Point("p1"), "login", "qin"),
        KeyPressed(Point("p2"), "login", "mei"),
        TicketRequested(Point("disp"), "tax-general", "elderly"),
        KeyPressed(Point("p1"), "next"),
        OverrideSet("open", "w8", "boss"),
    )
    parts = await hall.published()
    assert (parts["window/w1"]["state"], parts["window/w1"]["pause"]) == ("CALLING", None)
    assert (parts["window/w1"]["clerk"], parts["window/w2"]["clerk"]) == ("qin", "mei")
    assert parts["window/w8"]["paged"]["who"] == "李"
    assert [call["priority"] for call in parts["calls"]["calls"]] == ["elderly"]
    windows = {one["id"]: one["window"] for one in parts["staff"]["staff"]}
    assert windows == {"li": "w8", "wang": None, "sun": None, "zhou": None}


async def test_why_a_window_came_reads_alike_in_both_languages_also_at_another_seat() -> None:
    hall = DeskOfHall()
    hall.happen(OverrideSet("open", "w8", "boss"))
    parts = await hall.published()
    reason = {"zh": "税务等候0人，人工开放", "en": "Tax: 0 waiting, opened by hand"}
    assert parts["window/w8"]["reason"] == reason
    hall.happen(KeyPressed(Point("p9"), "login", "li"))
    parts = await hall.published()
    assert (parts["window/w9"]["state"], parts["window/w9"]["reason"]) == ("OPEN", reason)


async def test_a_policy_says_since_when_and_what_became_of_the_last_push() -> None:
    hall = DeskOfHall()
    policy = (await hall.published())["policy"]
    assert (policy["version"], policy["since"], policy["pushed"], policy["pool"]) == (0, None, None, 2)
    hall.at_ms += 60_000
    hall.happen(PolicyApplied(7, "a" * 64, Policy()))
    since = str(hall.at_ms)
    hall.at_ms += 60_000
    hall.happen(PolicyApplied(7, "a" * 64, Policy()))
    why = {"zh": "太旧", "en": "too old"}
    hall.pushed = {"version": 6, "state": "rejected", "why": why, "at": "2026-11-23T10:00:00+08:00"}
    policy = (await hall.published())["policy"]
    assert (policy["version"], policy["since"], policy["pushed"]) == (7, since, hall.pushed)


async def test_what_time_alone_changed_is_published_without_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_desk, "monotonic_s", lambda: 0.0)  # one round, at the first call
    hall = DeskOfHall()
    await hall.published()
    place, longer = point_of(CENTRE, "tax"), AreaSummary("tax", 3, None, 1, 0, wait_s=900)
    hall.engine.state.shown[slot(place, longer)] = longer
    await hall.desk.publish_changes()
    assert hall.link.parts["area/tax"]["wait_s"] is None, "nothing says that it changed"
    hall.desk.step(Step(0, hall.at_ms, Tick(), (Desired(place, longer),), ()), 0.0)
    await hall.desk.publish_changes()
    assert hall.link.parts["area/tax"]["wait_s"] == 900


async def test_an_area_that_gives_no_numbers_says_so() -> None:
    hall = DeskOfHall()
    hall.happen(OverrideSet("pause-issuing", "tax", "boss"))
    parts = await hall.published()
    assert {area: parts[f"area/{area}"]["issuing_paused"] for area in ("tax", "house")} == {
        "tax": True,
        "house": False,
    }


def test_devices_of_the_duty_manager_are_named_as_theirs() -> None:
    text = SiteText()
    text.change("duty pager-duty panel=panel-duty")
    words = devices_in_words(text.site, ("pager-duty", "pager-li", "nobody"))
    assert words["pager-duty"] == ("值班长设备", "Duty manager's device")
    relay = devices_in_words(text.site, ("relay",))["relay"]
    assert relay == ("1号窗口灯等4处", "Lamp of window 1 and 3 more")
    assert words["pager-li"] == ("李的寻呼器", "Pager of 李")
    assert words["nobody"] == ("nobody", "nobody")


@pytest.mark.parametrize(("secret", "shown"), [("ab" * 32, ["A002", "A003"]), ("", [])])
async def test_visits_are_on_their_own_pages_until_they_are_over(secret: str, shown: list[str]) -> None:
    hall = DeskOfHall()
    hall.happen(SiteLoaded(replace(hall_site(), tickets_url="https://hall.example/t")))
    hall.happen(*(TicketPrinted(Point("disp"), f"A00{number}", "tax-general") for number in (1, 2, 3)))
    state = hall.engine.state
    state.ticket_secret = secret
    over, just_over, _ = state.tickets.values()
    over.state, over.ended_ms = "SERVED", hall.at_ms - OVER_MS
    just_over.state, just_over.ended_ms = "SERVED", hall.at_ms - OVER_MS + 1
    await LineDesk(hall.link, "h", hall.desk._from).publish_changes()
    assert [row[1] for row in hall.link.parts["line/tax"]["rows"]] == shown
