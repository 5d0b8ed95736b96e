"""Days that another version of the program decided: their outcome stands, and what cannot stand is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import pytest

from edged.core.engine import Engine
from edged.core.model.events import OutcomeKept, Tick
from edged.core.model.state import State, WindowState
from edged.core.model.turn import Turn
from edged.core.queue import ordering
from edged.core.queue.ordering import Choice
from edged.core.tide import tidal_loop
from edged.core.visits import upgrade
from edged.core.visits.recorded import OVER, Recorded, alike
from edged.core.windows import machine, preparation
from edged.observer import Step
from edged.store.codec import dump_state, load_state
from edged.store.records import Restored
from edged.store.replay import Recovered, recover
from tests.support.core_days import Chance, Feeder

SEED = int(os.environ.get("EDGED_SEED", "20261130"))
DAYS = int(os.environ.get("EDGED_UPGRADES", "30"))
EVENTS = 60


def last_first(turn: Turn, window: str) -> Choice | None:
    """A changed calling rule: in each lane the newest visitor is called first."""
    state = turn.window(window)
    heads = [(lane, turn.state.tickets[queue[-1]]) for lane, queue in ordering._lanes(turn, window)]
    return ordering._pick(turn, window, heads, ordering._Streak.of(state))


class RecordedDay(NamedTuple):
    """A day: its state in the middle, the recorded steps since then, its state at the end."""

    middle: State
    steps: list[Step]
    end: State


@contextmanager
def another_version() -> Iterator[None]:
    """Replace rules of the core: call whoever came last, and never run the tidal loop."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (machine, preparation):
            patch.setattr(module, "choose", last_first)
        patch.setattr(tidal_loop, "evaluate", lambda turn: None)
        yield


@cache  # two tests ask about the same days; who changes a state takes a copy
def recorded_day(seed: int, version: Callable[[], AbstractContextManager[None]] = nullcontext) -> RecordedDay:
    """Run a random day with this version of the rules, or with those that ``version`` puts in force."""
    with version():
        day = Chance(seed).live(EVENTS)
        engine, middle, steps = Engine(), None, list[Step]()
        half = len(day) // 2
        for place, (at_ms, event) in enumerate(day):
            if place == half:
                middle = load_state(dump_state(engine.state), State)
            for at, one, commands, notes in Feeder(engine).feed([(at_ms, event)]):
                if middle is not None:
                    steps.append(Step(len(steps) + 1, at, one, commands, notes))
        assert middle is not None
        return RecordedDay(middle, steps, engine.state)


def recovered(middle: State, steps: list[Step]) -> tuple[Engine, Recovered]:
    """Recover a hall from its state in the middle and the steps since then; return the engine and the report."""
    engine = Engine(load_state(dump_state(middle), State))
    kept_steps = [step for step in steps if step.commands or step.notes or not isinstance(step.event, Tick)]
    restored = Restored(engine.state, 0, middle.at_ms, iter(kept_steps), len(steps), 0, 0)
    return engine, recover(engine, restored)


@pytest.mark.parametrize("seed", range(SEED, SEED + DAYS))
def test_recovering_with_the_same_version_reports_no_changed_outcome(seed: int) -> None:
    middle, steps, _ = recorded_day(seed)
    assert recovered(middle, steps)[1].kept is None, f"EDGED_SEED={seed}"


@pytest.mark.parametrize("seed", range(SEED, SEED + DAYS))
def test_visit_outcomes_read_from_commands_and_notes_equal_those_of_the_state(seed: int) -> None:
    """What is read from commands and notes is what the state says in the end."""
    middle, steps, end = recorded_day(seed)
    from_notes, truth = Recorded(middle), Recorded(end)
    for step in steps:
        from_notes.take(step.event, step.commands, step.notes)
    assert from_notes.next_action == end.next_action
    assert {n: w for n, w in from_notes.windows.items() if n in end.windows} == {
        n: w for n, w in truth.windows.items() if n in end.windows
    }
    for number, visit in truth.visits.items():
        ours = from_notes.visits[number]
        assert alike(ours.state, visit.state), f"{number}: {ours} and {visit}; EDGED_SEED={seed}"
        assert ours.window == visit.window, f"{number}: {ours} and {visit}; EDGED_SEED={seed}"
        if visit.state not in OVER:
            assert ours.service == visit.service, f"{number}: {ours} and {visit}; EDGED_SEED={seed}"


def test_outcomes_decided_by_another_version_are_kept_or_named_after_recovery() -> None:
    """Where the tail was decided by another rule, visits and windows are as recorded, or named."""
    differed = named = visits = 0
    for seed in range(SEED, SEED + DAYS):
        middle, steps, end = recorded_day(seed, another_version)
        engine, found = recovered(middle, steps)
        if found.kept is None:
            continue
        differed += 1
        before = engine.state.next_action
        _, notes = engine.handle(found.last_ms, found.kept)
        engine.check()
        assert max(before, found.kept.next_action) <= engine.state.next_action
        kept_note = next(note for note in notes if note.kind == "journal.outcome_kept")
        left = {alarm.subject for alarm in engine.state.alarms.values() if alarm.kind == upgrade.ALARM}
        assert left == {number for number in str(kept_note.data["left"]).split(",") if number}
        visits += len(found.kept.visits)
        named += len([one for one in found.kept.visits if one.number in left])
        _agree(engine.state, end, left, seed)
        engine.handle(found.last_ms, replace(found.kept, unsure=()))  # told twice, it harms nobody
        engine.check()
    assert differed > DAYS // 4, "the other version decides otherwise"
    assert named <= visits / 10, f"{named} of {visits} visits could not stand as they were"


def _agree(ours: State, theirs: State, left: set[str], seed: int) -> None:
    """Assert that every ticket still in the hall has the same state and window in both; ``left`` are excepted."""
    for ticket in theirs.tickets.values():
        if ticket.ended_ms is not None or ticket.number in left or ticket.direct:
            continue
        ticket_here = ours.tickets[ours.used_numbers[ticket.number]]
        at = ticket.window if ticket.state in ("CALLED", "SERVING") else None
        was = ticket_here.window if ticket_here.state in ("CALLED", "SERVING") else None
        assert alike(ticket_here.state, ticket.state), f"{ticket.number}; EDGED_SEED={seed}"
        assert was == at, f"{ticket.number}; EDGED_SEED={seed}"
    for name, window in theirs.windows.items():
        window_here: WindowState = ours.windows[name]
        if name not in left and window.ticket is not None:
            number = theirs.tickets[window.ticket].number
            assert number in left or window_here.ticket is not None, f"{name}; EDGED_SEED={seed}"


def test_the_turn_of_the_day_clears_the_alarms_about_kept_outcomes() -> None:
    engine = Engine(load_state(dump_state(recorded_day(SEED).middle), State))
    assert engine.state.site is not None
    from edged.core.model.lookup import Lookup
    from edged.core.people import alarms

    turn = Turn(engine.state, Lookup(engine.state.site), engine.state.at_ms)
    alarms.sound(turn, upgrade.ALARM, "A001")
    upgrade.end_day(turn)
    assert not alarms.is_raised(turn, upgrade.ALARM, "A001")
    engine.handle(engine.state.at_ms, OutcomeKept())
