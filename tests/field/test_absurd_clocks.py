"""A clock that cannot be right is disbelieved whole, and the day turns once it is set.

Forms seen with others: a real-time clock whose battery died and shows 2151 or 2036, a Raspberry Pi without one that
boots with the time of its last shutdown (fake-hwclock) until the network comes, and boards that start in 1970.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.core.model.events import Resumed
from tests.support.brokers import until
from tests.support.daemon_checks import identical
from tests.support.daemons import Daemon, Hall, Machines
from tests.support.false_clocks import FalseClock

Parts = tuple[Hall, Daemon, Machines]
MORNING = "2026-12-01T09:00:00+08:00"
NEXT_DAY = "2026-12-02T09:00:00+08:00"


@pytest.fixture
def clock(tmp_path: Path, hall: Parts) -> FalseClock:
    one = FalseClock(tmp_path)
    one.show(MORNING)
    hall[1].environ |= one.environ
    return one


def clock_is_doubted(files: Hall) -> bool:
    """Return whether the hall raises the alarm about a wrong clock."""
    return "clock-wrong/east" in json.loads(files.get("/healthz")[1])["alarms"]


def absences_ms(files: Hall) -> list[int]:
    """Return how long the hall takes each of its absences to have lasted, in milliseconds."""
    return [step.event.gap_ms for step in files.steps() if isinstance(step.event, Resumed)]


@pytest.mark.parametrize(
    "shown",
    [
        "2151-03-01T09:00:00+08:00",
        "2036-02-07T06:28:16+00:00",
        "1970-01-01T00:00:20+00:00",
        "2026-11-30T09:00:00+08:00",
    ],
)
async def test_with_a_wrong_clock_after_a_power_loss_no_visitor_waits_longer_or_is_cancelled(
    hall: Parts, clock: FalseClock, shown: str
) -> None:
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(2)
    await until(lambda: len(files.tickets()) == 2)
    assert await daemon.stop() == 0
    clock.show(shown)
    await daemon.restart()
    machines.tickets(1, first=3)
    machines.panel.press("next")
    await until(lambda: machines.panel.number == "A001")
    await until(lambda: clock_is_doubted(files))
    assert absences_ms(files) == [0]
    assert files.notes()["ticket.cancelled"] == 0
    clock.show("2026-12-01T09:01:00+08:00")
    await until(lambda: not clock_is_doubted(files))
    assert files.notes()["ticket.cancelled"] == 0
    assert await daemon.stop() == 0
    identical(files)


async def test_a_day_missed_while_powered_off_turns_when_the_network_sets_the_clock(
    hall: Parts, clock: FalseClock
) -> None:
    """Power cut in the morning, off all night; it boots with yesterday's time, and the network sets the clock."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(2)
    await until(lambda: len(files.tickets()) == 2)
    assert await daemon.stop() == 0
    clock.show("2026-12-01T07:00:00+08:00")
    await daemon.restart()
    await until(lambda: clock_is_doubted(files))
    clock.show(NEXT_DAY)
    await until(lambda: not clock_is_doubted(files))
    machines.dispenser.seq = 0
    machines.tickets(2)
    await until(lambda: len(files.tickets()) == 4)
    assert files.notes()["ticket.cancelled"] == 2, "yesterday's visitors went home"
    assert 23 * 3_600_000 < sum(absences_ms(files)) < 25 * 3_600_000
    machines.panel.press("next")
    await until(lambda: machines.panel.number == "A001")
    assert await daemon.stop() == 0
    identical(files)


async def test_an_absence_of_six_weeks_is_counted_in_full(hall: Parts, clock: FalseClock) -> None:
    """Six weeks: a hall that was rebuilt. Longer than any clock error that can be told, and not cut to thirty days."""
    files, daemon, machines = hall
    await daemon.start()
    machines.tickets(1)
    await until(lambda: len(files.tickets()) == 1)
    assert await daemon.stop() == 0
    clock.show("2027-01-12T09:00:00+08:00")
    await daemon.restart()
    assert not clock_is_doubted(files)
    assert absences_ms(files)[0] > 41 * 86_400_000
    assert await daemon.stop() == 0
    identical(files)
