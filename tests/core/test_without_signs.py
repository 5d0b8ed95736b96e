"""Whoever only counts people need not have boards worded: every decision is the same without signs."""

from __future__ import annotations

from edged.bench.aged import Days
from edged.core.engine import Engine
from edged.core.model.commands import Action, Command, Desired, Note
from edged.core.model.events import Tick
from edged.store import codec


def test_without_boards_and_lamps_notes_actions_and_state_are_the_same() -> None:
    hall, bare = Days(windows=20, tickets=200), Engine(with_signs=False)
    notes: list[Note] = []
    bare_notes: list[Note] = []
    actions: list[Command] = []
    bare_commands: list[Command] = []
    last_ms = 0
    for day in range(2):
        for step, at_ms in hall.day(day):
            notes += step.notes
            actions += [command for command in step.commands if isinstance(command, Action)]
            while (due_ms := bare.next_due_ms) is not None and due_ms <= at_ms:
                last_ms = max(due_ms, last_ms)
                commanded, notes_without_signs = bare.handle(last_ms, Tick())
                bare_commands += commanded
                bare_notes += notes_without_signs
            last_ms = at_ms
            if not isinstance(step.event, Tick):
                commanded, notes_without_signs = bare.handle(at_ms, step.event)
                bare_commands += commanded
                bare_notes += notes_without_signs
    assert len(notes) > 1_000
    assert bare_notes == notes
    assert bare_commands == actions
    assert not any(isinstance(command, Desired) for command in bare_commands)
    hall.engine.state.shown.clear()
    assert not bare.state.shown
    assert codec.dump_state(bare.state) == codec.dump_state(hall.engine.state)
