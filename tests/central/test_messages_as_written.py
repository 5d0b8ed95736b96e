"""Every page part and state message of a hall, as text to read: on a busy morning (``messages.txt``), before anybody
has come (``messages_early.txt``), and when much goes wrong (``messages_troubled.txt``).

Rewrite them, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/central/test_messages_as_written.py``. Stamps are
milliseconds of hall time, 28800000 is 08:00.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edged.central import page_desk
from edged.central.page_desk import PageDesk
from edged.central.page_lines import LineDesk
from edged.central.state_messages import StateMessages
from edged.core.engine import Engine
from edged.core.model.commands import Desired, Note
from edged.core.model.events import Event
from edged.core.model.policy import Tidal, Trial
from edged.core.model.state import PolicyTrial
from edged.core.signage.signs import CENTRE
from edged.observer import Step
from tests.support.core_transcript import _Run
from tests.support.page_desks import PublishedBodies, page_sources

FOLDER = Path(__file__).parent
BUSY = """
08:00:01 site area cases 办不成事 Cases; service unsolved cases 办不成事反映 Unsolved U case; window w5 5 unsolved
08:00:02 policy hours.week=1-5@08:00-17:00 tidal.band.open_sustain_s=0
08:01:00 panel-duty login zhao
08:10:00 p1 login qin
08:10:10 p2 login mei
08:10:20 p3 login sun
08:20:00 tickets A001-A014 tax-general 5
08:22:00 ticket S001 social-card elderly
08:22:30 p1 next
08:22:40 p1 arrive
08:22:50 p2 next
08:23:00 p3 pause meal
08:23:10 p1 commissioner
08:23:20 p1 special-need
08:23:30 panel-duty pause-issuing house
08:23:40 panel-duty close w4
08:23:50 lost led-tax timeout
08:24:00 ask social zhao
08:24:10 tell open centre code=papers area=tax special=1
08:24:20 take-alarm device-lost led-tax zhao
"""
TROUBLED = """
08:00:01 site own-pages https://hall.example/t
08:00:01 site window w1 1 tax-general,deed panel=p1 lamp=relay/1 display=d1 evaluator=e1
08:00:01 policy hours.week=1-5@08:00-17:00@assisted,1@08:30-11:00@full@social tidal.rule=pw
08:00:02 policy calling.call_timeout_s=60 visits.reoffers=0
08:00:03 roster absent li zhao
08:00:04 secret a
08:10:00 p1 login qin
08:10:01 p1 login mei
08:10:02 p4 login hua
08:10:03 p3 login sun
08:10:04 p2 login gao
08:11:00 tickets A001-A006 tax-general 5
08:11:40 tickets H001-H009 deed 1
08:12:00 ticket A007 tax-general enterprise
08:12:01 request tax-general elderly
08:12:02 request tax-general
08:12:03 request deed
08:12:04 request social-card
08:12:10 ticket S001 social-card
08:12:30 p1 next
08:12:35 p1 arrive
08:12:50 p1 finish
08:13:10 rate e1 1
08:14:00 p2 next
08:16:10 p2 noshow
08:18:00 p4 next
08:18:10 p4 arrive
08:18:20 p4 park
08:18:30 p3 next
08:18:35 p3 arrive
08:18:40 p3 finish
08:19:00 override open w8 zhao tax for_s=600 said=rush
08:19:10 p8 login wang
08:19:20 p8 next
08:19:30 lost p8 refused
08:19:40 lost relay timeout
08:19:50 lost d8
08:20:00 override hold w8 zhao
08:20:30 ask tax zhao
08:21:00 present door 12
08:21:10 p1 next
08:21:20 p1 next
08:22:00 p2 pause rest
08:26:00 present door 15
"""


def nothing_more(engine: Engine) -> None:
    """No-op: leave the day as its events made it."""


def harm(engine: Engine) -> None:
    """Put the hall into safe mode while a policy on trial does harm."""
    state, trial = engine.state, PolicyTrial(4, "f" * 64, Trial(), Tidal(), harmful=True)
    state.trial = replace(trial, left_min=7, waited_s=1300, limit_s=600, worse=9)
    state.put_aside = state.policy


@pytest.mark.parametrize(
    ("name", "day", "devices", "after"),
    [
        ("messages", BUSY, (), nothing_more),
        ("messages_early", "", ("p1", "relay"), nothing_more),
        ("messages_troubled", TROUBLED, ("p8", "relay", "d8", "p1", "voice", "e1"), harm),
    ],
)
async def test_what_is_published_for_pages_and_centre(
    name: str, day: str, devices: tuple[str, ...], after: Callable[[Engine], None], monkeypatch: Any
) -> None:
    published, run = PublishedBodies(up=True), _Run()
    link: Any = published
    sources = page_sources(
        lambda: run.engine,
        pushed=lambda: {"version": 3, "state": "applied"},
        public_url="https://hall.example",
        name_en="Example hall",
        backlog=7,
        clock=False,
        devices=devices,
    )
    desk, lines, messages = (
        PageDesk(link, "h", sources),
        LineDesk(link, "h", sources),
        StateMessages(link, "h", str),
    )
    monkeypatch.setattr(page_desk, "monotonic_s", lambda: 0.0)  # one round, at the first call
    desk.start()
    lines.start()
    await desk.publish_changes()
    handle = Engine.handle

    def handled(engine: Engine, at_ms: int, event: Event) -> tuple[Any, tuple[Note, ...]]:
        commands, notes = handle(engine, at_ms, event)
        desk.step(Step(0, at_ms, event, commands, notes), 0.0)
        centres.extend(one for one in commands if isinstance(one, Desired) and one.point.startswith(CENTRE))
        return commands, notes

    centres: list[Desired] = []
    monkeypatch.setattr(Engine, "handle", handled)
    for line in day.strip().splitlines():
        run.line(line)
    after(run.engine)
    for one in centres:
        await messages.show(one.point, one.value)
    await desk.publish_changes()
    await lines.publish_changes()
    shown = [f"{topic} {json.dumps(body, ensure_ascii=False)}\n" for topic, body in published.bodies.items()]
    text = "".join(sorted(shown))
    written = FOLDER / f"{name}.txt"
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        written.write_text(text)
    assert text == written.read_text()
    again = PublishedBodies(up=True)
    restarted = PageDesk(again, "h", sources)
    restarted.start()
    await restarted.publish_changes()
    for topic, body in again.bodies.items():
        if topic.startswith("page/area/"):
            figures = {key: body[key] for key in ("issued", "called", "served", "in_time")}
            assert figures == {key: published.bodies[topic][key] for key in figures}, topic
