"""Same events in, same commands out: twice, over a restart anywhere, and without a tick that asks for itself.

Seeded days with late, duplicate and illegal events, new policies, new configurations and absences. Every failure
prints the command that lives the same day again; ``EDGED_SEED`` chooses where the seeds start.
"""

from __future__ import annotations

import os
from random import Random

import pytest

from edged.core.engine import Engine
from edged.core.model import events as ev
from edged.core.model.state import State
from edged.store.codec import dump_state, load_state
from tests.support.core_days import Chance, Feeder

FIRST_SEED = int(os.environ.get("EDGED_SEED", "0"))
DAYS = 3  # `edged simulate` lives thousands of whole days; these are for whoever changes the core
STEPS = 300
DAY_MS = 86_400_000
TICKS_MAX = 1_000  # until a hall that everybody left has fallen asleep


@pytest.fixture(
    params=[FIRST_SEED, *(pytest.param(FIRST_SEED + n, marks=pytest.mark.long) for n in range(1, DAYS))]
)
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    print(f"live this day again: EDGED_SEED={number} pytest tests/core/test_determinism.py")  # noqa: T201
    return number


def restarted(engine: Engine) -> Engine:
    """The same hall, after its state went to disk and came back."""
    return Engine(load_state(dump_state(engine.state), State))


def test_the_same_events_give_the_same_commands_and_state(seed: int) -> None:
    random_hall = Chance(seed)
    day = random_hall.live(STEPS)
    again = Feeder(Engine())
    first, second = list(again.feed(day)), list((other := Feeder(Engine())).feed(day))
    assert first == second
    assert dump_state(again.engine.state) == dump_state(other.engine.state)
    assert dump_state(again.engine.state) == dump_state(random_hall.engine.state)


def test_a_restart_anywhere_changes_nothing(seed: int) -> None:
    chance = Random(seed)
    day = Chance(seed).live(STEPS)
    straight = Feeder(Engine())
    expected = list(straight.feed(day))
    cut = Feeder(Engine(), lambda engine: restarted(engine) if chance.random() < 0.1 else engine)
    for index, (outcome, wanted) in enumerate(zip(cut.feed(day), expected, strict=True)):
        assert outcome == wanted, f"step {index}"
    assert dump_state(cut.engine.state) == dump_state(straight.engine.state)


def test_the_state_loaded_from_json_is_equal_and_in_the_same_order(seed: int) -> None:
    random_hall = Chance(seed)
    random_hall.live(STEPS)
    blob = dump_state(random_hall.engine.state)
    again = load_state(blob, State)
    assert again == random_hall.engine.state
    assert dump_state(again) == blob


def test_a_hall_without_people_has_no_timers_but_opening_hours_and_kept_cases(seed: int) -> None:
    random_hall = Chance(seed)
    random_hall.live(STEPS)
    feeder = Feeder(random_hall.engine)
    cases = [case.id for case in random_hall.engine.state.cases.values() if case.state != "CLOSED"]
    list(feeder.feed([(random_hall.at_ms, ev.CaseTold("close", "centre", case)) for case in cases]))
    for ticks, _ in enumerate(feeder.ticks(random_hall.at_ms + 7 * DAY_MS)):
        assert ticks <= TICKS_MAX, f"still asking for ticks, next at {random_hall.engine.next_due_ms}"
    assert {name.partition("/")[0] for name in random_hall.engine.state.timers} <= {"case-keep", "hours"}
    assert random_hall.engine.next_due_ms == min(random_hall.engine.state.timers.values(), default=None)
    assert not [w for w in random_hall.engine.state.windows.values() if w.due_ms is not None]


def test_the_restart_comparison_notices_a_restart_that_loses_state() -> None:
    day = Chance(1).live(STEPS // 2)

    def forgetful(engine: Engine) -> Engine:
        engine.state.last_key.clear()
        for window in engine.state.windows.values():
            window.reason = None
        return restarted(engine)

    straight, cut = Feeder(Engine()), Feeder(Engine(), forgetful)
    assert list(straight.feed(day)) != list(cut.feed(day))
