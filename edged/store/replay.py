"""Feeds the events of a journal to the engine again: the same events must give the same commands, notes and state.

Rules: inputs are fed as recorded. Ticks are never fed from the journal: they are regenerated from the engine's due
times and compared with the recorded ones. Commands and notes are compared as canonical JSON; the state is compared by
its hash wherever a state dump was taken. A dump of a version whose state had fewer fields has another hash: it is
decoded and encoded in today's form first. If the content of such a dump is gone, it is not compared. The first
difference is described in words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, get_args

import apsw

from edged.core.model.commands import Command, Desired, Note, Value
from edged.core.model.events import DeviceEvent, Event, OutcomeKept, Tick
from edged.core.model.point import Point
from edged.core.model.state import State
from edged.core.visits.recorded import Recorded, difference
from edged.observer import Step
from edged.store import codec, database
from edged.store.database import Damaged, Head, Row, Snapshot, StoreError
from edged.store.notes import Unreadable, day_start, oldest_dump
from edged.store.records import Restored, is_recorded

TICKS_MAX = 100_000  # ticks in a row without an input: a simulated month; more means that the engine hangs
ALIVE_STEPS = 500
PROGRESS_STEPS = 200
DIFFERENCES_MAX = 20  # differing stretches that are reported: there is a dump an hour, and an upgrade or two
TEXT_MAX_CHARS = 300  # characters of a command shown in a difference: enough to see which display shows what

DEVICE_KINDS = tuple(kind.__name__ for kind in get_args(DeviceEvent))


class EngineLike(Protocol):
    """What a replay needs of the core: to handle one event after another and to show its state. A Protocol, so that a
    test can replay with a core of its own.
    """

    state: Any

    @property
    def next_due_ms(self) -> int | None: ...

    def handle(self, at_ms: int, event: Event) -> tuple[tuple[Command, ...], tuple[Note, ...]]: ...


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step at which replay and journal differ, described in words. ``at_ms``: hall time."""

    seq: int
    at_ms: int
    what: str

    def __str__(self) -> str:
        return f"step {self.seq} at {self.at_ms} ms: {self.what}"


@dataclass(frozen=True, slots=True)
class Recovered:
    """Result of ``recover``. ``last_ms``: hall time at which the engine was last fed. ``steps``: number of steps and
    marks fed.

    ``kept``: recorded decisions of another version that this version would not have taken, to be fed before anything
    else; None if there are none.
    """

    last_ms: int
    steps: int
    kept: OutcomeKept | None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Result of ``replay``: from step ``first_seq`` on, ``steps`` steps and the state at ``states`` state dumps were
    the same as in the journal.

    Only if the replay went on after each difference from the next state dump (``onward``): ``differences``, the first
    ``DIFFERENCES_MAX`` that were found, and ``agrees_since``, the step at which the last part began if nothing differed
    in it (else None).
    """

    identical: bool
    first_seq: int
    steps: int
    ticks: int
    states: int
    first_difference: Difference | None
    state_sha256: str
    differences: tuple[Difference, ...] = ()
    agrees_since: int | None = None


@dataclass(frozen=True, slots=True)
class _StoredTurn:
    at_ms: int
    commands: tuple[Command, ...]
    notes: tuple[Note, ...]


class _Differs(Exception):
    def __init__(self, seq: int, at_ms: int, what: str) -> None:
        self.difference = Difference(seq, at_ms, what)
        super().__init__(what)


def due_ticks(engine: EngineLike, until_ms: int, last_ms: int) -> Iterator[_StoredTurn]:
    """Feed every tick due up to ``until_ms`` to the engine, each stamped with its due time but never earlier than
    ``last_ms``.
    """
    for _ in range(TICKS_MAX):
        due_ms = engine.next_due_ms
        if due_ms is None or due_ms > until_ms:
            return
        last_ms = max(due_ms, last_ms)
        yield _StoredTurn(last_ms, *engine.handle(last_ms, Tick()))
    raise AssertionError(f"the engine asked for {TICKS_MAX} ticks up to {until_ms} ms")


def recover(
    engine: EngineLike, restored: Restored[Any], alive: Callable[[], None] = lambda: None
) -> Recovered:
    """Feed ``restored.tail`` to ``engine``, which was made from ``restored.state``.

    After an upgrade the engine may decide otherwise than was recorded, but the hall must open: the recorded decisions
    are then returned in ``kept``, to be put in force. ``alive`` is called every ``ALIVE_STEPS`` steps, because without
    a readable state dump this takes minutes.
    """
    last_ms, place = restored.at_ms, 0
    theirs, ours = Recorded(restored.state), Recorded(restored.state)
    for place, entry in enumerate(restored.tail, 1):
        if place % ALIVE_STEPS == 0:
            alive()
        for turn in due_ticks(engine, entry.at_ms, last_ms):
            last_ms = turn.at_ms
            ours.take(Tick(), turn.commands, turn.notes)
        if isinstance(entry, Step):
            theirs.take(entry.event, entry.commands, entry.notes)
            if not isinstance(entry.event, Tick):
                ours.take(entry.event, *engine.handle(entry.at_ms, entry.event))
            if isinstance(entry.event, OutcomeKept):
                ours.agree_with(theirs)
        last_ms = max(last_ms, entry.at_ms)
    return Recovered(last_ms, place, difference(theirs, ours, engine.state))


def replay(
    path: Path,
    make_engine: Callable[[Any], EngineLike] | None = None,
    state_type: type = State,
    progress: Callable[[int, int], None] = lambda done, total: None,
    days: int = 0,
    onward: bool = False,
) -> ReplayResult:
    """Replay a journal from its first step, or from its oldest state dump if the first steps were pruned.

    ``days``: only the last so many business days that begin with a state dump (0: all). ``onward``: after a difference
    continue from the next state dump, because an upgrade begins with one. ``progress(done, total)`` is called every
    ``PROGRESS_STEPS`` steps. Raises ``Unreadable`` if the journal is missing, damaged, or has no step to begin with.
    """
    connection = _open(path)
    try:
        start = _start(connection, days)
        result = _Replay(connection, make_engine or _engine, state_type, start).run(progress)
        found: list[Difference] = []
        while onward and result.first_difference is not None and len(found) < DIFFERENCES_MAX:
            found.append(result.first_difference)
            start = _dump_behind(connection, result.first_difference.seq, start)
            if start is None:
                break
            more = _Replay(connection, make_engine or _engine, state_type, start).run(progress)
            result = _joined(result, more)
        return _with_differences(result, found)
    except (apsw.Error, codec.CodecError, Damaged) as error:
        raise Unreadable(f"{path}: {error}") from error
    finally:
        connection.close(True)


def desired_history(path: Path) -> dict[tuple[Point, str], list[tuple[int, Value]]]:
    """All values that each output should have shown, in order, each with the hall time in ms from which on it should.
    The key is the output's point ("device/channel", such as "relay-1/3") and the kind of value. Raises ``Unreadable``
    if the journal cannot be read.
    """
    history: dict[tuple[Point, str], list[tuple[int, Value]]] = {}
    connection = _open(path)
    try:
        for row in database.rows(connection):
            for command in codec.decode_commands(row.commands):
                if isinstance(command, Desired):
                    slot = (command.point, command.value.kind)
                    history.setdefault(slot, []).append((row.at_ms, command.value))
    except (apsw.Error, codec.CodecError) as error:
        raise Unreadable(f"{path}: {error}") from error
    finally:
        connection.close(True)
    return history


def desired_at_end(path: Path) -> dict[tuple[str, str], Value]:
    """The value that each output should show after the last step; the key is its point ("device/channel") and the kind
    of value. Raises ``Unreadable`` if the journal cannot be read.
    """
    return {slot: values[-1][1] for slot, values in desired_history(path).items()}


def inputs_by_source(path: Path) -> dict[tuple[Point, str], int]:
    """Number of accepted device inputs; the key is the point they came from ("device/channel", such as "panel-w3") and
    the class name of the event. Raises ``Unreadable`` if the journal cannot be read.
    """
    connection = _open(path)
    try:
        marks = ",".join("?" * len(DEVICE_KINDS))
        query = f"SELECT src, kind, count(*) FROM steps WHERE kind IN ({marks}) GROUP BY src, kind"  # noqa: S608
        return {(Point(src), str(kind)): int(n) for src, kind, n in connection.execute(query, DEVICE_KINDS)}
    except apsw.Error as error:
        raise Unreadable(f"{path}: {error}") from error
    finally:
        connection.close(True)


class _Replay:
    def __init__(
        self,
        connection: apsw.Connection,
        make_engine: Callable[[Any], EngineLike],
        state_type: type,
        start: Snapshot | None,
    ) -> None:
        self._connection = connection
        state = None if start is None else codec.load_state(start.blob or b"", state_type)
        self._start = start
        self._engine = make_engine(state)
        self._head = Head() if start is None else Head(start.seq, start.at_ms, 0, start.chain)
        self._last_ms = self._head.at_ms
        self._steps = self._ticks = self._states = 0
        self._state_type = state_type
        self._other_form = (
            False  # the last dump was written by a version that encoded the same state differently
        )
        known = start or next(database.dumps_from_the_oldest(connection), None)
        if known is not None:
            self._as_written_today(known)

    def run(self, progress: Callable[[int, int], None]) -> ReplayResult:
        first_seq = self._head.seq + 1
        last = self._connection.execute("SELECT max(seq) FROM steps").get
        total = int(last or 0) - first_seq + 1
        progress(0, total)
        difference = None
        try:
            for entry in database.entries(self._connection, self._start):
                if isinstance(entry, Row):
                    self._row(entry)
                    if self._steps % PROGRESS_STEPS == 0:
                        progress(self._steps, total)
                else:
                    self._mark(entry)
        except _Differs as differs:
            difference = differs.difference
        return ReplayResult(
            identical=difference is None,
            first_seq=first_seq,
            steps=self._steps,
            ticks=self._ticks,
            states=self._states,
            first_difference=difference,
            state_sha256=codec.sha256(codec.dump_state(self._engine.state)),
        )

    def _row(self, row: Row) -> None:
        if row.seq != self._head.seq + 1:
            raise _Differs(
                self._head.seq + 1, row.at_ms, f"missing in the journal, which goes on with {row.seq}"
            )
        _compare(row, self._recorded_tick(row) if row.kind == "Tick" else self._input(row))
        try:
            self._head = database.follow(self._head, row)
        except Damaged as damage:
            raise _Differs(
                row.seq, row.at_ms, f"{damage}, though replay agrees: its event was changed"
            ) from None
        self._last_ms = max(self._last_ms, row.at_ms)
        self._steps += 1

    def _input(self, row: Row) -> _StoredTurn:
        event = codec.decode_event(row.kind, row.event)
        for turn in self._feed(row.at_ms):
            if is_recorded(Tick(), turn.commands, turn.notes):
                raise _Differs(
                    row.seq,
                    turn.at_ms,
                    f"replay has a tick here the journal has not: {_shown_commands(turn.commands)}",
                )
        return _StoredTurn(row.at_ms, *self._engine.handle(row.at_ms, event))

    def _recorded_tick(self, row: Row) -> _StoredTurn:
        for turn in self._feed(row.at_ms):
            if is_recorded(Tick(), turn.commands, turn.notes):
                if turn.at_ms != row.at_ms:
                    raise _Differs(row.seq, turn.at_ms, f"the journal has this tick at {row.at_ms} ms")
                return turn
        raise _Differs(row.seq, row.at_ms, f"replay has no tick here; the journal has {_text(row.commands)}")

    def _feed(self, until_ms: int) -> Iterator[_StoredTurn]:
        for turn in due_ticks(self._engine, until_ms, self._last_ms):
            self._last_ms = turn.at_ms
            self._ticks += 1
            yield turn

    def _mark(self, mark: Snapshot) -> None:
        """Compare the state with the dump taken here. Ticks due at the dump's own time stamp may have come before or
        after it: so compare after each of them.
        """
        if mark.seq != self._head.seq:
            what = f"missing in the journal, which has a state dump of step {mark.seq}"
            raise _Differs(self._head.seq + 1, mark.at_ms, what)
        feed = self._feed(mark.at_ms)
        while (due_ms := self._engine.next_due_ms) is not None and due_ms < mark.at_ms:
            self._silent(mark, next(feed))
        wanted = mark.sha256
        if codec.sha256(codec.dump_state(self._engine.state)) != wanted:
            wanted = self._as_written_today(mark)
        while codec.sha256(codec.dump_state(self._engine.state)) != wanted:
            turn = next(feed, None)
            if turn is None and wanted == mark.sha256 and self._other_form:
                return  # only a mark is left, and the ones before it are of another version
            if turn is None:
                raise _Differs(mark.seq, mark.at_ms, "the state differs from the one dumped here")
            self._silent(mark, turn)
        self._states += 1

    def _as_written_today(self, mark: Snapshot) -> str:
        """The hash of the dump at ``mark`` after decoding and encoding it in today's form; the recorded hash if the
        dump's content is gone.
        """
        dumped = database.dump_at(self._connection, mark)
        if dumped is None:
            return mark.sha256
        try:
            ours = codec.sha256(codec.dump_state(codec.load_state(dumped, self._state_type)))
        except codec.CodecError:  # this version cannot load it: as good as a bare mark
            ours = ""
        self._other_form = ours != mark.sha256
        return ours or mark.sha256

    def _silent(self, mark: Snapshot, turn: _StoredTurn) -> None:
        if is_recorded(Tick(), turn.commands, turn.notes):
            shown = _shown_commands(turn.commands)
            what = f"replay has a tick here, before the state dump, the journal has not: {shown}"
            raise _Differs(mark.seq, turn.at_ms, what)


def _compare(row: Row, turn: _StoredTurn) -> None:
    ours = codec.encode_commands(turn.commands) if turn.commands else None
    same = row.commands == ours or codec.canonical(row.commands) == codec.canonical(ours)
    recorded = turn.commands if same else codec.decode_commands(row.commands)
    if recorded != turn.commands:  # a field that was added later has its default in the recorded state
        where = next(
            (n for n, pair in enumerate(zip(recorded, turn.commands, strict=False)) if pair[0] != pair[1]),
            min(len(recorded), len(turn.commands)),
        )
        shown = [_shown_commands(commands[where : where + 1]) for commands in (recorded, turn.commands)]
        what = f"{row.kind} from {row.src or '-'}: command {where + 1}: journal {shown[0]}, replay {shown[1]}"
        raise _Differs(row.seq, row.at_ms, what)
    notes = codec.encode_notes(turn.notes) if turn.notes else None
    if row.notes != notes and codec.canonical(row.notes) != codec.canonical(notes):
        raise _Differs(
            row.seq, row.at_ms, f"{row.kind}: notes: journal {_text(row.notes)}, replay {_text(notes)}"
        )


def _joined(before: ReplayResult, stretch: ReplayResult) -> ReplayResult:
    """Combine the results of two consecutive parts of a replay: add up the counts, keep the first step of ``before``,
    and take everything else from ``stretch``, the later part.
    """
    counts = {name: getattr(before, name) + getattr(stretch, name) for name in ("steps", "ticks", "states")}
    since = stretch.first_seq if stretch.first_difference is None else None
    return replace(stretch, first_seq=before.first_seq, agrees_since=since, **counts)


def _with_differences(result: ReplayResult, found: list[Difference]) -> ReplayResult:
    """Put all differences that the parts of a replay ended with (``found``) into the combined result; without any,
    return it unchanged.
    """
    if not found:
        return result
    return replace(result, identical=False, first_difference=found[0], differences=tuple(found))


def _dump_behind(connection: apsw.Connection, seq: int, start: Snapshot | None) -> Snapshot | None:
    """The first readable state dump at or after step ``seq`` that is later than ``start``; None if there is none."""
    begun = 0 if start is None else start.seq
    found = None
    for one in database.snapshots(connection):  # newest first
        if one.seq < max(seq, begun + 1):
            break
        if one.good:
            found = one
    return found


def _start(connection: apsw.Connection, days: int) -> Snapshot | None:
    """The state dump to begin with: the oldest good one of the last ``days`` days, or of all (0). None: begin at step
    1.

    Raises ``Unreadable`` if the first steps are gone and no state dump is left.
    """
    found = day_start(connection, days) if days else None
    first = database.first_seq(connection)
    if found is not None or first == 1:
        return found
    usable = oldest_dump(connection)
    if usable is None and first is not None:
        raise Unreadable(f"steps before {first} are gone and no state dump is left to start from")
    return usable


def _open(path: Path) -> apsw.Connection:
    try:
        if not path.is_file():
            raise Unreadable(f"{path}: no such file")
        database.refuse_foreign(path)
        return database.connect(path, read_only=True)
    except (apsw.Error, OSError, StoreError) as error:
        raise Unreadable(f"{path}: {error}") from error


def _engine(state: State | None) -> EngineLike:
    from edged.core.engine import Engine

    return Engine(state)


def _shown_commands(commands: tuple[Command, ...]) -> str:
    return _text(codec.encode_commands(commands) if commands else None)


def _text(blob: bytes | None) -> str:
    """JSON as text for a message, cut at ``TEXT_MAX_CHARS``."""
    text = "nothing" if blob is None else blob.decode("utf-8", "replace")
    return text if len(text) <= TEXT_MAX_CHARS else text[:TEXT_MAX_CHARS] + "…"
