"""Values that the journal takes and returns: steps as rows, marks of state dumps, the result of a restore. No I/O.

Rule: a row holds a step without loss. ``is_recorded`` alone decides which steps become rows, in the running daemon and
in replay.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from edged.core.model.commands import Command, Note
from edged.core.model.events import Event, Tick
from edged.observer import Step
from edged.store import codec
from edged.store.database import PolicyRow, Row

S = TypeVar("S")

POLICIES_KEPT = 8  # policies kept in memory, 64 KiB each at most, as targets of a rollback


class MetaLine(NamedTuple):
    """A key and value for table ``meta``, committed together with a step."""

    key: str
    value: str


class Attachments(NamedTuple):
    """What is committed together with a step: ``envelope``, the signed document with the policy that the step applies,
    and ``line``, a row of table ``meta``.
    """

    envelope: bytes | None = None
    line: MetaLine | None = None


ALONE = Attachments()


@dataclass(frozen=True, slots=True)
class DumpMark:
    """The position in ``Restored.tail`` at which a state dump was taken, after every tick due up to hall time
    ``at_ms``. ``sha256``: the hash of that dump.
    """

    seq: int
    at_ms: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Restored(Generic[S]):
    """What a start reads from the journal: ``state`` after step ``seq`` at hall time ``at_ms``, and in ``tail`` the
    steps after it, to be fed to the engine (``replay.recover``).

    ``state`` None: begin with an empty engine. ``last_*`` describe the last step on disk (0 if there is none);
    ``last_wall_ms`` is when it was committed. Read ``tail`` to its end before the first ``append``.
    """

    state: S | None
    seq: int
    at_ms: int
    tail: Iterator[Step | DumpMark]
    last_seq: int
    last_at_ms: int
    last_wall_ms: int


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy applied last (None: none from the centre yet), and the highest version ever applied. A new policy must
    have a higher version than that.

    ``known``: the newest ``POLICIES_KEPT`` policies ever applied, highest version first.
    """

    last_good: PolicyRow | None
    high_water: int
    known: tuple[PolicyRow, ...] = ()

    def after(self, row: PolicyRow) -> Policies:
        """The same with ``row`` as the policy applied last."""
        known = {one.version: one for one in self.known} | {row.version: row}
        newest = tuple(known[version] for version in sorted(known, reverse=True)[:POLICIES_KEPT])
        return Policies(row, max(self.high_water, row.version), newest)

    def earlier(self, version: int, left: Container[int] = ()) -> PolicyRow | None:
        """The policy that comes into force when the one with ``version`` is rolled back; None if there is none.
        ``left``: versions that were rolled back before and are not used again.
        """
        return next((row for row in self.known if row.version < version and row.version not in left), None)


def is_recorded(event: Event, commands: Sequence[Command], notes: Sequence[Note]) -> bool:
    """Whether a step becomes a row: an input always, a tick only if it had an effect, because replay regenerates
    ticks.
    """
    return not isinstance(event, Tick) or bool(commands or notes)


def encode_step(step: Step) -> Row:
    """Encode a step as a row; the writer adds wall time and chain hash. Raises ``codec.CodecError`` for values that
    cannot be written as JSON.
    """
    kind, event = codec.encode_event(step.event)
    return Row(
        seq=step.seq,
        at_ms=step.at_ms,
        wall_ms=0,
        kind=kind,
        src=getattr(step.event, "point", ""),
        event=None if isinstance(step.event, Tick) else event,
        commands=codec.encode_commands(step.commands) if step.commands else None,
        notes=codec.encode_notes(step.notes) if step.notes else None,
    )


def decode_step(row: Row) -> Step:
    """Decode the step in a row. Raises ``codec.CodecError`` if the row is not valid for this version."""
    return Step(
        row.seq,
        row.at_ms,
        codec.decode_event(row.kind, row.event),
        codec.decode_commands(row.commands),
        codec.decode_notes(row.notes),
    )
