"""The main loop: takes an event from the inbox, lets the core decide, and hands the result to journal, outputs and
observers.
"""

from __future__ import annotations

import asyncio
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
    """Turns the inbox's items into steps. Output values are passed to the outputs immediately; actions and
    acknowledgements wait until the step is on disk.
    """

    def __init__(
        self,
        engine: Engine,
        inbox: Inbox,
        journal: Journal,
        outputs: Outputs,
        observers: Sequence[Observer],
        crashed: Callable[[Event], None],
    ) -> None:
        """``crashed(event)`` is called if the core raises an exception on an event; the process then ends."""
        self._engine = engine
        self._inbox = inbox
        self._journal = journal
        self._outputs = outputs
        self._seq = journal.last_seq
        self._observers = observers
        self._crashed = crashed
        self._held: asyncio.Future[None] | None = None  # done when a full journal or an error stops the turns
        journal.on_commit(self._committed)

    async def run(self) -> None:
        """Run until cancelled, or until a turn fails. While the journal's queue is full no events are taken; once the
        inbox is full as well, inputs are rejected.
        """
        while True:
            self._held = asyncio.get_running_loop().create_future()
            self._inbox.deliver_to(self._take_turns)
            try:
                await self._held
            finally:
                self._held = None
                self._inbox.deliver_to(None)
            await self._journal.drain()

    def reading(self, begins: bool) -> None:
        """A link calls this with True before it puts the messages of one socket read into the inbox, and with False
        afterwards; their events are then handled before this returns.

        Otherwise they would wait for the next turn of the event loop. After a pause the code of that turn is no longer
        in the processor's caches, and takes 40 us (decision 0001).
        """
        self._inbox.hold(begins)
        if not begins:
            self._take_turns()

    def _take_turns(self) -> None:
        """Handle every waiting event and due tick; does nothing while ``run`` is not active."""
        held = self._held
        if held is None or held.done():
            return
        try:
            while not self._journal.full:
                item = self._inbox.take()
                if item is None:
                    return
                self.turn(item)
        except Exception as error:  # noqa: BLE001 - ``run`` raises it
            held.set_exception(error)
        else:
            held.set_result(None)

    def turn(self, item: Item) -> Step:
        """Feed one item to the core and pass its commands to journal, outputs and observers, without waiting for
        anything. Returns the step.
        """
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
            self._crashed(item.event)
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
        """Send lamp values before anything else of this step.

        A lamp's message wakes the broker's process. The kernel puts that process on our processor, because it expects
        us to sleep soon. So we yield the processor to it; otherwise three lamps in ten wait for the rest of this step
        (decision 0016).
        """
        lit = False
        for command in commands:
            if isinstance(command, Desired) and isinstance(command.value, Lamp):
                self._outputs.want(command, arrived_s, now=True)
                lit = True
        if lit:
            os.sched_yield()

    def _show(self, commands: Sequence[Command], arrived_s: float | None) -> None:
        """Send all output values that are not lamps. While more events wait, values are only stored: if one of those
        events changes an output again, only its newest value is sent.
        """
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
