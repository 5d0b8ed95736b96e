"""Every page part and state message of one busy hall, as text to read: ``messages.txt``.

Rewrite it, then read the diff: ``TRANSCRIPTS_UPDATE=1 pytest tests/central/test_messages_as_written.py``. Stamps are
milliseconds of hall time, 28800000 is 08:00.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edged.central import page_desk
from edged.central.page_desk import PageDesk
from edged.central.state_messages import StateMessages
from edged.core.engine import Engine
from edged.core.model.commands import Desired, Note
from edged.core.model.events import Event
from edged.core.signage.signs import CENTRE
from edged.observer import Step
from tests.support.core_transcript import _Run
from tests.support.page_desks import PublishedBodies, page_sources

WRITTEN = Path(__file__).parent / "messages.txt"
DAY = """
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


async def test_what_is_published_of_a_busy_hall_for_pages_and_centre(monkeypatch: Any) -> None:
    published, run = PublishedBodies(up=True), _Run()
    link: Any = published
    sources = page_sources(
        lambda: run.engine,
        pushed=lambda: {"version": 3, "state": "applied"},
        public_url="https://hall.example",
        name_en="Example hall",
        backlog=7,
        clock=False,
    )
    desk, messages = PageDesk(link, "h", sources), StateMessages(link, "h", str)
    monkeypatch.setattr(page_desk, "monotonic_s", lambda: 0.0)  # one round, at the first call
    desk.start()
    await desk.publish_changes()
    handle = Engine.handle

    def handled(engine: Engine, at_ms: int, event: Event) -> tuple[Any, tuple[Note, ...]]:
        commands, notes = handle(engine, at_ms, event)
        desk.step(Step(0, at_ms, event, commands, notes), 0.0)
        centres.extend(one for one in commands if isinstance(one, Desired) and one.point.startswith(CENTRE))
        return commands, notes

    centres: list[Desired] = []
    monkeypatch.setattr(Engine, "handle", handled)
    for line in DAY.strip().splitlines():
        run.line(line)
    for one in centres:
        await messages.show(one.point, one.value)
    await desk.publish_changes()
    lines = [f"{topic} {json.dumps(body, ensure_ascii=False)}\n" for topic, body in published.bodies.items()]
    text = "".join(sorted(lines))
    if os.environ.get("TRANSCRIPTS_UPDATE"):
        WRITTEN.write_text(text)
    assert text == WRITTEN.read_text()
