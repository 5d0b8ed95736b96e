"""The wall clock of the real daemon is set, forward, back and to nonsense: people, numbers and order do not notice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from edged.core.model.events import ClockSet, Resumed
from tests.support.brokers import until
from tests.support.daemon_checks import TIDE, identical
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.false_clocks import FalseClock

MONDAY = "2026-03-02T10:00:00+08:00"
LATER = "2026-03-02T10:05:00+08:00"
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@pytest.fixture
def clock(tmp_path: Path, hall: tuple[Hall, Daemon, Machines]) -> FalseClock:
    one = FalseClock(tmp_path)
    one.show(MONDAY)
    hall[1].environ |= one.environ
    return one


def clocks(files: Hall) -> list[ClockSet]:
    return [step.event for step in files.steps() if isinstance(step.event, ClockSet)]


async def test_a_clock_that_is_set_times_nobody_out_and_closes_nothing(
    hall: tuple[Hall, Daemon, Machines], clock: FalseClock
) -> None:
    """A visitor is being called and a member of staff paged while it jumps by an hour, by years, and back."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(TIDE + 1)
    await until(lambda: machines.lamp.lamp == "blink")
    machines.panel.press("login")
    machines.panel.press("next")
    await until(lambda: files.notes()["ticket.called"] == 1)
    for jump_s in (HOUR_S, -2 * HOUR_S, HOUR_S, 5 * 365 * DAY_S, -5 * 365 * DAY_S):
        steps_before = len(daemon.logged("clock-stepped"))
        clock.step(jump_s)
        await until(lambda: len(daemon.logged("clock-stepped")) == steps_before + 1)
        assert abs(daemon.logged("clock-stepped")[-1]["by_ms"] / 1000 - jump_s) < 10
    stepped = len(daemon.logged("clock-stepped"))
    with clock.lost():  # is not believed at all
        machines.tickets(1, first=TIDE + 2)
        await until(lambda: machines.panel.waiting == TIDE + 1)
        machines.pager.press("accept")
        await until(lambda: files.notes()["tidal.acknowledged"] == 1)
    machines.panel.press("arrive")
    await until(lambda: files.notes()["ticket.arrived"] == 1)
    assert await daemon.stop() == 0
    notes = files.notes()
    for wrong in ("ticket.no_show", "ticket.cancelled", "tidal.unanswered", "area.closed", "window.closed"):
        assert notes[wrong] == 0, wrong
    assert len(daemon.logged("clock-stepped")) == stepped
    assert files.numbers() == [f"A{n:03d}" for n in range(1, TIDE + 3)]
    stamps = [step.at_ms for step in files.steps()]
    assert stamps == sorted(stamps)
    identical(files)


@pytest.mark.parametrize("wrong", ["2031-06-01T03:00:00+08:00", "1970-01-02T00:00:00+00:00"])
async def test_a_start_with_a_wrong_clock_keeps_everything_and_follows_once_it_is_set(
    wrong: str, hall: tuple[Hall, Daemon, Machines], clock: FalseClock
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(3)
    await until(lambda: len(files.tickets()) == 3)
    assert await daemon.stop() == 0
    before = files.steps()
    clock.show(wrong)
    await daemon.restart()
    machines.panel.press("login")
    await until(lambda: files.notes()["window.opened"] == 1)
    clocks_before = len(clocks(files))
    clock.show(LATER)  # further on than the hall believes: what is nearly right is not set
    await until(lambda: len(clocks(files)) > clocks_before)
    assert await daemon.stop() == 0
    steps = files.steps()
    assert steps[: len(before)] == before, "old steps are not pruned on the word of a wrong clock"
    resumed = [step.event for step in steps if isinstance(step.event, Resumed)]
    (gap,) = [event.gap_ms for event in resumed if event.restart]  # a busy machine pauses, too
    assert gap == 0, "what cannot be is not believed in part"
    identical(files)


async def test_a_boot_without_a_clock_waits_for_the_first_time_it_is_told(
    hall: tuple[Hall, Daemon, Machines], clock: FalseClock
) -> None:
    files, daemon, machines = hall
    clock.show("1970-01-01T00:00:20+00:00")
    await daemon.start()
    machines.panel.press("login")
    machines.tickets(2)
    await until(lambda: len(files.tickets()) == 2)
    assert clocks(files) == [], "no business day is made of 1970"
    clock.show(MONDAY)
    await until(lambda: len(clocks(files)) == 1)
    machines.panel.press("next")
    await until(lambda: files.notes()["ticket.called"] == 1)
    machines.tickets(1, first=3)
    await until(lambda: len(files.tickets()) == 3)
    assert await daemon.stop() == 0
    assert files.notes()["ticket.cancelled"] == 0
    identical(files)


async def test_summer_time_ends_at_its_second(hall: tuple[Hall, Daemon, Machines], clock: FalseClock) -> None:
    """In a hall that has it: the hall's clock goes back an hour, waits do not."""
    files, daemon, machines = hall
    files.edit('name = "东区大厅"', 'name = "东区大厅"\ntimezone = "Europe/Berlin"')
    clock.show("2026-10-25T00:40:00+00:00")
    await daemon.start()
    machines.tickets(1)
    await until(lambda: [one.utc_offset_min for one in clocks(files)] == [120])
    clock.show("2026-10-25T00:59:57+00:00")
    await until(lambda: [one.utc_offset_min for one in clocks(files)] == [120, 120])
    await until(lambda: [one.utc_offset_min for one in clocks(files)][-1] == 60)
    assert await daemon.stop() == 0
    assert files.notes()["ticket.cancelled"] == 0
    identical(files)


async def test_the_time_is_recorded_once_an_hour_and_not_at_every_check(
    hall: tuple[Hall, Daemon, Machines],
) -> None:
    """The hour takes three seconds here, a look one."""
    files, daemon, _ = hall
    daemon.planted = "hourly"
    await daemon.start()
    await until(lambda: len(clocks(files)) >= 4, 60.0)
    assert await daemon.stop() == 0
    told_ms = [step.at_ms for step in files.steps() if isinstance(step.event, ClockSet)]
    assert all(later - earlier > 3000 for earlier, later in pairwise(told_ms[1:]))
