"""Dumps the state after the last step before an upgrade, while the version of the program that wrote the last steps is
still installed.

The next version then starts from that dump and does not decide any of those steps again. A daemon that stops cleanly
dumps its state itself; this is for one that was killed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import apsw

from edged.core.engine import Engine
from edged.core.model.state import State
from edged.store import codec, database
from edged.store.codec import CodecError
from edged.store.database import SchemaTooNew
from edged.store.journal import Journal
from edged.store.notes import opened
from edged.store.replay import recover


@dataclass(frozen=True, slots=True)
class Settled:
    """The result of ``settle``. ``steps``: number of steps after the last dump. ``ours`` False: another version of the
    program decided some of these steps, so no dump was made.
    """

    steps: int
    ours: bool


def settle(path: Path) -> Settled:
    """Dump the state after the last step, unless there is such a dump. Raises ``StoreError``, also if the daemon is
    running.
    """
    try:
        return asyncio.run(_settle(path))
    except CodecError as error:
        raise SchemaTooNew(f"{path}: {error}") from error


def issued_since(journal: Path, copy: Path) -> list[str]:
    """The numbers of the tickets issued in ``journal`` after the last step of ``copy``, which would be lost by going
    back to the copy. Raises ``Unreadable`` if either cannot be read.
    """
    with opened(copy) as old:
        last = max(int(old.execute("SELECT max(seq) FROM steps").get or 0), _dumped(old))
    numbers: dict[str, None] = {}
    with opened(journal) as new:
        for row in database.rows(new, last):
            issued = [note for note in codec.decode_notes(row.notes) if note.kind == "ticket.issued"]
            numbers.update(dict.fromkeys(note.subject for note in issued))
    return list(numbers)


def _dumped(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT max(seq) FROM snapshots").get or 0)


async def _settle(path: Path) -> Settled:
    journal = Journal.open(path)
    try:
        restored = journal.restore(State)
        engine = Engine(restored.state)
        found = recover(engine, restored)
        if found.kept is None and found.steps:
            state = engine.state
            journal.snapshot(state, restored.last_seq, found.last_ms, state.day or None)
            await journal.drain()
        return Settled(found.steps, found.kept is None)
    finally:
        journal.close()
