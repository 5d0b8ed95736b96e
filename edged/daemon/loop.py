"""The loop: event -> core -> journal, outputs, observers. Every other task waits on one of these three."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from edged.clock import perf_s
from edged.core.engine import Engine
from edged.core.model.commands import Action, Command, Desired, Lamp, Note
from edged.core.model.events import DeviceEvent, Event
from edged.daemon.inbox import Inbox, Item
from edged.daemon.outputs import Outputs
from edged.observer import Observer, Step
from edged.store.journal import Journal
from edged.store.records import is_recorded


class Loop:
    """Turns items of the inbox into steps. Levels leave at once; actions and acknowledgements wait for the disk."""

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        journal: Journal,
        outputs: Outputs,
        observers: Sequence[Observer],
        broke: Callable[[Event], None],
    ) -> None:
        """``broke(event)`` is called when the core raised on an event; the process then ends."""
        self._engine = engine
        self._inbox = inbox
        self._journal = journal
        self._outputs = outputs
        self._seq = journal.last_seq
        self._observers = observers
        self._broke = broke
        journal.on_commit(self._committed)

    async def run(self) -> None:
        """Run until cancelled. A full journal queue holds the inbox back, and through it the wires."""
        while True:
            item = await self._inbox.get()
            if self._journal.full:
                await self._journal.drain()
            self.turn(item)

    def turn(self, item: Item) -> Step:
        """Take one step of the core, synchronously."""
        arrived_s = item.arrived_s if isinstance(item.event, DeviceEvent) else None
        commands: tuple[Command, ...] = ()
        notes: tuple[Note, ...] = ()
        decision_s, since_s = 0.0, perf_s()
        try:
            for commanded, noted in self._engine.lamps_first(item.at_ms, item.event):
                decision_s += perf_s() - since_s
                commands += commanded
                notes += noted
                self._light(commanded, arrived_s)
                since_s = perf_s()
        except Exception:
            self._broke(item.event)
            raise
        self._show(commands, arrived_s)
        kept = is_recorded(item.event, commands, notes)
        self._seq += kept
        step = Step(self._seq, item.at_ms, item.event, commands, notes)
        if kept:
            self._journal.append(step, item.ack, item.attachments)
        for observer in self._observers:
            observer.step(step, decision_s)
        state = self._engine.state
        if self._journal.dump_due(item.at_ms, state.day):
            self._journal.snapshot(state, self._journal.last_seq, item.at_ms, state.day or None)
        return step

    def _light(self, commands: Sequence[Command], arrived_s: float | None) -> None:
        """Hand lamp levels to the outputs, before anything else of this step.

        The kernel wakes whoever carries a lamp on (the broker) on our own processor, as if we slept next. We do not, so
        we let them run first: without that, three lamps in ten wait for the rest of this step (decision 0016).
        """
        lit = False
        for command in commands:
            if isinstance(command, Desired) and isinstance(command.value, Lamp):
                self._outputs.want(command, arrived_s, now=True)
                lit = True
        if lit:
            os.sched_yield()

    def _show(self, commands: Sequence[Command], arrived_s: float | None) -> None:
        """Hand all other levels to the outputs; in a burst only the newest text of each slot."""
        last = not len(self._inbox)
        for command in commands:
            if isinstance(command, Desired) and not isinstance(command.value, Lamp):
                self._outputs.want(command, arrived_s, now=last)

    def _committed(self, steps: Sequence[Step]) -> None:
        for step in steps:
            for command in step.commands:
                if isinstance(command, Action):
                    self._outputs.act(command)
        for observer in self._observers:
            observer.committed(steps)
