"""What the pages are told of a hall, from its state: no broker, every value as a manager would read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from edged.central import page_desk
from edged.central.page_desk import PageDesk
from edged.central.page_lines import OVER_MS, LineDesk
from edged.central.page_sources import PageSources
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

OPENS_MS = 28_800_000
WALL_MS = 1_795_392_000_000


class Told:
    """A link that keeps what is published; up when it is told so."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}
        self.changed: Callable[[bool, str], None]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert retain
        self.bodies[topic.removeprefix("hall/h/page/")] = json.loads(payload)

    def on_state(self, callback: Callable[[bool, str], None]) -> None:
        self.changed = callback


class Hall:
    """An engine, its desk, and the time of day."""

    def __init__(self) -> None:
        self.engine, self.link, self.at_ms = Engine(), Told(), OPENS_MS
        self.pushed: dict[str, Any] | None = None
        pages = SimpleNamespace(public_url=None)
        config: Any = SimpleNamespace(devices=(), timezone="Asia/Shanghai", name_en=None, pages=pages)
        sources = PageSources(
            state=lambda: self.engine.state,
            config=lambda: config,
            at_ms=lambda: self.engine.state.at_ms,
            stamp=str,
            backlog=lambda: 0,
            durable=lambda: True,
            clock=lambda: True,
            pushed=lambda: self.pushed,
        )
        self.desk = PageDesk(self.link, "h", sources)
        self.happen(SiteLoaded(hall_site()), ClockSet(WALL_MS, 480))
        self.desk.start()

    def happen(self, *events: Event) -> None:
        for event in events:
            commands, notes = self.engine.handle(self.at_ms, event)
            self.desk.step(Step(0, self.at_ms, event, commands, notes), 0.0)

    async def told(self) -> dict[str, Any]:
        self.link.changed(True, "")
        await self.desk.publish_changes()
        return self.link.bodies


async def test_nothing_is_told_before_the_link_is_up() -> None:
    hall = Hall()
    await hall.desk.publish_changes()
    assert hall.link.bodies == {}
    told = await hall.told()
    site = hall_site()
    parts = {f"area/{area.id}" for area in site.areas} | {f"window/{window.id}" for window in site.windows}
    assert parts | {"names", "alarms", "overrides", "staff", "policy", "links", "calls"} <= set(told)


async def test_a_window_that_serves_and_one_that_comes() -> None:
    hall = Hall()
    hall.happen(
        KeyPressed(Point("p1"), "login", "qin"),
        KeyPressed(Point("p2"), "login", "mei"),
        TicketRequested(Point("disp"), "tax-general", "elderly"),
        KeyPressed(Point("p1"), "next"),
        OverrideSet("open", "w8", "boss"),
    )
    told = await hall.told()
    assert (told["window/w1"]["state"], told["window/w1"]["pause"]) == ("CALLING", None)
    assert (told["window/w1"]["clerk"], told["window/w2"]["clerk"]) == ("qin", "mei")
    assert told["window/w8"]["paged"]["who"] == "李"
    assert [call["priority"] for call in told["calls"]["calls"]] == ["elderly"]
    windows = {one["id"]: one["window"] for one in told["staff"]["staff"]}
    assert windows == {"li": "w8", "wang": None, "sun": None, "zhou": None}


async def test_why_a_window_came_reads_alike_in_both_languages_also_at_another_seat() -> None:
    hall = Hall()
    hall.happen(OverrideSet("open", "w8", "boss"))
    told = await hall.told()
    reason = {"zh": "税务等候0人，人工开放", "en": "Tax: 0 waiting, opened by hand"}
    assert told["window/w8"]["reason"] == reason
    hall.happen(KeyPressed(Point("p9"), "login", "li"))
    told = await hall.told()
    assert (told["window/w9"]["state"], told["window/w9"]["reason"]) == ("OPEN", reason)


async def test_a_policy_says_since_when_and_what_became_of_the_last_push() -> None:
    hall = Hall()
    policy = (await hall.told())["policy"]
    assert (policy["version"], policy["since"], policy["pushed"], policy["pool"]) == (0, None, None, 2)
    hall.at_ms += 60_000
    hall.happen(PolicyApplied(7, "a" * 64, Policy()))
    since = str(hall.at_ms)
    hall.at_ms += 60_000
    hall.happen(PolicyApplied(7, "a" * 64, Policy()))
    why = {"zh": "太旧", "en": "too old"}
    hall.pushed = {"version": 6, "state": "rejected", "why": why, "at": "2026-11-23T10:00:00+08:00"}
    policy = (await hall.told())["policy"]
    assert (policy["version"], policy["since"], policy["pushed"]) == (7, since, hall.pushed)


async def test_what_time_alone_changed_is_told_without_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_desk, "monotonic_s", lambda: 0.0)  # one round, at the first look
    hall = Hall()
    await hall.told()
    place, longer = point_of(CENTRE, "tax"), AreaSummary("tax", 3, None, 1, 0, wait_s=900)
    hall.engine.state.shown[slot(place, longer)] = longer
    await hall.desk.publish_changes()
    assert hall.link.bodies["area/tax"]["wait_s"] is None, "nothing says that it changed"
    hall.desk.step(Step(0, hall.at_ms, Tick(), (Desired(place, longer),), ()), 0.0)
    await hall.desk.publish_changes()
    assert hall.link.bodies["area/tax"]["wait_s"] == 900


async def test_an_area_that_gives_no_numbers_says_so() -> None:
    hall = Hall()
    hall.happen(OverrideSet("pause-issuing", "tax", "boss"))
    told = await hall.told()
    assert {area: told[f"area/{area}"]["issuing_paused"] for area in ("tax", "house")} == {
        "tax": True,
        "house": False,
    }


def test_the_duty_managers_devices_are_called_so() -> None:
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
    hall = Hall()
    hall.happen(SiteLoaded(replace(hall_site(), tickets_url="https://hall.example/t")))
    hall.happen(*(TicketPrinted(Point("disp"), f"A00{number}", "tax-general") for number in (1, 2, 3)))
    state = hall.engine.state
    state.ticket_secret = secret
    over, just_over, _ = state.tickets.values()
    over.state, over.ended_ms = "SERVED", hall.at_ms - OVER_MS
    just_over.state, just_over.ended_ms = "SERVED", hall.at_ms - OVER_MS + 1
    await LineDesk(hall.link, "h", hall.desk._from).publish_changes()
    assert [row[1] for row in hall.link.bodies["line/tax"]["rows"]] == shown
