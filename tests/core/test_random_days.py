"""Hundreds of short random days of a small hall: duplicates, late and illegal events; every promise, every step.

A day is thirty events and every tick between them (``tests/support/core_days.py`` draws them by seed). After each step
``Engine.check`` and the promises of ``edged/sim/worlds/promises.py`` are looked at. A day that breaks one is written
into ``failing_days.txt`` for ever and is lived first in every later run.

Three thousand days take half a minute of processor time: they run with ``-m long``, as ``.ci/run`` does. ``EDGED_DAYS``
lives more of them, ``EDGED_SEED`` begins elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from edged.core import dispatch, keys, sequence
from edged.core.cases import case_book
from edged.core.model import forecast
from edged.core.model.events import OverrideSet
from edged.core.model.point import Point
from edged.core.model.state import Ticket, Voice
from edged.core.model.turn import Turn
from edged.core.people import announcements
from edged.core.queue import tickets
from edged.core.signage import signs
from edged.core.tide import triggers
from edged.core.visits import detours, outcomes
from edged.core.windows import machine, overrides
from tests.support.core_days import Chance

KEPT = Path(__file__).with_name("failing_days.txt")
FIRST_SEED = int(os.environ.get("EDGED_SEED", "0"))
FEW_DAYS = 120  # seconds of work, after every change of the core
DAYS = int(os.environ.get("EDGED_DAYS", "3000"))
EVENTS = 30
PARTS = 30  # of the days, to share between the processors
PLANTED_DAYS = 300  # a planted bug must be found within so many


class RandomDay(NamedTuple):
    """A random day: the same seed, number of events and hall give the same day again."""

    seed: int
    events: int = EVENTS
    hall: str = "small"


def broken(random_day: RandomDay) -> str | None:
    """Run a day; return the first invariant that broke, None if all held."""
    try:
        Chance(random_day.seed, small=random_day.hall == "small").live(random_day.events)
    except Exception as error:  # noqa: BLE001 (whatever the core raises is the finding)
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def broken_days(first: int, end: int) -> list[tuple[int, str]]:
    """Run the days with seeds from ``first`` to before ``end``; return seed and broken invariant of each that broke."""
    return [(seed, found) for seed in range(first, end) if (found := broken(RandomDay(seed))) is not None]


def stored_days() -> list[RandomDay]:
    """Return the days of ``KEPT``, each of which once broke an invariant."""
    words = [line.split("#")[0].split() for line in KEPT.read_text().splitlines()]
    return [RandomDay(int(seed), int(events), hall) for seed, events, hall in filter(None, words)]


@pytest.mark.parametrize("random_day", stored_days(), ids=str)
def test_a_random_day_that_once_broke_an_invariant_breaks_none_now(random_day: RandomDay) -> None:
    assert broken(random_day) is None


@pytest.mark.parametrize("days", [FEW_DAYS, pytest.param(DAYS, marks=pytest.mark.long)])
def test_random_days_break_no_promise_of_the_hall(days: int) -> None:
    size = -(-days // PARTS)
    firsts = range(FIRST_SEED, FIRST_SEED + days, size)
    ends = [min(first + size, FIRST_SEED + days) for first in firsts]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = [one for part in pool.map(broken_days, firsts, ends) for one in part]
    for seed, what in found:
        with KEPT.open("a") as file:
            file.write(f"{seed} {EVENTS} small  # {what}\n")
    assert not found, (
        f"{len(found)} of {days} days; again: EDGED_SEED={found[0][0]} EDGED_DAYS=1 pytest -m long {__file__}"
    )


Patch = pytest.MonkeyPatch


def a_clock_calls(patch: Patch) -> None:
    patch.setattr(machine, "call_deadline", machine.recall)


def a_policy_sends_people_home(patch: Patch) -> None:
    true_fit = case_book.recompute_deadlines

    def fit(turn: Turn) -> None:
        for ticket in [one for one in turn.state.tickets.values() if one.state == "WAITING"]:
            detours.cancel(turn, ticket, "by_reset")
        true_fit(turn)

    patch.setattr(case_book, "recompute_deadlines", fit)


def a_loudspeaker_is_told_two_things_at_once(patch: Patch) -> None:
    true_go_on = announcements._go_on

    def go_on(turn: Turn, point: str, voice: Voice) -> None:
        voice.doing, voice.free_ms = None, 0
        true_go_on(turn, Point(point), voice)

    patch.setattr(announcements, "_go_on", go_on)


def an_estimate_has_its_ends_swapped(patch: Patch) -> None:
    true_range = forecast.wait_range

    def wait_range(load: forecast.Load, ahead: float) -> forecast.Range | None:
        found = true_range(load, ahead)
        return None if found is None else forecast.Range(found.high_s, found.mean_s, found.low_s)

    patch.setattr(forecast, "wait_range", wait_range)


def a_rating_is_assumed(patch: Patch) -> None:
    true_free: Callable[[Turn, str], None] = vars(outcomes)["free"]

    def free(turn: Turn, window: str) -> None:
        ticket = turn.ticket_at(window)
        if ticket is not None and not ticket.rated:
            turn.note("rating.given", ticket.number, level=5, rating=f"v{ticket.id}")
        true_free(turn, window)

    patch.setattr(outcomes, "free", free)


def a_double_press_counts(patch: Patch) -> None:
    patch.setattr(keys, "_double_press", lambda turn, event: False)


def nobody_signs_an_override(patch: Patch) -> None:
    true_decide = overrides.decide

    def decide(turn: Turn, event: OverrideSet) -> None:
        true_decide(turn, replace(event, by=""))

    patch.setattr(overrides, "_problem", overrides._unknown_target)
    patch.setitem(dispatch.HANDLERS, OverrideSet, decide)


def the_tide_takes_the_window_for_cases(patch: Patch) -> None:
    def record_wish(
        turn: Turn, area: str, name: str, by: str | None = None, window: str | None = None
    ) -> None:
        turn.note("tidal.asked", area, area=area, trigger=name, by=by)

    patch.setattr(triggers, "record_wish", record_wish)


def a_wait_begins_too_late(patch: Patch) -> None:
    true_queue = tickets._queue

    def queue(turn: Turn, ticket: Ticket) -> None:
        true_queue(turn, ticket)
        ticket.queued_ms += 60_000

    patch.setattr(tickets, "_queue", queue)


def who_comes_back_is_waited_for_without_a_clock(patch: Patch) -> None:
    true_set = Turn.set_timer

    def set_timer(turn: Turn, name: str, due_ms: int) -> None:
        if not name.startswith("return/"):
            true_set(turn, name, due_ms)

    patch.setattr(Turn, "set_timer", set_timer)


def a_redelivery_counts(patch: Patch) -> None:
    patch.setattr(sequence, "is_redelivery", lambda turn, event: False)


def a_wrong_level_is_shown_again(patch: Patch) -> None:
    true_sign = signs.sign

    def sign(turn: Turn) -> None:
        for window in turn.dirty_windows:
            turn.state.shown.pop(f"centre/{window}|window", None)
        true_sign(turn)

    patch.setattr(signs, "sign", sign)


PLANTED: list[tuple[Callable[[Patch], None], str]] = [
    (a_clock_calls, "routed:"),
    (a_policy_sends_people_home, "pushed:"),
    (a_loudspeaker_is_told_two_things_at_once, "voice:"),
    (an_estimate_has_its_ends_swapped, "ranges:"),
    (a_rating_is_assumed, "rated:"),
    (a_double_press_counts, "double:"),
    (nobody_signs_an_override, "named:"),
    (the_tide_takes_the_window_for_cases, "cases:"),
    (a_wait_begins_too_late, "waits:"),
    (who_comes_back_is_waited_for_without_a_clock, "waits for ever"),
    (a_redelivery_counts, "once:"),
    (a_wrong_level_is_shown_again, "levels:"),
]


@pytest.mark.parametrize(("plant", "promise"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_bug_breaks_its_promise(
    plant: Callable[[Patch], None], promise: str, monkeypatch: Patch
) -> None:
    plant(monkeypatch)
    found = (broken(RandomDay(seed)) for seed in range(PLANTED_DAYS))
    assert promise in (next((what for what in found if what is not None and promise in what), None) or "")
