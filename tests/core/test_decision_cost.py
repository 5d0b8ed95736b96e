"""What a decision costs in calls of Python functions, which no machine changes: saturated halls of 60 windows."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from dataclasses import replace

import pytest

from edged.bench import decisions
from edged.bench.decisions import Crowd, Size, site_of
from edged.core.model.events import DeviceBack, DeviceLost
from edged.core.model.losses import OUR_LINK
from edged.core.model.point import Point, device_of
from edged.core.model.site import Site

CALLS_MAX = 8_000  # 6,400 today; looking at every window for every window and area takes 11,300
LOST_CALLS_MAX = 2_000
LOST_EVERY_MS = 1_000  # hall time: no rush that puts a look off


def everybody_serves_everything(windows: int) -> Site:
    """一窗综合受理: every window has the skills of every area, so each event concerns all of them."""
    site = site_of(windows)
    skills = tuple(service.id for service in site.services)
    areas = tuple(area.id for area in site.areas)
    return replace(
        site,
        windows=tuple(replace(window, skills=skills) for window in site.windows),
        staff=tuple(replace(member, skills=areas) for member in site.staff),
    )


@pytest.mark.parametrize("hall", [site_of, everybody_serves_everything])
def test_a_decision_in_a_saturated_hall_takes_a_bounded_number_of_calls(
    hall: Callable[[int], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "site_of", hall)
    crowd = Crowd(Size(60, 700))
    assert all(area.waiting > 100 for area in crowd.engine.state.areas.values())
    with cProfile.Profile() as profile:
        count = sum(1 for _ in crowd.steps(300))
    calls = pstats.Stats(profile).total_calls / count  # type: ignore[attr-defined]
    assert 100 < calls < CALLS_MAX


def test_the_cost_of_a_lost_device_depends_on_its_own_areas_only() -> None:
    crowd = Crowd(Size(200, 600))
    engine = crowd.engine
    assert engine.state.site is not None
    panels = [window.panel for window in engine.state.site.windows if window.panel]
    devices = [Point(device_of(panel)) for panel in panels[:12]]
    events = [DeviceLost(device, OUR_LINK) for device in devices] + [DeviceBack(device) for device in devices]
    costs = []
    for event in events:
        crowd.pass_ms(LOST_EVERY_MS)
        with cProfile.Profile() as profile:
            crowd.feed(event)
        costs.append(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]
    assert all(device in engine.state.devices for device in devices)
    assert max(costs) < LOST_CALLS_MAX, costs
