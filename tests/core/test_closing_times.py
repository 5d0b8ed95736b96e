"""When an area may give a "+1" window back at the earliest: calm for long enough, and open for long enough."""

from __future__ import annotations

import pytest

from edged.core.engine import Engine
from edged.core.model.events import ClockSet, Event, PolicyApplied, SiteLoaded
from edged.core.model.lookup import Lookup
from edged.core.model.policy import Policy, Pw, Tidal
from edged.core.model.turn import Turn
from edged.core.tide.arbiter import earliest_close_ms
from tests.support.core_days import START_MS
from tests.support.core_hall import SiteText

CALM_MS = START_MS + 600_000


@pytest.mark.parametrize(
    ("asked_s", "may_s"),
    [(None, 180), (-600, 180), (100, 400)],  # seconds after it became calm; open for 300
)
def test_a_tidal_window_stays_until_minimum_open_and_time_since_request_are_both_over(
    asked_s: int | None, may_s: int
) -> None:
    engine = Engine()
    tidal = Tidal(rule="pw", pw=Pw(hold_s=180, min_open_s=300))
    events: list[Event] = [ClockSet(0, 480), SiteLoaded(SiteText().site), PolicyApplied(1, "", Policy(tidal))]
    for event in events:
        engine.handle(START_MS, event)
    assert engine.state.site is not None
    turn = Turn(engine.state, Lookup(engine.state.site), CALM_MS)
    area = turn.area("tax")
    area.under_since_ms = CALM_MS
    area.last_request_ms = None if asked_s is None else CALM_MS + asked_s * 1000
    assert earliest_close_ms(turn, "tax") == CALM_MS + may_s * 1000
