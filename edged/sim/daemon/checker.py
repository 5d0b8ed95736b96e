"""Checks all the time what a whole daemon promises. It looks only at what is visible from outside the core: steps,
commits, the journal on disk, and what devices receive.

A broken promise raises ``AssertionError``, whose text starts with the promise's name. For each promise a test plants a
bug that breaks it: ``tests/sim/daemon/test_planted_bugs.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from devices.mqtt_json.codec import encode_level
from edged.core.model.commands import Action, Desired
from edged.core.model.events import ClockSet, DeviceEvent, DeviceLost, PolicyApplied
from edged.core.model.point import Point, device_of
from edged.core.model.site import Site
from edged.daemon.app import Application
from edged.observer import Observer, Step
from edged.sim.worlds.promises import Facts, Promises
from edged.store import database
from edged.store.records import encode_step

ONCE = (
    "say",
    "print",
    "refuse",
)  # actions that must not be repeated, because people notice; a repeated page is recognised by its id
OFFERED_AGAIN = "print"  # by the next process; the printer knows the id and prints no second slip
SEQ_MAX = 1_000_000  # of the fakes' own sequence numbers; higher ones are invented
DAY_MS = 86_400_000  # days of UTC: a simulated hall is open within one
WRONG_MS = DAY_MS  # the error that plausible wrong clocks and restarts can add up to is less
ALWAYS_BUSY = "exception-6"  # loss reason of a module that answers "busy" to at most one request in ten
SHOWN_MAX = 64  # newest values of an output that may still be under way


class DaemonChecker(Observer):
    """The checker of one simulation, an observer of the daemon. Call ``process_started`` for each new process, and
    ``ended`` after the last.
    """

    def __init__(self, site: Site, json_devices: frozenset[str], true_ms: Callable[[], int]) -> None:
        """``json_devices``: ids of the devices that receive their outputs as JSON. ``true_ms``: returns the true wall
        time in ms since 1970.
        """
        self._json = json_devices
        self._true_ms = true_ms
        self._began: int | None = None  # true time minus hall time, at the first step
        self.steps = 0
        self.deaths = 0
        self.tickets: list[str] = []
        self.policy_version = 0  # version in force according to the journal
        self._harmful: set[int] = set()  # versions that the hall itself found harmful
        self._left: set[int] = set()  # of these, the versions rolled back
        self.promises: Promises | None = Promises(site)
        self._app: Application | None = None
        self._pending: dict[int, tuple[Step, Facts]] = {}  # not yet seen on the disk
        self._acknowledged = 0  # last step that the daemon treated as accepted
        self._accepted = 0  # the same, while it reported that steps reach the disk
        self._verified = 0
        self._judged = 0
        self._epoch: int | None = None
        self._seen: dict[tuple[str, int], tuple[DeviceEvent, int]] = {}
        self._orders: dict[str, int] = {}
        self._actions: dict[str, int] = {}  # action id -> how often a device received it
        self._prints: set[str] = set()  # ids of print actions of the present process
        self._committed: dict[str, int] = {}  # action id -> step
        self._end_lost = False  # the disk lost data after it had reported them synced
        self._gone: set[tuple[str, int]] = set()  # inputs whose steps are lost: see ``_forget``
        self._papers: dict[tuple[int, str], str] = {}  # (day, number) -> the action that printed it
        self._acked: set[tuple[str, int]] = set()
        self._journaled: set[tuple[str, int]] = set()
        self._levels: dict[tuple[str, str], deque[bytes]] = {}

    # -- lives --

    def process_started(self, app: Application) -> None:
        """Check that a new process found in its journal every step that the process before it had reported as stored.
        Call it when the journal is open.
        """
        journal = app.journal
        renewed = self._epoch is not None and journal.epoch > self._epoch
        assert self._epoch in (None, journal.epoch) or (renewed and self._end_lost), (
            f"kept: a new epoch {journal.epoch}, after {self._epoch}"
        )
        assert renewed or journal.last_seq >= self._accepted, (
            f"kept: step {self._accepted} was accepted, the journal ends at {journal.last_seq}"
        )
        self._end_lost = False
        self._epoch = journal.epoch
        self._app = app
        for action in self._prints:
            self._actions.pop(action, None)
        self._prints.clear()
        self._compare(renewed)
        journal.on_durable(self._durable)

    def _compare(self, renewed: bool = False) -> None:
        """Compare the journal on disk with the steps that the daemon took. Raises ``AssertionError`` if an accepted
        step or acknowledged input is missing. Afterwards forget the steps that were never written.

        ``renewed``: the journal is a new one that begins with a state dump, which includes the steps before it.
        """
        assert self._app is not None
        head = self._app.journal.last_seq
        rows = {row.seq: row for row in self._rows()}
        strange = rows.keys() - self._pending.keys()
        assert not strange, f"kept: the journal has steps {sorted(strange)[:5]}, which nobody took"
        for seq, (step, facts) in self._pending.items():
            if seq > head:
                continue
            row = rows.get(seq)
            assert renewed or row is not None, f"kept: step {seq} is missing in the journal"
            assert row is None or _same(row, encode_step(step)), f"kept: step {seq} is not what was decided"
            place = _input_of(step)
            if place is not None:
                self._journaled.add(place)
            self._judge(step, facts)
        if self._acknowledged > self._accepted and self._acknowledged > head:
            self._papers.clear()  # numbers issued without a durable journal may be issued again, as announced
        if self._acknowledged > head:
            self._forget(head)
        missing = sorted(self._acked - self._journaled - self._gone)
        assert not missing, f"kept: {len(missing)} inputs were acknowledged and are gone: {missing[:5]}"
        self._acked -= self._journaled
        self._seen = {key: known for key, known in self._seen.items() if known[1] <= head}
        self._orders = {name: seq for name, seq in self._orders.items() if seq <= head}
        self._verified = self._accepted = self._acknowledged = head
        self._pending.clear()

    def _forget(self, head: int) -> None:
        """Forget the steps after number ``head``, the last one in the journal. They are lost: either they were only in
        memory (which the daemon had reported), or the disk lost them.
        """
        assert self._app is not None
        self.promises = None
        self.policy_version = min(self.policy_version, self._app.engine.state.policy_version)
        for seq, (step, _) in self._pending.items():
            place = _input_of(step)
            if seq > head and place is not None:
                self._gone.add(place)
        self._judged = min(self._judged, head)
        lost = {action for action, seq in self._committed.items() if seq > head}
        for action in lost:
            del self._committed[action]
            self._actions.pop(action, None)

    def _rows(self) -> list[database.Row]:
        assert self._app is not None
        path = Path(self._app.config.store.path)
        connection = database.connect(path, read_only=True)
        try:
            return list(database.rows(connection, self._verified))
        finally:
            connection.close(True)

    def device_reset(self, device: str) -> None:
        """Forget the sequence numbers of a device whose power was off, because it numbers its messages from 1 again."""
        self._seen = {key: known for key, known in self._seen.items() if device_of(Point(key[0])) != device}

    def end_lost(self) -> None:
        """Note that the disk lost the end of the journal although it was synced. The next process may therefore know
        less, but must begin a new epoch.
        """
        self._end_lost = True

    def ended(self) -> None:
        """Compare the journal with the steps a last time, after the last process has ended."""
        self._compare()

    # -- what the daemon does --

    def step(self, step: Step, decision_s: float) -> None:
        """Check one step of the daemon, before it is on disk: policy version, wall clock, and that nothing is done
        twice. Called as an ``Observer``; ``decision_s`` is not used.
        """
        app = self._app
        assert app is not None
        self.steps += 1
        app.engine.check()
        state = app.engine.state
        self._harmful |= {int(note.subject) for note in step.notes if note.kind == "policy.harmful"}
        version = state.policy_version
        assert version >= self.policy_version or self.policy_version in self._harmful, (
            f"policy: version {version} in force after {self.policy_version}"
        )
        assert version not in self._left, f"policy: version {version} is back, which was taken back"
        self._check_plausible(step)
        if step.seq not in self._pending:  # otherwise a tick without effect, which has no row
            self._pending[step.seq] = (step, Facts.of(state))
            for command in step.commands:
                if isinstance(command, Desired) and command.point in self._json:
                    self._note_level(command)
            self._once(step)

    def _check_plausible(self, step: Step) -> None:
        """Check that the daemon believes only plausible reports: it never acts on a wall clock that is a day or more
        wrong, and never takes a Modbus module for lost that is merely busy now and then.
        """
        event, true_ms = step.event, self._true_ms()
        if self._began is None:
            self._began = true_ms - step.at_ms
        ahead_ms = step.at_ms + self._began - true_ms
        assert ahead_ms < WRONG_MS, f"time: the hall has lived {ahead_ms / WRONG_MS:.0f} days too many"
        if isinstance(event, ClockSet):
            wrong_ms = abs(event.wall_ms - true_ms)
            assert wrong_ms < WRONG_MS, (
                f"time: a clock was believed that is {wrong_ms / WRONG_MS:.0f} days off"
            )
        if isinstance(event, DeviceLost):
            assert event.reason != ALWAYS_BUSY, (
                f"busy: {event.point} was given up for being busy now and then"
            )

    def _note_level(self, command: Desired) -> None:
        kind, payload = encode_level(command.value)
        self._levels.setdefault((command.point, kind), deque(maxlen=SHOWN_MAX)).append(payload)

    def _once(self, step: Step) -> None:
        event = step.event
        by = getattr(event, "by", None)
        if isinstance(by, str) and by.startswith("order-"):
            assert by not in self._orders, (
                f"once: {by} was carried out in steps {self._orders[by]} and {step.seq}"
            )
            self._orders[by] = step.seq
        seq = getattr(event, "seq", None)
        if seq is None:
            return
        key = (getattr(event, "point", ""), seq)
        known = self._seen.get(key)
        if known is None:
            refused = [note for note in step.notes if note.data.get("reason") == "duplicate"]
            assert getattr(event, "again", False) or not refused, f"heard: {event} was taken for a repetition"
            self._seen[key] = (event, step.seq)  # type: ignore[assignment]
        elif known[0] == event:
            changes = [note for note in step.notes if note.kind != "ignored"]
            assert not step.commands, f"once: the second {event} commanded {step.commands}"
            assert not changes, f"once: the second {event} did {changes}"

    def committed(self, steps: Sequence[Step]) -> None:
        """Check steps that are now accepted: on disk, or only in memory if the daemon has reported a failing disk.
        Called as an ``Observer``.
        """
        assert self._app is not None
        self._acknowledged = steps[-1].seq
        if self._app.journal.durable:
            self._accepted = self._acknowledged
        for step in steps:
            self._judge(*self._pending[step.seq])

    def _durable(self, durable: bool) -> None:
        if durable:
            self._accepted = self._acknowledged

    def _judge(self, step: Step, facts: Facts) -> None:
        if step.seq <= self._judged:
            return
        self._judged = step.seq
        if isinstance(step.event, PolicyApplied):
            if step.event.version < self.policy_version:
                self._left.add(self.policy_version)
            self.policy_version = step.event.version
        self.tickets += [note.subject for note in step.notes if note.kind == "ticket.issued"]
        for command in step.commands:
            if isinstance(command, Action):
                self._committed[command.id] = step.seq
        if self.promises is not None:
            self.promises.step(facts, step.event, step.commands, step.notes)

    # -- what the wires saw --

    def acknowledged(self, device: str, fields: Any) -> None:
        """Record that the daemon acknowledged (PUBACK) the message ``fields`` of a device; its input must be in the
        journal later.
        """
        if isinstance(fields, dict) and type(fields.get("seq")) is int and 0 < fields["seq"] < SEQ_MAX:
            self._acked.add((device, fields["seq"]))

    def arrived(self, device: str, kind: str, action: str, paper: str | None = None) -> None:
        """Check that an action that a device received was accepted before and is not repeated (only a print may come
        again, once from each new process). Check also that no two actions print the same number on a day. ``kind``: of
        the action, such as "print"; ``action``: its id; ``paper``: the number on a printed ticket.
        """
        assert action in self._committed, (
            f"outputs: {device} was told {kind} {action} before its step was accepted"
        )
        times = self._actions[action] = self._actions.get(action, 0) + 1
        if kind == OFFERED_AGAIN:
            self._prints.add(action)
        assert times == 1 or kind not in ONCE, f"outputs: {device} was told {kind} {action} {times} times"
        if kind == OFFERED_AGAIN and paper is not None:
            first = self._papers.setdefault((self._true_ms() // DAY_MS, paper), action)
            assert first == action, f"paper: {paper} is on two papers, of {first} and {action}"

    def shown(self, device: str, kind: str, payload: bytes) -> None:
        """Check that the daemon's core commanded what a JSON device is told to show."""
        known = self._levels.get((device, kind), ())
        assert payload in known, f"outputs: {device} shows {kind} {payload!r}, which nobody commanded"


def _input_of(step: Step) -> tuple[str, int] | None:
    """Return the point (device or channel) and sequence number of the input that caused a step; None if it has none."""
    point, seq = getattr(step.event, "point", None), getattr(step.event, "seq", None)
    return None if point is None or seq is None else (point, seq)


def _same(row: database.Row, ours: database.Row) -> bool:
    fields = ("seq", "at_ms", "kind", "src", "event", "commands", "notes")
    return all(getattr(row, name) == getattr(ours, name) for name in fields)
