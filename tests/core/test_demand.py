"""What an area is up against, worked out: expected arrivals, and windows that come and go while somebody waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.core.engine import Engine
from edged.core.model import forecast
from edged.core.model.events import ClockSet, KeyPressed, PolicyApplied, SiteLoaded
from edged.core.model.forecast import Load, Stream
from edged.core.model.lookup import Lookup
from edged.core.model.point import Point
from edged.core.model.policy import Policy, Pw, Tidal
from edged.core.model.site import Site
from edged.core.model.turn import Turn
from edged.core.people import alarms, staffing
from edged.core.queue import demand
from tests.support.core_hall import hall_site

AT_MS = 28_800_000
NOON_MS = 1_795_406_400_000  # a wall time whose hour and minute the tests set by the offset


def turn_of(site: Site, clock_min: int, pw: Pw | None = None) -> Turn:
    """A hall at ``clock_min`` minutes after midnight, with one clerk at the first window."""
    engine = Engine()
    engine.handle(AT_MS, SiteLoaded(site))
    engine.handle(AT_MS, ClockSet(NOON_MS // 86_400_000 * 86_400_000 + clock_min * 60_000, 0))
    if pw is not None:
        engine.handle(AT_MS, PolicyApplied(1, "0" * 64, Policy(tidal=replace(Tidal(), pw=pw))))
    engine.handle(AT_MS, KeyPressed(Point("p1"), "login", "mei"))
    return Turn(engine.state, Lookup(site), AT_MS)


def test_with_an_arrival_profile_no_steady_arrivals_are_assumed() -> None:
    profile = (3.0, 6.0, 9.0)
    turn = turn_of(hall_site(), 490, Pw(profile={"tax": profile}, profile_start_min=480))
    found = demand.plain_stream(turn, "tax", demand.load_of(turn, "tax"))
    assert found == Stream(10.0, profile, 0.0)
    assert found.mass(0, 45) == sum(profile)


def test_without_an_arrival_profile_arrivals_are_what_regular_windows_can_serve() -> None:
    turn = turn_of(hall_site(), 490)
    load = demand.load_of(turn, "tax")
    assert load.windows > 0
    found = demand.plain_stream(turn, "tax", load)
    assert found.profile == ()
    assert found.steady_per_min == pytest.approx(
        forecast.STEADY_LOAD * max(1.0, load.windows) * 60 / load.mean_s
    )


def test_an_unmanned_regular_window_still_counts_for_the_assumed_arrivals() -> None:
    turn = turn_of(hall_site(), 490)
    for window in ("w1", "w2"):
        turn.window(window).state, turn.window(window).staff = "OPEN", window
    alarms.sound(turn, alarms.UNMANNED, "w2")
    turn.touch_area("tax")
    load = demand.load_of(turn, "tax")
    assert (load.windows, demand.area_load(turn, "tax").unmanned) == (1.0, 1.0)
    found = demand.plain_stream(turn, "tax", load)
    assert found.steady_per_min == pytest.approx(forecast.STEADY_LOAD * 2 * 60 / load.mean_s)


@pytest.mark.parametrize(
    ("shifts", "clock_min", "left_min"),
    [
        (((480, 540),), 500, 40),
        (((480, 540), (540, 600)), 500, 100),  # one begins where the other ends
        (((480, 540), (541, 600)), 500, 40),
        (((1320, 360),), 1380, 420),  # through midnight
        (((480, 540),), 540, None),  # it is over
        (((0, 720), (720, 1440)), 500, None),  # always there
        ((), 500, None),
    ],
)
def test_the_time_until_a_clerk_leaves_is_read_from_the_shifts(
    shifts: tuple[tuple[int, int], ...], clock_min: int, left_min: int | None
) -> None:
    site = hall_site()
    first, *others = site.staff
    turn = turn_of(replace(site, staff=(replace(first, shifts=shifts), *others)), clock_min)
    left_s = staffing.leaves_in_s(turn, first.id)
    assert left_s == (None if left_min is None else left_min * 60)


def test_waits_grow_when_a_window_leaves_and_the_last_window_is_taken_over() -> None:
    both = Load(10.0, 2.0, 2.0, 600.0)
    one_goes = both._replace(leaving=((900.0, 1.0),))
    all_go = both._replace(leaving=((900.0, 1.0), (900.0, 1.0)))
    alone = both._replace(windows=1.0, busy=1.0)
    waits = [forecast.wait_range(load, 10.0) for load in (both, one_goes, all_go, alone)]
    means = [found.mean_s for found in waits if found is not None]
    assert means == sorted(means)
    assert means[0] == 11 * 300
    assert means[1] == 900 + (11 - 3) * 600
    assert means[2] == means[1], "somebody takes the last one over"


def test_a_shift_that_ends_after_the_wait_changes_nothing() -> None:
    both = Load(10.0, 2.0, 2.0, 600.0)
    later = both._replace(leaving=((100_000.0, 1.0),))
    assert forecast.wait_range(later, 10.0) == forecast.wait_range(both, 10.0)
    assert later.staying(99_999.0) == later
    assert later.staying(100_000.0).windows == 1.0
